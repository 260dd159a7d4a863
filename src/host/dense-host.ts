/**
 * Every supervisor of a directory in one process (`runsvdir --dense`, `upkeep
 * init`): the same machines and the same files as those of a runsv each, on one
 * reactor.
 *
 * To the scanner this is a starter; each supervisor it has started has a
 * number, above every pid. Opening and stopping take many system calls each,
 * so they wait in a queue, and a turn does only so many of them.
 */
import { ascii, concat, parseDecimal, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd, Instant, Pid } from "../base/units.ts";
import { entryKey, type ScanEntry } from "../core/scan.ts";
import {
  AT_FDCWD,
  EMFILE,
  ENOENT,
  F_DUPFD_CLOEXEC,
  F_GETFD,
  O_CLOEXEC,
  O_DIRECTORY,
  O_RDONLY,
  SIGCHLD,
  SIGHUP,
  SIGTERM,
} from "../kernel/constants.ts";
import { type Kernel, type Move, SPAWN_KEEP_MASK, SPAWN_SETSID, Stat } from "../kernel/kernel.ts";
import { output } from "../kernel/output.ts";
import { copyFewDescriptors, limitDescriptorsOfPrograms, raiseDescriptorLimit } from "../kernel/self.ts";
import { Part, type Reactor } from "../reactor.ts";
import { LogRoom } from "./inner-log.ts";
import type { Nursery } from "./nursery.ts";
import { RunsvStarter } from "./scanner.ts";
import type { Starting } from "./service-programs.ts";
import { OpenOne, type Sparing } from "./sparing.ts";
import { openDirectory } from "./state-directory.ts";
import { NOTHING_INHERITED, Supervisor } from "./supervisor.ts";
import { SupervisorHome } from "./supervisor-home.ts";

/** Pids are at most 2^22 (proc_sys_kernel(5), pid_max). */
const FIRST_NUMBER = 4194305;
/** So many descriptors must be free for a supervisor more: what it opens, and what the others need for a moment. */
const ROOM = 24;
/** Supervisors opened or stopped in one turn. */
const PER_TURN = 32;
/** Signals whose action is the default one in services, as when a runsv starts them. */
const RESTORED: readonly number[] = [SIGCHLD, SIGHUP, SIGTERM];

/** Whether the number of an entry's supervisor says that it is hosted, and no process of its own. */
export function isHosted(number: number): boolean {
  return number >= FIRST_NUMBER;
}

/**
 * Prepares this process for hosting, and says how it is to start programs. They
 * get the limits of open files that were `before` (those of a predecessor; null:
 * the present ones). Returns these.
 */
export function prepareHosting(kernel: Kernel, before: Uint8Array | null): Uint8Array {
  const given = inheritedBelow(kernel);
  if (given > 0) copyFewDescriptors(given);
  const limits = raiseDescriptorLimit(before, true);
  limitDescriptorsOfPrograms(limits);
  // One reader that does not read must not keep all services waiting.
  output.mayWait = false;
  return limits;
}

/** Whether ROOM descriptors more could be had. */
function hasRoom(kernel: Kernel, fd: Fd): boolean {
  const more: Fd[] = [];
  while (more.length < ROOM) {
    const copy = kernel.fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) break;
    more.push(copy);
  }
  for (let i = 0; i < more.length; i++) kernel.close(more[i]!);
  return more.length === ROOM;
}

