/** Seeded worlds: every promise kept, and the same history compiled as under Node. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../support/lab.ts";
import { line, simulate } from "./machine.ts";

const SEEDS = Number(process.env["UPKEEP_SEEDS"] ?? 2000);
const COMPILED_SEEDS = 40;

test(`${SEEDS} seeds keep every promise`, () => {
  const broken: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = simulate(seed);
    if (outcome.failure !== "")
      broken.push(`seed ${seed}: ${outcome.failure}; npm run simulate -- --from ${seed} --seeds 1 --lines`);
  }
  assert.deepEqual(broken, []);
});

test(`${COMPILED_SEEDS} seeds have the same trace compiled as under Node`, (t) => {
  const dir = mkdtempSync(join(tmpdir(), "simulate-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, "simulate");
  execFileSync(process.execPath, [join(ROOT, "tools/build.ts"), "--main", "test/simulate/native.ts", "--out", program], {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const compiled = execFileSync(program, ["1", String(COMPILED_SEEDS)], { encoding: "latin1" })
    .trimEnd()
    .split("\n");
  const expected: string[] = [];
  for (let seed = 1; seed <= COMPILED_SEEDS; seed++) expected.push(line(simulate(seed)));
  assert.deepEqual(compiled, expected);
});
