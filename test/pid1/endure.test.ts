/** What process 1 goes through: orphans by the thousand, killed descendants, its own faults. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { UPKEEP, until } from "../support/lab.ts";
import { boot, leaveOrphans, type Machine, type MachineFiles, type MachineOptions } from "../support/pidns.ts";

const LIMIT = { timeout: 400_000 };
const RUN = "/sbin/runit";
const STAGES: MachineFiles = {
  "runit/1": "#!/bin/sh\n: >/run/runit.stopit; : >/run/runit.reboot; chmod 0 /run/runit.stopit /run/runit.reboot\n",
  "runit/2": "#!/bin/sh\necho two\nexec sleep 1000\n",
  "runit/3": "#!/bin/sh\necho three\n",
};

function bootUpkeep(t: TestContext, etc: MachineFiles = {}, options: MachineOptions = {}): Promise<Machine> {
  return boot(t, UPKEEP, [RUN], { ...options, etc: { ...STAGES, ...etc } });
}

function shows(m: Machine, line: string): Promise<void> {
  return until(`the console shows "${line}":\n${m.console()}`, () => m.console().split("\n").includes(line));
}

/** RSS that is not the file's, in kB. */
function anonymous(pid: number): number {
  return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? -1);
}

test("20,000 orphans are reaped, a handful at a time, and no memory is kept", LIMIT, async (t) => {
  const m = await bootUpkeep(t);
  await shows(m, "two");
  const before = anonymous(m.pid);
  const seen = await leaveOrphans(m, 20_000);
  await until("nobody is left", () => m.processes().length === 1);
  // On a busy machine process 1 may have to wait for its turn: now and then there are more.
  const usual = seen[Math.floor(seen.length * 0.9)] ?? 0;
  assert.ok(usual < 50, `zombies at once: ${seen.join(" ")}`);
  assert.ok(anonymous(m.pid) - before < 64, `${before} kB before, ${anonymous(m.pid)} kB after`);
});

test("a stage killed by a signal counts as crashed", LIMIT, async (t) => {
  const m = await bootUpkeep(t, { "runit/1": `${STAGES["runit/1"]}kill -9 $$\n`, "runit/3": "#!/bin/sh\nkill -TERM $$\n" });
  assert.equal(await m.end, "off");
  await shows(m, "- runit: power off...");
  assert.deepEqual(m.console().split("\n").slice(2, 9), [
    "- runit: warning: child crashed: /etc/runit/1",
    "- runit: leave stage: /etc/runit/1",
    "- runit: warning: skipping stage 2...",
    "- runit: enter stage: /etc/runit/3",
    "- runit: warning: child crashed: /etc/runit/3",
    "- runit: leave stage: /etc/runit/3",
    "- runit: sending KILL signal to all processes...",
  ]);
});

for (const kind of ["index", "stack"]) {
  test(`a trap (${kind}) in process 1: stages and services do not notice`, LIMIT, async (t) => {
    const m = await bootUpkeep(t, {}, { env: { UPKEEP_TEST_TRAP: kind } });
    await shows(m, "two");
    const stage2 = m.processes();
    assert.equal(stage2.length, 1);
    for (let i = 1; i <= 3; i++) {
      m.kill("SIGUSR2");
      await until("it recovered", () => m.console().split("recovered from an internal error").length === i + 1);
    }
    assert.deepEqual(m.processes(), stage2);
    // Orphans are still reaped, and the end comes as if nothing had been.
    await m.sh("sh -c 'true & true &'; chmod 100 /run/runit.stopit; kill -CONT 1");
    assert.equal(await m.end, "off");
    await shows(m, "- runit: power off...");
    const lines = m
      .console()
      .split("\n")
      .filter((l) => l !== "" && !l.includes("Id:") && !/scriptc|out of|bounds|recovered/.test(l));
    assert.deepEqual(lines, [
      "- runit: enter stage: /etc/runit/1",
      "- runit: leave stage: /etc/runit/1",
      "- runit: enter stage: /etc/runit/2",
      "two",
      "- runit: leave stage: /etc/runit/2",
      "- runit: enter stage: /etc/runit/3",
      "three",
      "- runit: leave stage: /etc/runit/3",
      "- runit: sending KILL signal to all processes...",
      "- runit: power off...",
    ]);
  });
}

test("SIGUSR2 is inert without the test's switch", LIMIT, async (t) => {
  const m = await bootUpkeep(t);
  await shows(m, "two");
  m.kill("SIGUSR2");
  for (const name of ["SEGV", "ABRT", "BUS", "ILL", "FPE"]) await m.sh(`kill -${name} 1`);
  await m.sh("sleep 0.1");
  assert.doesNotMatch(m.console(), /recovered/);
});

test("what ended while process 1 was being replaced is noticed", LIMIT, async (t) => {
  const m = await bootUpkeep(t, {}, { env: { UPKEEP_TEST_TRAP: "index" } });
  await shows(m, "two");
  const [stage2 = 0] = m.processes();
  // Stopped, it gets both signals at once: its child has ended when it traps.
  m.kill("SIGSTOP");
  process.kill(stage2, "SIGTERM");
  m.kill("SIGUSR2");
  m.kill("SIGCONT");
  await shows(m, "- runit: warning: child crashed: /etc/runit/2");
  await shows(m, "- runit: warning: killing all processes in stage 2...");
});

test("process 1 that traps again and again becomes the rescue program", LIMIT, async (t) => {
  const m = await bootUpkeep(
    t,
    { "runit/rescue": "#!/bin/sh\necho rescued $$; echo $(tty); while :; do sleep 1; done\n" },
    { env: { UPKEEP_TEST_TRAP: "index" } },
  );
  await shows(m, "two");
  for (let i = 1; i <= 5; i++) {
    m.kill("SIGUSR2");
    await until("it recovered", () => m.console().split("recovered from an internal error").length === i + 1);
  }
  m.kill("SIGUSR2");
  await shows(m, "- runit: fatal: too many internal errors, becoming /etc/runit/rescue");
  await shows(m, "rescued 1");
});
