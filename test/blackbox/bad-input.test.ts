/**
 * What surrounds runsv and runsvdir at its worst: garbage in the FIFOs, a full
 * disk, directories nobody may read, no descriptors, no processes, a log
 * service that hangs. What is asked for each time: a clear message, another
 * try at a set time, nothing lost, the other services untouched.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { each } from "../support/compare.ts";
import { type Child, run, SANITIZED, type ServiceFiles, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { lives, Service, SLEEP, slurp, together } from "../support/service.ts";

const ROOT = process.getuid?.() === 0;
/** Appends to ../lines, and loses nothing by TERM: what was read is written first. */
const CAREFUL = `#!/usr/bin/perl
$SIG{TERM} = sub { $end = 1 };
open(F, ">>", "../lines");
until ($end) { my $n = sysread(STDIN, $b, 65536); next if !defined $n; last if !$n; syswrite(F, $b) }
`;
const CAT = "#!/bin/sh\nexec cat >>lines\n";
const FEW = SANITIZED ? "the leak check needs descriptors itself" : false;
/** A user nobody else is, so that limits on processes count ours alone. */
const STRANGER = 2100000000 + (process.pid % 40000);

function launch(t: TestContext, files: ServiceFiles): { readonly s: Service; readonly runsv: Child; readonly dir: string } {
  const dir = tempDir(t);
  const s = new Service(serviceDir(join(dir, "svc"), files));
  return { s, runsv: start(t, UPKEEP.program("runsv"), ["svc"], { cwd: dir }), dir };
}

/** The programs where every user may run them. */
function publicPrograms(dir: string): string {
  const bin = join(dir, "bin");
  mkdirSync(bin);
  copyFileSync(UPKEEP.program("upkeep"), join(bin, "upkeep"));
  for (const name of ["runsv", "runsvdir", "sv"]) symlinkSync("upkeep", join(bin, name));
  return bin;
}

function own(path: string): void {
  execFileSync("chown", ["-R", `${STRANGER}`, path]);
}

/** Fills a small file system to the last byte. */
function fill(path: string): void {
  try {
    execFileSync("dd", ["if=/dev/zero", `of=${path}`, "bs=512"], { stdio: "ignore" });
  } catch {
    // It is full: that was the aim.
  }
}

