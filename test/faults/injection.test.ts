/**
 * Errors of the kernel in system calls, one at a time, while each program goes
 * through a session (sessions.ts). Here a sample; UPKEEP_LONG=1
 * (`npm run faults`): every error in many occurrences of every call.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { each } from "../support/compare.ts";
import { SANITIZED, tempDir } from "../support/lab.ts";
import { Random } from "../support/random.ts";
import { callsMade, type Injection, injections, wasInjected } from "./injection.ts";
import { possible, SESSIONS, type Session } from "./sessions.ts";

const LONG = process.env["UPKEEP_LONG"] === "1";
/** Occurrences of a call, and sessions of a program in all. */
const OCCURRENCES = LONG ? 20 : 4;
const SAMPLE = LONG ? Number.POSITIVE_INFINITY : 16;
const WIDTH = 8;
const SEED = Number(process.env["UPKEEP_SEED"] ?? 1);
const ONLY = process.env["UPKEEP_PROGRAM"];

function sample(all: readonly Injection[], seed: number): Injection[] {
  const random = new Random(seed);
  const rest = [...all];
  const chosen: Injection[] = [];
  while (rest.length > 0 && chosen.length < SAMPLE) chosen.push(...rest.splice(random.below(rest.length), 1));
  return chosen;
}

async function tryAll(t: TestContext, name: string, session: Session): Promise<void> {
  const top = tempDir(t);
  const plain = join(top, "plain");
  mkdirSync(plain);
  await session(t, plain, join(plain, "trace"), null);
  const made = callsMade(join(plain, "trace"));
  const pairs = new Set<string>();
  let given = 0;
  const failures: string[] = [];
  const all = injections(made, OCCURRENCES).filter((injection) => possible(name, injection));
  const chosen = sample(all, SEED);
  let n = 0;
  await each(
    chosen,
    async (injection) => {
      n++;
      const dir = join(top, `${n}`);
      mkdirSync(dir);
      try {
        await session(t, dir, join(dir, "trace"), injection);
      } catch (e) {
        failures.push(`${injection.call}:${injection.errno}:${injection.when}: ${e instanceof Error ? e.message : String(e)}`);
      }
      if (!wasInjected(join(dir, "trace"))) return;
      given++;
      pairs.add(`${injection.call} ${injection.errno}`);
    },
    WIDTH,
  );
  t.diagnostic(`${given} errors given, ${pairs.size} pairs of call and error, ${made.size} calls`);
  if (failures.length > 0) t.diagnostic(failures.map((failure) => failure.slice(0, 300)).join("\n"));
  assert.equal(failures.length, 0);
  assert.ok(given > 0, "an error was given");
}

describe("errors in system calls", {
  concurrency: LONG ? 1 : 2,
  skip: SANITIZED ? "strace sees the sanitizers' calls" : false,
}, () => {
  for (const [name, session] of Object.entries(SESSIONS)) {
    test(`${name}: nothing is lost, nothing hangs`, { skip: ONLY !== undefined && ONLY !== name }, (t) =>
      tryAll(t, name, session),
    );
  }
});
