/**
 * The check script of one service that sv waits for (sv(8)): `./check` in the
 * service directory, with standard output closed. It runs beside the waiting,
 * once for each process it can be asked about; one that does not agree is
 * asked again, at first soon and then as often as runit does.
 *
 * Unlike in runit only exit 0 is agreement (compat: doc/differences.md,
 * sv-check-signal and sv-check-not-executable).
 */
import { ascii } from "../base/bytes.ts";
import { after, type DurationMs, type Fd, type Instant, pid } from "../base/units.ts";
import type { StatusBytes } from "../formats/status.ts";
import { ENOENT, EPOLLIN, SIGKILL, WNOHANG } from "../kernel/constants.ts";
import { SPAWN_KEEP_MASK } from "../kernel/kernel.ts";
import type { Part, Reactor } from "../reactor.ts";
import { openServiceDirectory, type ServicePlace, scratchStat } from "./supervise-dir.ts";

const FIRST_RETRY_MS = 50;
/** runit's interval. */
const RETRY_MS_MAX = 420;

const CHECK = ascii("check");
const ARGV: readonly Uint8Array[] = [ascii("./check")];

/** Which process a script was asked about: its pid and the label of its start. */
type Asked = { readonly pid: number; readonly label: number };
const NOBODY: Asked = { pid: 0, label: -1 };

function about(asked: Asked, status: StatusBytes): boolean {
  return asked.pid === status.pid && asked.label === status.sinceMicroseconds;
}

export class CheckScript {
  readonly #reactor: Reactor;
  readonly #place: ServicePlace;
  readonly #waiting: Part;
  /** Says once that the script cannot be run. */
  readonly #complain: (text: string, errno: number) => void;
  #complained = false;
  #pid = 0;
  #pidFd: Fd = -1;
  #asked: Asked = NOBODY;
  #agreed: Asked = NOBODY;
  #retryMs: DurationMs = FIRST_RETRY_MS;
  #retryAt: Instant | null = null;

  /** `waiting` is woken when the script ends; see `isTold`. */
  constructor(reactor: Reactor, place: ServicePlace, waiting: Part, complain: (text: string, errno: number) => void) {
    this.#reactor = reactor;
    this.#place = place;
    this.#waiting = waiting;
    this.#complain = complain;
  }

  get running(): boolean {
    return this.#pid !== 0;
  }

  /** Whether the end of the running script wakes `waiting`; otherwise it has to look. */
  get isTold(): boolean {
    return this.#pid === 0 || this.#pidFd >= 0;
  }

  /** When a script that did not agree may be asked again; null: now. */
  get retryAt(): Instant | null {
    return this.#pid === 0 ? this.#retryAt : null;
  }

  /** Whether the script agrees with this status; asks it when it has not been asked yet, and `mayStart`. */
  agrees(status: StatusBytes, mayStart: boolean, now: Instant): boolean {
    if (about(this.#agreed, status)) return true;
    if (!mayStart || this.#pid !== 0 || (this.#retryAt !== null && now < this.#retryAt)) return false;
    const r = this.#reactor.kernel.stat(this.#place.base, this.#place.path(CHECK), 0, scratchStat);
    if (r === -ENOENT) return true;
    if (r < 0) this.#problem("unable to stat", -r);
    else this.#start();
    if (this.#pid === 0) this.#retryLater(now);
    else this.#asked = { pid: status.pid, label: status.sinceMicroseconds };
    return false;
  }

  /** Ends a script that is still running: nobody asks any more. */
  close(): void {
    if (this.#pid !== 0) this.#reactor.kernel.kill(pid(this.#pid), SIGKILL);
    this.#pid = 0;
    this.#closePidFd();
  }

  #start(): void {
    const kernel = this.#reactor.kernel;
    const dir = openServiceDirectory(kernel, this.#place);
    if (dir < 0) {
      this.#problem("unable to run", -dir);
      return;
    }
    const child = kernel.spawn({
      dir,
      path: CHECK,
      argv: ARGV,
      env: null,
      moves: [{ from: -1, to: 1 }],
      flags: SPAWN_KEEP_MASK,
      blocked: [],
      defaults: [],
      recordFd: -1,
      recordAt: 0,
    });
    kernel.close(dir);
    if (child.pid < 0) {
      this.#problem("unable to fork for", -child.pid);
      return;
    }
    if (child.execErrno !== 0) {
      kernel.waitpid(child.pid, 0);
      this.#problem("unable to run", child.execErrno);
      return;
    }
    this.#pid = child.pid;
    this.#pidFd = kernel.pidfdOpen(pid(child.pid));
    if (this.#pidFd >= 0) this.#reactor.watch(this.#pidFd, EPOLLIN, this.#waiting, true);
  }

  /** Takes the end of the script, if it has ended. */
  reap(now: Instant): void {
    if (this.#pid === 0) return;
    const exit = this.#reactor.kernel.waitpid(this.#pid, WNOHANG);
    if (exit.pid === 0) return;
    this.#pid = 0;
    this.#closePidFd();
    if (exit.pid > 0 && exit.status === 0) this.#agreed = this.#asked;
    else this.#retryLater(now);
  }

  #closePidFd(): void {
    if (this.#pidFd < 0) return;
    this.#reactor.unwatch(this.#pidFd);
    this.#reactor.kernel.close(this.#pidFd);
    this.#pidFd = -1;
  }

  #retryLater(now: Instant): void {
    this.#retryAt = after(now, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #problem(text: string, errno: number): void {
    if (!this.#complained) this.#complain(text, errno);
    this.#complained = true;
  }
}
