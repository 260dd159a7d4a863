import "../../test/support/memory.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii, text } from "../base/bytes.ts";
import { packRecovered, parseRecovered } from "./recovered-word.ts";

const WORDS: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ["--recovered=3,-1,12/0,0", [3, -1, 12], [0, 0]],
  ["--recovered=7/4294967295,2147483648", [7], [4294967295, 2147483648]],
  // Of a version that said nothing of signals.
  ["--recovered=7,8", [7, 8], []],
  ["--recovered=7,x/", [7, -1], []],
];

for (const [word, numbers, mask] of WORDS) {
  test(`${word} is understood`, () => {
    const r = parseRecovered(ascii(word));
    assert.ok(r);
    assert.deepEqual(r.numbers, numbers);
    if (mask.length > 0) assert.deepEqual(r.mask, mask);
    if (mask.length > 0) assert.equal(text(packRecovered({ numbers, mask })), word);
  });
}

test("another word is none", () => {
  for (const word of ["", "--recovered", "recovered=3/0,0", "/x"]) assert.equal(parseRecovered(ascii(word)), null);
});
