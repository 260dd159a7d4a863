/**
 * The probes of probes/behaviour.ts, compiled and under Node. Run again at
 * every upgrade of the compiler: a row that changes is a rule of tools/tidy.ts
 * that has become needless, or one that is missing.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { type Result, ROOT, run } from "../support/lab.ts";

const SOURCE = join(ROOT, "test/subset/probes/behaviour.ts");
const NATIVE = join(ROOT, "build/behaviour");

/** Output, or how it ended: "134", "SIGSEGV". */
type Row = { readonly node: string; readonly native: string };

/** The program is the same on both sides. */
const SAME: Readonly<Record<string, string>> = {
  "objects past the end": "undefined",
  "strings past the end": "undefined",
  "byte strings past the end": "undefined",
  "null element": "null an object",
  "null element past the end": "null",
  "missing key of a record": "undefined",
  "set past the end": "RangeError",
  "missing key of a map, asserted": "TypeError",
  "exact record": "5",
  "instance as base": "5",
  "generic parameter": "5 5",
  "array of exact records": "5",
  "subarray and slice": "7 9",
  "uncaught error": "exit 1",
  "abstract kernel": "6 6 Kernel",
  brands: "8 equal",
  unions: "exit 3, due, line 4",
  references: "same a",
  closures: "22",
  "latin-1": "lossless",
  numbers: "4294967294 -2 2147483648 9007199254740991 3",
  finally: "finally caught",
  "maps while iterating": "a c d 3",
  "long chain": "freed",
};

/** The traps: something else when compiled. */
const DIFFERENT: Readonly<Record<string, Row>> = {
  "bytes read past the end": { node: "read undefined", native: "SIGABRT" },
  "bytes compared past the end": { node: "undefined", native: "a number" },
  "bytes written past the end": { node: "written 2", native: "SIGABRT" },
  "numbers past the end": { node: "read undefined", native: "SIGABRT" },
  "objects past the end, asserted": { node: "read undefined", native: "SIGABRT" },
  "null element, asserted": { node: "null", native: "exit 1" },
  "wider record": { node: "5", native: "1" },
  "instance as record": { node: "5", native: "0" },
  "array of wider records": { node: "5", native: "1" },
  "spread of a partial": { node: "1", native: "TypeError" },
  "stack overflow": { node: "exit 1", native: "SIGSEGV" },
};

function outcome({ code, signal, stdout }: Result): string {
  if (signal !== null) return signal;
  return code === 0 ? stdout.trimEnd() : `exit ${code}`;
}

before(() => {
  const args = [join(ROOT, "tools/build.ts"), "--main", "test/subset/probes/behaviour.ts", "--out", NATIVE];
  execFileSync(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
});

const rows = new Map<string, Row>(Object.entries(DIFFERENT));
for (const [name, both] of Object.entries(SAME)) rows.set(name, { node: both, native: both });

for (const [name, row] of rows) {
  test(name, async () => {
    const [node, native] = await Promise.all([run(process.execPath, [SOURCE, name]), run(NATIVE, [name])]);
    assert.deepEqual({ node: outcome(node), native: outcome(native) }, row, native.stderr);
  });
}

test("every probe has its row", () => {
  const names = [...readFileSync(SOURCE, "utf8").matchAll(/\{ name: "([^"]+)"/g)].map((m) => m[1] ?? "");
  assert.deepEqual([...rows.keys()].sort(), names.sort());
});
