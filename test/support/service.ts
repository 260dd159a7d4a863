/** A service directory as its runsv shows it, and the control FIFO as an operator has it. */
import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { ADOPT_BYTES } from "../../src/formats/adopt.ts";
import { STATUS_BYTES, type Status, unpackStatus } from "../../src/formats/status.ts";
import { RUNIT, type Toolchain, tempDir, UPKEEP, until } from "./lab.ts";

export const SLEEP = "#!/bin/sh\nexec sleep 1000\n";

/** Tests that mostly wait, run at the same time. */
export function together(name: string, fn: () => void): void {
  describe(name, { concurrency: 12 }, fn);
}

/** A file's bytes as latin-1, "" when it cannot be read. */
export function slurp(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

export class Service {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** The service's log service. */
  get log(): Service {
    return new Service(join(this.dir, "log"));
  }

  path(file: string): string {
    return join(this.dir, file);
  }
  /** A file of the service directory, "" when there is none. */
  file(name: string): string {
    return slurp(this.path(name));
  }
  lines(name: string): string[] {
    return this.file(name).split("\n").slice(0, -1);
  }

  /** supervise/stat without its newline. */
  get stat(): string {
    return this.file("supervise/stat").trimEnd();
  }
  /** supervise/pid; 0 when it is empty. */
  get pid(): number {
    return Number(this.file("supervise/pid"));
  }
  /** Pid of the process that supervises it, by its record; 0 without one. */
  get supervisor(): number {
    const record = Buffer.from(this.file("supervise/adopt"), "latin1");
    return record.length < ADOPT_BYTES ? 0 : record.readUInt32LE(44);
  }
  get statusBytes(): Buffer {
    return readFileSync(this.path("supervise/status"));
  }
  get status(): Status {
    const bytes = this.statusBytes;
    const status = bytes.length === STATUS_BYTES ? unpackStatus(bytes) : null;
    if (status === null) throw new Error(`${this.dir}: status of ${bytes.length} bytes`);
    return status;
  }
  /** The label of the last transition, in seconds. */
  get since(): number {
    const { since } = this.status;
    return since.seconds + since.nanoseconds / 1e9;
  }

  /** Writes command letters in one write; throws when no runsv reads them. */
  tell(letters: string): void {
    const fd = openSync(this.path("supervise/control"), constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(fd, letters);
    closeSync(fd);
  }

  /** What stat has to be by status, which is written after it. */
  get #statByStatus(): string {
    const { state, paused, gotTerm, want } = this.status;
    const wanted = state === "down" || want === "up" ? "" : ", want down";
    return `${state}${paused ? ", paused" : ""}${gotTerm ? ", got TERM" : ""}${wanted}`;
  }

  /** Waits until stat is this, and status says the same. */
  async is(stat: string, limitMs?: number): Promise<void> {
    const both = (): boolean => this.stat === stat && this.#statByStatus === stat.replace("want exit", "want down");
    try {
      await until(`"${stat}"`, both, limitMs);
    } catch (e) {
      throw new Error(`${this.dir} is "${this.stat}" (by status "${this.#statByStatus}")`, { cause: e });
    }
  }
  /** Waits for a process of run that is not `other`, and returns its pid. */
  async runs(other = 0): Promise<number> {
    const runs = (): boolean => this.stat === "run" && this.pid > 0 && this.pid !== other && this.status.pid === this.pid;
    await until(`${this.dir} runs`, runs);
    return this.pid;
  }
  /** Waits until a file has at least `n` lines and returns them. */
  async has(name: string, n = 1): Promise<string[]> {
    await until(`${n} lines in ${this.path(name)}`, () => this.lines(name).length >= n);
    return this.lines(name);
  }
}

/** The letter of proc(5) for a process's state; empty when it is gone. */
export function processState(pid: number): string {
  return /.*\) (\S)/s.exec(slurp(`/proc/${pid}/stat`))?.[1] ?? "";
}

/** Another one after each exec: the stack's place (proc(5) startstack) is drawn anew. */
export function imageOf(pid: number): string {
  const fields = slurp(`/proc/${pid}/stat`).replace(/^.*\) /s, "");
  return fields.split(" ")[25] ?? "";
}

/** Whether a process lives (a zombie does not). */
export function lives(pid: number): boolean {
  const stat = slurp(`/proc/${pid}/stat`);
  return stat !== "" && !/\) [ZX] /.test(stat);
}

/** One test for each pair of sv and supervisors: ours and runit's in every combination. */
export function pairs(
  name: string,
  fn: (sv: Toolchain, supervisors: Toolchain, dir: string, t: TestContext) => Promise<void>,
): void {
  for (const sv of [UPKEEP, RUNIT]) {
    for (const supervisors of [UPKEEP, RUNIT]) {
      test(`${name} [sv of ${sv.name}, runsv of ${supervisors.name}]`, { timeout: 180_000 }, async (t) =>
        fn(sv, supervisors, tempDir(t), t),
      );
    }
  }
}
