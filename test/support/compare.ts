/** One scenario on both toolchains, and what came out of each beside the other. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { FakeRunsv } from "./fake-runsv.ts";
import { mask, type Result, RUNIT, run, type Toolchain, tempDir, UPKEEP } from "./lab.ts";

/** Pids and seconds masked; `bytes`: what came to supervise/control. */
export type Outcome = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes?: string;
};

export function outcome(r: Result, bytes?: string): Outcome {
  const seen = { code: r.code, stdout: mask(r.stdout), stderr: mask(r.stderr) };
  return bytes === undefined ? seen : { ...seen, bytes };
}

/** Prepares a directory; the supervisor it gives back is asked for its bytes afterwards. */
export type Prepare = (dir: string) => FakeRunsv | undefined;

/** Runs sv in a fresh directory prepared by `prepare`, once for each toolchain: ours, runit's. */
export function twice(
  t: TestContext,
  prepare: Prepare,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<readonly [Outcome, Outcome]> {
  const one = async (tools: Toolchain): Promise<Outcome> => {
    const dir = tempDir(t);
    const fake = prepare(dir);
    const r = await run(tools.program("sv"), args, { cwd: dir, env: { SVDIR: dir, ...env } });
    return outcome(r, fake?.bytes);
  };
  return Promise.all([one(UPKEEP), one(RUNIT)]);
}

/** As `twice`, for outcomes that have to be equal. */
export async function same(
  t: TestContext,
  what: string,
  prepare: Prepare,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const [ours, theirs] = await twice(t, prepare, args, env);
  assert.deepEqual(ours, theirs, `${what}: ${args.join(" ")}`);
  return ours;
}

/** Every row at the same time, at most `width` of them; the first failure is thrown. */
export async function each<Row>(rows: Iterable<Row>, fn: (row: Row) => Promise<unknown>, width = 16): Promise<void> {
  const waiting = [...rows].reverse();
  const lane = async (): Promise<void> => {
    for (let row = waiting.pop(); row !== undefined; row = waiting.pop()) await fn(row);
  };
  await Promise.all(Array.from({ length: Math.min(width, waiting.length) }, lane));
}
