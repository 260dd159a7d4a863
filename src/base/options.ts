/**
 * Options the way runit reads them: short only, parsing stops at the first
 * other word, `--…` ends options and is consumed, a lone `-` ends them and is
 * not, flags may share a word, a value is the rest of the word or the next word.
 */
import { byteAt, item } from "./bytes.ts";

const DASH = 45;
const COLON = 58;

/** An option met: its letter, and its value where it takes one. */
export type Option = { readonly letter: string; readonly value: Uint8Array | null };

/** Outcome of a step: an option, the end, or a word that is wrong. */
export type OptionStep =
  | { readonly kind: "option"; readonly option: Option }
  | { readonly kind: "end" }
  | { readonly kind: "unknown"; readonly letter: string }
  | { readonly kind: "missing"; readonly letter: string };

/** Walks argv from index 1; `at` is the index of the first word that is no option, once `next` says "end". */
export class OptionReader {
  readonly #argv: readonly Uint8Array[];
  readonly #accepted: Uint8Array;
  #in = 0;
  at = 1;

  /** `accepted` as getopt(3) has it: letters, each followed by `:` when it takes a value. */
  constructor(argv: readonly Uint8Array[], accepted: Uint8Array) {
    this.#argv = argv;
    this.#accepted = accepted;
  }

  next(): OptionStep {
    const word = item(this.#argv, this.at);
    if (word === null) return { kind: "end" };
    if (this.#in === 0) {
      if (word.length < 2 || byteAt(word, 0) !== DASH) return { kind: "end" };
      // compat: `--anything` is taken for `--`; options.test.ts
      if (byteAt(word, 1) === DASH) {
        this.at++;
        return { kind: "end" };
      }
      this.#in = 1;
    }
    return this.#letter(word);
  }

  /** The word that comes next when it starts with `--` and goes on, or null: a long option, for those who have any. */
  longWord(): Uint8Array | null {
    const word = this.#in === 0 ? item(this.#argv, this.at) : null;
    return word !== null && word.length > 2 && byteAt(word, 0) === DASH && byteAt(word, 1) === DASH ? word : null;
  }

  /** Takes the next word from the list: a long option, or the value of one. */
  takeWord(): Uint8Array | null {
    const word = item(this.#argv, this.at);
    if (word !== null) this.at++;
    return word;
  }

  #letter(word: Uint8Array): OptionStep {
    const c = byteAt(word, this.#in);
    const letter = String.fromCharCode(c);
    this.#in++;
    const last = this.#in >= word.length;
    const known = this.#find(c);
    if (known < 0) {
      if (last) this.#nextWord();
      return { kind: "unknown", letter };
    }
    if (byteAt(this.#accepted, known + 1) !== COLON) {
      if (last) this.#nextWord();
      return { kind: "option", option: { letter, value: null } };
    }
    const value = last ? item(this.#argv, this.at + 1) : word.subarray(this.#in);
    this.#nextWord();
    if (value === null) return { kind: "missing", letter };
    if (last) this.at++;
    return { kind: "option", option: { letter, value } };
  }

  #find(c: number): number {
    if (c === COLON) return -1;
    for (let i = 0; i < this.#accepted.length; i++) if (this.#accepted[i]! === c) return i;
    return -1;
  }

  #nextWord(): void {
    this.at++;
    this.#in = 0;
  }
}
