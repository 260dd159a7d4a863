/**
 * How long a service has been in its state. The label of supervise/status is
 * wall time, and a wall clock that was set (a machine without a battery that
 * meets its time server: 129651272 s) makes nonsense of the difference. So the
 * supervisor's record for its successor (formats/adopt.ts), which has the same
 * moment on the boot clock, is believed when it speaks of the same label and
 * the same boot, which is asked only where the two clocks disagree. A runsv of
 * runit leaves none: then the wall clock counts (compat: doc/differences.md, sv-age).
 */
import { ascii } from "../base/bytes.ts";
import { ADOPT_BYTES, AdoptRecord } from "../formats/adopt.ts";
import type { StatusBytes } from "../formats/status.ts";
import { O_RDONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { bootId } from "../kernel/proc.ts";
import { openSupervise, type ServicePlace } from "./supervise-dir.ts";

const ADOPT = ascii("supervise/adopt");

/** The wall clock counts in whole seconds here, and its label in those of its own. */
const CLOCKS_AGREE_SECONDS = 1.5;

/** Counts ages from one reading of the clocks to the next. */
export class Age {
  readonly #kernel: Kernel;
  readonly #record: AdoptRecord = new AdoptRecord();
  #bootId: Uint8Array | null = null;
  #wallSeconds = -1;
  #bootMs = -1;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Of the last service asked for: its output does not reach its log service for long (formats/adopt.ts). */
  pipeLost = false;

  /** Time has passed. */
  refresh(): void {
    this.#wallSeconds = -1;
  }

  /** Whole seconds since the last transition of the service whose status was read, never negative. */
  seconds(place: ServicePlace, status: StatusBytes): number {
    if (this.#wallSeconds < 0) {
      this.#wallSeconds = this.#kernel.wall().seconds;
      this.#bootMs = this.#kernel.bootTimeMs();
    }
    const byWall = this.#wallSeconds - status.sinceSeconds;
    let age = byWall;
    this.pipeLost = false;
    if (this.#readRecord(place, status)) {
      const byBoot = (this.#bootMs - this.#record.sinceBootMs) / 1000;
      // Where both say the same it does not matter who is believed, and which boot this is need not be asked.
      if (Math.abs(byBoot - byWall) < CLOCKS_AGREE_SECONDS || this.#isOfThisBoot()) {
        age = Math.floor(byBoot);
        this.pipeLost = this.#record.pipeLost;
      }
    }
    return Math.max(0, age);
  }

  #isOfThisBoot(): boolean {
    const id = this.#bootId ?? bootId(this.#kernel).id;
    this.#bootId = id;
    return this.#record.ofBoot(id);
  }

  /** Whether there is a record of this very transition, of whatever boot. */
  #readRecord(place: ServicePlace, status: StatusBytes): boolean {
    const k = this.#kernel;
    const fd = openSupervise(k, place, ADOPT, O_RDONLY);
    if (fd < 0) return false;
    const n = k.read(fd, this.#record.raw);
    k.close(fd);
    return n === ADOPT_BYTES && this.#record.valid && this.#record.hasLabelOf(status);
  }
}
