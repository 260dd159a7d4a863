/** /proc/PID/stat (proc(5)): the fields a supervisor needs of a process that is not its child. */
import { lastIndexOf, parseDecimal } from "../base/bytes.ts";

/** Clock ticks of /proc are 10 ms everywhere (USER_HZ). */
const TICK_MS = 10;
const STATE_FIELD = 3;
const PARENT_FIELD = 4;
const START_FIELD = 22;
const EXIT_FIELD = 52;

export type ProcStat = {
  /** `R`, `S`, `Z`… as a byte. */
  readonly state: number;
  readonly parent: number;
  /** Start on CLOCK_BOOTTIME in ms, rounded down to a tick. */
  readonly startBootMs: number;
  /** Wait status of a zombie; 0 when the kernel does not show it to us. */
  readonly waitStatus: number;
};

/** null when the text is not what proc(5) describes. */
export function parseProcStat(text: Uint8Array): ProcStat | null {
  // The name may hold anything, `)` and blanks too: fields are counted from its end.
  const name = lastIndexOf(text, 41);
  if (name < 0 || name + 2 >= text.length) return null;
  let field = STATE_FIELD;
  let at = name + 2;
  const state = text[at]!;
  let parent = 0;
  let start = -1;
  let exit = 0;
  while (at < text.length) {
    if (field === PARENT_FIELD) parent = parseDecimal(text.subarray(at)).value;
    if (field === START_FIELD) start = parseDecimal(text.subarray(at)).value;
    if (field === EXIT_FIELD) exit = parseDecimal(text.subarray(at)).value;
    while (at < text.length && text[at]! !== 32) at++;
    at++;
    field++;
  }
  return start < 0 ? null : { state, parent, startBootMs: start * TICK_MS, waitStatus: exit };
}
