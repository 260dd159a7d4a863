/** Values of chpst's long options. Each parser returns null for what is no such value. */
import { ascii } from "../base/bytes.ts";
import { isMax64, MAX_64, parseNumber64 } from "../base/number64.ts";
import { parseId } from "../formats/passwd.ts";
import { type Limit, limitNamed } from "./limits.ts";
import type { Scheduling } from "./process-changes.ts";

const SIGNAL_MAX = 64;
const PROCESSOR_MAX = 8191;
const IO_CLASS_SHIFT = 13;

/** A whole number between bounds, with a sign in front or none. */
export function parseInteger(s: string, min: number, max: number): number | null {
  const negative = s.startsWith("-");
  const n = parseId(ascii(negative || s.startsWith("+") ? s.slice(1) : s));
  if (n === null) return null;
  const value = negative ? 0 - n : n;
  return value < min || value > max ? null : value;
}

/** Octal, as the shell's umask. */
export function parseUmask(s: string): number | null {
  if (s === "" || s.length > 4) return null;
  let value = 0;
  for (let i = 0; i < s.length; i++) {
    const digit = s.charCodeAt(i) - 48;
    if (digit < 0 || digit > 7) return null;
    value = value * 8 + digit;
  }
  return value > 0o777 ? null : value;
}

/** The names of signals from 1 on. */
function signals(): readonly string[] {
  const names =
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU " +
    "XFSZ VTALRM PROF WINCH IO PWR SYS";
  return names.split(" ");
}

/** A signal by name, with SIG in front or not, or by number. */
export function parseSignal(s: string): number | null {
  const name = s.toUpperCase();
  const known = signals().indexOf(name.startsWith("SIG") ? name.slice(3) : name);
  return known >= 0 ? known + 1 : parseInteger(s, 1, SIGNAL_MAX);
}

/** `a`, or `a:b` as two; `b` is "" when there is no colon. */
type Pair = { readonly first: string; readonly second: string };
function pair(s: string): Pair {
  const colon = s.indexOf(":");
  return colon < 0 ? { first: s, second: "" } : { first: s.slice(0, colon), second: s.slice(colon + 1) };
}

/** realtime[:level], best-effort[:level] or idle, level 0 (first) to 7; for ioprio_set(2). */
export function parseIoPriority(s: string): number | null {
  const { first, second } = pair(s);
  if (first === "idle") return s === "idle" ? 3 << IO_CLASS_SHIFT : null;
  const ioClass = first === "realtime" ? 1 : first === "best-effort" ? 2 : 0;
  const level = s === first ? 4 : parseInteger(second, 0, 7);
  return ioClass === 0 || level === null ? null : (ioClass << IO_CLASS_SHIFT) | level;
}

/** other, batch or idle, or fifo:priority or rr:priority with 1 (last) to 99. */
export function parseScheduling(s: string): Scheduling | null {
  switch (s) {
    case "other":
      return { policy: 0, priority: 0 };
    case "batch":
      return { policy: 3, priority: 0 };
    case "idle":
      return { policy: 5, priority: 0 };
    default: {
      const { first, second } = pair(s);
      const priority = parseInteger(second, 1, 99);
      if (priority === null || (first !== "fifo" && first !== "rr")) return null;
      return { policy: first === "fifo" ? 1 : 2, priority };
    }
  }
}

/** Processors from 0, as numbers and ranges between commas, as a bit mask of whole 64-bit words. */
export function parseProcessors(s: string): Uint8Array | null {
  const mask = new Uint8Array((PROCESSOR_MAX + 1) / 8);
  let last = 0;
  const words = s.split(",");
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const dash = word.indexOf("-");
    const from = parseId(ascii(dash < 0 ? word : word.slice(0, dash)));
    const to = dash < 0 ? from : parseId(ascii(word.slice(dash + 1)));
    if (from === null || to === null || to < from || to > PROCESSOR_MAX) return null;
    for (let n = from; n <= to; n++) mask[n >>> 3] = mask[n >>> 3]! | (1 << (n & 7));
    if (to > last) last = to;
  }
  return mask.slice(0, ((last >>> 6) + 1) * 8);
}

/** A limit by name: which, and what it shall be. */
export type NamedLimit = { readonly resource: number; readonly limit: Limit };

/** name=value, the value a number, `unlimited`, or `hard` or `=` for the hard limit. */
export function parseNamedLimit(s: string): NamedLimit | null {
  const equals = s.indexOf("=");
  const resource = equals < 0 ? -1 : limitNamed(s.slice(0, equals));
  if (resource < 0) return null;
  const word = s.slice(equals + 1);
  if (word === "=" || word === "hard") return { resource, limit: { atHard: true, value: MAX_64 } };
  if (word === "unlimited") return { resource, limit: { atHard: false, value: MAX_64 } };
  const parsed = parseNumber64(ascii(word));
  if (word === "" || parsed.kind !== "number") return null;
  return { resource, limit: { atHard: isMax64(parsed.value), value: parsed.value } };
}
