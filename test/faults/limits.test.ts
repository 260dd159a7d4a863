/**
 * Limits of a control group, and parts that stand still: who is hit is started
 * again, who is not does not notice. (Few descriptors, few processes by rlimit,
 * and full disks: test/blackbox/bad-input.test.ts.)
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { Cgroup, lacksCgroup } from "../support/cgroup.ts";
import { type Child, run, SANITIZED, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { lives, Service, SLEEP, slurp } from "../support/service.ts";

const SV = UPKEEP.program("sv");
const MB = 1024 * 1024;
/** In several processes, so that none is larger than one whom the kernel was told to take first. */
const EATS =
  "#!/bin/sh\necho >>starts\necho 300 >/proc/self/oom_score_adj\nexec perl -e 'fork; fork; push @a, \"x\" x 1000000 while 1'\n";
/** Without fork, which has no memory either when there is none. */
const LINES = '#!/bin/sh\nexec perl -e \'$|=1; while () { print "$$ ", ++$n, "\\n"; select undef, undef, undef, 0.02 }\'\n';

/** Two quiet services, one with a log, below a runsvdir in the group; `first`: what their programs do first. */
function tree(t: TestContext, group: Cgroup, first = ":"): { top: string; runsvdir: Child } {
  const top = tempDir(t);
  const begins = (program: string): string => program.replace("\n", () => `\n${first}\n`);
  serviceDir(join(top, "a"), { run: begins(SLEEP) });
  serviceDir(join(top, "b"), { run: begins(LINES), log: { run: begins("#!/bin/sh\nexec cat >>lines\n") } });
  const shell = `${group.join}; exec '${UPKEEP.program("runsvdir")}' '${top}'`;
  return { top, runsvdir: start(t, "/bin/sh", ["-c", shell], { env: { PATH: UPKEEP.path } }) };
}

/** The lines of each writer count up without a gap. */
function assertWhole(lines: readonly string[]): void {
  const last = new Map<string, number>();
  for (const line of lines) {
    const [writer = "", count = ""] = line.split(" ");
    assert.equal(Number(count), (last.get(writer) ?? 0) + 1, line);
    last.set(writer, Number(count));
  }
}

