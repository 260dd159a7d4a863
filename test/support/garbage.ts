/** Files nobody would write: bytes drawn from a seed, with more of those that mean something to a parser. */
import { Random } from "./random.ts";

/** Byte strings made of random pieces: `words` of the format, separators, and any byte. */
export class Garbage {
  readonly #random: Random;
  readonly #words: readonly string[];

  constructor(seed: number, words: readonly string[]) {
    this.#random = new Random(seed);
    this.#words = words;
  }

  /** Up to `pieces` of them; as latin-1. */
  text(pieces: number): string {
    let out = "";
    for (let n = this.#random.below(pieces + 1); n > 0; n--) out += this.#piece();
    return out;
  }

  bytes(pieces: number): Uint8Array {
    return Buffer.from(this.text(pieces), "latin1");
  }

  #piece(): string {
    if (this.#random.below(4) > 0) return this.#random.of(this.#words);
    return String.fromCharCode(this.#random.below(256));
  }
}
