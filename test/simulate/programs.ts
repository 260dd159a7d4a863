/** Our own programs as simulated processes: the real hosts and machines, one turn at a time. */
import { ascii, EMPTY, item } from "../../src/base/bytes.ts";
import type { Fd } from "../../src/base/units.ts";
import { entryKey, type ScanEntry } from "../../src/core/scan.ts";
import { DenseStarter } from "../../src/host/dense-host.ts";
import { findReadEnd, keepLogPipe } from "../../src/host/log-pipe.ts";
import { Nursery } from "../../src/host/nursery.ts";
import { RunsvProcess } from "../../src/host/runsv-process.ts";
import { RunsvdirProcess } from "../../src/host/runsvdir-process.ts";
import { RunsvStarter, ScanOutput } from "../../src/host/scanner.ts";
import { type Inherited, NOTHING_INHERITED, type Supervisor } from "../../src/host/supervisor.ts";
import { AT_FDCWD, EAGAIN } from "../../src/kernel/constants.ts";
import { Stat } from "../../src/kernel/kernel.ts";
import { fill } from "../../src/kernel/simulated/file-calls.ts";
import type { Inode } from "../../src/kernel/simulated/inode.ts";
import { type Process, Program } from "../../src/kernel/simulated/process.ts";
import type { World } from "../../src/kernel/simulated/world.ts";
import { SimulatedKernel } from "../../src/kernel/simulated.ts";
import type { Reactor } from "../../src/reactor.ts";

export class RunsvProgram extends Program {
  readonly kernel: SimulatedKernel;
  readonly name: Uint8Array;
  readonly #inherited: Inherited;
  /** null until the first turn. */
  process: RunsvProcess | null = null;
  /** µs. */
  readonly startedAt: number;
  /** Which service it serves, by number; a guess by the name until it has opened its directory. */
  serves = -1;

  constructor(world: World, me: Process, name: Uint8Array, inherited: Inherited) {
    super();
    this.kernel = new SimulatedKernel(world, me);
    this.startedAt = world.us;
    this.name = name;
    this.#inherited = inherited;
  }

  static ofArguments(world: World, me: Process): RunsvProgram {
    return new RunsvProgram(world, me, item(me.argv, 1) ?? EMPTY, NOTHING_INHERITED);
  }

  override turn(): void {
    const process = this.process;
    if (process === null) this.#start();
    else if (!process.turn()) this.kernel.exit(0);
  }

  #start(): void {
    const opened = RunsvProcess.open(this.kernel, this.name, AT_FDCWD, this.#inherited, []);
    if (opened === null) this.kernel.exit(111);
    else {
      this.process = opened;
      opened.begin();
    }
  }
}

/** Starts a runsv as NativeRunsvStarter does, by fork; the child goes on as a program of its own. */
class SimulatedStarter extends RunsvStarter {
  readonly #world: World;
  readonly #kernel: SimulatedKernel;
  readonly #me: Process;

  constructor(world: World, me: Process, kernel: SimulatedKernel) {
    super();
    this.#world = world;
    this.#me = me;
    this.#kernel = kernel;
  }

  override start(entry: ScanEntry, dir: Fd, bootId: Uint8Array): number {
    const k = this.#kernel;
    const write = keepLogPipe(k, entry, dir, bootId);
    const child = k.forked();
    if (child !== null) this.#become(child, entry, dir, write);
    if (write >= 0) k.close(write);
    return child === null ? -EAGAIN : child.pid;
  }

  #become(child: Process, entry: ScanEntry, dir: Fd, write: Fd): void {
    const w = this.#world;
    const d = this.#me.descriptor(dir);
    if (d !== null && d.file.inode !== null) child.cwd = d.file.inode;
    for (let fd = 3; fd < child.descriptors.length; fd++) if (fd !== entry.pipeRead && fd !== write) w.closeAt(child, fd);
    const name = entry.name.slice();
    child.argv = [ascii("runsv"), name];
    const inherited = { lock: -1, logLock: -1, pipeRead: entry.pipeRead, pipeWrite: write, notice: -1 };
    child.program = new RunsvProgram(w, child, name, inherited);
    child.wakeAt = w.us;
    w.observer.started(w, child);
  }

  override found(entry: ScanEntry, dir: Fd, bootId: Uint8Array): void {
    if (entry.pipeRead < 0) entry.pipeRead = findReadEnd(this.#kernel, dir, entry.name, bootId);
  }

  override forget(entry: ScanEntry): void {
    if (entry.pipeRead >= 0) this.#kernel.close(entry.pipeRead);
    entry.pipeRead = -1;
  }
}

