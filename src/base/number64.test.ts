/** Numbers of 64 bits, held against BigInt. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Garbage } from "../../test/support/garbage.ts";
import { ascii, parseDecimal } from "./bytes.ts";
import { isAbove64, isMax64, type Number64, parseNumber64 } from "./number64.ts";

function big(n: Number64): bigint {
  return (BigInt(n.high) << 32n) | BigInt(n.low);
}

function expected(s: string): bigint | string {
  if (!/^[0-9]*$/.test(s)) return "garbage";
  const n = BigInt(s === "" ? 0 : s);
  return n >= 1n << 64n ? "too-large" : n;
}

/** Digits, values at the edges, and sometimes something else. */
function word(seed: number): string {
  return new Garbage(seed, ["0", "1", "9", "4294967295", "18446744073709551615", "18446744073709551616", "7", "000"]).text(5);
}

test("parseNumber64: to the last of 64 bits", () => {
  const edges = ["", "0", "4294967295", "4294967296", "18446744073709551615", "18446744073709551616", "9".repeat(500)];
  const words = [...edges, ...Array.from({ length: 5000 }, (_, seed) => word(seed))];
  for (const s of words) {
    const parsed = parseNumber64(ascii(s));
    const got = parsed.kind === "number" ? big(parsed.value) : parsed.kind;
    // Garbage behind a number that is too large: either is said, since both are wrong.
    if (got === "too-large" && expected(s) === "garbage") continue;
    assert.equal(got, expected(s), JSON.stringify(s));
    if (parsed.kind === "number") assert.equal(isMax64(parsed.value), got === (1n << 64n) - 1n);
  }
});

test("isAbove64: as BigInt has it", () => {
  const at = (n: bigint): Number64 => ({ low: Number(n & 0xffffffffn), high: Number(n >> 32n) });
  const values = [0n, 1n, 0xffffffffn, 1n << 32n, (1n << 32n) + 1n, 1n << 63n, (1n << 64n) - 1n];
  for (const a of values) for (const b of values) assert.equal(isAbove64(at(a), at(b)), a > b);
});

test("parseDecimal: the digits at the start", () => {
  for (let seed = 0; seed < 3000; seed++) {
    const s = word(seed);
    const digits = /^[0-9]*/.exec(s)?.[0] ?? "";
    const parsed = parseDecimal(ascii(s));
    assert.equal(parsed.digits, digits.length);
    const value = BigInt(digits === "" ? 0 : digits);
    if (value < 1n << 53n) assert.equal(BigInt(parsed.value), value);
  }
});
