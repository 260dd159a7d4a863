/** Unsigned 64-bit numbers as two halves: resource limits use the whole range, a double is exact to 2^53 only. */

export type Number64 = { readonly low: number; readonly high: number };

const TWO_TO_32 = 4294967296;

export const MAX_64: Number64 = { low: TWO_TO_32 - 1, high: TWO_TO_32 - 1 };

/** A decimal number: its value, or why it is none. */
export type Parsed64 =
  | { readonly kind: "number"; readonly value: Number64 }
  | { readonly kind: "garbage" }
  | { readonly kind: "too-large" };

/** Digits to the end of b, as runit reads them: no sign, no blank; no digit at all is 0. 2^64 and above is "too-large". */
export function parseNumber64(b: Uint8Array): Parsed64 {
  let low = 0;
  let high = 0;
  let tooLarge = false;
  for (let i = 0; i < b.length; i++) {
    const c = b[i]!;
    if (c < 48 || c > 57) return { kind: "garbage" };
    const l = low * 10 + (c - 48);
    const carry = Math.floor(l / TWO_TO_32);
    low = l - carry * TWO_TO_32;
    high = high * 10 + carry;
    if (high >= TWO_TO_32) tooLarge = true;
    if (tooLarge) high = 0;
  }
  return tooLarge ? { kind: "too-large" } : { kind: "number", value: { low, high } };
}

export function isMax64(n: Number64): boolean {
  return n.low === MAX_64.low && n.high === MAX_64.high;
}

export function isAbove64(a: Number64, b: Number64): boolean {
  return a.high !== b.high ? a.high > b.high : a.low > b.low;
}
