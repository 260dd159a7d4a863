/**
 * runsv(8), the life of a service: starts and their distance, finish and its
 * arguments, the time in the status; the log service and its pipe; signals to
 * runsv itself. On our runsv and runit's.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { make, supervise } from "../support/dense.ts";
import { both, type Child, type ServiceFiles, serviceDir, start, type Toolchain, until } from "../support/lab.ts";
import { lives, processState, Service, SLEEP, together } from "../support/service.ts";

const NOW = "date +%s.%N";
/** Loses nothing by TERM: what was read is written first. */
const CAREFUL = `#!/usr/bin/perl
$SIG{TERM} = sub { $end = 1 };
open(F, ">>", "lines");
until ($end) { my $n = sysread(STDIN, $b, 65536); next if !defined $n; last if !$n; syswrite(F, $b) }
`;
const CAT = "#!/bin/sh\nexec cat >>lines\n";

function launch(
  t: TestContext,
  tools: Toolchain,
  dir: string,
  files: ServiceFiles,
): { readonly s: Service; readonly runsv: Child } {
  const s = new Service(serviceDir(join(dir, "svc"), files));
  return { s, runsv: start(t, tools.program("runsv"), ["svc"], { cwd: dir }) };
}

/** A second between two starts; each tells its time, or later when the machine stands still. */
function assertApart(began: number, starts: readonly number[]): void {
  for (const [i, time] of starts.entries()) assert.ok(time - began > i * 0.9 - 0.1, starts.join(" "));
}

/** A service that says `d` as the last thing in run or finish, its supervisor stopped, after the second between two starts. */
function saysDown(last: "run" | "finish"): ServiceFiles {
  const program = "#!/bin/sh\nsleep 1.1\nkill -STOP $PPID\nprintf d >supervise/control\n";
  const programs = last === "run" ? { run: program } : { run: "#!/bin/sh\n", finish: program };
  return { ...programs, control: { u: "#!/bin/sh\necho u >>starts\n" } };
}

async function startsOnce(s: Service, supervisor: Child): Promise<void> {
  await until("it is stopped", () => processState(supervisor.pid) === "T");
  await until("the program has ended", () => processState(s.pid) === "Z");
  supervisor.kill("SIGCONT");
  await until("it is not wanted", () => s.status.want === "down");
  await s.is("down");
  assert.deepEqual(s.lines("starts"), ["u"]);
}

/** How ./run ends, and what ./finish is told. */
const ENDS: readonly (readonly [string, string])[] = [
  ["exit 0", "0 0"],
  ["exit 3", "3 0"],
  ["exit 255", "255 0"],
  ["kill -TERM $$", "-1 15"],
  ["kill -KILL $$", "-1 9"],
  ["ulimit -c 0; kill -QUIT $$", "-1 3"],
  ["ulimit -c 0; kill -SEGV $$", "-1 11"],
  ["kill -HUP $$", "-1 1"],
  ["kill -USR1 $$", "-1 10"],
  ["exec /no/such", "127 0"],
];

