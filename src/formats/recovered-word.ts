/**
 * The word that a process which replaces its image hands to the next one:
 * `--recovered=NUMBER,…/LOW,HIGH`.
 */
import { ascii, indexOf, parseDecimal, split, startsWith } from "../base/bytes.ts";

const COMMA = 44;
const SLASH = 47;
const PREFIX = "--recovered=";

export type Recovered = {
  /** Mostly descriptors; -1: none. */
  readonly numbers: readonly number[];
  /**
   * Signals 1 to 32 and 33 to 64, as bits, that the first image was started with
   * blocked: the next one is started with those blocked that we block ourselves.
   */
  readonly mask: readonly number[];
};

export function packRecovered(r: Recovered): Uint8Array {
  return ascii(`${PREFIX}${r.numbers.join(",")}/${r.mask.join(",")}`);
}

/** null: the word is another. The mask is empty where the word says nothing of it. */
export function parseRecovered(word: Uint8Array): Recovered | null {
  if (!startsWith(word, ascii(PREFIX))) return null;
  const slash = indexOf(word, SLASH, 0);
  const numbers = parseList(word.subarray(PREFIX.length, slash < 0 ? word.length : slash));
  return { numbers, mask: slash < 0 ? [] : parseList(word.subarray(slash + 1)) };
}

function parseList(words: Uint8Array): number[] {
  const numbers: number[] = [];
  const items = split(words, COMMA);
  for (let i = 0; i < items.length; i++) {
    const d = parseDecimal(items[i]!);
    numbers.push(d.digits > 0 ? d.value : -1);
  }
  return numbers;
}
