/**
 * Our programs beside runit's, in every combination: sv and runsv, runsvdir and
 * the runsv it finds. The files of supervise are the whole of what they share.
 */
import assert from "node:assert/strict";
import { mkdirSync, readlinkSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { mask, RUNIT, run, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { lives, pairs, Service, SLEEP, slurp, together } from "../support/service.ts";

const CAT = "#!/bin/sh\nexec cat >>lines\n";
const DEAF = "#!/bin/sh\ntrap '' HUP\nexec sleep 1000\n";
const STUBBORN = "#!/bin/sh\ntrap '' TERM\necho >>starts\nwhile :; do sleep 0.05; done\n";

together("cross", () => {
  together("cross: sv and runsv", () => {
    pairs("the life of a service, command by command", async (sv, supervisors, dir, t) => {
      const s = new Service(
        serviceDir(join(dir, "web"), { run: DEAF, log: { run: "#!/bin/sh\ntrap '' HUP\nexec cat >>lines\n" } }),
      );
      const runsv = start(t, supervisors.program("runsv"), ["web"], { cwd: dir });
      await s.runs();
      await s.log.runs();
      const tell = async (...args: string[]): Promise<string> => {
        const r = await run(sv.program("sv"), args, { env: { SVDIR: dir } });
        assert.equal(r.stderr, "");
        return `${mask(r.stdout)}${r.code}`;
      };
      const up = "run: web: (pid PID) Ns";
      const log = "run: log: (pid PID) Ns";
      assert.equal(await tell("status", "web"), `${up}; ${log}\n0`);
      assert.equal(await tell("status", "web/log"), "run: web/log: (pid PID) Ns\n0");
      assert.equal(await tell("start", "web"), `ok: ${up}\n0`);
      assert.equal(await tell("stop", "web"), "ok: down: web: Ns, normally up\n0");
      assert.equal(await tell("status", "web"), `down: web: Ns, normally up; ${log}\n0`);
      // Both sv compare the second of the status with the one they began in.
      await until("a second has passed", () => Date.now() / 1000 - s.since > 2);
      assert.equal(await tell("-v", "once", "web"), "ok: run: web: (pid PID) Ns, want down\n0");
      assert.equal(await tell("-v", "pause", "web"), "ok: run: web: (pid PID) Ns, paused, want down\n0");
      assert.equal(await tell("-v", "cont", "web"), "ok: run: web: (pid PID) Ns, want down\n0");
      // It is up already, so that sv need not wait for the byte to be read.
      assert.equal((await tell("-v", "up", "web")).replace(", want down", ""), `ok: ${up}\n0`);
      await s.is("run");
      assert.equal(await tell("check", "web"), `ok: ${up}\n0`);
      const first = await s.runs();
      await until("a second has passed", () => Date.now() / 1000 - s.since > 2);
      assert.equal(await tell("restart", "web"), `ok: ${up}\n0`);
      const second = await s.runs(first);
      await until("a second has passed", () => Date.now() / 1000 - s.since > 2);
      assert.equal(await tell("try-restart", "web"), `ok: ${up}\n0`);
      await s.runs(second);
      assert.equal(await tell("reload", "web"), `ok: ${up}\n0`);
      assert.equal(await tell("-v", "hup", "web", "web/log"), `ok: ${up}\nok: run: web/log: (pid PID) Ns\n0`);
      assert.equal(await tell("-v", "exit", "web"), "ok: web: runsv not running\n0");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.equal(await tell("shutdown", "web"), "ok: web: runsv not running\n0");
      assert.equal(await tell("exit", "web"), "ok: web: runsv not running\n0");
      assert.equal(await tell("status", "web"), "fail: web: runsv not running\n1");
    });

    pairs("stop, force-stop and force-shutdown of a service that does not heed TERM", async (sv, supervisors, dir, t) => {
      const services = ["a", "b", "c"].map((name) => new Service(serviceDir(join(dir, name), { run: STUBBORN })));
      for (const name of ["a", "b", "c"]) start(t, supervisors.program("runsv"), [name], { cwd: dir });
      for (const s of services) await s.has("starts");
      const tell = async (...args: string[]): Promise<string> => {
        const r = await run(sv.program("sv"), args, { env: { SVDIR: dir } });
        return `${mask(r.stdout)}${r.code}`;
      };
      const line = "(pid PID) Ns, want down, got TERM\n";
      assert.equal(await tell("-w", "1", "stop", "a"), `timeout: run: a: ${line}1`);
      assert.equal(await tell("-w", "1", "force-stop", "a", "b"), `kill: run: a: ${line}kill: run: b: ${line}2`);
      for (const s of services.slice(0, 2)) await s.is("down");
      assert.equal(await tell("-w", "1", "force-shutdown", "c"), `kill: run: c: ${line}1`);
      await until("runsv ends", async () => (await tell("status", "c")) === "fail: c: runsv not running\n1");
      const gone = (await tell("-v", "exit", "a", "b")).split("\n").sort();
      assert.deepEqual(gone, ["0", "ok: a: runsv not running", "ok: b: runsv not running"]);
    });

    pairs("several services on a line: SVDIR, paths, one that is missing, a check script", async (sv, supervisors, dir, t) => {
      for (const [name, down] of [
        ["one", false],
        ["two", true],
        ["three", false],
      ] as const) {
        serviceDir(join(dir, name), { run: SLEEP, check: "#!/bin/sh\n[ ! -e refuse ]\n", down });
        start(t, supervisors.program("runsv"), [name], { cwd: dir });
      }
      await new Service(join(dir, "one")).runs();
      await new Service(join(dir, "two")).is("down");
      await new Service(join(dir, "three")).runs();
      writeFileSync(join(dir, "three/refuse"), "");
      const program = sv.program("sv");
      const status = await run(program, ["status", "one", join(dir, "two"), "missing", "./three"], {
        cwd: dir,
        env: { SVDIR: "." },
      });
      const missing = "fail: missing: unable to change to service directory: file does not exist\n";
      assert.equal(mask(status.stdout), `run: one: (pid PID) Ns\ndown: ${dir}/two: Ns\n${missing}run: ./three: (pid PID) Ns\n`);
      assert.equal(status.code, 1);
      const started = await run(program, ["-w", "1", "start", "three", "one", "missing", "two"], { env: { SVDIR: dir } });
      assert.deepEqual(mask(started.stdout).split("\n").sort(), [
        "",
        missing.trimEnd(),
        "ok: run: one: (pid PID) Ns",
        "ok: run: two: (pid PID) Ns, normally down",
        "timeout: run: three: (pid PID) Ns",
      ]);
      assert.equal(started.code, 2);
    });

    pairs("init.d mode: a link to sv", async (sv, supervisors, dir, t) => {
      const s = new Service(serviceDir(join(dir, "svc/web"), { run: SLEEP }));
      mkdirSync(join(dir, "init.d"));
      symlinkSync(sv.program("sv"), join(dir, "init.d/web"));
      start(t, supervisors.program("runsv"), ["svc/web"], { cwd: dir });
      await s.runs();
      const rows: readonly (readonly [readonly string[], string, number])[] = [
        [["status"], "run: web: (pid PID) Ns\n", 0],
        [["stop"], "ok: down: web: Ns, normally up\n", 0],
        [["status"], "down: web: Ns, normally up\n", 3],
        [["start"], "ok: run: web: (pid PID) Ns\n", 0],
        [["-w", "3", "force-reload", "ignored"], "ok: run: web: (pid PID) Ns\n", 0],
        [["shutdown"], "ok: web: runsv not running\n", 0],
        [["status"], "fail: web: runsv not running\n", 1],
        [["start"], "fail: web: runsv not running\n", 1],
      ];
      for (const [args, stdout, code] of rows) {
        // A start within a second of the one before would be late.
        if (args.includes("force-reload")) await until("time has passed", () => Date.now() / 1000 - s.since > 2);
        const r = await run(join(dir, "init.d/web"), args, { env: { SVDIR: join(dir, "svc") } });
        assert.deepEqual([mask(r.stdout), r.stderr, r.code], [stdout, "", code], args.join(" "));
      }
    });
  });

  together("cross: runsvdir and runsv", () => {
    for (const [scanner, supervisors] of [
      [RUNIT, UPKEEP],
      [UPKEEP, RUNIT],
    ] as const) {
      test(`runsvdir of ${scanner.name} with the runsv of ${supervisors.name} in PATH`, async (t) => {
        const dir = tempDir(t);
        const names = ["a", "b"];
        const services = names.map((name) => new Service(serviceDir(join(dir, name), { run: SLEEP, log: { run: CAT } })));
        const child = start(t, scanner.program("runsvdir"), ["-P", dir, `log: ${".".repeat(99)}`], {
          env: { PATH: supervisors.path },
        });
        const runsvOf = (s: Service): number => Number(/\) \S (\d+)/.exec(slurp(`/proc/${s.pid}/stat`))?.[1]);
        for (const s of services) {
          await s.runs();
          await s.log.runs();
          assert.equal(readlinkSync(`/proc/${runsvOf(s)}/exe`), realpathSync(supervisors.program("runsv")));
        }
        // One that ends is started again, one that goes away is ended, one that comes is started.
        const [a, b] = services;
        assert.ok(a !== undefined && b !== undefined);
        const before = a.pid;
        a.tell("x");
        await a.runs(before);
        renameSync(b.dir, join(dir, ".b"));
        await new Service(join(dir, ".b")).is("down");
        serviceDir(join(dir, ".c"), { run: SLEEP });
        renameSync(join(dir, ".c"), join(dir, "c"));
        const c = new Service(join(dir, "c"));
        await c.runs();
        rmSync(join(dir, "c/run"));
        c.tell("k");
        await until("its message is in the command line", () =>
          slurp(`/proc/${child.pid}/cmdline`).includes("runsv c: fatal: unable to start"),
        );
        child.kill("SIGHUP");
        assert.deepEqual(await child.exited, { code: 111, signal: null });
        await a.is("down");
        await c.is("down");
      });
    }

    test("a runsvdir of either kind leaves its runsv to a successor of the other", async (t) => {
      const dir = tempDir(t);
      const s = new Service(serviceDir(join(dir, "a"), { run: SLEEP }));
      for (const [first, second] of [
        [RUNIT, UPKEEP],
        [UPKEEP, RUNIT],
      ] as const) {
        const one = start(t, first.program("runsvdir"), [dir], { env: { PATH: first.path } });
        const pid = await s.runs();
        one.kill("SIGTERM");
        await one.exited;
        const two = start(t, second.program("runsvdir"), [dir], { env: { PATH: second.path } });
        // The lock is held: the newcomer's runsv says so and is tried again, and the service does not notice.
        await until("it fails on the lock", () =>
          two.stderr().includes("runsv a: fatal: unable to lock supervise/lock: temporary failure"),
        );
        assert.deepEqual([s.pid, lives(pid)], [pid, true]);
        s.tell("x");
        await s.runs(pid);
        two.kill("SIGHUP");
        await two.exited;
        await s.is("down");
      }
    });
  });
});