together("runsv-life", () => {
  together("finish", () => {
    both("its arguments", async (tools, dir, t) => {
      for (const [i, [end]] of ENDS.entries()) {
        serviceDir(join(dir, `s${i}`), { run: `#!/bin/sh\n${end}\n`, finish: '#!/bin/sh\necho "$@" >>ended\nsleep 1000\n' });
        start(t, tools.program("runsv"), [`s${i}`], { cwd: dir });
      }
      for (const [i, [end, want]] of ENDS.entries()) {
        assert.deepEqual(await new Service(join(dir, `s${i}`)).has("ended"), [want], end);
      }
    });

    both("its second argument is 128 more with a core", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, {
        run: "#!/bin/sh\nulimit -c unlimited\nkill -SEGV $$\n",
        finish: '#!/bin/sh\necho "$@" >>ended\nsleep 1000\n',
      });
      // Where no core can be written (a limit from above, a core pattern) there is none to report.
      assert.match((await s.has("ended"))[0] ?? "", /^-1 (139|11)$/);
    });

    both("state, pid and time while it runs; then down, or run again", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, {
        run: "#!/bin/sh\necho $$ >>starts\nwhile [ ! -e end ]; do sleep 0.02; done\nrm end\n",
        finish: "#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.02; done\nrm go\necho done >>finished\nexit 7\n",
      });
      await s.runs();
      const began = s.since;
      writeFileSync(s.path("end"), "");
      await s.is("finish");
      await until("finish has a process", () => s.pid > 0 && s.status.pid === s.pid);
      assert.notEqual(`${s.pid}`, s.lines("starts")[0]);
      assert.equal(s.since, began, "the time is that of the start of run");
      assert.deepEqual([s.status.state, s.status.want], ["finish", "up"]);
      s.tell("d");
      await s.is("finish, want down");
      writeFileSync(s.path("go"), "");
      await s.is("down");
      assert.ok(s.since > began);
      assert.equal(s.file("supervise/pid"), "");
      assert.equal(s.lines("starts").length, 1);
      s.tell("u");
      await s.has("starts", 2);
      writeFileSync(s.path("end"), "");
      await s.is("finish");
      writeFileSync(s.path("go"), "");
      await s.has("starts", 3);
      assert.equal(s.lines("finished").length, 2);
    });

    both("no wait before it, and a wait before the next run counted from the start of run", async (tools, dir, t) => {
      const began = Date.now() / 1000;
      const { s } = launch(t, tools, dir, {
        run: `#!/bin/sh\n${NOW} >>starts\n`,
        finish: `#!/bin/sh\n${NOW} >>finishes\nsleep 0.2\n`,
      });
      const starts = (await s.has("starts", 5)).map(Number);
      assertApart(began, starts);
      const finishes = s.lines("finishes").map(Number);
      const waits = finishes.map((finish, i) => finish - starts[i]!);
      assert.ok(Math.min(...waits) < 0.9, `at once: ${waits.join(" ")}`);
    });
  });

  together("starts", () => {
    both("are at least a second apart", async (tools, dir, t) => {
      const began = Date.now() / 1000;
      const { s } = launch(t, tools, dir, { run: `#!/bin/sh\n${NOW} >>starts\n` });
      assertApart(began, (await s.has("starts", 4)).map(Number));
    });

    both("come at once after a run of more than a second", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: `#!/bin/sh\n${NOW} >>starts\nsleep 1.2\n${NOW} >>ends\n` });
      const starts = (await s.has("starts", 3)).map(Number);
      const ends = s.lines("ends").map(Number);
      const waits = [starts[1]! - ends[0]!, starts[2]! - ends[1]!];
      assert.ok(Math.min(...waits) < 0.9, waits.join(" "));
    });

    both("of a log service are at least a second apart too, and it has no finish", async (tools, dir, t) => {
      const began = Date.now() / 1000;
      const { s } = launch(t, tools, dir, { run: SLEEP, log: { run: `#!/bin/sh\n${NOW} >>starts\n` } });
      serviceDir(s.path("log"), { run: `#!/bin/sh\n${NOW} >>starts\n`, finish: "#!/bin/sh\necho finish >>finishes\n" });
      assertApart(began, (await s.log.has("starts", 3)).map(Number));
      assert.equal(s.log.file("finishes"), "");
      assert.equal(s.stat, "run");
    });

    for (const last of ["run", "finish"] as const) {
      both(`d before the end of ${last} is heard before the next start`, async (tools, dir, t) => {
        const { s, runsv } = launch(t, tools, dir, saysDown(last));
        await startsOnce(s, runsv);
      });
      test(`d before the end of ${last} is heard before the next start [dense]`, async (t) => {
        const dir = make(t, { svc: saysDown(last) });
        await startsOnce(new Service(join(dir, "svc")), supervise(t, dir));
      });
    }
  });

  together("log", () => {
    const LINES = '#!/bin/sh\nn=0\nwhile :; do n=$((n+1)); echo "$$ $n"; sleep 0.01; done\n';

    both("no line is lost when either side ends and is started again", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, { run: LINES, log: { run: CAREFUL } });
      let service = await s.runs();
      let log = await s.log.runs();
      for (let i = 0; i < 2; i++) {
        await s.log.has("lines", s.log.lines("lines").length + 20);
        s.log.tell("t");
        log = await s.log.runs(log);
        s.tell("t");
        service = await s.runs(service);
      }
      s.tell("x");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      const last = new Map<string, number>();
      for (const line of s.log.lines("lines")) {
        const [process = "", n = ""] = line.split(" ");
        assert.equal(Number(n), (last.get(process) ?? 0) + 1, line);
        last.set(process, Number(n));
      }
      assert.equal(last.size, 3);
    });

    both("d, u, t, k and p on the log's FIFO act on the log service alone, x not at all", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: SLEEP, log: { run: CAT } });
      const service = await s.runs();
      const log = await s.log.runs();
      s.log.tell("x");
      s.log.tell("t");
      const second = await s.log.runs(log);
      assert.equal(s.log.status.want, "up");
      s.log.tell("k");
      const third = await s.log.runs(second);
      s.log.tell("p");
      await s.log.is("run, paused");
      s.log.tell("c");
      await s.log.is("run");
      assert.equal(s.log.pid, third);
      s.log.tell("d");
      await s.log.is("down");
      s.log.tell("o");
      await s.log.is("run, want down");
      s.log.tell("d");
      await s.log.is("down");
      s.log.tell("u");
      await s.log.runs();
      assert.equal(s.pid, service);
    });

    both("hooks are not for the log service", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: SLEEP, log: { run: CAT } });
      serviceDir(s.path("log"), {
        run: CAT,
        control: { t: "#!/bin/sh\necho hook >>hooks\nexit 0\n", u: "#!/bin/sh\necho u >>hooks\n" },
      });
      const log = await s.log.runs();
      s.log.tell("t");
      await s.log.runs(log);
      assert.equal(s.log.file("hooks"), "");
    });

    both("on exit it gets end of file and no signal, and is waited for", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, {
        run: "#!/bin/sh\necho hello\nexec sleep 1000\n",
        log: {
          run: "#!/bin/sh\ntrap 'echo TERM >>signals' TERM\ncat >>lines\necho EOF >>lines\nwhile [ ! -e go ]; do sleep 0.02; done\n",
        },
      });
      await s.runs();
      await s.log.has("lines");
      s.tell("x");
      assert.deepEqual(await s.log.has("lines", 2), ["hello", "EOF"]);
      await s.is("down");
      await s.log.is("run, want exit");
      assert.equal(s.log.status.want, "down");
      assert.ok(lives(runsv.pid));
      writeFileSync(s.log.path("go"), "");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.equal(s.log.file("signals"), "");
      assert.equal(s.log.stat, "down");
    });

    both("on exit a log service that is down is not waited for", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, { run: SLEEP, log: { run: CAT, down: true } });
      await s.runs();
      s.tell("x");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.equal(s.log.file("lines"), "");
    });

    // doc/differences.md, runsv-log-return: with runit the pipe is gone for good and run fails each second.
    for (const [when, age] of [
      ["within a second of the start", 0],
      ["when run may start at once", 1.2],
    ] as const) {
      both(`u after exit began, ${when}`, async (tools, dir, t) => {
        const { s, runsv } = launch(t, tools, dir, {
          run: "#!/bin/sh\necho hello\nexec sleep 1000\n",
          log: { run: "#!/bin/sh\ncat >>lines\nwhile [ ! -e go ]; do sleep 0.02; done\n" },
        });
        await s.runs();
        await s.log.has("lines");
        await until("it is old enough", () => Date.now() / 1000 - s.since >= age);
        s.tell("x");
        await s.log.is("run, want exit");
        s.tell("u");
        if (tools.name === "runit") {
          const message = "runsv svc: fatal: unable to setup filedescriptor for ./run: file descriptor not open\n";
          await until("it fails", () => runsv.stderr().startsWith(message));
          return;
        }
        await s.runs();
        writeFileSync(s.log.path("go"), "");
        assert.deepEqual(await s.log.has("lines", 2), ["hello", "hello"]);
        await s.log.is("run");
        // On a busy machine two seconds may pass until go is there.
        const stderr = runsv.stderr().replace(/^runsv svc: warning: still waiting for the log service .*\n/, "");
        assert.deepEqual([runsv.stdout(), stderr], ["", ""]);
      });
    }
  });

  together("signals to runsv", () => {
    both("TERM is x", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, { run: SLEEP, control: { x: "#!/bin/sh\necho x >>hooks\n" } });
      await s.runs();
      runsv.kill("SIGTERM");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.deepEqual([s.stat, s.lines("hooks")], ["down", ["x"]]);
    });

    both("HUP, INT, QUIT, ALRM, USR1, USR2 end it and leave run and log running", async (tools, dir, t) => {
      const names = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2"] as const;
      for (const name of names) {
        const s = new Service(serviceDir(join(dir, name), { run: SLEEP, log: { run: "#!/bin/sh\nexec cat\n" } }));
        const runsv = start(t, tools.program("runsv"), [name], { cwd: dir });
        const service = await s.runs();
        const log = await s.log.runs();
        runsv.kill(name);
        assert.deepEqual(await runsv.exited, { code: null, signal: name });
        assert.ok(lives(service) && lives(log), name);
        assert.equal(s.stat, "run");
        process.kill(service, "SIGKILL");
        // The log service sees the end of its pipe.
        await until("log has ended", () => !lives(log));
      }
    });
  });
});
