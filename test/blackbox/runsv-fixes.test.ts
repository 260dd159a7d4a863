/**
 * Defects of runit's runsv that ours has not: what each test shows of ours is
 * told in doc/differences.md under the name at the beginning of its title.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { both, type Child, inTime, run, type ServiceFiles, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { lives, Service, SLEEP, together } from "../support/service.ts";

const CRASH = "#!/bin/sh\necho $$ >>starts\n";
/** Runs until it is killed; tells when it finds another copy of itself. */
const ALONE = `#!/bin/sh
mkdir alone || echo second >>copies
echo $$ >>starts
trap 'rmdir alone; exit' TERM
while :; do sleep 0.03; done
`;
const FINISH = '#!/bin/sh\necho "$@" >>finishes\nrmdir alone 2>/dev/null\nsleep 0.2\n';

function launch(t: TestContext, files: ServiceFiles): { readonly s: Service; readonly runsv: Child; readonly dir: string } {
  const dir = tempDir(t);
  const s = new Service(serviceDir(join(dir, "svc"), files));
  return { s, runsv: start(t, UPKEEP.program("runsv"), ["svc"], { cwd: dir }), dir };
}

/** Something is done at once, not at the end of a second. */
function atOnce(fn: () => Promise<void>): Promise<void> {
  return inTime(800, async () => {
    const began = performance.now();
    await fn();
    return performance.now() - began;
  });
}

/** Waits for the beginning of a second between two starts. */
async function crashed(s: Service): Promise<void> {
  await s.has("starts", s.lines("starts").length + 1);
  await s.is("down");
}

