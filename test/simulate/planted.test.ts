/** That the simulation can fail: it finds every bug of planted.ts. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT, tempDir } from "../support/lab.ts";
import { PLANTED, type Planted } from "./planted.ts";

/** Each is found within so many. */
const SEEDS = 400;

/** A copy of what the simulation consists of, with the bug in it. */
function plant(dir: string, bug: Planted): void {
  for (const part of ["src", "test/simulate"]) cpSync(join(ROOT, part), join(dir, part), { recursive: true });
  writeFileSync(join(dir, "package.json"), '{ "type": "module" }\n');
  const file = join(dir, bug.file);
  const source = readFileSync(file, "utf8");
  assert.equal(source.split(bug.text).length, 2, `${bug.file} has the place to change exactly once`);
  writeFileSync(
    file,
    source.replace(bug.text, () => bug.instead),
  );
}

/** What the simulation prints: the first broken promise, and how far it came. */
function simulate(dir: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["test/simulate/cli.ts", "--stop", "--seeds", String(SEEDS)],
      { cwd: dir, encoding: "latin1" },
      (_error, stdout) => resolve(stdout),
    );
  });
}

for (const bug of PLANTED) {
  test(`found: ${bug.name}`, async (t) => {
    const dir = tempDir(t);
    plant(dir, bug);
    const told = await simulate(dir);
    assert.match(told, /: 1 failed\n$/, told);
    const broken = told.split("\n")[1] ?? "";
    t.diagnostic(`seed ${broken.replace(/^(\d+) .*? (?=[a-z])/, "$1: ")}`);
  });
}
