/**
 * What a supervision suite does when the supervisor of one service, or the
 * scanner above it, is killed: how many copies of the service live afterwards.
 * With UPKEEP_LONG=1 (`npm run faults`) the same on every other suite that is
 * installed; what came out of them is told, and stands in RELIABILITY.md.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { RUNIT, SANITIZED, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { lives, slurp } from "../support/service.ts";

/** `supervisor`: its name as in /proc/PID/comm or the first word of its command line. */
type Suite = { readonly name: string; readonly scanner: string; readonly supervisor: string; readonly path: string };

const SUITES: readonly Suite[] = [
  { name: "upkeep", scanner: UPKEEP.program("runsvdir"), supervisor: "runsv", path: UPKEEP.path },
  { name: "runit", scanner: RUNIT.program("runsvdir"), supervisor: "runsv", path: RUNIT.path },
  { name: "s6", scanner: "/usr/bin/s6-svscan", supervisor: "s6-supervise", path: RUNIT.path },
  { name: "daemontools", scanner: "/usr/bin/svscan", supervisor: "supervise", path: RUNIT.path },
];

const OTHERS = process.env["UPKEEP_LONG"] === "1";
/** After a new supervisor, so long for a second copy to appear. */
const LOOK_MS = 3000;

/** Living processes among those run wrote down. */
function living(dir: string): number[] {
  return slurp(join(dir, "pids"))
    .split("\n")
    .filter((line) => line !== "")
    .map(Number)
    .filter(lives);
}

function children(pid: number): number[] {
  return slurp(`/proc/${pid}/task/${pid}/children`).trim().split(" ").filter(Boolean).map(Number);
}

function supervisors(suite: Suite, scanner: number): number[] {
  const named = (pid: number): boolean => basename(slurp(`/proc/${pid}/cmdline`).split("\0")[0] ?? "") === suite.supervisor;
  return children(scanner).filter(named);
}

/** The most copies seen at once while it is looked. */
async function mostCopies(dir: string): Promise<number> {
  let most = 0;
  for (const end = performance.now() + LOOK_MS; performance.now() < end; await delay(20))
    most = Math.max(most, living(dir).length);
  return most;
}

function started(t: TestContext): { readonly top: string; readonly dir: string } {
  const top = tempDir(t);
  const dir = serviceDir(join(top, "svc"), { run: "#!/bin/sh\necho $$ >>pids\nexec sleep 1000\n" });
  return { top, dir };
}

describe("a supervisor is killed", { concurrency: 4, skip: SANITIZED ? "times are not upkeep's" : false }, () => {
  for (const suite of SUITES) {
    const skip =
      !OTHERS && suite.name !== "upkeep" ? "UPKEEP_LONG is not set" : existsSync(suite.scanner) ? false : "not installed";
    test(`${suite.name}: copies of the service after its supervisor was killed`, { skip }, async (t) => {
      const { top, dir } = started(t);
      const scanner = start(t, suite.scanner, [top], { env: { PATH: suite.path } });
      await until("it runs", () => living(dir).length === 1 && supervisors(suite, scanner.pid).length === 1);
      const [first = 0] = supervisors(suite, scanner.pid);
      process.kill(first, "SIGKILL");
      await until("another supervisor", () => supervisors(suite, scanner.pid).some((pid) => pid !== first));
      const most = await mostCopies(dir);
      t.diagnostic(`${suite.name}: ${most} copies`);
      if (suite.name === "upkeep") assert.equal(most, 1);
    });

    test(`${suite.name}: after the scanner was killed and started again`, { skip }, async (t) => {
      const { top, dir } = started(t);
      const options = { env: { PATH: suite.path } };
      const scanner = start(t, suite.scanner, [top], options);
      await until("it runs", () => living(dir).length === 1 && supervisors(suite, scanner.pid).length === 1);
      const [pid] = living(dir);
      scanner.kill("SIGKILL");
      await scanner.exited;
      const next = start(t, suite.scanner, [top], options);
      const most = await mostCopies(dir);
      const same = living(dir).includes(pid ?? 0);
      const complaints = next.stderr().split("\n").length - 1;
      t.diagnostic(
        `${suite.name}: ${most} copies, the first one ${same ? "lives" : "is gone"}, ${complaints} complaints in ${LOOK_MS / 1000} s`,
      );
      if (suite.name === "upkeep") assert.deepEqual([most, same, complaints], [1, true, 0]);
    });
  }
});
