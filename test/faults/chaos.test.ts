/**
 * Chaos (chaos.ts) on a machine of services: a few seconds here, ten minutes
 * with fifty services by `npm run chaos`. UPKEEP_SEED gives another course of
 * it, UPKEEP_CHAOS_TOOLS=runit the same on Debian's runit, which fails.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { RUNIT, SANITIZED, UPKEEP, until } from "../support/lab.ts";
import { inside } from "../support/pidns.ts";
import { Chaos, isSpared } from "./chaos.ts";
import { Tree, writesLines } from "./tree.ts";

const SECONDS = Number(process.env["UPKEEP_CHAOS_SECONDS"] ?? 12);
const SERVICES = Number(process.env["UPKEEP_CHAOS_SERVICES"] ?? 20);
const SEED = Number(process.env["UPKEEP_SEED"] ?? 1);
const TOOLS = process.env["UPKEEP_CHAOS_TOOLS"] === "runit" ? RUNIT : UPKEEP;
/** Until everything runs again: a second for a throttled start, the rest for a busy machine. */
const BACK_MS = 60_000;

const ROOT_ONLY = process.getuid?.() === 0 ? false : "needs root";

/** kB that are the process's own. */
function memory(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^RssAnon:\s+(\d+)/m.exec(text)?.[1] ?? Number.NaN);
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

type Account = { readonly memory: number; readonly descriptors: number };

/** Process 1, and each supervisor that lives through it all, by pid. */
function accounts(tree: Tree): Map<number, Account> {
  const found = new Map<number, Account>();
  const pids = tree.parts().filter(({ role, name }) => role === "runsv" && isSpared(name));
  for (const pid of [tree.machine.pid, ...pids.map((part) => part.pid)])
    found.set(pid, { memory: memory(pid), descriptors: descriptors(pid) });
  return found;
}

/** Each writer's lines count up without a gap, and none is torn; how many. */
function wholeLines(name: string, text: string): number {
  const last = new Map<string, number>();
  const lines = text.split("\n").slice(0, -1);
  for (const line of lines) {
    const [, writer = "", count = ""] = /^(\d+) (\d+)$/.exec(line) ?? [];
    assert.equal(Number(count), (last.get(writer) ?? 0) + 1, `${name}: gap or torn line at "${line}"`);
    last.set(writer, Number(count));
  }
  return lines.length;
}

function compare(t: TestContext, before: ReadonlyMap<number, Account>, after: ReadonlyMap<number, Account>): void {
  const changes: string[] = [];
  for (const [pid, { memory, descriptors }] of before) {
    const now = after.get(pid);
    assert.ok(now !== undefined, `${pid} lives through it`);
    changes.push(`${memory}→${now.memory}`);
    assert.ok(now.memory - memory <= 32, `RssAnon of ${pid}: ${memory} kB before, ${now.memory} kB after`);
    assert.equal(now.descriptors, descriptors, `descriptors of ${pid}`);
  }
  t.diagnostic(`RssAnon of process 1 and of the runsv nobody killed, in kB: ${changes.join(", ")}`);
}

test(`chaos for ${SECONDS} s on ${SERVICES} services`, {
  skip: ROOT_ONLY || (SANITIZED ? "memory is not upkeep's" : false),
  timeout: SECONDS * 1000 + 180_000,
}, async (t) => {
  const tree = await Tree.start(t, TOOLS, SERVICES);
  await tree.complete(BACK_MS);
  // Every supervisor has been through a start, a death and its messages once.
  const chaos = new Chaos(tree, SEED);
  await chaos.run(Math.min(SECONDS, 60) * 250);
  await tree.complete(BACK_MS);
  const before = accounts(tree);
  await chaos.run(SECONDS * 1000 - Math.min(SECONDS, 60) * 250);
  await tree.complete(BACK_MS);
  const done = [...chaos.done].sort().map(([what, n]) => `${what} ${n}`);
  t.diagnostic(`${chaos.total} faults: ${done.join(", ")}`);
  t.diagnostic(`longest time without a process: ${Math.round(chaos.longestAbsence)} ms (${chaos.longestAbsent})`);
  assert.equal(tree.secondCopies(), "", "second copies");
  assert.deepEqual(chaos.wrong, []);
  let lines = 0;
  for (const name of tree.names) if (writesLines(name)) lines += wholeLines(name, tree.file(name, "log/lines"));
  t.diagnostic(`${lines} lines through pipes whose service, runsv and runsvdir were killed: none torn, none missing`);
  compare(t, before, accounts(tree));
  assert.equal((await tree.machine.exec(inside(TOOLS, "runit-init"), "0")).code, 0);
  assert.equal(await tree.machine.end, "off");
  await until("the last line", () => tree.machine.console().includes("power off..."));
});
