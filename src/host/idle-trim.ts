/** Gives back what a process needed to start, once it mostly waits. */
import { after, type DurationMs, type Fd, type Instant } from "../base/units.ts";
import { rest } from "../kernel/self.ts";
import { Part, type Reactor } from "../reactor.ts";

/** After so long without an event it counts as idle. */
const IDLE_MS: DurationMs = 1000;

export class IdleTrim extends Part {
  readonly #reactor: Reactor;

  constructor(reactor: Reactor) {
    super();
    this.#reactor = reactor;
  }

  /** Something happens. */
  busy(now: Instant): void {
    this.#reactor.wakeAt(this, after(now, IDLE_MS));
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {}

  override due(_now: Instant): void {
    this.#reactor.restNext(rest);
  }
}
