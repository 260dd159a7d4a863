import "../../test/support/memory.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { ascii } from "../base/bytes.ts";
import type { PatternLine } from "../formats/svlogd-config.ts";
import { LINE_BYTES } from "../kernel/memory.ts";
import { LogAutomaton } from "./log-automaton.ts";
import { Rule, TO_LOG, TO_STDERR } from "./log-pattern.ts";
import { Selection } from "./log-selection.ts";

function patternLines(lines: readonly string[]): PatternLine[] {
  return lines.map((l) => ({ letter: l.charCodeAt(0), pattern: ascii(l.slice(1)) }));
}

function decide(lines: readonly string[], line: string): string {
  const bits = new Selection(patternLines(lines)).decide(ascii(line), 0, line.length);
  return ((bits & TO_LOG) !== 0 ? "log" : "") + ((bits & TO_STDERR) !== 0 ? "err" : "");
}

test("selection: the last pattern that matches counts, for each decision", () => {
  assert.equal(decide([], "x"), "log");
  assert.equal(decide(["-*"], "x"), "");
  assert.equal(decide(["-*", "+x*"], "xy"), "log");
  assert.equal(decide(["+x*", "-*"], "xy"), "");
  assert.equal(decide(["e*"], "x"), "logerr");
  assert.equal(decide(["e*", "Ex*"], "xy"), "log");
  assert.equal(decide(["Ex*", "e*", "-*"], "xy"), "err");
  assert.equal(decide(["-x", "ex", "+y"], "x"), "err");
});

test("selection: a line ends at its newline or at the limit", () => {
  const selection = new Selection(patternLines(["-ab", "-"]));
  const block = ascii("xx\nab\nabc\n\nab");
  assert.equal(selection.decide(block, 3, block.length), 0);
  assert.equal(selection.decide(block, 6, block.length), TO_LOG);
  assert.equal(selection.decide(block, 6, 8), 0, "cut");
  assert.equal(selection.decide(block, 10, block.length), 0, "an empty line");
  assert.equal(selection.decide(block, 11, 13), 0, "the end of the block");
});

/** Many lines of few bytes, beside each other as in a block, and the decisions on all of them, both ways. */
function compare(random: Random, letters: readonly string[], lines: number): void {
  const some = (longest: number, of: readonly string[]): string => {
    let text = "";
    for (let n = random.below(longest); n > 0; n--) text += random.of(of);
    return text;
  };
  const config: string[] = [];
  for (let n = 1 + random.below(8); n > 0; n--) config.push(some(12, [...letters, "*", "*", "+"]));
  const list = patternLines(config.map((pattern) => `${random.of(["+", "-", "-", "e", "E"])}${pattern}`));
  const reference = new Selection(list);
  const automaton = new LogAutomaton([...list].reverse().map((line) => new Rule(line)));
  const texts = Array.from({ length: lines }, () => some(14, [...letters, "*", "z"]));
  const block = ascii(`${texts.join("\n")}\n`);
  let at = 0;
  for (const text of texts) {
    const expected = reference.decideOneByOne(ascii(text));
    const found = automaton.decide(block, at, block.length);
    if (found !== expected) assert.fail(`${JSON.stringify(config)} on ${JSON.stringify(text)}: ${found}, not ${expected}`);
    const limit = random.below(text.length + 1);
    assert.equal(automaton.decide(block, at, at + limit), reference.decideOneByOne(ascii(text.slice(0, limit))));
    at += text.length + 1;
  }
  const lineMax = random.of([3, 100]);
  const record = Buffer.alloc(200 * LINE_BYTES);
  const count = automaton.lines(block, 0, lineMax, record);
  assert.ok(lineMax < 100 || count === Math.min(lines, 200), `only ${count} lines at once`);
  at = 0;
  for (const [i, text] of texts.slice(0, count).entries()) {
    at += text.length + 1;
    assert.equal(record.readUInt32LE(i * LINE_BYTES), at);
    assert.equal(record[i * LINE_BYTES + 4], reference.decideOneByOne(ascii(text.slice(0, lineMax))));
  }
}

test("automaton: decides as the patterns one by one", () => {
  const random = new Random(20261127);
  for (let i = 0; i < 3000; i++) compare(random, ["a", "b", "a", "+"], 60);
  for (let i = 0; i < 300; i++) compare(random, ["a", "b", "c", "d", "\xff", "\0"], 300);
});

test("automaton: a full table begins anew, and is given up where it does not last", () => {
  const bytes = Array.from({ length: 245 }, (_, i) => String.fromCharCode(i + 11)).filter((c) => c !== "*" && c !== "+");
  const random = new Random(1);
  // Wherever the first of each of these bytes is makes a difference: 2^40 states.
  const list = patternLines(Array.from({ length: 40 }, (_, i) => `-*${bytes[i]}x${bytes.slice(40).join("")}`));
  const reference = new Selection(list);
  const automaton = new LogAutomaton(list.map((line) => new Rule(line)));
  let given = 0;
  for (let i = 0; i < 500; i++) {
    let text = "";
    for (let n = 0; n < 60; n++) text += random.of(bytes.slice(0, 41));
    assert.equal(automaton.decide(ascii(text), 0, text.length), reference.decideOneByOne(ascii(text)));
    assert.equal(reference.decide(ascii(text), 0, text.length), reference.decideOneByOne(ascii(text)));
    if (automaton.givenUp && given === 0) given = i;
  }
  assert.ok(given > 0 && given < 400, `given up at line ${given}`);
});
