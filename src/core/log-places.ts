/**
 * Places in patterns: where each of several patterns may stand after the bytes
 * of a line so far. A place is before an operation, or at the end of a pattern;
 * those of all patterns are numbered through, patterns of more weight first.
 */
import { LITERAL, NEVER, REST, RUN, type Rule, SKIP, TO_LOG, TO_STDERR } from "./log-pattern.ts";

// A run is so many single bytes, then any number of them.
const MORE = 5;
const COVERED = 6;

export class Places {
  /** The operation behind each place, and its byte, -1 when it has none. */
  readonly #codes: number[] = [];
  readonly #bytes: number[] = [];
  readonly #ruleOf: Rule[] = [];

  constructor(rules: readonly Rule[]) {
    for (let r = 0; r < rules.length; r++) {
      const rule = rules[r]!;
      const list = rule.operations;
      for (let i = 0; i < list.length; i++) {
        const { code, byte, count } = list[i]!;
        if (code === RUN) for (let n = 0; n < count; n++) this.#add(LITERAL, byte, rule);
        this.#add(code === RUN ? MORE : code, code === REST || code === NEVER ? -1 : byte, rule);
      }
      this.#add(COVERED, -1, rule);
    }
  }

  #add(code: number, byte: number, rule: Rule): void {
    this.#codes.push(code);
    this.#bytes.push(byte);
    this.#ruleOf.push(rule);
  }

  get count(): number {
    return this.#codes.length;
  }

  /** The byte that the operation at `place` asks for, or -1. */
  byteAt(place: number): number {
    return this.#bytes[place]!;
  }

  /** Before the first byte. */
  start(): number[] {
    const marks = new Uint8Array(this.count);
    let begins = true;
    for (let p = 0; p < marks.length; p++) {
      if (begins) marks[p] = 1;
      begins = this.#codes[p]! === COVERED;
    }
    return this.#relevant(marks);
  }

  /** After one more byte; -1 stands for those that no pattern asks for. */
  after(set: readonly number[], byte: number): number[] {
    const marks = new Uint8Array(this.count);
    for (let i = 0; i < set.length; i++) this.#follow(set[i]!, byte, marks);
    return this.#relevant(marks);
  }

  /** A star that came to its byte, and a run that may have ended, leave the byte to what is next. */
  #follow(place: number, byte: number, marks: Uint8Array): void {
    for (let p = place; ; p++) {
      const same = this.#bytes[p]! === byte;
      switch (this.#codes[p]!) {
        case LITERAL:
          if (same) marks[p + 1] = 1;
          return;
        case SKIP:
          if (same) break;
          marks[p] = 1;
          return;
        case MORE:
          if (same) marks[p] = 1;
          break;
        case REST:
          marks[p] = 1;
          return;
        default:
          return;
      }
    }
  }

  /** The marked places without those that decide nothing any more: a pattern that takes the rest has matched. */
  #relevant(marks: Uint8Array): number[] {
    const list: number[] = [];
    let certain = 0;
    for (let p = 0; p < marks.length; p++) {
      if (marks[p]! === 0) continue;
      const rule = this.#ruleOf[p]!;
      if ((certain & rule.group) !== 0) continue;
      if (this.#codes[p]! === REST) {
        certain |= rule.group;
        while (list.length > 0 && this.#ruleOf[list[list.length - 1]!]! === rule) list.pop();
      }
      list.push(p);
    }
    return list;
  }

  /** Whether no further byte can change the decisions. */
  final(set: readonly number[]): boolean {
    for (let i = 0; i < set.length; i++) if (this.#codes[set[i]!]! !== REST) return false;
    return true;
  }

  /** The decisions when the line ends here. */
  decision(set: readonly number[]): number {
    let decided = 0;
    let result = TO_LOG;
    for (let i = 0; i < set.length && decided !== (TO_LOG | TO_STDERR); i++) {
      const { group, selects } = this.#ruleOf[set[i]!]!;
      if ((decided & group) !== 0 || !this.#mayEnd(set[i]!)) continue;
      decided |= group;
      result = selects ? result | group : result & ~group;
    }
    return result;
  }

  #mayEnd(place: number): boolean {
    let p = place;
    while (this.#codes[p]! === MORE) p++;
    return this.#codes[p]! === REST || this.#codes[p]! === COVERED;
  }
}