describe("limits and standstill", { concurrency: 6, skip: SANITIZED ? "memory is not upkeep's" : false }, () => {
  test("memory: who takes too much is killed and started again, the others live, also when runsv itself is killed", {
    skip: lacksCgroup("memory"),
  }, async (t) => {
    const group = Cgroup.for(t, "memory");
    group.limit(32 * MB);
    // The kernel counts the memory of who is being killed until he has ended, and takes the next one
    // meanwhile: that must not be one of these.
    const { top } = tree(t, group, group.leave);
    serviceDir(join(top, "eater"), { run: EATS });
    const [a, b, eater] = ["a", "b", "eater"].map((name) => new Service(join(top, name))) as [Service, Service, Service];
    const pids = [await a.runs(), await b.runs(), await b.log.runs()];
    const supervisors = [a, b, eater].map((s) => s.supervisor);
    await eater.has("starts", 4);
    assert.deepEqual([a.pid, b.pid, b.log.pid], pids);
    assert.deepEqual(
      [a, b, eater].map((s) => s.supervisor),
      supervisors,
    );
    // From now on the kernel would rather kill b's runsv.
    writeFileSync(`/proc/${b.supervisor}/oom_score_adj`, "1000");
    await until("b's runsv was killed", () => b.supervisor !== supervisors[1] && b.supervisor > 0);
    await b.is("run");
    assert.deepEqual([a.pid, b.pid, b.log.pid], pids);
    assert.equal((await run(SV, ["-w", "20", "down", eater.dir])).code, 0);
    assert.equal((await run(SV, ["-w", "20", "force-stop", b.dir])).code, 0);
    assertWhole(b.log.lines("lines"));
  });

  test("pids: what cannot be started is told and tried again, the rest goes on", { skip: lacksCgroup("pids") }, async (t) => {
    const group = Cgroup.for(t, "pids");
    const { top, runsvdir } = tree(t, group);
    const a = new Service(join(top, "a"));
    const pid = await a.runs();
    const log = await new Service(join(top, "b")).log.runs();
    group.limit(1);
    process.kill(pid, "SIGKILL");
    await until("it is told", () => /runsv a: warning: unable to fork, sleeping: /.test(runsvdir.stderr()));
    serviceDir(join(top, "c"), { run: SLEEP });
    await until("that, too", () =>
      /unable to fork/.test(
        runsvdir
          .stderr()
          .split("\n")
          .filter((line) => !line.includes("runsv a"))
          .join("\n"),
      ),
    );
    assert.match((await run(SV, ["status", a.dir])).stdout, /^down: /);
    group.limit(null);
    await a.runs();
    await new Service(join(top, "c")).runs();
    assert.equal(new Service(join(top, "b")).log.pid, log);
  });

  test("a whole tree frozen and thawed: nothing was started, nothing ended", { skip: lacksCgroup("freezer") }, async (t) => {
    const group = Cgroup.for(t, "freezer");
    const { top, runsvdir } = tree(t, group);
    const b = new Service(join(top, "b"));
    const before = [await new Service(join(top, "a")).runs(), await b.runs(), await b.log.runs()];
    group.freeze(true);
    const told = await run(SV, ["-w", "2", "restart", b.dir]);
    assert.equal(told.code, 1);
    assert.match(told.stdout, /^timeout: run: /);
    assert.deepEqual([new Service(join(top, "a")).pid, b.pid, b.log.pid], before);
    group.freeze(false);
    // What was asked meanwhile comes true now.
    await b.runs(before[1]);
    assert.deepEqual([new Service(join(top, "a")).pid, b.log.pid], [before[0], before[2]]);
    assert.equal(runsvdir.stderr(), "");
  });

  test("a runsv that stood still just before a start is succeeded by one that recognises its service", async (t) => {
    const top = tempDir(t);
    const make = (name: string): Service => new Service(serviceDir(join(top, name), { run: SLEEP }));
    const traced = async (s: Service, words: readonly string[]): Promise<string> => {
      const file = `${s.dir}.trace`;
      const strace = start(t, "strace", ["-o", file, ...words, UPKEEP.program("runsv"), s.dir]);
      await s.runs();
      const runsv = s.supervisor;
      process.kill(runsv, "SIGKILL");
      await strace.exited;
      return slurp(file);
    };
    const calls = await traced(make("plain"), ["-e", "trace=pwrite64,vfork"]);
    const last = calls.split("vfork")[0]?.match(/^pwrite64/gm)?.length ?? 0;
    assert.ok(last > 0, calls);
    const s = make("late");
    await traced(s, ["-e", "trace=pwrite64", "-e", `inject=pwrite64:delay_exit=1500000:when=${last}`]);
    const pid = s.pid;
    start(t, UPKEEP.program("runsv"), [s.dir], { env: { PATH: UPKEEP.path } });
    await until("its successor has looked", () => s.supervisor > 0 && lives(s.supervisor));
    assert.equal((await run(SV, ["-w", "20", "start", s.dir])).code, 0);
    assert.ok(lives(pid));
    assert.equal(s.pid, pid);
  });

  test("SIGSTOP of runsv, of its service, and of runsvdir: told as a timeout, mended by CONT", async (t) => {
    const top = tempDir(t);
    const s = new Service(serviceDir(join(top, "a"), { run: SLEEP }));
    const runsvdir = start(t, UPKEEP.program("runsvdir"), [top], { env: { PATH: UPKEEP.path } });
    const pid = await s.runs();
    const runsv = s.supervisor;
    process.kill(runsv, "SIGSTOP");
    const stopped = await run(SV, ["-w", "1", "restart", s.dir]);
    assert.match(stopped.stdout, /^timeout: run: /);
    assert.ok(lives(pid) && s.pid === pid);
    process.kill(runsv, "SIGCONT");
    const second = await s.runs(pid);
    // A service that stands still ends when it is told to: runsv continues it.
    process.kill(second, "SIGSTOP");
    assert.equal((await run(SV, ["-w", "20", "restart", s.dir])).code, 0);
    const third = await s.runs(second);
    runsvdir.kill("SIGSTOP");
    serviceDir(join(top, "b"), { run: SLEEP });
    assert.equal((await run(SV, ["-w", "20", "restart", s.dir])).code, 0);
    await s.runs(third);
    assert.equal(new Service(join(top, "b")).pid, 0);
    runsvdir.kill("SIGCONT");
    await new Service(join(top, "b")).runs();
  });
});
