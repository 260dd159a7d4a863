/** Numbers of processes: in turn, or, where the faults want it, the one that was free last. */
import type { Faults } from "./faults.ts";

const FIRST_PID = 300;
/** No kernel gives a number away again within a second of its last use. */
const REUSE_MS = 1100;

export class Pids {
  #next = FIRST_PID;
  #freed = 0;
  /** When a number was given to a process last, by number, on the boot clock. */
  #usedMs: number[] = [];

  /** The first numbers of a boot. */
  reset(): void {
    this.#next = FIRST_PID;
    this.#freed = 0;
    this.#usedMs = [];
  }

  /** A number below `limit` that `taken` does not have; -1: none is free. */
  take(faults: Faults, limit: number, nowMs: number, taken: (pid: number) => boolean): number {
    const wanted = faults.hits(faults.pidReuse) ? this.#freed : 0;
    if (wanted > 0 && this.#rested(wanted, nowMs) && !taken(wanted)) return this.#use(wanted, nowMs);
    for (let tries = FIRST_PID; tries < limit; tries++) {
      const pid = this.#next;
      this.#next = pid + 1 >= limit ? FIRST_PID : pid + 1;
      if (this.#rested(pid, nowMs) && !taken(pid)) return this.#use(pid, nowMs);
    }
    return -1;
  }

  free(pid: number): void {
    this.#freed = pid;
  }

  #rested(pid: number, nowMs: number): boolean {
    const i = pid - FIRST_PID;
    return i < 0 || i >= this.#usedMs.length || nowMs - this.#usedMs[i]! > REUSE_MS;
  }

  #use(pid: number, nowMs: number): number {
    while (this.#usedMs.length <= pid - FIRST_PID) this.#usedMs.push(-REUSE_MS);
    this.#usedMs[pid - FIRST_PID] = nowMs;
    return pid;
  }
}
