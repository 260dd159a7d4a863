/**
 * runsvdir(8) as a machine: what the scanned directory holds comes in, what to
 * start and to stop goes out. No clock, no I/O.
 *
 * An entry is known by device and inode of its directory, not by its name: two
 * links to one directory make one runsv, named after the one that sorts first
 * (compat: doc/differences.md, runsvdir-name; runit's is the first in the order
 * of the directory, which is anybody's guess).
 *
 * Entry states
 *   waiting   no runsv; one is started when `startAt` has come
 *   running   `pid` is its runsv
 *   leaving   the directory is gone; its runsv was told to exit and still runs.
 *             When the directory comes back, the entry waits for that end, so
 *             that there never are two.
 */
import { compare, equal } from "../base/bytes.ts";
import { after, earlier, type Instant, instant, NO_PID, type Pid } from "../base/units.ts";

/** At least this long from one start of a runsv to the next. */
export const RESTART_MS = 1000;

/** A service directory as a scan found it. */
export type Found = { readonly name: Uint8Array; readonly dev: number; readonly ino: number };

/** What an entry is known by. */
export function entryKey(dev: number, ino: number): string {
  return `${dev}:${ino}`;
}

function contains(names: readonly Uint8Array[], name: Uint8Array): boolean {
  for (let i = 0; i < names.length; i++) if (equal(names[i]!, name)) return true;
  return false;
}

export class ScanEntry {
  readonly key: string;
  name: Uint8Array;
  pid: Pid = NO_PID;
  leaving = false;
  seen = true;
  /** Not before this moment may a runsv be started. */
  startAt: Instant = instant(0);
  /** For the host: read end of the log pipe, pidfd of a runsv that is no child. */
  pipeRead = -1;
  pidfd = -1;

  constructor(key: string, name: Uint8Array) {
    this.key = key;
    this.name = name;
  }
}

export type ScanAction =
  | { readonly act: "start"; readonly entry: ScanEntry }
  /** SIGTERM to the entry's runsv. */
  | { readonly act: "stop"; readonly entry: ScanEntry }
  /** Nothing is left of it. */
  | { readonly act: "forget"; readonly entry: ScanEntry };

export class Scan {
  readonly #entries: ScanEntry[] = [];
  readonly #byKey = new Map<string, ScanEntry>();
  readonly #byPid = new Map<number, ScanEntry>();
  /** Told to stop: nothing is started any more. */
  #stopping = false;

  get entries(): readonly ScanEntry[] {
    return this.#entries;
  }

  /** How many supervisors run. */
  get running(): number {
    return this.#byPid.size;
  }

  /**
   * A scan's result. `complete` false: the directory could not be read to the
   * end, so what is missing may still be there. `unsure`: names of which nobody
   * can tell what they are; an entry that has one stays as it is.
   */
  listed(found: readonly Found[], unsure: readonly Uint8Array[], complete: boolean, now: Instant): ScanAction[] {
    for (let i = 0; i < this.#entries.length; i++) this.#entries[i]!.seen = contains(unsure, this.#entries[i]!.name);
    for (let i = 0; i < found.length; i++) this.#see(found[i]!);
    const actions: ScanAction[] = [];
    if (complete) this.#removeUnseen(actions);
    this.#startDue(now, actions);
    return actions;
  }

  /** The moment of a deadline has come. */
  due(now: Instant): ScanAction[] {
    const actions: ScanAction[] = [];
    this.#startDue(now, actions);
    return actions;
  }

  /** When the next start is due; null: none is. */
  deadline(): Instant | null {
    let first: Instant | null = null;
    if (this.#stopping) return first;
    for (let i = 0; i < this.#entries.length; i++) {
      const e = this.#entries[i]!;
      if (e.pid === NO_PID && !e.leaving) first = earlier(first, e.startAt);
    }
    return first;
  }

  /** Outcome of "start": the runsv's pid. */
  started(entry: ScanEntry, pid: Pid, now: Instant): void {
    entry.pid = pid;
    entry.startAt = after(now, RESTART_MS);
    this.#byPid.set(pid, entry);
  }

  /** Outcome of "start": there is no process; tried again in a second. */
  startFailed(entry: ScanEntry, now: Instant): void {
    entry.startAt = after(now, RESTART_MS);
  }

  /** The entry whose runsv has this pid, or null. */
  withPid(pid: number): ScanEntry | null {
    return this.#byPid.get(pid) ?? null;
  }

  /** A runsv ended. It is started again unless its directory is gone. */
  ended(entry: ScanEntry, now: Instant): ScanAction[] {
    this.#byPid.delete(entry.pid);
    entry.pid = NO_PID;
    const actions: ScanAction[] = [];
    if (entry.leaving || this.#stopping) {
      if (entry.leaving) this.#forget(entry, actions);
    } else if (now >= entry.startAt) actions.push({ act: "start", entry });
    return actions;
  }

  /** Every runsv is told to exit, and none is started any more. */
  stopAll(): ScanAction[] {
    this.#stopping = true;
    const actions: ScanAction[] = [];
    for (let i = 0; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!;
      if (entry.pid !== NO_PID) actions.push({ act: "stop", entry });
    }
    return actions;
  }

  #see(f: Found): void {
    const key = entryKey(f.dev, f.ino);
    const known = this.#byKey.get(key);
    if (known === undefined) {
      const entry = new ScanEntry(key, f.name);
      this.#byKey.set(key, entry);
      this.#entries.push(entry);
      return;
    }
    // A renamed link counts from the next start.
    if (!known.seen || compare(f.name, known.name) < 0) known.name = f.name;
    known.seen = true;
    known.leaving = false;
  }

  #removeUnseen(actions: ScanAction[]): void {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i]!;
      if (entry.seen || entry.leaving) continue;
      entry.leaving = true;
      if (entry.pid === NO_PID) this.#forget(entry, actions);
      else actions.push({ act: "stop", entry });
    }
  }

  #forget(entry: ScanEntry, actions: ScanAction[]): void {
    this.#byKey.delete(entry.key);
    for (let i = 0; i < this.#entries.length; i++) {
      if (this.#entries[i]!.key === entry.key) {
        this.#entries.splice(i, 1);
        break;
      }
    }
    actions.push({ act: "forget", entry });
  }

  #startDue(now: Instant, actions: ScanAction[]): void {
    if (this.#stopping) return;
    for (let i = 0; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!;
      if (entry.pid === NO_PID && !entry.leaving && now >= entry.startAt) actions.push({ act: "start", entry });
    }
  }
}