/** Above all descriptors that programs inherit; 0: that cannot be told. */
function inheritedBelow(kernel: Kernel): Fd {
  const dir = kernel.open(AT_FDCWD, ascii("/proc/self/fd"), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (dir < 0) return 0;
  let below = 3;
  const names = kernel.list(dir).names;
  for (let i = 0; i < names.length; i++) {
    const fd = parseDecimal(names[i]!).value;
    if (fd >= below && kernel.fcntl(fd, F_GETFD, 0) === 0) below = fd + 1;
  }
  kernel.close(dir);
  return below;
}

class Hosted extends SupervisorHome {
  readonly number: number;
  readonly supervisor: Supervisor;
  readonly #host: DenseHost;
  readonly #entry: ScanEntry;
  readonly #outputs: readonly Move[];
  opened = false;
  stopping = false;

  constructor(host: DenseHost, number: number, entry: ScanEntry, outputs: readonly Move[]) {
    super();
    this.#host = host;
    this.#entry = entry;
    this.#outputs = outputs;
    this.number = number;
    this.supervisor = new Supervisor(host.reactor, entry.name, this);
  }

  override get starting(): Starting {
    return this.#host.starting;
  }

  override print(_kernel: Kernel, line: string): void {
    this.#host.print(line);
  }

  override forked(child: Pid): void {
    this.#host.children.set(child, this);
  }

  override isScarce(newest: Fd): boolean {
    return this.#host.isScarce(newest);
  }

  override rouses(who: Sparing): void {
    this.#host.openOne.take(who);
  }

  override get logsItself(): boolean {
    return true;
  }

  override get logRoom(): LogRoom | null {
    return this.#host.logRoom;
  }

  override get prefix(): Uint8Array {
    return this.#host.prefix;
  }

  override get outputs(): readonly Move[] {
    return this.#outputs;
  }

  override get ends(): boolean {
    return this.#host.ends;
  }

  override finishes(): void {
    this.#host.finishing.push(this);
  }

  /** Opens, or tells to exit, whichever is next. */
  proceed(now: Instant): void {
    const opens = !this.opened;
    if (opens && !this.#open(now)) return;
    if (this.stopping && (opens || this.supervisor.main.machine.want !== "exit")) this.supervisor.command("exit", now);
  }

  /** A service that is to stop is opened, too: it may live since before us. */
  #open(now: Instant): boolean {
    this.opened = true;
    const directory = this.#host.openService(this.#entry);
    if (directory < 0) {
      // Want of descriptors is told by who tries again.
      if (directory !== -EMFILE) this.#tellFatal(`unable to change to directory: ${errorText(-directory)}`);
      this.#host.end(this);
      return false;
    }
    this.supervisor.enter(directory);
    if (this.stopping) this.supervisor.main.machine.want = "exit";
    const problem = this.supervisor.open({ ...NOTHING_INHERITED, notice: this.#host.notice }, now);
    if (problem !== null) {
      this.#tellFatal(problem);
      this.supervisor.abandon();
      this.#host.end(this);
      return false;
    }
    this.supervisor.begin(now);
    return true;
  }

  #tellFatal(problem: string): void {
    this.#host.print(`runsv ${text(this.#entry.name)}: fatal: ${problem}\n`);
  }

  /** It has ended: gives back what it wrote into. */
  release(kernel: Kernel): void {
    for (let i = 0; i < this.#outputs.length; i++) kernel.close(this.#outputs[i]!.from);
  }
}

/** Whom a process hosts, and how. */
export type Hosting = {
  /** The services directory. */
  readonly dir: Uint8Array;
  /** For each program. */
  readonly ownSession: boolean;
  /** How many may be open. */
  readonly descriptors: number;
  /** Takes the supervisors' messages, whole lines. */
  readonly print: (line: string) => void;
  /** What their programs find. */
  readonly nursery: Nursery;
};

class DenseHost extends Part {
  readonly reactor: Reactor;
  readonly starting: Starting;
  readonly print: (line: string) => void;
  /** The services directory, with a slash. */
  readonly prefix: Uint8Array;
  /** Half of what may be open: who finds no lower descriptor free gives up what it can. */
  readonly #scarceFrom: Fd;
  readonly openOne: OpenOne = new OpenOne();
  readonly hosted: Map<number, Hosted> = new Map<number, Hosted>();
  /** Whose child it is, by pid. */
  readonly children: Map<number, Hosted> = new Map<number, Hosted>();
  /** They were `finished` at some moment of this turn. */
  finishing: Hosted[] = [];
  readonly ended: number[] = [];
  /** Every supervisor is to exit. */
  ends = false;
  /** Too few descriptors were left when the last one was opened. */
  full = false;
  #wereScarce = false;
  #queue: Hosted[] = [];
  #next = 0;
  #logRoom: LogRoom | null = null;
  readonly #nursery: Nursery;

  constructor(reactor: Reactor, hosting: Hosting) {
    super();
    this.reactor = reactor;
    this.#scarceFrom = Math.floor(hosting.descriptors / 2);
    this.prefix = concat([hosting.dir, ascii("/")]);
    this.starting = { flags: SPAWN_KEEP_MASK | (hosting.ownSession ? SPAWN_SETSID : 0), defaults: RESTORED };
    this.print = hosting.print;
    this.#nursery = hosting.nursery;
  }

  get notice(): Fd {
    return this.#nursery.notice;
  }

  /** Made for the first that needs it. */
  get logRoom(): LogRoom {
    const room = this.#logRoom ?? new LogRoom(this.reactor);
    this.#logRoom = room;
    return room;
  }

  /** The service directory. Descriptor, or -errno; -EMFILE while too few are left for more supervisors. */
  openService(entry: ScanEntry): Fd {
    const kernel = this.reactor.kernel;
    const directory = openDirectory(kernel, AT_FDCWD, concat([this.prefix, entry.name]));
    // A low one may have come free among high ones.
    const asks = this.isScarce(directory) || this.#wereScarce;
    this.full = directory === -EMFILE || (asks && directory >= 0 && !hasRoom(kernel, directory));
    if (directory < 0) return directory;
    const stat = new Stat();
    const other = kernel.fstat(directory, stat) < 0 || entryKey(stat.dev, stat.ino) !== entry.key;
    if (!this.full && !other) return directory;
    kernel.close(directory);
    return this.full ? -EMFILE : -ENOENT;
  }

  /** Whether descriptors are scarce, of which `newest` was opened last. */
  isScarce(newest: Fd): boolean {
    const scarce = newest >= this.#scarceFrom;
    this.#wereScarce = this.#wereScarce || scarce;
    return scarce;
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
    hosted.release(this.reactor.kernel);
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
  readonly #nursery: Nursery;
  #number = FIRST_NUMBER;

  constructor(reactor: Reactor, hosting: Hosting) {
    super();
    this.#nursery = hosting.nursery;
    this.#host = new DenseHost(reactor, hosting);
  }

  override get hosted(): number {
    return this.#host.hosted.size;
  }

  override start(entry: ScanEntry, _dir: Fd, _bootId: Uint8Array): number {
    const host = this.#host;
    if (host.full) {
      const tried = host.openService(entry);
      if (tried < 0) return tried;
      host.reactor.kernel.close(tried);
    }
    const hosted = new Hosted(host, this.#number, entry, this.#nursery.outputs(entry));
    this.#number++;
    host.hosted.set(hosted.number, hosted);
    host.enqueue(hosted);
    return hosted.number;
  }

  /** The supervisor with this number; null: it has ended, or is not opened yet. */
  supervisor(number: number): Supervisor | null {
    const hosted = this.#host.hosted.get(number) ?? null;
    return hosted !== null && hosted.opened ? hosted.supervisor : null;
  }

  override found(_entry: ScanEntry, _dir: Fd, _bootId: Uint8Array): void {}

  override forget(entry: ScanEntry): void {
    this.#nursery.forget(entry);
  }

  override stop(entry: ScanEntry): boolean {
    const hosted = this.#host.hosted.get(entry.pid) ?? null;
    if (hosted === null) return false;
    hosted.stopping = true;
    this.#host.enqueue(hosted);
    return true;
  }

  override end(): void {
    this.#host.ends = true;
  }

  override reaped(child: number, status: number, now: Instant): boolean {
    const hosted = this.#host.children.get(child) ?? null;
    if (hosted === null) return false;
    this.#host.children.delete(child);
    return hosted.supervisor.reaped(child, status, now);
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
