/** Work that a supervisor's process does itself. */
import type { Instant } from "../base/units.ts";

/** What a process does itself where there would be a program to start. */
export abstract class InnerProgram {
  /** False: it cannot now, and has said why. Its end is told by `Instance.innerEnded`, in a later turn. */
  abstract begin(now: Instant): boolean;
  abstract signal(signal: number, now: Instant): void;
}