together("runsv-fixes", () => {
  together("runsv-throttle: nothing waits for the second between two starts", () => {
    test("runsv-throttle: commands", async (t) => {
      const { s } = launch(t, { run: CRASH });
      await s.has("starts");
      await crashed(s);
      await atOnce(async () => {
        s.tell("d");
        await until("it is not wanted", () => s.status.want === "down");
        s.tell("u");
        await until("it is wanted", () => s.status.want === "up");
      });
      await crashed(s);
    });

    test("runsv-throttle: TERM, and x", async (t) => {
      for (const end of ["TERM", "x"] as const) {
        const { s, dir, runsv } = launch(t, { run: CRASH, log: { run: "#!/bin/sh\nexec cat\n" } });
        let child = runsv;
        await s.has("starts");
        await s.is("down");
        await atOnce(async () => {
          if (end === "x") s.tell("x");
          else child.kill("SIGTERM");
          await child.exited;
          child = start(t, UPKEEP.program("runsv"), ["svc"], { cwd: dir });
          await s.log.runs();
        });
      }
    });

    test("runsv-throttle: the log service beside a service that crashes", async (t) => {
      const { s } = launch(t, { run: CRASH, log: { run: "#!/bin/sh\nexec cat\n" } });
      const log = await s.log.runs();
      await s.has("starts");
      await crashed(s);
      await atOnce(async () => {
        s.log.tell("p");
        await s.log.is("run, paused");
        s.log.tell("c");
        await s.log.is("run");
      });
      s.log.tell("k");
      await s.log.runs(log);
    });

    test("runsv-throttle: sv down and sv up in that second end up", async (t) => {
      const { s } = launch(t, { run: CRASH });
      await s.has("starts", 1);
      await s.is("down");
      const sv = UPKEEP.program("sv");
      assert.equal((await run(sv, ["down", s.dir])).code, 0);
      assert.equal((await run(sv, ["up", s.dir])).code, 0);
      await s.has("starts", s.lines("starts").length + 2);
    });
  });

  together("runsv-kill: the state is left only when the process has ended", () => {
    test("runsv-kill: ku starts no second copy, and finish runs once", async (t) => {
      const { s } = launch(t, { run: ALONE, finish: FINISH });
      const pid = await s.runs();
      await s.has("starts");
      s.tell("ku");
      await s.runs(pid);
      await s.has("starts", 2);
      assert.deepEqual([s.file("copies"), s.lines("finishes")], ["", ["-1 9"]]);
    });

    test("runsv-kill: k while finish runs ends finish, which is not run again", async (t) => {
      const { s } = launch(t, { run: CRASH, finish: '#!/bin/sh\necho "$@" >>finishes\nexec sleep 1000\n' });
      await s.has("finishes");
      await s.is("finish");
      const finish = s.pid;
      s.tell("dk");
      await s.is("down");
      assert.ok(!lives(finish));
      assert.deepEqual([s.lines("finishes"), s.lines("starts").length], [["0 0"], 1]);
    });

    test("runsv-kill: kx, as of force-shutdown, waits for finish and leaves true files", async (t) => {
      const { s, runsv } = launch(t, { run: ALONE, finish: FINISH });
      const pid = await s.runs();
      await s.has("starts");
      s.tell("kx");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.deepEqual([lives(pid), s.stat, s.file("supervise/pid"), s.lines("finishes")], [false, "down", "", ["-1 9"]]);
    });

    test("runsv-kill: a service that control/k saved is still there for d, t and x", async (t) => {
      const { s, runsv } = launch(t, { run: ALONE, control: { k: "#!/bin/sh\necho k >>hooks\n" } });
      const pid = await s.runs();
      await s.has("starts");
      s.tell("k");
      await s.has("hooks");
      await delay(100);
      assert.deepEqual([s.stat, s.pid], ["run", pid]);
      s.tell("t");
      const second = await s.runs(pid);
      await s.has("starts", 2);
      s.tell("kx");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.deepEqual([lives(second), s.stat, s.file("copies")], [false, "down", ""]);
    });
  });

  together("other defects", () => {
    // compat: what runit shows, so that a script that looks at it can be judged.
    both("runsv-paused: p on a service that is down", async (tools, dir, t) => {
      const s = new Service(serviceDir(join(dir, "svc"), { run: SLEEP, down: true }));
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.is("down");
      s.tell("p");
      if (tools.name === "runit") {
        await s.is("down, paused");
        return;
      }
      s.tell("o");
      await s.is("run, want down");
      assert.equal(s.status.paused, false);
    });

    both("runsv-paused: a paused service that dies is not paused any more", async (tools, dir, t) => {
      const s = new Service(serviceDir(join(dir, "svc"), { run: SLEEP }));
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      const pid = await s.runs();
      s.tell("op");
      await s.is("run, paused, want down");
      process.kill(pid, "SIGKILL");
      await s.is(tools.name === "runit" ? "down, paused" : "down");
    });

    both("runsv-hook-signal: a control script that is killed has not handled the command", async (tools, dir, t) => {
      const s = new Service(
        serviceDir(join(dir, "svc"), {
          run: "#!/bin/sh\ntrap 'echo HUP >>got' HUP\necho >>starts\nwhile :; do sleep 0.03; done\n",
          control: { h: "#!/bin/sh\necho h >>hooks\nkill -KILL $$\n" },
        }),
      );
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.has("starts");
      s.tell("h");
      await s.has("hooks");
      if (tools.name === "upkeep") await s.has("got");
      else await delay(300);
      assert.equal(s.file("got"), tools.name === "upkeep" ? "HUP\n" : "");
    });

    both("runsv-log-pid: log/supervise/pid of an earlier run", async (tools, dir, t) => {
      const s = new Service(serviceDir(join(dir, "svc"), { run: SLEEP, down: true, log: { run: SLEEP, down: true } }));
      mkdirSync(s.path("log/supervise"));
      writeFileSync(s.path("log/supervise/pid"), "4242\n");
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.is("down");
      await s.log.is("down");
      assert.equal(s.log.file("supervise/pid"), tools.name === "runit" ? "4242\n" : "");
    });

    test("runsv-hook-waits: while a control script runs, the log service, reaping and k are served", async (t) => {
      const { s } = launch(t, {
        run: SLEEP,
        control: { h: "#!/bin/sh\necho h >>hooks\nexec sleep 1000\n" },
        log: { run: "#!/bin/sh\nexec cat\n" },
      });
      const pid = await s.runs();
      const log = await s.log.runs();
      s.tell("h");
      await s.has("hooks");
      s.log.tell("k");
      await s.log.runs(log);
      process.kill(pid, "SIGKILL");
      await until("its end is noticed", () => s.pid !== pid);
      // k ends the script that hangs; the service then is started again.
      s.tell("k");
      await s.runs(pid);
    });
  });

  together("runsv-replaced: a service directory that is replaced while runsv runs", () => {
    test("runsv-replaced: the state stays true in a shared supervise, without a warning", async (t) => {
      const { s, runsv, dir } = await (async () => {
        const top = tempDir(t);
        const svc = new Service(serviceDir(join(top, "svc"), { run: SLEEP }));
        symlinkSync(join(top, "shared"), svc.path("supervise"));
        return { s: svc, runsv: start(t, UPKEEP.program("runsv"), ["svc"], { cwd: top }), dir: top };
      })();
      const pid = await s.runs();
      renameSync(s.dir, join(dir, "old"));
      rmSync(join(dir, "old"), { recursive: true });
      serviceDir(s.dir, { run: SLEEP });
      symlinkSync(join(dir, "shared"), s.path("supervise"));
      // The state is to be had through the new directory, and is that of the old runsv until it ends.
      assert.deepEqual([s.stat, s.pid], ["run", pid]);
      s.tell("d");
      await s.is("down");
      s.tell("x");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.equal(runsv.stderr(), "");
    });

    test("runsv-replaced: a supervise that is gone is told once, and TERM still ends the service", async (t) => {
      const { s, runsv } = launch(t, { run: SLEEP });
      const pid = await s.runs();
      rmSync(s.dir, { recursive: true });
      process.kill(pid, "SIGKILL");
      await until("run fails", () => runsv.stderr().split("unable to start ./run").length > 2);
      runsv.kill("SIGTERM");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      const warnings = runsv
        .stderr()
        .split("\n")
        .filter((line) => line.includes("warning"));
      assert.deepEqual([...new Set(warnings)].length, warnings.length, runsv.stderr());
      assert.ok(warnings.length <= 2, runsv.stderr());
    });

    test("runsv-replaced: under runsvdir the new directory is supervised, the old service ends, one copy at a time", async (t) => {
      const dir = tempDir(t);
      const scan = join(dir, "scan");
      mkdirSync(scan);
      const make = (): Service => {
        const made = new Service(serviceDir(join(scan, ".svc"), { run: `#!/bin/sh\ncd '${dir}'\n${ALONE.slice(10)}` }));
        symlinkSync(join(dir, "shared"), made.path("supervise"));
        return made;
      };
      make();
      renameSync(join(scan, ".svc"), join(scan, "svc"));
      const s = new Service(join(scan, "svc"));
      const runsvdir = start(t, UPKEEP.program("runsvdir"), [scan], { env: { PATH: UPKEEP.path } });
      const pid = await s.runs();
      make();
      renameSync(s.dir, join(scan, ".old"));
      renameSync(join(scan, ".svc"), s.dir);
      rmSync(join(scan, ".old"), { recursive: true });
      await s.runs(pid);
      await until("the old one has ended", () => !lives(pid));
      assert.deepEqual(
        readdirSync(dir).filter((name) => name === "copies"),
        [],
      );
      runsvdir.kill("SIGHUP");
      await runsvdir.exited;
    });
  });
});
