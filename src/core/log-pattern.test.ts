import "../../test/support/memory.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { ascii } from "../base/bytes.ts";
import { compilePattern, covers } from "./log-pattern.ts";

function matches(pattern: string, line: string): boolean {
  return covers(compilePattern(ascii(pattern)), 0, ascii(line), 0);
}

/** The definition, read aloud. */
function reference(p: string, l: string): boolean {
  if (p === "") return l === "";
  const next = p.charAt(1);
  if (p.startsWith("*")) {
    if (next === "") return true;
    const at = l.indexOf(next);
    return at >= 0 && reference(p.slice(1), l.slice(at));
  }
  if (p.startsWith("+")) {
    if (next === "") return false;
    for (let n = 1; l.startsWith(next.repeat(n)); n++) if (reference(p.slice(2), l.slice(n))) return true;
    return false;
  }
  return l.startsWith(p.charAt(0)) && reference(p.slice(1), l.slice(1));
}

const TABLE: readonly (readonly [string, string, boolean])[] = [
  ["", "", true],
  ["", "a", false],
  ["a", "a", true],
  ["a", "ab", false],
  ["ab", "a", false],
  ["*", "", true],
  ["*", "anything", true],
  ["*foo*", "a foo b", true],
  ["*foo*", "foo", true],
  ["*foo", "foo", true],
  // The star goes to the first f and stays there.
  ["*foo*", "if foo", false],
  ["*: kernel: *", "host: kernel: up", true],
  ["**", "a*b", true],
  ["**", "ab", false],
  ["**b", "a*b", true],
  ["*++", "a+", true],
  ["*+a", "a+", false],
  ["+a", "a", true],
  ["+a", "aaa", true],
  ["+a", "", false],
  ["+a", "ab", false],
  // The original succeeds as soon as the line ends in the run, whatever is left of the pattern ...
  ["+ab", "aaa", false],
  ["+ab", "aab", true],
  // ... and looks at what an earlier line left behind this one.
  ["a+b", "a", false],
  ["a+bc", "a", false],
  ["+aa", "a", false],
  ["+aa", "aa", true],
  ["+aa", "aaaa", true],
  ["+a+a", "a", false],
  ["+a*", "aab", true],
  ["+a*a", "aa", true],
  ["+a*a", "a", false],
  ["+a*ab", "aaab", true],
  ["+ *", "  x", true],
  ["+", "+", false],
  ["a+", "a", false],
  ["++", "+++", true],
  ["+*", "**", true],
  ["\xff*", "\xff\x00", true],
];

test("patterns: the table", () => {
  for (const [pattern, line, expected] of TABLE) {
    assert.equal(matches(pattern, line), expected, `${pattern} on ${line}`);
    assert.equal(reference(pattern, line), expected, `reference: ${pattern} on ${line}`);
  }
});

test("patterns: as a simple reference matcher says", () => {
  const random = new Random(20251125);
  let matched = 0;
  for (let i = 0; i < 200_000; i++) {
    let pattern = "";
    for (let n = random.below(7); n > 0; n--) pattern += random.of(["a", "b", "*", "+", "a"]);
    let line = "";
    for (let n = random.below(7); n > 0; n--) line += random.of(["a", "b", "a", "+", "*"]);
    const expected = reference(pattern, line);
    if (expected) matched++;
    if (matches(pattern, line) !== expected) assert.fail(`${JSON.stringify(pattern)} on ${JSON.stringify(line)}: ${!expected}`);
  }
  assert.ok(matched > 5000, `only ${matched} of the cases matched`);
});
