/** Runs a world: one process of ours a turn, in an order drawn from the seed, checked after each turn. */
import { ascii, concat, text } from "../../src/base/bytes.ts";
import type { Prng } from "../../src/base/prng.ts";
import { makeDirectory } from "../../src/kernel/simulated/building.ts";
import { ProcessEnd, ProgramMaker } from "../../src/kernel/simulated/outside.ts";
import type { Process, Program } from "../../src/kernel/simulated/process.ts";
import { wakes } from "../../src/kernel/simulated/wait-calls.ts";
import type { World } from "../../src/kernel/simulated/world.ts";
import type { Checks } from "./checks.ts";
import type { Service } from "./plan.ts";
import { RunsvdirProgram, RunsvProgram } from "./programs.ts";

const SECOND_US = 1000000;
/** A process that is woken more often in a simulated second spins. */
const TURNS_A_SECOND = 3000;

/** Starts what is ours: `#!upkeep runsv`, `#!upkeep runsvdir`, `#!upkeep dense` for runsvdir --dense. */
class Maker extends ProgramMaker {
  override make(world: World, p: Process, name: string): Program {
    switch (name) {
      case "runsv":
        return RunsvProgram.ofArguments(world, p);
      case "runsvdir":
        return new RunsvdirProgram(world, p, false);
      case "dense":
        return new RunsvdirProgram(world, p, true);
      default:
        throw new Error(`no program ${name}`);
    }
  }
}

/** A runsv of a service, as a child of `parent`. */
export function startRunsv(world: World, s: Service, parent: Process): void {
  const p = world.forked(parent);
  if (p === null) return;
  p.cwd = makeDirectory(world, "/service");
  world.exec(p, ascii("/bin/runsv"), ascii("#!upkeep runsv"), [ascii("runsv"), ascii(s.name)]);
}

/** A runsvdir of /service, as a child of `parent`. */
export function startRunsvdir(world: World, parent: Process, dense: boolean): Process | null {
  const p = world.forked(parent);
  const program = dense ? "#!upkeep dense" : "#!upkeep runsvdir";
  if (p !== null) world.exec(p, ascii("/bin/runsvdir"), ascii(program), [ascii("runsvdir"), ascii("/service")]);
  return p;
}

export class Scheduler {
  readonly world: World;
  readonly checks: Checks;
  readonly #prng: Prng;
  readonly #runnable: Process[] = [];
  #second = 0;
  #turns = 0;

  constructor(world: World, checks: Checks, prng: Prng) {
    this.world = world;
    this.checks = checks;
    this.#prng = prng;
    world.observer = checks;
    world.maker = new Maker();
  }

  /** Until this moment, or the first broken promise. */
  runUntil(until: number): void {
    const w = this.world;
    const runnable = this.#runnable;
    while (w.us < until && this.checks.failure === "") {
      runnable.splice(0, runnable.length);
      for (let i = 0; i < w.processes.length; i++) if (wakes(w, w.processes[i]!)) runnable.push(w.processes[i]!);
      if (runnable.length > 0) this.#turn(runnable[this.#prng.below(runnable.length)]!);
      else this.#sleep(until);
    }
  }

  #sleep(until: number): void {
    const w = this.world;
    this.checks.quiet(w);
    let next = Math.min(until, w.nextTimer());
    for (let i = 0; i < w.processes.length; i++) {
      const p = w.processes[i]!;
      if (p.program !== null && p.state === "live" && !p.stopped && p.wakeAt < next) next = p.wakeAt;
    }
    w.pass(Math.max(1, Math.ceil(next - w.us)));
  }

  #turn(p: Process): void {
    const program = p.program;
    if (program === null) return;
    this.#countTurn(p);
    try {
      program.turn();
    } catch (e) {
      if (!(e instanceof ProcessEnd)) {
        this.checks.fail(`${text(concat(p.argv))} throws: ${e instanceof Error ? e.message : "something"}`);
      }
      return;
    }
    this.checks.turned(this.world, p);
  }

  #countTurn(p: Process): void {
    const second = Math.floor(this.world.us / SECOND_US);
    if (second !== this.#second) this.#turns = 0;
    this.#second = second;
    this.#turns++;
    if (this.#turns > TURNS_A_SECOND) this.checks.fail(`${text(concat(p.argv))} spins`);
  }
}
