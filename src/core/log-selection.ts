/** Which lines go to the log, and which to standard error: the `+`, `-`, `e` and `E` lines of a config (svlogd(8)). */
import type { PatternLine } from "../formats/svlogd-config.ts";
import { findByte } from "../kernel/memory.ts";
import { LogAutomaton } from "./log-automaton.ts";
import { covers, Rule, TO_LOG, TO_STDERR } from "./log-pattern.ts";

const NEWLINE = 10;

/** Of a config without patterns; made when it is first needed. */
let everything: LogAutomaton | null = null;

/** For each of the two decisions the last line that matches counts. */
export class Selection {
  /** The last one first. */
  readonly #rules: Rule[] = [];
  readonly #automaton: LogAutomaton | null;

  constructor(lines: readonly PatternLine[]) {
    for (let i = lines.length - 1; i >= 0; i--) this.#rules.push(new Rule(lines[i]!));
    this.#automaton = lines.length === 0 ? null : new LogAutomaton(this.#rules);
  }

  /** Every line goes to the log and none to standard error. */
  get trivial(): boolean {
    return this.#automaton === null;
  }

  /** Where the line goes that begins at `from` and ends before the next newline, or `to`: TO_LOG and TO_STDERR bits. */
  decide(b: Uint8Array, from: number, to: number): number {
    const automaton = this.#automaton;
    if (automaton === null) return TO_LOG;
    if (!automaton.givenUp) return automaton.decide(b, from, to);
    const newline = findByte(b, from, NEWLINE);
    return this.decideOneByOne(b.subarray(from, newline < 0 || newline > to ? to : newline));
  }

  /**
   * Decides on whole lines from `from` on, which end after `lineMax` bytes at
   * the latest as far as patterns go, and notes in `lines` what `walkLines`
   * does: the lowest byte of the entry has the bits. Returns how many; the line
   * behind them, if there is one, is to be decided on alone.
   */
  lines(b: Uint8Array, from: number, lineMax: number, lines: Uint8Array): number {
    let automaton = this.#automaton ?? everything;
    if (automaton === null) {
      automaton = new LogAutomaton([]);
      everything = automaton;
    }
    return automaton.lines(b, from, lineMax, lines);
  }

  /** As `decide`, for a line of its own and pattern by pattern. */
  decideOneByOne(line: Uint8Array): number {
    let decided = 0;
    let result = TO_LOG;
    const rules = this.#rules;
    for (let i = 0; i < rules.length && decided !== (TO_LOG | TO_STDERR); i++) {
      const rule = rules[i]!;
      if ((decided & rule.group) !== 0 || !covers(rule.operations, 0, line, 0)) continue;
      decided |= rule.group;
      result = rule.selects ? result | rule.group : result & ~rule.group;
    }
    return result;
  }
}
