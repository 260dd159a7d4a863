import type { Fd } from "../base/units.ts";
import type { ScanEntry } from "../core/scan.ts";
import { type Move, NO_MOVES } from "../kernel/kernel.ts";

/** What supervisors' programs find in place; more than this where the process is more than runsvdir. */
export class Nursery {
  /** Where their standard output and error are to go; none: where ours do. The write ends are the supervisor's. */
  outputs(_entry: ScanEntry): readonly Move[] {
    return NO_MOVES;
  }
  /** Where is said that an essential service is down for good; < 0: nowhere. */
  get notice(): Fd {
    return -1;
  }
  forget(_entry: ScanEntry): void {}
}
