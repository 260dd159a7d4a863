/**
 * runsvdir --dense as a logger: what comes through the pipe is in the files once,
 * whatever happens to the process and to the disk.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { logsItself, make, supervise } from "../support/dense.ts";
import { SANITIZED, start, UPKEEP, until } from "../support/lab.ts";
import { all, logNames } from "../support/logs.ts";
import { slurp } from "../support/service.ts";

/**
 * The program of a service that prints lines 1 to `last` as fast as it can, in
 * parts of so many lines; part 2 only when its directory has a file `go2`, and
 * so on. Then it waits.
 */
function flood(last: number, part = last): string {
  const goes = `if (i % ${part} == 1 && i > 1) { fflush(); while (system("test -e go" int(i / ${part}) + 1)) system("sleep 0.05") }`;
  const prints = `for (i = 1; i <= ${last}; i++) { ${goes}; print "line", i }; fflush()`;
  return `#!/bin/sh\nexec awk 'BEGIN { ${prints}; while (1) system("sleep 1000") }'\n`;
}

function release(service: string, part: number): void {
  writeFileSync(join(service, `go${part}`), "");
}

/** Whether line `last` is the last one. After a kill `current` begins empty. */
function isWritten(log: string, last: number): boolean {
  const newest = logNames(log).findLast((name) => slurp(join(log, name)) !== "");
  return newest !== undefined && slurp(join(log, newest)).endsWith(`line ${last}\n`);
}

/** Every line came once, in order. */
function assertOnce(log: string, last: number): void {
  const lines = all(log)
    .split("\n")
    .map((line) => line.replace(/^@[0-9a-f]{24} /, ""));
  const first = lines.findIndex((line, i) => line !== `line ${i + 1}`);
  assert.equal(lines.length, last + 1);
  assert.equal(first, last, `${lines.slice(Math.max(first - 1, 0), first + 2).join(" | ")}`);
}

test("kill -9 at random moments under a flood: every line once", { timeout: 180_000 }, async (t) => {
  const last = 1_000_000;
  const parts = 5;
  const dir = make(t, { flood: { run: flood(last, last / parts) } });
  const log = logsItself(join(dir, "flood"), "s1000000\nn0\n");
  const size = (): number => {
    const sizes = readdirSync(log).map((name) => statSync(join(log, name), { throwIfNoEntry: false })?.size ?? 0);
    return sizes.reduce((a, b) => a + b, 0);
  };
  let kills = 0;
  for (;;) {
    const from = size();
    // A kill each 200 kB, a little after something was seen to be written.
    const step = 100_000 + ((kills * 7919) % 100_000);
    const child = supervise(t, dir);
    await until("something is written", () => size() > from + step || isWritten(log, last));
    child.kill("SIGKILL");
    await child.exited;
    // Looked at when nobody renames files any more.
    if (isWritten(log, last)) break;
    kills++;
    release(join(dir, "flood"), kills + 1);
  }
  assertOnce(log, last);
  t.diagnostic(`${kills} kills`);
  assert.ok(kills >= parts - 1, `${kills}`);
});

/** What the process does for a flooded log, but for looking and waiting. */
const CALLS = ["tee", "read", "pwrite64", "write", "mmap", "readv", "munmap", "fsync", "fchmod", "renameat", "openat"];
const KILLS_MAX = 40;

/** Serves `dir` until it is killed before its `nth` call of that name: true; false when `done` comes first. */
async function killedBefore(t: TestContext, call: string, nth: number, dir: string, done: () => boolean): Promise<boolean> {
  const words = ["-o", "/dev/null", "-e", `inject=${call}:signal=KILL:when=${nth}`, UPKEEP.program("runsvdir"), "--dense", dir];
  const traced = start(t, "/usr/bin/strace", words, { env: { PATH: UPKEEP.path } });
  let ended = false;
  traced.exited.then(() => {
    ended = true;
  });
  await until("killed, or all is written", () => ended || done());
  return ended;
}

describe("kill -9 before a system call, a later one each time: every line once", {
  concurrency: 4,
  skip: SANITIZED && "strace",
}, () => {
  for (const [what, config] of [
    ["plain", ""],
    ["stamped", "Ttai64n\n"],
  ] as const) {
    for (const call of CALLS) {
      test(`${what}: ${call}`, { timeout: 180_000 }, async (t) => {
        const last = 60_000;
        const dir = make(t, { flood: { run: flood(last) } });
        const log = logsItself(join(dir, "flood"), `s100000\nn0\n${config}`);
        const done = (): boolean => isWritten(log, last);
        let kills = 0;
        while (kills < KILLS_MAX && (await killedBefore(t, call, kills + 1, dir, done))) kills++;
        if (kills === KILLS_MAX) {
          supervise(t, dir);
          await until("all is written", done);
        }
        assertOnce(log, last);
        t.diagnostic(`${kills} kills`);
        assert.ok(kills > 0);
      });
    }
  }
});

test("a full disk under one log, kill -9 in the meantime: it waits; another log goes on; both get every line once", {
  skip: (SANITIZED && "the sanitizers' own files") || (process.getuid?.() !== 0 && "mounts"),
  timeout: 180_000,
}, async (t) => {
  const last = 40_000;
  const more = 800_000;
  for (const config of ["", "Ttai64n\n"]) {
    const dir = make(t, { full: { run: flood(last) }, other: { run: flood(more, more / 2) } });
    mkdirSync(join(dir, "full/log"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=128k", "small", join(dir, "full/log")]);
    const full = logsItself(join(dir, "full"), config);
    const other = logsItself(join(dir, "other"), `n0\n${config}`);
    for (let round = 0; round < 3; round++) {
      const runsvdir = supervise(t, dir);
      await until("it is told", () => runsvdir.stderr().includes("unable to write to current"));
      runsvdir.kill("SIGKILL");
      await runsvdir.exited;
    }
    const runsvdir = supervise(t, dir);
    await until("it is told again", () => runsvdir.stderr().includes("unable to write to current"));
    release(join(dir, "other"), 2);
    await until("the other goes on", () => isWritten(other, more));
    assert.ok(!isWritten(full, last));
    execFileSync("mount", ["-o", "remount,size=4m", join(dir, "full/log")]);
    await until("it goes on, too", () => isWritten(full, last));
    assertOnce(other, more);
    assertOnce(full, last);
    runsvdir.kill("SIGHUP");
    await runsvdir.exited;
  }
});
