/**
 * Stands in for a runsv: the FIFOs and the status file of a supervise
 * directory, and a record of the bytes that came to control. So a status can be
 * shown to sv that no real service would hold still in.
 */
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { packStatus, type Status } from "../../src/formats/status.ts";

/** Seconds since the last transition, beside the fields of the file. */
export type Shown = Partial<Status> & { readonly age?: number };

export const RUNNING: Shown = { state: "run", pid: 4242, want: "up" };
export const DOWN: Shown = { state: "down", pid: 0, want: "down" };

function bytesOf(shown: Shown): Uint8Array {
  const { age = 100, ...fields } = shown;
  const since = { seconds: Math.floor(Date.now() / 1000) - age, nanoseconds: 0 };
  return packStatus({ since, pid: 0, paused: false, want: "up", gotTerm: false, state: "down", ...fields });
}

/** Node makes no FIFOs, and a program each would take most of a test's time: some are made ahead and moved into place. */
const POOL_SIZE = 200;
const pool: string[] = [];

function placeFifo(path: string): void {
  if (pool.length === 0) {
    const dir = mkdtempSync(join(tmpdir(), "upkeep-fifos-"));
    process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
    for (let i = 0; i < POOL_SIZE; i++) pool.push(join(dir, `${i}`));
    execFileSync("mkfifo", ["-m", "600", ...pool]);
  }
  renameSync(pool.pop() ?? "", path);
}

export class FakeRunsv {
  readonly dir: string;
  readonly #control: number;
  #ok = -1;
  #seen = "";

  /** `dir` (a Buffer for a name that is no text) is made if need be; the FIFOs are open until the test ends. */
  constructor(t: TestContext, dir: string, shown: Shown = RUNNING) {
    this.dir = dir;
    const supervise = join(dir, "supervise");
    mkdirSync(supervise, { recursive: true });
    placeFifo(join(supervise, "ok"));
    placeFifo(join(supervise, "control"));
    this.#control = openSync(join(supervise, "control"), constants.O_RDWR | constants.O_NONBLOCK);
    this.#ok = openSync(join(supervise, "ok"), constants.O_RDONLY | constants.O_NONBLOCK);
    this.show(shown);
    t.after(() => {
      this.die();
      closeSync(this.#control);
    });
  }

  show(shown: Shown): void {
    this.write(bytesOf(shown));
  }

  /** Any bytes as the status file, put in place as runsv does. */
  write(bytes: Uint8Array): void {
    const path = join(this.dir, "supervise/status");
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  }

  /** Nobody reads supervise/ok any more. */
  die(): void {
    if (this.#ok >= 0) closeSync(this.#ok);
    this.#ok = -1;
  }

  remove(file: string): void {
    rmSync(join(this.dir, "supervise", file));
  }

  /** Every byte written to control so far. */
  get bytes(): string {
    const chunk = Buffer.alloc(4096);
    try {
      for (let n = readSync(this.#control, chunk); n > 0; n = readSync(this.#control, chunk)) {
        this.#seen += chunk.toString("latin1", 0, n);
      }
    } catch (e) {
      if (!(e instanceof Error) || !/EAGAIN/.test(e.message)) throw e;
    }
    return this.#seen;
  }
}
