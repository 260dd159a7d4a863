/**
 * More services under one runsvdir than runit's takes (1000): all are up, all
 * are listed and all end; UPKEEP_LONG=1: three thousand. And the supervisors of
 * a thousand together take at most 0.45 of the memory that runit's take on the
 * same services in the same run.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Child, RUNIT, run, SANITIZED, serviceDir, start, type Toolchain, tempDir, UPKEEP, until } from "../support/lab.ts";
import { slurp } from "../support/service.ts";

const SERVICES = process.env["UPKEEP_LONG"] === "1" ? 3000 : 1200;
const LIMIT_MS = 120_000;

type Tree = { readonly dir: string; readonly names: readonly string[]; readonly runsvdir: Child };

function launch(t: TestContext, tools: Toolchain, services: number): Tree {
  const dir = tempDir(t);
  const names = Array.from({ length: services }, (_, i) => `s${i}`);
  for (const name of names) serviceDir(join(dir, name), { run: "#!/bin/sh\nexec sleep 100000\n" });
  return { dir, names, runsvdir: start(t, tools.program("runsvdir"), ["-P", dir], { env: { PATH: tools.path } }) };
}

async function allRun({ dir, names }: Tree): Promise<void> {
  const waiting = new Set(names);
  await until(
    "all run",
    () => {
      for (const name of waiting) if (slurp(join(dir, name, "supervise/stat")) === "run\n") waiting.delete(name);
      return waiting.size === 0;
    },
    LIMIT_MS,
  );
}

function supervisors({ runsvdir }: Tree): number[] {
  return slurp(`/proc/${runsvdir.pid}/task/${runsvdir.pid}/children`).trim().split(" ").map(Number);
}

/** Proportional set size of runsvdir and all its runsv, in kB. */
function memory(tree: Tree): number {
  return [tree.runsvdir.pid, ...supervisors(tree)]
    .map((pid) => Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1]))
    .reduce((a, b) => a + b, 0);
}

async function stop({ runsvdir }: Tree, pids: readonly number[]): Promise<void> {
  runsvdir.kill("SIGHUP");
  assert.equal((await runsvdir.exited).code, 111);
  await until("every runsv has ended", () => pids.every((pid) => slurp(`/proc/${pid}/comm`) !== "runsv\n"), LIMIT_MS);
}

test(`${SERVICES} services: up, listed, stopped`, { timeout: 600_000 }, async (t) => {
  const tree = launch(t, UPKEEP, SERVICES);
  await allRun(tree);
  const pids = supervisors(tree);
  assert.equal(pids.length, SERVICES);
  const { code, stdout } = await run(UPKEEP.program("sv"), ["status", ...tree.names], {
    env: { PATH: UPKEEP.path, SVDIR: tree.dir },
  });
  assert.equal(code, 0);
  const up = stdout.split("\n").filter((line) => /^run: s\d+: \(pid \d+\) \d+s$/.test(line));
  assert.equal(up.length, SERVICES);
  await stop(tree, pids);
});

test("1000 services: at most 0.45 of the memory of runit's supervisors", {
  skip: SANITIZED ? "the sanitizers' memory" : false,
  timeout: 600_000,
}, async (t) => {
  const kilobytes: number[] = [];
  for (const tools of [UPKEEP, RUNIT]) {
    const tree = launch(t, tools, 1000);
    await allRun(tree);
    const pids = supervisors(tree);
    assert.equal(pids.length, 1000);
    kilobytes.push(memory(tree));
    await stop(tree, pids);
  }
  const [ours = 0, theirs = 0] = kilobytes;
  t.diagnostic(`PSS: ${ours} kB beside ${theirs} kB, ${(ours / theirs).toFixed(3)}`);
  assert.ok(ours > 0 && ours <= 0.45 * theirs, `${ours} kB beside ${theirs} kB`);
});
