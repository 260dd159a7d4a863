/**
 * Which faults a simulated world has, and how often: drawn once per seed, so
 * that one world has a full disk, another a fork bomb, a third all of it.
 * Rates are chances in a million, per system call the fault can hit. Only our
 * own processes meet them; scripted ones never do.
 */
import type { Prng } from "../../base/prng.ts";

export class Faults {
  readonly #prng: Prng;
  /** Off: every call behaves. Convergence is demanded from then on. */
  enabled = true;
  /** fork(2): EAGAIN or ENOMEM. */
  fork = 0;
  /** A call that makes a descriptor: EMFILE. */
  descriptors = 0;
  /** Writing and creating: ENOSPC. */
  space = 0;
  /** write(2) to a file takes only a part. */
  shortWrite = 0;
  /** A call that may wait: EINTR. */
  interrupt = 0;
  /** SIGCHLD comes late (as on a machine under load). */
  lateChild = 0;
  /** Ours: killed at a system call; `killAfterFork`: at the first one after it has started a process. */
  kill = 0;
  killAfterFork = 0;
  /** A new process gets the number of the one that ended last. */
  pidReuse = 0;
  /** The wall clock jumps (per turn). */
  clock = 0;
  /** Something happens to a service directory between two calls. */
  directory = 0;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** Draws which kinds there are, and their rates. */
  draw(): void {
    this.fork = this.#rate(200000);
    this.descriptors = this.#rate(20000);
    this.space = this.#rate(50000);
    this.shortWrite = this.#rate(50000);
    this.interrupt = this.#rate(50000);
    this.lateChild = this.#rate(500000);
    this.kill = this.#rate(2000);
    this.killAfterFork = this.kill * 25;
    this.pidReuse = this.#rate(300000);
    this.clock = this.#rate(20000);
    this.directory = this.#rate(1000);
  }

  #rate(most: number): number {
    return this.#prng.below(100) < 45 ? this.#prng.between(1, most) : 0;
  }

  hits(perMillion: number): boolean {
    return this.enabled && this.#prng.chance(perMillion);
  }

  /** A whole number, from <= result <= to: how bad a fault is. */
  amount(from: number, to: number): number {
    return this.#prng.between(from, to);
  }
}
