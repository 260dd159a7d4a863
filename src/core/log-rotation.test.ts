import "../../test/support/memory.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii, text } from "../base/bytes.ts";
import { FileSequence, Inventory, pauseText, retryDelayMs, rotatedSuffix, SizeRule, withSuffix } from "./log-rotation.ts";

function steps(begin: (s: FileSequence) => void): string {
  const s = new FileSequence();
  assert.equal(s.step, null);
  begin(s);
  const seen: string[] = [];
  for (let step = s.step; step !== null; step = s.step) {
    assert.notEqual(pauseText(step), "");
    // A step that fails is the next one again.
    assert.equal(s.step, step);
    seen.push(step);
    s.taken();
  }
  return seen.join(" ");
}

test("the sequences of steps", () => {
  assert.equal(
    steps((s) => s.beginOpening(false)),
    "open unseal",
  );
  assert.equal(
    steps((s) => s.beginOpening(true)),
    "setAside prune open unseal",
  );
  assert.equal(
    steps((s) => s.beginRotation()),
    "wait sync seal rename create unseal prune process",
  );
});

test("the size rules", () => {
  const rule = new SizeRule(10000, 1000);
  assert.equal(rule.room(0), 10000);
  assert.equal(rule.room(9999), 1);
  assert.equal(rule.room(10000), 0);
  assert.equal(rule.room(20000), 0);
  assert.equal(rule.untilLineEndCounts(0), 9000);
  assert.equal(rule.untilLineEndCounts(9500), 0);
  assert.equal(rule.rotatesAtLineEnd(8999), false);
  assert.equal(rule.rotatesAtLineEnd(9000), true);
  // Smaller than a line: cut where it is full, never earlier.
  const small = new SizeRule(10, 1000);
  assert.equal(small.rotatesAtLineEnd(10), false);
  assert.equal(small.room(4), 6);
  const none = new SizeRule(0, 1000);
  assert.equal(none.rotatesAtLineEnd(1e12), false);
  assert.ok(none.room(1e12) > 1e12);
});

const A = "@400000006926400c00000000.s";
const B = "@400000006926400d00000000.u";
const C = "@400000006926400e00000000.s";
const T = "@400000006926400d00000000.t";

test("inventory: what counts, what goes first, what is left alone", () => {
  const names = ["current", "lock", C, T, B, A, "@short.s", `${A}x`].map(ascii);
  const all = new Inventory(names, []);
  assert.equal(all.count, 3);
  assert.equal(text(all.oldest ?? ascii("")), A);
  assert.deepEqual(all.leftovers.map(text), [T]);
  const kept = new Inventory(names, [A, T].map(ascii));
  assert.equal(kept.count, 3);
  assert.equal(text(kept.oldest ?? ascii("")), B);
  assert.equal(kept.leftovers.length, 0);
  assert.equal(new Inventory([ascii(A)], [ascii(A)]).oldest, null);
});

test("names", () => {
  assert.equal(text(withSuffix(ascii(A), 117)), A.replace(".s", ".u"));
  assert.equal(rotatedSuffix(ascii(B)), 117);
  assert.equal(rotatedSuffix(ascii("current")), 0);
});

test("the delay before a failed processor is tried again grows to a minute", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 100].map(retryDelayMs), [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
});
