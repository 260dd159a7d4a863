/** What a container's init goes through: orphans by the thousand, killed descendants, its own faults. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Container, check, contain, DEAF, must, POLITE } from "../support/container.ts";
import { inTime, UPKEEP, until } from "../support/lab.ts";
import { inside, leaveOrphans, zombies } from "../support/pidns.ts";

const SERVICES = { "service/a/run": POLITE, "service/b/run": POLITE, "service/b/log/run": "#!/bin/sh\nexec cat\n" };

/** RSS that is not the file's, in kB. */
function anonymous(pid: number): number {
  return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? -1);
}

function pidOf(m: Container, service: string): Promise<string> {
  return m.sh(`cat /etc/service/${service}/supervise/pid`);
}

check("20,000 orphans are reaped, a handful at a time, and no memory is kept", async (t) => {
  const m = await contain(t, [], SERVICES);
  await m.shows("a runs");
  const before = anonymous(m.pid);
  const seen = await leaveOrphans(m, 20_000);
  await until("no zombie is left", () => zombies(m.processes()) === 0);
  // On a busy machine process 1 may have to wait for its turn: now and then there are more.
  assert.ok((seen[Math.floor(seen.length * 0.9)] ?? 0) < 50, `zombies at once: ${seen.join(" ")}`);
  assert.ok(anonymous(m.pid) - before < 64, `${before} kB before, ${anonymous(m.pid)} kB after`);
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
});

/** Hosting its supervisors itself, or with a runsv each. */
for (const [how, options, runsvs] of [
  ["hosted", [], 0],
  ["-s", ["-s"], 2],
] as const) {
  check(`kill -9 of random descendants (${how}): everybody is back, once, and stops in order`, async (t) => {
    const m = await contain(t, ["-t", "100", ...options], SERVICES);
    await m.shows("a runs");
    // The same seed, the same order of victims; who they are depends on who there is.
    let seed = 4711;
    for (let round = 0; round < 40; round++) {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      const all = m.processes();
      const victim = all[seed % Math.max(1, all.length)];
      if (victim !== undefined) {
        try {
          process.kill(victim, "SIGKILL");
        } catch {
          // Gone meanwhile.
        }
      }
      await new Promise((next) => setTimeout(next, 25));
    }
    await until("both run, and nobody twice", async () => {
      const up = await m.exec("sv", "status", "a", "b");
      const counted = await m.sh("pgrep -cx runsv; pgrep -cx cat; pgrep -cf '^/bin/sh ./run'");
      return /^run: a: .*\nrun: b: .*; run: log: /.test(up.stdout) && counted === `${runsvs}\n1\n2\n`;
    });
    const from = performance.now();
    m.kill("SIGTERM");
    assert.equal(await m.end, 0);
    assert.ok(performance.now() - from < 60_000);
    const last = m.lines().slice(-4);
    assert.ok(last.includes("a stops") && last.includes("b stops"), m.lines().join("\n"));
  });

  for (const kind of ["index", "stack"]) {
    check(`a trap (${kind}, ${how}): services, lines and the command do not notice`, async (t) => {
      const m = await contain(
        t,
        [
          ...options,
          "-n",
          "/etc/service",
          "--",
          "sh",
          "-c",
          "trap 'exit 4' TERM; echo command runs; while :; do sleep 0.05; done",
        ],
        SERVICES,
        { env: { UPKEEP_TEST_TRAP: kind } },
      );
      await m.shows("a: a runs");
      await m.shows("command runs");
      const before = [await pidOf(m, "a"), await pidOf(m, "b")];
      for (let i = 1; i <= 3; i++) {
        m.kill("SIGUSR2");
        await until("it recovered", () => m.stderr().split("recovered from an internal error").length === i + 1);
      }
      assert.deepEqual([await pidOf(m, "a"), await pidOf(m, "b")], before);
      assert.equal((await m.sh("pgrep -cx runsv; pgrep -cf '^upkeep: lines'")).trim(), `${runsvs}\n1`);
      // New services are found, old ones reaped, and what is written still comes through.
      await m.sh("mkdir /etc/service/c; cp -p /etc/service/a/run /etc/service/c/run");
      await m.shows("c: c runs");
      await must(m, "sv", "restart", "a");
      await m.shows("a: a stops");
      if (runsvs > 0) {
        await must(m, "sh", "-c", "kill -9 $(pgrep -o -x runsv)");
        await until("a new runsv", async () => (await m.sh("pgrep -cx runsv")) === "3\n");
      }
      m.kill("SIGTERM");
      assert.equal(await m.end, 4);
      assert.ok(m.lines().includes("c: c stops"));
    });
  }
}

check("a trap while everything stops: the end comes in the same budget", async (t) => {
  await inTime(6000, async () => {
    const services = { ...SERVICES, "service/deaf/run": DEAF };
    const m = await contain(t, ["-t", "3"], services, { env: { UPKEEP_TEST_TRAP: "index" } });
    await m.shows("deaf runs");
    await m.shows("a runs");
    const from = performance.now();
    m.kill("SIGTERM");
    await m.shows("a stops");
    m.kill("SIGUSR2");
    assert.equal(await m.end, 0);
    assert.match(m.stderr(), /recovered from an internal error/);
    return performance.now() - from;
  });
});

check("what a killed container leaves in a volume does not bind the next one", async (t) => {
  const m = await contain(t, ["/nothing"], { "service/a/run": POLITE });
  const next =
    await m.sh(`begin() { unshare --fork --kill-child --pid --mount-proc ${inside(UPKEEP, "upkeep")} init /etc/service >/tmp/$1 & outer=$!; }
begin one
until grep -q runs /tmp/one; do sleep 0.02; done
sv down a >/dev/null; kill -9 $(cat /proc/$outer/task/$outer/children); wait $outer
begin two
until grep -q runs /tmp/two; do sleep 0.02; done
kill $(cat /proc/$outer/task/$outer/children); wait $outer; echo $?; cat /tmp/two`);
  assert.equal(next, "0\na runs\na stops\n");
});

check("too many faults in a row: everybody is killed, exit 111", async (t) => {
  const m = await contain(t, [], SERVICES, { env: { UPKEEP_TEST_TRAP: "index" } });
  await m.shows("a runs");
  for (let i = 1; i <= 5; i++) {
    m.kill("SIGUSR2");
    await until("it recovered", () => m.stderr().split("recovered from an internal error").length === i + 1);
  }
  m.kill("SIGUSR2");
  assert.equal(await m.end, 111);
  assert.match(m.stderr(), /upkeep init: fatal: too many internal errors\n$/);
});
