/** How long a service has been in its state. */
import type { StatusBytes } from "../formats/status.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { ServicePlace } from "./supervise-dir.ts";

/** Counts ages from one reading of the clocks to the next. */
export class Age {
  readonly #kernel: Kernel;
  #wallSeconds = -1;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  refresh(): void {
    this.#wallSeconds = -1;
  }

  /** Whole seconds since the last transition, never negative. */
  seconds(_place: ServicePlace, status: StatusBytes): number {
    if (this.#wallSeconds < 0) this.#wallSeconds = this.#kernel.wall().seconds;
    const since = status.sinceSeconds;
    return this.#wallSeconds < since ? 0 : this.#wallSeconds - since;
  }
}