/** runsvdir --dense; remembers whom it has started. */
class HostStarter extends DenseStarter {
  readonly #numbers: number[] = [];
  readonly #keys: string[] = [];

  constructor(reactor: Reactor, dir: Uint8Array, descriptors: number) {
    super(reactor, { dir, ownSession: false, descriptors, print: () => {}, nursery: new Nursery() });
  }

  override start(entry: ScanEntry, dir: Fd, bootId: Uint8Array): number {
    const number = super.start(entry, dir, bootId);
    if (number <= 0) return number;
    this.#numbers.push(number);
    this.#keys.push(entry.key);
    return number;
  }

  /** The supervisor of the service directory. */
  supervisorOf(directory: Inode): Supervisor | null {
    const stat = new Stat();
    fill(stat, directory);
    const key = entryKey(stat.dev, stat.ino);
    for (let i = this.#numbers.length - 1; i >= 0; i--) {
      const supervisor = this.#keys[i]! === key ? this.supervisor(this.#numbers[i]!) : null;
      if (supervisor !== null) return supervisor;
    }
    return null;
  }
}

class Silent extends ScanOutput {
  override warn(_text: string): void {}
}

export class RunsvdirProgram extends Program {
  readonly dense: boolean;
  readonly #world: World;
  readonly #me: Process;
  readonly #kernel: SimulatedKernel;
  /** null until the first turn. */
  #process: RunsvdirProcess | null = null;
  #host: HostStarter | null = null;
  /** It knows nothing of what was before this moment, µs. */
  readonly bornAt: number;

  constructor(world: World, me: Process, dense: boolean) {
    super();
    this.bornAt = world.us;
    this.#world = world;
    this.#me = me;
    this.dense = dense;
    this.#kernel = new SimulatedKernel(world, me);
  }

  get begun(): boolean {
    return this.#process !== null;
  }

  /** Told to end, and waiting for its supervisors. */
  get ends(): boolean {
    return this.#process !== null && this.#process.exitCode >= 0;
  }

  /** Its own supervisor of the service directory, if it is dense and has one that is open. */
  supervisorOf(directory: Inode): Supervisor | null {
    return this.#host === null ? null : this.#host.supervisorOf(directory);
  }

  override turn(): void {
    const process = this.#process;
    if (process === null) this.#start();
    else if (!process.turn()) this.#kernel.exit(process.exitCode);
    else if (process.takeUpgrade()) this.#upgrade();
  }

  #start(): void {
    const k = this.#kernel;
    const dir = item(this.#me.argv, 1) ?? EMPTY;
    const process = new RunsvdirProcess(k, []);
    if (process.status < 0) k.exit(100);
    if (process.supervise(dir, this.#starter(process, dir), new Silent()) < 0) k.exit(100);
    this.#process = process;
    process.begin();
  }

  #starter(process: RunsvdirProcess, dir: Uint8Array): RunsvStarter {
    if (!this.dense) return new SimulatedStarter(this.#world, this.#me, this.#kernel);
    const host = new HostStarter(process.reactor, dir, this.#world.openFiles);
    this.#host = host;
    return host;
  }

  /** The program on disk is executed again: what is close-on-exec is gone, children stay. */
  #upgrade(): void {
    const me = this.#me;
    this.#world.dropImage(me);
    me.program = new RunsvdirProgram(this.#world, me, this.dense);
    me.waitingOn = null;
    me.wakeAt = this.#world.us;
  }
}

/** null for what is no runsvdir of ours. */
export function runsvdirProgram(p: Process | null): RunsvdirProgram | null {
  if (p === null) return null;
  const program = p.program;
  if (program === null) return null;
  return program instanceof RunsvdirProgram ? program : null;
}

export function runsvProgram(p: Process | null): RunsvProgram | null {
  if (p === null) return null;
  const program = p.program;
  if (program === null) return null;
  return program instanceof RunsvProgram ? program : null;
}

/** What supervises the service directory in `p`: p's one supervisor, or one of those it hosts. null: nothing yet. */
export function supervisorIn(p: Process | null, directory: Inode): Supervisor | null {
  const runsv = runsvProgram(p);
  if (runsv !== null) return runsv.process === null ? null : runsv.process.supervisor;
  const runsvdir = runsvdirProgram(p);
  return runsvdir === null ? null : runsvdir.supervisorOf(directory);
}

/** Whether it hosts the supervisors of services itself. */
export function isHost(p: Process | null): boolean {
  const program = runsvdirProgram(p);
  return program !== null && program.dense;
}
