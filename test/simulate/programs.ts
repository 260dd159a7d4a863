/** Our own programs as simulated processes: the real hosts and machines, one turn at a time. */
import { EMPTY, item } from "../../src/base/bytes.ts";
import { RunsvProcess } from "../../src/host/runsv-process.ts";
import { type Inherited, NOTHING_INHERITED } from "../../src/host/supervisor.ts";
import { AT_FDCWD } from "../../src/kernel/constants.ts";
import { type Process, Program } from "../../src/kernel/simulated/process.ts";
import type { World } from "../../src/kernel/simulated/world.ts";
import { SimulatedKernel } from "../../src/kernel/simulated.ts";

export class RunsvProgram extends Program {
  readonly kernel: SimulatedKernel;
  readonly name: Uint8Array;
  readonly #inherited: Inherited;
  /** null until the first turn. */
  process: RunsvProcess | null = null;

  constructor(world: World, me: Process, name: Uint8Array, inherited: Inherited) {
    super();
    this.kernel = new SimulatedKernel(world, me);
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
