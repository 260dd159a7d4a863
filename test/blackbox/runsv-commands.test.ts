/**
 * runsv(8), the command letters: each in each state, the stop sequence, the
 * control scripts. On our runsv and runit's.
 */
import assert from "node:assert/strict";
import { chmodSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { both, type Child, type ServiceFiles, serviceDir, start, type Toolchain, until } from "../support/lab.ts";
import { lives, processState, Service, SLEEP, together } from "../support/service.ts";

/** Notes every signal it gets, and ends by KILL, or a word in "go", alone. */
const TOUGH = `#!/bin/sh
for s in ALRM HUP INT QUIT USR1 USR2 TERM CONT; do trap "echo $s >>got" $s; done
echo $$ >>starts
while [ ! -e go ]; do sleep 0.03; done
rm go
`;

type Launched = { readonly s: Service; readonly runsv: Child };

function launch(t: TestContext, tools: Toolchain, dir: string, files: ServiceFiles, name = "svc"): Launched {
  const s = new Service(serviceDir(join(dir, name), files));
  return { s, runsv: start(t, tools.program("runsv"), [name], { cwd: dir }) };
}

/** A control script that notes its letter and exits so. */
function hook(letter: string, code: number): string {
  return `#!/bin/sh\necho ${letter} >>hooks\nexit ${code}\n`;
}

function hooks(letters: string, code: number): Record<string, string> {
  return Object.fromEntries([...letters].map((letter) => [letter, hook(letter, code)]));
}

together("runsv-commands", () => {
  together("commands on a service that runs", () => {
    both("a h i q 1 2 are signals, which change no state", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH });
      const pid = await s.runs();
      await s.has("starts");
      const before = s.statusBytes;
      for (const [letter, signal] of Object.entries({ a: "ALRM", h: "HUP", i: "INT", q: "QUIT", 1: "USR1", 2: "USR2" })) {
        rmSync(s.path("got"), { force: true });
        s.tell(letter);
        assert.deepEqual(await s.has("got"), [signal]);
      }
      assert.deepEqual([s.pid, s.stat], [pid, "run"]);
      assert.deepEqual(s.statusBytes, before);
    });

    both("everything else is nothing, in one write or in many", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH });
      const pid = await s.runs();
      await s.has("starts");
      const before = s.statusBytes;
      const letters = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).filter((c) => !"udopchaiqktx12".includes(c));
      s.tell(Buffer.from(letters.join(""), "latin1").toString("latin1"));
      for (let i = 0; i < 10; i++) s.tell(letters.join(""));
      s.tell("h");
      assert.deepEqual(await s.has("got"), ["HUP"]);
      assert.deepEqual([s.pid, s.stat], [pid, "run"]);
      assert.deepEqual(s.statusBytes, before);
    });

    both("t: TERM, got TERM, and it comes back", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH });
      const pid = await s.runs();
      await s.has("starts");
      s.tell("t");
      await s.is("run, got TERM");
      assert.deepEqual(await s.has("got"), ["TERM"]);
      assert.deepEqual([s.status.gotTerm, s.status.want, s.pid], [true, "up", pid]);
      writeFileSync(s.path("go"), "");
      await s.runs(pid);
      assert.equal(s.status.gotTerm, false);
    });

    both("d: TERM, CONT, and it stays down", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH });
      await s.runs();
      await s.has("starts");
      s.tell("d");
      await s.is("run, got TERM, want down");
      assert.deepEqual((await s.has("got", 2)).sort(), ["CONT", "TERM"]);
      assert.deepEqual([s.status.gotTerm, s.status.want], [true, "down"]);
      writeFileSync(s.path("go"), "");
      await s.is("down");
      s.tell("dtkchaiq12z");
      s.tell("h");
      await delay(200);
      assert.deepEqual([s.stat, s.lines("starts").length, s.pid], ["down", 1, 0]);
    });

    both("x: TERM, CONT, want exit; the log service is told last", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, { run: TOUGH, log: { run: "#!/bin/sh\nexec cat\n" } });
      await s.runs();
      await s.has("starts");
      s.tell("x");
      await s.is("run, got TERM, want exit");
      assert.deepEqual((await s.has("got", 2)).sort(), ["CONT", "TERM"]);
      // The byte of the status has no word for exit.
      assert.equal(s.status.want, "down");
      assert.equal(s.log.stat, "run");
      // Until it is gone, u takes it back.
      s.tell("u");
      await s.is("run, got TERM");
      s.tell("x");
      await s.is("run, got TERM, want exit");
      writeFileSync(s.path("go"), "");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
    });

    both("o: only what is wanted changes, and t then sends CONT too", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH, control: hooks("d", 0) });
      const pid = await s.runs();
      await s.has("starts");
      s.tell("o");
      await s.is("run, want down");
      assert.equal(s.file("got"), "");
      s.tell("t");
      await s.is("run, got TERM, want down");
      assert.deepEqual((await s.has("got", 2)).sort(), ["CONT", "TERM"]);
      assert.deepEqual(await s.has("hooks"), ["d"]);
      assert.equal(s.pid, pid);
      writeFileSync(s.path("go"), "");
      await s.is("down");
      assert.equal(s.lines("starts").length, 1);
    });

    both("p and c: the process and the flag", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: SLEEP });
      const pid = await s.runs();
      s.tell("p");
      await s.is("run, paused");
      await until("it is stopped", () => processState(pid) === "T");
      assert.equal(s.status.paused, true);
      s.tell("c");
      await s.is("run");
      await until("it goes on", () => processState(pid) !== "T");
      assert.deepEqual([s.status.paused, s.pid], [false, pid]);
      // A stopped process can be taken down: CONT follows TERM.
      s.tell("p");
      await s.is("run, paused");
      s.tell("d");
      await until("it is down", () => s.stat.startsWith("down"));
    });

    both("k: KILL", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH, finish: '#!/bin/sh\necho "$@" >>ended\n' });
      const pid = await s.runs();
      await s.has("starts");
      s.tell("k");
      await s.has("starts", 2);
      assert.ok(!lives(pid));
      assert.deepEqual(s.lines("ended"), ["-1 9"]);
      assert.equal(s.file("got"), "");
    });
  });

  together("commands on a service that is down", () => {
    both("u starts it, o starts it once, x ends runsv", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, { run: TOUGH, down: true });
      await s.is("down");
      s.tell("o");
      await s.is("run, want down");
      await s.has("starts");
      assert.equal(s.status.want, "down");
      writeFileSync(s.path("go"), "");
      await s.is("down");
      s.tell("u");
      await s.is("run");
      await s.has("starts", 2);
      s.tell("k");
      await s.has("starts", 3);
      s.tell("dk");
      await s.is("down");
      s.tell("x");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
    });

    both("one write of several letters: taken in order", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH, down: true });
      await s.is("down");
      s.tell("u12h");
      await s.has("starts");
      // The shell may not have set its traps before the signals come, but then it dies of them and is started again.
      await s.is("run");
      s.tell("kd");
      await until("it is down and to stay so", () => s.stat === "down" && s.status.want === "down");
    });
  });

  together("commands while finish runs", () => {
    const FINISH =
      "#!/bin/sh\ntrap 'echo TERM >>fgot' TERM\necho f >>finishes\nwhile [ ! -e fgo ]; do sleep 0.03; done\nrm fgo\n";

    async function finishing(t: TestContext, tools: Toolchain, dir: string): Promise<Launched> {
      const l = launch(t, tools, dir, { run: TOUGH, finish: FINISH });
      await l.s.runs();
      await l.s.has("starts");
      writeFileSync(l.s.path("go"), "");
      await l.s.has("finishes");
      await l.s.is("finish");
      return l;
    }

    both("d, t and signals do not touch it; d keeps the service down after it", async (tools, dir, t) => {
      const { s } = await finishing(t, tools, dir);
      s.tell("tdhaiq12");
      await s.is("finish, want down");
      s.tell("h");
      await delay(200);
      assert.deepEqual([s.file("fgot"), s.stat], ["", "finish, want down"]);
      writeFileSync(s.path("fgo"), "");
      await s.is("down");
      assert.equal(s.lines("starts").length, 1);
    });

    both("u and o: with u the service runs again after it, with o not", async (tools, dir, t) => {
      const { s } = await finishing(t, tools, dir);
      s.tell("o");
      await s.is("finish, want down");
      s.tell("u");
      await s.is("finish");
      writeFileSync(s.path("fgo"), "");
      await s.has("starts", 2);
      await s.is("run");
      writeFileSync(s.path("go"), "");
      await s.has("finishes", 2);
      await s.is("finish");
      s.tell("o");
      await s.is("finish, want down");
      writeFileSync(s.path("fgo"), "");
      await s.is("down");
      assert.equal(s.lines("starts").length, 2);
    });

    both("x: runsv ends after it", async (tools, dir, t) => {
      const { s, runsv } = await finishing(t, tools, dir);
      s.tell("x");
      await s.is("finish, want exit");
      assert.ok(lives(runsv.pid));
      writeFileSync(s.path("fgo"), "");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
      assert.equal(s.lines("starts").length, 1);
    });
  });

  together("control scripts", () => {
    both("of the signals: exit 0 keeps the signal back, anything else does not", async (tools, dir, t) => {
      const letters = { a: "ALRM", h: "HUP", i: "INT", q: "QUIT", 1: "USR1", 2: "USR2" };
      const kept = launch(t, tools, dir, { run: TOUGH, control: hooks("ahiq12", 0) }, "kept").s;
      const sent = launch(t, tools, dir, { run: TOUGH, control: hooks("ahiq12", 1) }, "sent").s;
      for (const s of [kept, sent]) {
        await s.runs();
        await s.has("starts");
      }
      let n = 0;
      for (const [letter, signal] of Object.entries(letters)) {
        n += 1;
        kept.tell(letter);
        sent.tell(letter);
        assert.equal((await kept.has("hooks", n)).at(-1), letter);
        assert.equal((await sent.has("got", n)).at(-1), signal);
        assert.equal(sent.lines("hooks").at(-1), letter);
      }
      assert.equal(kept.file("got"), "");
    });

    both("t with exit 0: no TERM, but want down still sends CONT and runs d", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH, control: hooks("tdx", 0) });
      await s.runs();
      await s.has("starts");
      s.tell("t");
      assert.deepEqual(await s.has("hooks"), ["t"]);
      s.tell("d");
      assert.deepEqual(await s.has("hooks", 3), ["t", "t", "d"]);
      assert.deepEqual(await s.has("got"), ["CONT"]);
      assert.equal(s.stat, "run, want down");
      s.tell("x");
      assert.deepEqual((await s.has("hooks", 5)).slice(3), ["t", "x"]);
      await s.is("run, want exit");
      assert.equal(s.status.gotTerm, false);
    });

    both("the order of d and of x: t, TERM, CONT, then the script", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, { run: TOUGH, control: hooks("tdx", 1) });
      await s.runs();
      await s.has("starts");
      s.tell("d");
      assert.deepEqual(await s.has("hooks", 2), ["t", "d"]);
      assert.deepEqual((await s.has("got", 2)).sort(), ["CONT", "TERM"]);
      s.tell("x");
      assert.deepEqual((await s.has("hooks", 4)).slice(2), ["t", "x"]);
      writeFileSync(s.path("go"), "");
      assert.deepEqual(await runsv.exited, { code: 0, signal: null });
    });

    both("u before every start, whatever it exits with; o uses it as well", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH, down: true, control: hooks("uo", 1) });
      await s.is("down");
      s.tell("o");
      await s.has("starts");
      assert.deepEqual(s.lines("hooks"), ["u"]);
      writeFileSync(s.path("go"), "");
      await s.is("down");
      s.tell("u");
      await s.has("starts", 2);
      s.tell("k");
      await s.has("starts", 3);
      assert.deepEqual(s.lines("hooks"), ["u", "u", "u"]);
    });

    both("p and c: the flag changes even if the script kept the signal back", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: SLEEP, control: hooks("pc", 0) });
      const pid = await s.runs();
      s.tell("p");
      await s.is("run, paused");
      assert.notEqual(processState(pid), "T");
      s.tell("c");
      await s.is("run");
      assert.deepEqual(s.lines("hooks"), ["p", "c"]);
    });

    both("the files already tell what is wanted", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: SLEEP, control: { t: "#!/bin/sh\ncat supervise/stat >>seen\nexit 1\n" } });
      await s.runs();
      s.tell("d");
      assert.deepEqual(await s.has("seen"), ["run, want down"]);
      await s.is("down");
    });

    both("the owner's execute bit decides", async (tools, dir, t) => {
      const { s } = launch(t, tools, dir, { run: TOUGH, control: hooks("h12", 0) });
      chmodSync(s.path("control/h"), 0o655);
      chmodSync(s.path("control/1"), 0o700);
      chmodSync(s.path("control/2"), 0o644);
      await s.runs();
      await s.has("starts");
      s.tell("h1");
      assert.deepEqual(await s.has("hooks"), ["1"]);
      assert.deepEqual(await s.has("got"), ["HUP"]);
      s.tell("2");
      assert.deepEqual(await s.has("got", 2), ["HUP", "USR2"]);
    });

    both("one that cannot be run, one that cannot be looked at: a message, and the signal", async (tools, dir, t) => {
      const { s, runsv } = launch(t, tools, dir, { run: TOUGH, control: { h: "no interpreter\n", "1": "#!/no/such\n" } });
      symlinkSync("2", s.path("control/2"));
      await s.runs();
      await s.has("starts");
      s.tell("h");
      await s.has("got", 1);
      s.tell("1");
      await s.has("got", 2);
      s.tell("2");
      assert.deepEqual(await s.has("got", 3), ["HUP", "USR1", "USR2"]);
      await until("the last warning", () => runsv.stderr().includes("control/2"));
      assert.equal(
        runsv.stderr(),
        "runsv svc: fatal: unable to run control/?: exec format error\n" +
          "runsv svc: fatal: unable to run control/?: file does not exist\n" +
          "runsv svc: warning: unable to stat control/2: symbolic link loop\n",
      );
    });

    both(
      "control/t that restarts nothing: t prints and the service is restarted, x prints and it ends",
      async (tools, dir, t) => {
        // The self-checks of runit's own distribution.
        const { s, runsv } = launch(t, tools, dir, {
          run: "#!/bin/sh\necho starting\nexec sleep 1000\n",
          control: { t: "#!/bin/sh\necho term\nexit 1\n", i: "#!/bin/sh\necho no interrupt\n" },
          log: { run: "#!/bin/sh\nexec cat >>lines\n" },
        });
        const pid = await s.runs();
        await s.log.has("lines");
        s.tell("i");
        await s.log.has("lines", 2);
        s.tell("t");
        await s.runs(pid);
        await s.log.has("lines", 4);
        s.tell("x");
        assert.deepEqual(await runsv.exited, { code: 0, signal: null });
        assert.deepEqual(s.log.lines("lines"), ["starting", "no interrupt", "term", "starting", "term"]);
      },
    );
  });
});
