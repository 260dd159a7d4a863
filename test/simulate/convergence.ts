/** The end of a world: faults are over, every service is asked for a state, and it is to come true. */
import { ascii } from "../../src/base/bytes.ts";
import { Actor } from "../../src/kernel/simulated/outside.ts";
import type { Process } from "../../src/kernel/simulated/process.ts";
import type { World } from "../../src/kernel/simulated/world.ts";
import type { Checks } from "./checks.ts";
import type { Service } from "./plan.ts";
import { runsvdirProgram, runsvProgram } from "./programs.ts";

const SECOND_US = 1000000;
/** A new runsvdir has looked at its directory by then, whatever the faults. */
const SCAN_US = 6 * SECOND_US;

/** Asks a service for its last state, as soon as somebody listens; its log is wanted up. */
export class Asker extends Actor {
  readonly #service: Service;
  readonly #letter: string;
  constructor(service: Service, letter: string) {
    super();
    this.#service = service;
    this.#letter = letter;
  }

  override act(world: World, _what: number): void {
    const s = this.#service;
    const fifo = s.control(false);
    const pipe = fifo === null ? null : fifo.pipe;
    const log = s.hasLog ? s.control(true) : null;
    const logPipe = log === null ? null : log.pipe;
    const ready =
      pipe !== null && pipe.readers > 0 && pipe.room > 1 && (logPipe === null || (logPipe.readers > 0 && logPipe.room > 0));
    if (!ready || pipe === null) {
      world.at(world.us + 100000, null, this, 0);
      return;
    }
    // A paused service would not take TERM.
    pipe.put(ascii(`c${this.#letter}`));
    if (logPipe !== null) logPipe.put(ascii("cu"));
    s.asked = this.#letter;
    s.askedAt = world.us;
    world.note(`ask ${this.#letter}`, s.id, 0);
  }
}

/** Its directory went while there was no runsvdir to see it: nobody knows of its runsv any more, as with runit. */
function orphaned(world: World, runsvdir: Process | null, s: Service): boolean {
  const program = runsvdirProgram(runsvdir);
  const bornAt = program === null ? world.us : program.bornAt;
  const runsv = runsvProgram(s.runsv);
  return runsv !== null && runsv.startedAt < bornAt && s.movedAt < bornAt + SCAN_US;
}

/** A dense runsvdir was told to end and cannot: a service it hosts does not heed TERM. */
function waitsForStubborn(services: readonly Service[], runsvdir: Process | null): boolean {
  const program = runsvdirProgram(runsvdir);
  if (program === null || !program.dense || !program.ends) return false;
  for (let i = 0; i < services.length; i++) {
    const s = services[i]!;
    if (s.runsv === runsvdir && s.stubborn && s.run !== null) return true;
  }
  return false;
}

/** Says what is not as it was asked for. */
export function converged(checks: Checks, world: World, services: readonly Service[], runsvdir: Process | null): void {
  if (waitsForStubborn(services, runsvdir)) return;
  for (let i = 0; i < services.length && checks.failure === ""; i++) {
    const s = services[i]!;
    if (!s.listed) {
      if (s.runsv !== null && !s.stubborn && !s.called && !orphaned(world, runsvdir, s))
        checks.fail(`${s.name} is gone and has a runsv in the end`);
    } else if (s.runsv === null) checks.fail(`${s.name} has no runsv in the end`);
    else if (s.asked === "") checks.fail(`${s.name} takes no commands in the end`);
    else if (s.supervisedAt > s.askedAt) {
      // The one that was asked had been told to exit: the bytes went with its FIFO.
    } else if (s.asked === "u" && world.us - s.runStartedAt > 11 * SECOND_US && s.run === null) {
      checks.fail(`${s.name} was asked up and does not run in the end`);
    } else if (s.asked === "d" && s.run !== null && !s.stubborn) {
      checks.fail(`${s.name} was asked down and runs in the end`);
    } else if (s.hasLog && s.log === null && world.us - s.logStartedAt > 2 * SECOND_US) {
      checks.fail(`log of ${s.name} does not run in the end`);
    }
  }
}
