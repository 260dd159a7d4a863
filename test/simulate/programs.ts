/** Our own programs as simulated processes: the real hosts and machines, one turn at a time. */
import { ascii, EMPTY, item } from "../../src/base/bytes.ts";
import type { Fd } from "../../src/base/units.ts";
import type { ScanEntry } from "../../src/core/scan.ts";
import { findReadEnd, keepLogPipe } from "../../src/host/log-pipe.ts";
import { RunsvProcess } from "../../src/host/runsv-process.ts";
import { RunsvdirProcess } from "../../src/host/runsvdir-process.ts";
import { RunsvStarter, ScanOutput } from "../../src/host/scanner.ts";
import { type Inherited, NOTHING_INHERITED } from "../../src/host/supervisor.ts";
import { AT_FDCWD, EAGAIN } from "../../src/kernel/constants.ts";
import { type Process, Program } from "../../src/kernel/simulated/process.ts";
import type { World } from "../../src/kernel/simulated/world.ts";
import { SimulatedKernel } from "../../src/kernel/simulated.ts";

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

class Silent extends ScanOutput {
  override warn(_text: string): void {}
}

export class RunsvdirProgram extends Program {
  readonly #world: World;
  readonly #me: Process;
  readonly #kernel: SimulatedKernel;
  /** null until the first turn. */
  #process: RunsvdirProcess | null = null;
  /** It knows nothing of what was before this moment, µs. */
  readonly bornAt: number;

  constructor(world: World, me: Process) {
    super();
    this.bornAt = world.us;
    this.#world = world;
    this.#me = me;
    this.#kernel = new SimulatedKernel(world, me);
  }

  override turn(): void {
    const process = this.#process;
    if (process === null) this.#start();
    else if (!process.turn()) this.#kernel.exit(process.exitCode);
    else if (process.takeUpgrade()) this.#upgrade();
  }

  #start(): void {
    const k = this.#kernel;
    const process = new RunsvdirProcess(k, []);
    if (process.status < 0) k.exit(100);
    const starter = new SimulatedStarter(this.#world, this.#me, k);
    if (process.supervise(item(this.#me.argv, 1) ?? EMPTY, starter, new Silent()) < 0) k.exit(100);
    this.#process = process;
    process.begin();
  }

  /** The program on disk is executed again: what is close-on-exec is gone, children stay. */
  #upgrade(): void {
    const me = this.#me;
    for (let fd = 0; fd < me.descriptors.length; fd++) if (me.descriptor(fd)?.closeOnExec) this.#world.closeAt(me, fd);
    me.program = new RunsvdirProgram(this.#world, me);
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
