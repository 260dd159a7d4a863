/**
 * Patterns of svlogd(8). A pattern must cover the line from its first byte to
 * its last:
 *
 *   c      an ordinary byte stands for itself
 *   +c     one or more c
 *   *c     anything up to, and without, the first c, which must come; then the
 *          pattern goes on at c (so `**` asks for a star somewhere in the line)
 *   *      at the end: the rest, whatever it is
 *
 * A plus at the very end repeats nothing and matches nothing.
 *
 * The bytes of a run may be shared between `+c` and what follows: `+aa` is two
 * or more. Such neighbours are one operation with a minimum, so that matching
 * goes back only in one case: `+c*c`.
 */
import { byteAt } from "../base/bytes.ts";
import { LOWER_E, MINUS, type PatternLine, PLUS } from "../formats/svlogd-config.ts";
import { findByte } from "../kernel/memory.ts";

/** Bits of a decision. */
export const TO_LOG = 1;
export const TO_STDERR = 2;

const STAR = 42;

export const LITERAL = 0;
/** To the first such byte, which is not consumed. */
export const SKIP = 1;
/** At least `count` such bytes. */
export const RUN = 2;
/** The rest of the line. */
export const REST = 3;
export const NEVER = 4;

export type Operation = { readonly code: number; readonly byte: number; readonly count: number };

/** The operations of a pattern, neighbouring runs of a byte joined. */
export function compilePattern(pattern: Uint8Array): Operation[] {
  const list: Operation[] = [];
  let i = 0;
  while (i < pattern.length) {
    const c = pattern[i]!;
    const next = byteAt(pattern, i + 1);
    const previous = list.length > 0 ? list[list.length - 1]! : null;
    const runs = previous !== null && previous.code === RUN;
    if (c === STAR) {
      list.push({ code: next < 0 ? REST : SKIP, byte: next, count: 0 });
      i++;
    } else if (c === PLUS && next < 0) {
      list.push({ code: NEVER, byte: 0, count: 0 });
      i++;
    } else {
      const byte = c === PLUS ? next : c;
      if (runs && previous.byte === byte) list[list.length - 1] = { code: RUN, byte, count: previous.count + 1 };
      else list.push({ code: c === PLUS ? RUN : LITERAL, byte, count: 1 });
      i += c === PLUS ? 2 : 1;
    }
  }
  return list;
}

/** Whether the operations from `first` on cover `line` from `from` to its end. */
export function covers(list: readonly Operation[], first: number, line: Uint8Array, from: number): boolean {
  let at = from;
  for (let i = first; i < list.length; i++) {
    const { code, byte, count } = list[i]!;
    if (code === LITERAL) {
      if (at >= line.length || line[at]! !== byte) return false;
      at++;
    } else if (code === SKIP) {
      at = findByte(line, at, byte);
      if (at < 0) return false;
    } else if (code === RUN) {
      const start = at;
      while (at < line.length && line[at]! === byte) at++;
      if (at - start < count) return false;
      const then = i + 1 < list.length ? list[i + 1]! : null;
      if (then !== null && then.code === SKIP && then.byte === byte) return coversAfterRun(list, i + 1, line, start + count, at);
    } else return code === REST;
  }
  return at === line.length;
}

/** A run may end anywhere from `least` to `most`: some of its bytes may belong to what follows. */
function coversAfterRun(list: readonly Operation[], next: number, line: Uint8Array, least: number, most: number): boolean {
  for (let at = most; at >= least; at--) if (covers(list, next, line, at)) return true;
  return false;
}

/** A pattern line of the config, ready to match. */
export class Rule {
  readonly operations: Operation[];
  /** Which decision it makes, and how. */
  readonly group: number;
  readonly selects: boolean;

  constructor(line: PatternLine) {
    this.operations = compilePattern(line.pattern);
    this.group = line.letter === PLUS || line.letter === MINUS ? TO_LOG : TO_STDERR;
    this.selects = line.letter === PLUS || line.letter === LOWER_E;
  }
}
