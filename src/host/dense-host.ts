/**
 * Every supervisor of a directory in one process (`runsvdir --dense`): the
 * same machines and the same files as those of a runsv each, on one reactor.
 *
 * To the scanner this is a starter; each supervisor it has started has a
 * number, above every pid. Opening and stopping take many system calls each,
 * so they wait in a queue, and a turn does only so many of them.
 */
import { ascii, concat, text } from "../base/bytes.ts";
import type { Fd, Instant, Pid } from "../base/units.ts";
import type { ScanEntry } from "../core/scan.ts";
import { Part, type Reactor } from "../reactor.ts";
import { LogRoom } from "./inner-log.ts";
import { RunsvStarter } from "./scanner.ts";
import type { Starting } from "./service-programs.ts";
import { openDirectory } from "./state-directory.ts";
import { NOTHING_INHERITED, Supervisor, SupervisorHome } from "./supervisor.ts";

/** Pids are at most 2^22 (proc_sys_kernel(5), pid_max). */
const FIRST_NUMBER = 4194305;
/** Supervisors opened or stopped in one turn. */
const PER_TURN = 32;

class Hosted extends SupervisorHome {
  readonly number: number;
  readonly supervisor: Supervisor;
  readonly #host: DenseHost;
  readonly #name: Uint8Array;
  opened = false;
  stopping = false;

  constructor(host: DenseHost, number: number, name: Uint8Array, directory: Fd) {
    super();
    this.#host = host;
    this.number = number;
    this.#name = name;
    this.supervisor = new Supervisor(host.reactor, name, directory, this);
  }

  override get starting(): Starting {
    return this.#host.starting;
  }

  override print(line: string): void {
    this.#host.print(line);
  }

  override forked(child: Pid): void {
    this.#host.children.set(child, this);
  }

  override get logRoom(): LogRoom | null {
    return this.#host.logRoom;
  }

  override get prefix(): Uint8Array {
    return this.#host.prefix;
  }

  override finishes(): void {
    this.#host.finishing.push(this);
  }

  /** Opens, or tells to exit, whichever is next. */
  proceed(now: Instant): void {
    if (this.opened) {
      if (this.stopping) this.supervisor.command("exit", now);
      return;
    }
    this.opened = true;
    const problem = this.stopping ? null : this.supervisor.open(NOTHING_INHERITED, now);
    if (problem === null && !this.stopping) {
      this.supervisor.begin(now);
      return;
    }
    if (problem !== null) this.print(`runsv ${text(this.#name)}: fatal: ${problem}\n`);
    this.supervisor.abandon();
    this.#host.end(this);
  }
}

class DenseHost extends Part {
  readonly reactor: Reactor;
  readonly starting: Starting;
  readonly print: (line: string) => void;
  /** The services directory, with a slash. */
  readonly prefix: Uint8Array;
  readonly hosted: Map<number, Hosted> = new Map<number, Hosted>();
  /** Whose child it is, by pid. */
  readonly children: Map<number, Hosted> = new Map<number, Hosted>();
  /** They were `finished` at some moment of this turn. */
  finishing: Hosted[] = [];
  readonly ended: number[] = [];
  #queue: Hosted[] = [];
  #next = 0;
  #logRoom: LogRoom | null = null;

  constructor(reactor: Reactor, dir: Uint8Array, starting: Starting, print: (line: string) => void) {
    super();
    this.reactor = reactor;
    this.prefix = concat([dir, ascii("/")]);
    this.starting = starting;
    this.print = print;
  }

  /** Made for the first that needs it. */
  get logRoom(): LogRoom {
    const room = this.#logRoom ?? new LogRoom(this.reactor);
    this.#logRoom = room;
    return room;
  }

  enqueue(hosted: Hosted): void {
    this.#queue.push(hosted);
    this.reactor.wakeAt(this, this.reactor.kernel.now());
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {}

  override due(now: Instant): void {
    for (let i = 0; i < PER_TURN && this.#next < this.#queue.length; i++) {
      const hosted = this.#queue[this.#next]!;
      this.#next++;
      hosted.proceed(now);
    }
    if (this.#next < this.#queue.length) this.reactor.wakeAt(this, now);
    else {
      this.#queue = [];
      this.#next = 0;
    }
  }

  end(hosted: Hosted): void {
    this.hosted.delete(hosted.number);
    this.ended.push(hosted.number);
  }

  /** Who is still finished at the end of a turn has ended. */
  settle(): void {
    if (this.finishing.length === 0) return;
    const finishing = this.finishing;
    this.finishing = [];
    for (let i = 0; i < finishing.length; i++) {
      const hosted = finishing[i]!;
      if (!hosted.supervisor.finished || !this.hosted.has(hosted.number)) continue;
      hosted.supervisor.close();
      this.end(hosted);
    }
  }
}

export class DenseStarter extends RunsvStarter {
  readonly #host: DenseHost;
  #number = FIRST_NUMBER;

  /** `dir`: the services directory; `print` takes the supervisors' messages, whole lines. */
  constructor(reactor: Reactor, dir: Uint8Array, starting: Starting, print: (line: string) => void) {
    super();
    this.#host = new DenseHost(reactor, dir, starting, print);
  }

  override get hosted(): number {
    return this.#host.hosted.size;
  }

  override start(entry: ScanEntry, dir: Fd, _bootId: Uint8Array): number {
    const host = this.#host;
    const directory = openDirectory(host.reactor.kernel, dir, entry.name);
    if (directory < 0) return directory;
    const hosted = new Hosted(host, this.#number, entry.name, directory);
    this.#number++;
    host.hosted.set(hosted.number, hosted);
    host.enqueue(hosted);
    return hosted.number;
  }

  override found(_entry: ScanEntry, _dir: Fd, _bootId: Uint8Array): void {}

  override forget(_entry: ScanEntry): void {}

  override stop(entry: ScanEntry): boolean {
    const hosted = this.#host.hosted.get(entry.pid) ?? null;
    if (hosted === null) return false;
    hosted.stopping = true;
    this.#host.enqueue(hosted);
    return true;
  }

  override reaped(child: number, status: number, now: Instant): void {
    const hosted = this.#host.children.get(child) ?? null;
    if (hosted === null) return;
    this.#host.children.delete(child);
    hosted.supervisor.reaped(child, status, now);
  }

  override nextEnded(): number {
    this.#host.settle();
    const ended = this.#host.ended;
    if (ended.length === 0) return 0;
    const number = ended[ended.length - 1]!;
    ended.splice(ended.length - 1, 1);
    return number;
  }
}
