/**
 * What sv(8) says. Lines are collected and written in few writes: whenever
 * sv is about to wait, to write to standard error (so that the order of the
 * two streams stays), or to end.
 */
import { ByteBuffer } from "../base/byte-buffer.ts";
import { ascii, concat } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { putStatusLine } from "../core/sv-line.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { writeAll } from "../kernel/output.ts";
import { downFile, type ServiceQuery } from "./service-query.ts";
import { Age } from "./status-age.ts";
import type { ServicePlace } from "./supervise-dir.ts";

const FLUSH_BYTES = 32768;
const PIPE_LOST = ascii(", log pipe lost");
const NEWLINE = ascii("\n");
const COLON = ascii(": ");
const LOG = ascii("log");
const SLASH_LOG = ascii("/log");
const FAIL = "fail: ";
const WARNING = "warning: ";
export const NO_DIRECTORY = "unable to change to service directory";
export const NOT_RUNNING = "runsv not running";
/** The exit code counts failures up to here. */
const FAILURES_MAX = 99;

/** Which code `status` gives in init.d mode (LSB): 0 running, 3 not running, 4 unknown. */
export type LsbStatus = 0 | 3 | 4;

export class Report {
  readonly #kernel: Kernel;
  readonly out: ByteBuffer = new ByteBuffer(1024);
  readonly #age: Age;
  #failures = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#age = new Age(kernel);
  }

  get exitCode(): number {
    return Math.min(this.#failures, FAILURES_MAX);
  }

  /** One more failure, without a message of its own. */
  count(): void {
    this.#failures++;
  }

  /** Time has passed: ages are counted from now on. */
  refresh(): void {
    this.#age.refresh();
  }

  flush(): void {
    if (this.out.length === 0) return;
    writeAll(this.#kernel, 1, this.out.bytes());
    this.out.clear();
  }

  /** `fail: NAME: text[: ERR]`, counted; errno 0 for none. */
  fail(name: Uint8Array, text: string, errno: number): void {
    this.#failures++;
    this.#message(FAIL, name, text, errno);
  }

  /** `warning: NAME: text[: ERR]`, counted. */
  warn(name: Uint8Array, text: string, errno: number): void {
    this.#failures++;
    this.#message(WARNING, name, text, errno);
  }

  /** `ok: NAME: text`. */
  ok(name: Uint8Array, text: string): void {
    this.#message("ok: ", name, text, 0);
  }

  /** To standard error: `warning: TEXT NAME/file: ERR`, not counted. */
  complain(text: string, name: Uint8Array, file: string, errno: number): void {
    this.flush();
    writeAll(this.#kernel, 2, concat([ascii(`${WARNING}${text} `), name, ascii(`/${file}: ${errorText(errno)}\n`)]));
  }

  /** What a query without a status says; `exiting`: a runsv that does not run is what was asked for. */
  problem(name: Uint8Array, query: ServiceQuery, exiting: boolean): void {
    switch (query.outcome) {
      case "not running":
        if (exiting) this.ok(name, NOT_RUNNING);
        else this.fail(name, NOT_RUNNING, 0);
        return;
      case "no directory":
        this.fail(name, NO_DIRECTORY, query.errno);
        return;
      case "unknown":
        this.warn(name, query.problem, query.errno);
        return;
      case "ok":
        return;
    }
  }

  /** `word` (e.g. "ok: ") and the status line; a full line. */
  line(word: string, name: Uint8Array, place: ServicePlace, query: ServiceQuery): void {
    this.out.putText(word);
    this.state(name, name, place, query);
    this.endLine();
  }

  /** The status line under the name `shown`, without a newline. Nothing, and 4, when `down` cannot be looked for. */
  state(shown: Uint8Array, name: Uint8Array, place: ServicePlace, query: ServiceQuery): LsbStatus {
    const down = downFile(this.#kernel, place);
    if (down.errno !== 0) {
      this.complain("unable to stat", name, "down", down.errno);
      return 4;
    }
    const status = query.status;
    putStatusLine(this.out, shown, status, down.there, this.#age.seconds(place, status));
    // compat: doc/differences.md, runsv-pipe-lost
    if (this.#age.pipeLost) this.out.put(PIPE_LOST);
    return status.pid !== 0 ? 0 : 3;
  }

  /** `; ` and the state of a log service, without a newline. */
  logState(name: Uint8Array, place: ServicePlace, query: ServiceQuery): void {
    const out = this.out;
    out.putText("; ");
    if (query.outcome === "ok") {
      // compat: an unreadable log/down is reported as NAME/down.
      this.state(LOG, name, place, query);
      return;
    }
    const full = concat([name, SLASH_LOG]);
    this.#failures++;
    const gone = query.outcome === "not running";
    out.putText(gone ? FAIL : WARNING);
    out.put(full);
    const text = query.outcome === "no directory" ? "unable to change directory" : gone ? NOT_RUNNING : query.problem;
    out.putText(`: ${text}`);
    if (!gone && query.errno !== 0) out.putText(`: ${errorText(query.errno)}`);
  }

  endLine(): void {
    this.out.put(NEWLINE);
    if (this.out.length > FLUSH_BYTES) this.flush();
  }

  #message(word: string, name: Uint8Array, text: string, errno: number): void {
    const out = this.out;
    out.putText(word);
    out.put(name);
    out.put(COLON);
    out.putText(errno === 0 ? text : `${text}: ${errorText(errno)}`);
    this.endLine();
  }
}
