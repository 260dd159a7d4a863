/** What a supervisor needs of the process it is in. */
import { EMPTY } from "../base/bytes.ts";
import type { Fd, Pid } from "../base/units.ts";
import { type Kernel, type Move, NO_MOVES } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import type { LogRoom } from "./inner-log.ts";
import { RUNSV_STARTING, type Starting } from "./service-programs.ts";
import type { Sparing } from "./sparing.ts";

/** As it is in runsv, which is one; a process that hosts many overrides it. */
export class SupervisorHome {
  /** How programs are started. */
  get starting(): Starting {
    return RUNSV_STARTING;
  }
  /** Where standard output and error of programs go, if not where those of the process do. */
  get outputs(): readonly Move[] {
    return NO_MOVES;
  }
  /** A whole line for standard error. */
  print(kernel: Kernel, line: string): void {
    complain(kernel, line);
  }
  /** The process has a child more, whose end is to be told to the supervisor. */
  forked(_child: Pid): void {}
  /** The process is to end: no command takes the exit back. */
  get ends(): boolean {
    return false;
  }
  /** It is `finished`, and stays so unless a command follows at once. */
  finishes(): void {}
  /** Whether descriptors are scarce, of which `newest` was opened last. */
  isScarce(_newest: Fd): boolean {
    return false;
  }
  /** A supervisor opens its directories again; no other needs to have its own open meanwhile. */
  rouses(_who: Sparing): void {}
  /** Whether log services can be done in the process itself. */
  get logsItself(): boolean {
    return false;
  }
  /** For those that are; null: none is. */
  get logRoom(): LogRoom | null {
    return null;
  }
  /** The services directory, as messages name it: ends with a slash. */
  get prefix(): Uint8Array {
    return EMPTY;
  }
}
