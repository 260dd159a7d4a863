/** Processes: ours (a supervisor that is stepped) and scripted ones (script.ts). */
import type { Inode } from "./inode.ts";
import type { OpenFile } from "./open-file.ts";
import type { Script } from "./script.ts";

export class SignalSet {
  readonly #has: Uint8Array = new Uint8Array(65);

  static of(signals: readonly number[]): SignalSet {
    const s = new SignalSet();
    for (let i = 0; i < signals.length; i++) s.add(signals[i]!);
    return s;
  }
  has(signal: number): boolean {
    return signal > 0 && signal < 65 && this.#has[signal]! !== 0;
  }
  add(signal: number): void {
    if (signal > 0 && signal < 65) this.#has[signal] = 1;
  }
  remove(signal: number): void {
    if (signal > 0 && signal < 65) this.#has[signal] = 0;
  }
  copy(): SignalSet {
    const s = new SignalSet();
    for (let i = 1; i < 65; i++) if (this.#has[i]! !== 0) s.add(i);
    return s;
  }
  /** The lowest signal that is in both sets, or 0. */
  first(other: SignalSet): number {
    for (let i = 1; i < 65; i++) if (this.#has[i]! !== 0 && other.has(i)) return i;
    return 0;
  }
}

export class Descriptor {
  readonly file: OpenFile;
  closeOnExec: boolean;
  constructor(file: OpenFile, closeOnExec: boolean) {
    this.file = file;
    this.closeOnExec = closeOnExec;
  }
}

/** A program of ours, stepped by the scheduler; its kernel is a view of the world as its process. */
export abstract class Program {
  /** Runs until it would block. Called first right after exec. May throw ProcessEnd (world.ts). */
  abstract turn(): void;
}

const NO_PATH = new Uint8Array(0);

export type ProcessState = "live" | "zombie" | "gone";

export class Process {
  readonly pid: number;
  parent: Process | null;
  readonly children: Process[] = [];
  state: ProcessState = "live";
  /** Wait status once it has ended. */
  status = 0;
  /** µs. */
  endedAt = 0;
  readonly descriptors: (Descriptor | null)[] = [];
  /** What its memory maps, by address; gone with exec and exit. */
  readonly mapped: (OpenFile | null)[] = [];
  cwd: Inode;
  mask: SignalSet = new SignalSet();
  readonly pending: SignalSet = new SignalSet();
  ignored: SignalSet = new SignalSet();
  stopped = false;
  subreaper = false;
  session: number;
  /** On the boot clock, ms. */
  readonly startedAt: number;
  /** What it was started as: the words of its command line. */
  argv: readonly Uint8Array[] = [];
  path: Uint8Array = new Uint8Array(0);
  script: Script | null = null;
  program: Program | null = null;
  /** Ours: when its wait ends by itself, in µs (Infinity: never). */
  wakeAt = 0;
  /** Ours: the epoll instance it waits on. */
  waitingOn: OpenFile | null = null;
  /** Ours: how many system calls it has made. */
  calls = 0;
  /** Ours: the path its last call looked up. */
  lastPath: Uint8Array = NO_PATH;
  /** Ours: its last call made a process. */
  hasForked = false;
  /** Ours: it is killed when `calls` gets there. */
  killAtCall = -1;
  /** Ours: the system call it is in. */
  call = "";
  /** Ours: the fault it is to meet in that call, `EMFILE open`, after `plannedSkip` chances, so many times in a row. */
  planned = "";
  plannedSkip = 0;
  plannedTimes = 1;

  constructor(pid: number, parent: Process | null, cwd: Inode, startedAt: number) {
    this.pid = pid;
    this.parent = parent;
    this.cwd = cwd;
    this.startedAt = startedAt;
    this.session = parent === null ? pid : parent.session;
  }

  /** Whether the planned fault comes now. */
  meets(what: string): boolean {
    if (this.planned === "" || this.planned !== `${what} ${this.call}`) return false;
    if (this.plannedSkip > 0) {
      this.plannedSkip--;
      return false;
    }
    this.plannedTimes--;
    if (this.plannedTimes === 0) this.planned = "";
    return true;
  }

  descriptor(fd: number): Descriptor | null {
    return fd >= 0 && fd < this.descriptors.length ? (this.descriptors[fd] ?? null) : null;
  }

  /** How many descriptors are open. */
  openCount(): number {
    let n = 0;
    for (let i = 0; i < this.descriptors.length; i++) if (this.descriptor(i) !== null) n++;
    return n;
  }
}

/** Takes a process out of a list. */
export function remove(list: Process[], p: Process): void {
  for (let i = 0; i < list.length; i++) {
    if (list[i]! === p) {
      list.splice(i, 1);
      return;
    }
  }
}
