/**
 * Seeded inputs (fuzz.ts) for all readers: under Node and compiled, with the
 * same results. UPKEEP_INPUTS: how many; `npm run fuzz` has a million for the
 * compiled program, and again for the sanitized one.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT, tempDir } from "../support/lab.ts";
import "../support/memory.ts";
import { BLOCK, fuzzMany, fuzzOne, line } from "./fuzz.ts";

const INPUTS = Number(process.env["UPKEEP_INPUTS"] ?? 20_000);
const COMPARED = Math.min(INPUTS, 20_000);
const SANITIZE = process.env["UPKEEP_LONG"] === "1";

function broken(from: number, count: number): string {
  for (let seed = from; seed < from + count; seed++) {
    try {
      fuzzOne(seed);
    } catch (e) {
      return `input ${seed}: ${e instanceof Error ? (e.stack ?? e.message) : String(e)}`;
    }
  }
  return "";
}

function build(tool: string, out: string): string {
  const args = [join(ROOT, tool), "--main", "test/faults/fuzz-native.ts", "--out", out];
  execFileSync(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  return out;
}

function compiled(program: string, count: number): string[] {
  return execFileSync(program, ["1", String(count)], { encoding: "latin1" })
    .trimEnd()
    .split("\n");
}

test(`${INPUTS} inputs for every reader: none is misread, Node and compiled agree`, (t) => {
  const expected: string[] = [];
  try {
    for (let at = 1; at < COMPARED; at += BLOCK) expected.push(line(at, fuzzMany(at, BLOCK)));
  } catch {
    assert.fail(broken(1, COMPARED));
  }
  const told = compiled(build("tools/build.ts", join(tempDir(t), "fuzz")), INPUTS);
  assert.deepEqual(told.slice(0, expected.length), expected);
  assert.equal(told.length, Math.ceil(INPUTS / BLOCK));
});

test("the same under the sanitizers", { skip: SANITIZE ? false : "UPKEEP_LONG is not set" }, (t) => {
  const told = compiled(build("tools/sanitize.ts", join(tempDir(t), "fuzz")), INPUTS);
  assert.equal(told.length, Math.ceil(INPUTS / BLOCK));
});