together("bad input", () => {
  together("control", () => {
    test("a flood of garbage: no start, no stop, and commands are still obeyed", async (t) => {
      const { s, dir } = launch(t, { run: SLEEP, log: { run: CAT } });
      const pid = await s.runs();
      const log = await s.log.runs();
      // Every byte but the letters of commands, in writes of all sizes.
      const script = `$| = 1; my $g = join("", grep { !/[udopchaiqktx12]/ } map { chr } 0..255);
        open(F, "+<", $ARGV[0]) or die; for (1..4000) { syswrite(F, $g x int(rand(20))) }`;
      const flood = start(t, "/usr/bin/perl", ["-e", script, s.path("supervise/control")]);
      const other = start(t, "/usr/bin/perl", ["-e", script, s.path("log/supervise/control")]);
      const sv = UPKEEP.program("sv");
      // The FIFO may be full at the moment: sv says so, as runit's does.
      const full = "warning: svc: unable to write to supervise/control: temporary failure\n";
      await until("the command comes through", async () => {
        const r = await run(sv, ["-w", "30", "restart", "svc"], { env: { SVDIR: dir } });
        assert.ok(r.stdout === full || r.stdout.startsWith("ok: run: svc: "), r.stdout);
        return r.code === 0;
      });
      const second = await s.runs(pid);
      assert.deepEqual([(await flood.exited).code, (await other.exited).code], [0, 0]);
      assert.deepEqual([s.pid, s.log.pid, s.stat, s.log.stat], [second, log, "run", "run"]);
    });

    test("a control FIFO that is removed and made again, or full: what is running goes on", async (t) => {
      const { s, runsv } = launch(t, { run: SLEEP });
      const pid = await s.runs();
      rmSync(s.path("supervise/control"));
      const r = await run(UPKEEP.program("sv"), ["term", s.dir]);
      assert.deepEqual([r.code, r.stdout], [1, `warning: ${s.dir}: unable to open supervise/control: file does not exist\n`]);
      assert.equal(s.pid, pid);
      runsv.kill("SIGTERM");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
    });

    test("a full queue behind a control script that hangs: nothing is lost, k goes past it", async (t) => {
      const { s } = launch(t, {
        run: "#!/bin/sh\ntrap 'echo >>got' USR1\necho >>starts\nwhile :; do sleep 0.02; done\n",
        control: { h: "#!/bin/sh\nexec sleep 1000\n" },
      });
      await s.has("starts");
      s.tell(`h${"z".repeat(500)}`);
      await delay(100);
      s.tell("k");
      // k ends the script; then, in its turn, it ends the service as well.
      await s.has("starts", 2);
    });
  });

  together("disk", () => {
    test("a full disk below supervise: told once, the service is controlled, the files come true again", {
      skip: !ROOT,
    }, async (t) => {
      const dir = tempDir(t);
      const s = new Service(serviceDir(join(dir, "svc"), { run: SLEEP, log: { run: CAT } }));
      mkdirSync(s.path("supervise"));
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "small", s.path("supervise")]);
      const other = new Service(serviceDir(join(dir, "other"), { run: SLEEP }));
      const runsvdir = start(t, UPKEEP.program("runsvdir"), [dir], { env: { PATH: UPKEEP.path } });
      const pid = await s.runs();
      const untouched = await other.runs();
      fill(s.path("supervise/filler"));
      s.tell("t");
      await until("it was restarted", () => !lives(pid));
      await until("it is told", () => runsvdir.stderr().includes("out of disk space"));
      await delay(2500);
      const told = runsvdir
        .stderr()
        .split("\n")
        .filter((line) => line !== "");
      assert.ok(told.length <= 2, runsvdir.stderr());
      assert.match(told[0] ?? "", /^runsv svc: warning: unable to write supervise\/(pid|stat|status)\.new: out of disk space$/);
      rmSync(s.path("supervise/filler"));
      const second = await s.runs(pid);
      assert.ok(lives(second));
      assert.equal((await run(UPKEEP.program("sv"), ["-w", "20", "stop", "svc"], { env: { SVDIR: dir } })).code, 0);
      assert.deepEqual([other.pid, other.stat, s.log.stat], [untouched, "run", "run"]);
      runsvdir.kill("SIGHUP");
      await runsvdir.exited;
      await other.is("down");
    });

    test("a disk that is full from the start, or read-only: a fatal message and another try each second", {
      skip: !ROOT,
    }, async (t) => {
      const dir = tempDir(t);
      const s = new Service(serviceDir(join(dir, "svc"), { run: SLEEP }));
      mkdirSync(s.path("supervise"));
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "small", s.path("supervise")]);
      execFileSync("mount", ["-o", "remount,ro", s.path("supervise")]);
      // Nor is there another place for it: doc/differences.md, runsv-state.
      const env = { PATH: UPKEEP.path, UPKEEP_STATE: "/dev/null/none" };
      const runsvdir = start(t, UPKEEP.program("runsvdir"), [dir], { env });
      const message = "runsv svc: fatal: unable to open supervise/lock: read-only file system\n";
      await until("it is told twice", () => runsvdir.stderr().startsWith(message.repeat(2)));
      execFileSync("mount", ["-o", "remount,rw", s.path("supervise")]);
      await s.runs();
      runsvdir.kill("SIGHUP");
      await runsvdir.exited;
      await s.is("down");
    });

    test("runsv-state: a service directory that cannot be written has its supervise elsewhere, where sv finds it", {
      skip: !ROOT,
    }, async (t) => {
      const dir = tempDir(t);
      const s = new Service(serviceDir(join(dir, "svc"), { run: SLEEP }));
      execFileSync("mount", ["--bind", s.dir, s.dir]);
      execFileSync("mount", ["-o", "remount,bind,ro", s.dir]);
      const env = { UPKEEP_STATE: join(dir, "state") };
      const runsv = start(t, UPKEEP.program("runsv"), [s.dir], { env });
      await new Service(join(dir, "state", s.dir)).runs();
      const sv = (...args: string[]): ReturnType<typeof run> => run(UPKEEP.program("sv"), args, { env });
      assert.match((await sv("status", s.dir)).stdout, /^run: /);
      assert.equal((await sv("-v", "exit", s.dir)).stdout, `ok: ${s.dir}: runsv not running\n`);
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
    });

    test("the log directory goes away and comes back: its messages, and no line lost", async (t) => {
      const { s, runsv, dir } = launch(t, {
        run: "#!/bin/sh\nn=0\nwhile :; do n=$((n+1)); echo $n; sleep 0.02; done\n",
        log: { run: CAREFUL },
      });
      await s.has("lines", 5);
      const log = await s.log.runs();
      execFileSync("mv", [s.path("log"), join(dir, "away")]);
      process.kill(log, "SIGTERM");
      const message = "runsv svc: fatal: unable to change directory to ./log: file does not exist\n";
      await until("it is told twice", () => runsv.stderr().startsWith(message.repeat(2)));
      execFileSync("mv", [join(dir, "away"), s.path("log")]);
      await s.log.runs(log);
      s.tell("x");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      const lines = s.lines("lines").map(Number);
      assert.deepEqual(
        lines,
        Array.from({ length: lines.length }, (_, i) => i + 1),
      );
    });
  });

  together("permissions", () => {
    test("a service directory its user may not enter: told each second, the others run", { skip: !ROOT }, async (t) => {
      const dir = tempDir(t);
      const scan = join(dir, "scan");
      const bin = publicPrograms(dir);
      const good = new Service(serviceDir(join(scan, "good"), { run: SLEEP }));
      const bad = new Service(serviceDir(join(scan, "bad"), { run: SLEEP }));
      own(scan);
      chownSync(bad.dir, 0, 0);
      chmodSync(bad.dir, 0o700);
      const as = ["--reuid", `${STRANGER}`, "--clear-groups", join(bin, "runsvdir"), scan];
      const runsvdir = start(t, "/usr/bin/setpriv", as, { env: { PATH: `${bin}:/usr/bin:/bin` } });
      await good.runs();
      const message = "runsv bad: fatal: unable to change to directory: access denied\n";
      await until("it is told twice", () => runsvdir.stderr().startsWith(message.repeat(2)));
      const pid = good.pid;
      chownSync(bad.dir, STRANGER, 0);
      await bad.runs();
      assert.equal(good.pid, pid);
    });

    test("files its user may not read: run, finish, down, control", { skip: !ROOT }, async (t) => {
      const dir = tempDir(t);
      const bin = publicPrograms(dir);
      const s = new Service(
        serviceDir(join(dir, "svc"), {
          run: "#!/bin/sh\necho >>starts\nexec sleep 1000\n",
          finish: "#!/bin/sh\necho >>finishes\n",
          control: { t: "#!/bin/sh\necho >>hooks\n" },
        }),
      );
      own(s.dir);
      // finish that cannot be opened is none (runsv(8)); control that cannot be entered is told, and the signal sent.
      chmodSync(s.path("finish"), 0o100);
      chownSync(s.path("finish"), 0, 0);
      chmodSync(s.path("control"), 0);
      const runsv = start(t, "/usr/bin/setpriv", ["--reuid", `${STRANGER}`, "--clear-groups", join(bin, "runsv"), "svc"], {
        cwd: dir,
      });
      await s.has("starts");
      s.tell("t");
      await until("it is told", () => runsv.stderr().includes("control/t"));
      assert.match(runsv.stderr(), /runsv svc: warning: unable to stat control\/t: access denied\n/);
      await s.has("starts", 2);
      assert.deepEqual([s.file("finishes"), s.file("hooks")], ["", ""]);
    });
  });

  together("limits", () => {
    test("few descriptors: runsv runs, ends, or goes on trying, and says what it lacks", { skip: FEW }, async (t) => {
      const dir = tempDir(t);
      const counts = Array.from({ length: 21 }, (_, i) => i + 4);
      const ends: string[] = [];
      await each(counts, async (n) => {
        const s = new Service(serviceDir(join(dir, `s${n}`), { run: SLEEP, log: { run: CAT } }));
        const runsv = start(t, "/usr/bin/prlimit", [`--nofile=${n}:1000`, UPKEEP.program("runsv"), `s${n}`], { cwd: dir });
        let code: number | null | undefined;
        runsv.exited.then((end) => {
          code = end.code;
        });
        const lacking = (): boolean => /process cannot open more files|Too many open files/.test(runsv.stderr());
        const up = (): boolean => s.stat === "run" && s.log.stat === "run";
        await until(`${n}: it runs, ends, or complains`, () => code !== undefined || up() || lacking());
        await until(`${n}: it runs, or says what it lacks`, () => up() || lacking());
        try {
          execFileSync("prlimit", [`--pid=${runsv.pid}`, "--nofile=1000"], { stdio: "ignore" });
        } catch {
          // It has ended.
        }
        await until(`${n}: it runs or has ended`, () => code !== undefined || up());
        ends.push(code === undefined ? "runs" : `${code}`);
        if (code !== undefined) return;
        s.tell("x");
        assert.deepEqual(await runsv.exited, { code: 0, signal: null }, `${n}`);
      });
      // 127: not even a program can be loaded.
      assert.deepEqual([...new Set(ends)].filter((end) => end !== "127").sort(), ["111", "runs"]);
    });

    test("few descriptors: runsvdir starts what it can, and the rest when there are more", async (t) => {
      const dir = tempDir(t);
      const names = Array.from({ length: 30 }, (_, i) => `s${i}`);
      for (const name of names) serviceDir(join(dir, name), { run: SLEEP, log: { run: CAT } });
      const runsvdir = start(t, "/usr/bin/prlimit", ["--nofile=24", UPKEEP.program("runsvdir"), dir], {
        env: { PATH: UPKEEP.path },
      });
      // The pipes it keeps for its services take what there is; a service then has one that only its runsv keeps.
      for (const name of names) await new Service(join(dir, name)).runs();
      const pids = names.map((name) => new Service(join(dir, name)).pid);
      serviceDir(join(dir, ".more"), { run: SLEEP });
      execFileSync("mv", [join(dir, ".more"), join(dir, "more")]);
      await new Service(join(dir, "more")).runs();
      assert.deepEqual(
        names.map((name) => new Service(join(dir, name)).pid),
        pids,
      );
      runsvdir.kill("SIGHUP");
      assert.deepEqual(await runsvdir.exited, { code: 111, signal: null });
      for (const name of names) await new Service(join(dir, name)).is("down");
    });

    test("no more processes: told, tried again, and all run when there may be more", { skip: !ROOT }, async (t) => {
      const dir = tempDir(t);
      const scan = join(dir, "scan");
      const bin = publicPrograms(dir);
      const names = ["a", "b", "c", "d", "e"];
      for (const name of names) serviceDir(join(scan, name), { run: SLEEP });
      own(scan);
      const as = ["--reuid", `${STRANGER + 1}`, "--clear-groups", join(bin, "runsvdir"), scan];
      execFileSync("chown", ["-R", `${STRANGER + 1}`, scan]);
      const args = ["--nproc=6:1000", "/usr/bin/setpriv", ...as];
      const runsvdir = start(t, "/usr/bin/prlimit", args, { env: { PATH: `${bin}:/usr/bin:/bin` } });
      await until("it is told", () => runsvdir.stderr().includes("temporary failure"));
      assert.match(
        runsvdir.stderr(),
        /^(runsvdir \S+: warning: unable to fork for [a-e]|runsv [a-e]: warning: unable to fork, sleeping): temporary failure\n/,
      );
      const supervisors = slurp(`/proc/${runsvdir.pid}/task/${runsvdir.pid}/children`).trim().split(" ").map(Number);
      for (const pid of [runsvdir.pid, ...supervisors]) {
        // A user may raise the limits of his own processes up to the hard one (prlimit(2)).
        execFileSync("setpriv", ["--reuid", `${STRANGER + 1}`, "--clear-groups", "prlimit", `--pid=${pid}`, "--nproc=1000"]);
      }
      for (const name of names) await new Service(join(scan, name)).runs();
    });
  });

  together("log services that hang", () => {
    const COUNT = '#!/bin/sh\nn=0\nwhile :; do n=$((n+1)); echo "line $n of a service whose logger does not read"; done\n';

    test("a reader that stops: runsv obeys, other services run, nothing is lost when it goes on", async (t) => {
      const { s, runsv, dir } = launch(t, {
        run: COUNT,
        finish: "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' x\necho\necho finish\n",
        log: { run: "#!/bin/sh\nexec cat >../lines\n" },
      });
      const other = new Service(serviceDir(join(dir, "other"), { run: SLEEP }));
      start(t, UPKEEP.program("runsv"), ["other"], { cwd: dir });
      await s.runs();
      await s.log.runs();
      await until("lines arrive", () => statSync(s.path("lines")).size > 1000);
      s.log.tell("p");
      await s.log.is("run, paused");
      await until("the pipe is full", () => /\) S .*/.test(slurp(`/proc/${s.pid}/stat`)) && slurp(`/proc/${s.pid}/wchan`) !== "");
      const before = s.pid;
      s.tell("d");
      // finish waits in its write; runsv does not.
      await s.is("finish, want down");
      await s.log.is("run, paused");
      await other.runs();
      assert.ok(!lives(before));
      s.log.tell("c");
      await s.is("down");
      await until("the last line is there", () => s.lines("lines").at(-1) === "finish");
      const lines = s.lines("lines").slice(0, -2);
      assert.equal(s.lines("lines").at(-2)?.length, 200000);
      const numbers = lines.map((line) => Number(line.split(" ")[1]));
      assert.deepEqual(
        numbers,
        Array.from({ length: numbers.length }, (_, i) => i + 1),
      );
      assert.equal(runsv.stderr(), "");
    });

    test("on exit: it is waited for and named, each time after twice as long", async (t) => {
      const { s, runsv } = launch(t, { run: SLEEP, log: { run: CAT } });
      await s.runs();
      await s.log.runs();
      s.log.tell("p");
      await s.log.is("run, paused");
      s.tell("x");
      const log = s.log.pid;
      const message = `runsv svc: warning: still waiting for the log service to read the rest and end: pid ${log}\n`;
      await until("it is named", () => runsv.stderr().startsWith(message));
      assert.deepEqual([s.stat, s.log.stat], ["down", "run, paused, want exit"]);
      s.log.tell("c");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.equal(runsv.stderr().split(message).join(""), "");
      assert.ok(runsv.stderr().length <= 3 * message.length, runsv.stderr());
    });

    test("a control script that writes into a full pipe is ended by k", async (t) => {
      const { s } = launch(t, {
        run: "#!/bin/sh\necho >>starts\nexec sleep 1000\n",
        control: { h: "#!/bin/sh\nexec yes\n" },
        log: { run: SLEEP },
      });
      await s.has("starts");
      s.tell("h");
      await delay(200);
      s.tell("k");
      await s.has("starts", 2);
    });
  });
});
