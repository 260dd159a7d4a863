/** What a simulated world has around it: who makes its programs, acts in it, watches it. */
import type { PipeBuffer } from "./inode.ts";
import type { Process, Program } from "./process.ts";
import type { World } from "./world.ts";

/** Thrown out of a system call of a process that has ended: only the scheduler catches it. */
export class ProcessEnd extends Error {}

/** Makes the programs that are ours, by the name in the file: `#!upkeep NAME`. */
export class ProgramMaker {
  make(_world: World, _process: Process, name: string): Program {
    throw new Error(`simulated: no program ${name}`);
  }
}

/** Something outside the supervisors that acts by the clock: the administrator, the boot. */
export class Actor {
  act(world: World, what: number): void {
    world.note("act", what, 0);
  }
}

/** Is told what happens in a world. */
export class Observer {
  /** A process has become a program. */
  started(_world: World, _p: Process): void {}
  /** A process has ended and still has its descriptors. */
  ended(_world: World, _p: Process): void {}
  /** A zombie is taken by its parent, one of ours. */
  reaped(_world: World, _parent: Process, _child: Process): void {}
  /** One of ours sends a signal. */
  signals(_world: World, _from: Process, _to: Process, _signal: number): void {}
  /** Bytes that nobody can read any more. */
  lost(_world: World, _pipe: PipeBuffer, _bytes: number): void {}
  /** A call of ours meets a fault. */
  fault(_world: World, _p: Process, _what: string): void {}
  /** A process of ours makes a system call. */
  call(_world: World, _p: Process, _name: string): void {}
}

/** Something due at a moment: of a process, or of an actor. */
export class Timer {
  readonly at: number;
  readonly process: Process | null;
  readonly actor: Actor | null;
  /** Script: its number, so that a timer of an earlier step is void. Actor: what to do. */
  readonly what: number;
  constructor(at: number, process: Process | null, actor: Actor | null, what: number) {
    this.at = at;
    this.process = process;
    this.actor = actor;
    this.what = what;
  }
}
