/**
 * sv(8), waiting: when each letter has come true, for how long it is waited
 * for, the check script, and losing runsv meanwhile. On supervisors made of
 * FIFOs, which show what no real service would hold still in.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { each, outcome, type Prepare, same, twice } from "../support/compare.ts";
import { DOWN, FakeRunsv, RUNNING, type Shown } from "../support/fake-runsv.ts";
import { both, inTime, mask, RUNIT, run, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { slurp, together } from "../support/service.ts";

const STATES: Readonly<Record<string, Shown>> = {
  run: RUNNING,
  "run, want down": { ...RUNNING, want: "down" },
  "run, paused": { ...RUNNING, paused: true },
  "run, got TERM": { ...RUNNING, gotTerm: true },
  "run, got TERM, want down": { ...RUNNING, gotTerm: true, want: "down" },
  finish: { ...RUNNING, state: "finish" },
  "finish, want down": { ...RUNNING, state: "finish", want: "down" },
  "down, want up": { ...DOWN, want: "up" },
  down: DOWN,
  "down without a process gone": { ...DOWN, pid: 77 },
};

/** By command: the states, none of which changes, in which it is satisfied at once. */
const SATISFIED: Readonly<Record<string, readonly string[]>> = {
  up: ["run", "run, want down", "run, paused", "run, got TERM", "run, got TERM, want down"],
  down: ["down, want up", "down"],
  exit: [],
  term: ["down"],
  kill: ["down"],
  once: ["run, want down", "run, got TERM, want down", "finish, want down", "down without a process gone"],
  pause: ["run, paused", "down, want up", "down"],
  cont: Object.keys(STATES).filter((name) => name !== "run, paused"),
  hup: Object.keys(STATES),
  "1": Object.keys(STATES),
};

const fakes =
  (t: Parameters<typeof same>[0], shown: Shown): Prepare =>
  (dir) =>
    new FakeRunsv(t, join(dir, "a"), shown);

together("sv-wait", () => {
  together("sv: waiting", () => {
    test("which states satisfy a command", async (t) => {
      const rows = Object.keys(SATISFIED).flatMap((word) => Object.keys(STATES).map((state) => ({ word, state })));
      await each(rows, async ({ word, state }) => {
        const [ours, theirs] = await twice(t, fakes(t, STATES[state] ?? {}), ["-w0", word, "a"]);
        assert.deepEqual({ ...ours, bytes: "" }, { ...theirs, bytes: "" }, `${word} in "${state}"`);
        const satisfied = SATISFIED[word]?.includes(state);
        assert.match(ours.stdout, satisfied ? /^ok: (run|down|finish): a: / : /^timeout: /, `${word} in "${state}"`);
        assert.equal(ours.code, satisfied ? 0 : 1);
      });
    });

    test("check follows what is wanted, as in 2.3.0", async (t) => {
      const satisfied = ["run", "run, paused", "run, got TERM", "down"];
      await each(Object.keys(STATES), async (state) => {
        const [ours, theirs] = await twice(t, fakes(t, STATES[state] ?? {}), ["-w0", "check", "a"]);
        assert.match(ours.stdout, satisfied.includes(state) ? /^ok: / : /^timeout: /, state);
        // 2.1.2 is content with anything that has no process, and with a script that agrees.
        assert.equal(theirs.code, 0, state);
      });
    });

    test("status is never waited for, -v or not", async (t) => {
      for (const args of [
        ["-v", "status", "a"],
        ["-w", "9", "s", "a"],
      ])
        await same(t, "status", fakes(t, DOWN), args);
    });

    test("how long: 7 s by default, SVWAIT, -w, which imply no more than they say", async (t) => {
      type Row = readonly [readonly string[], Record<string, string>, number];
      const rows: readonly Row[] = [
        [["stop", "a"], {}, 7.1],
        [["-v", "down", "a"], {}, 7.1],
        [["stop", "a"], { SVWAIT: "1" }, 1.2],
        [["-w", "1", "stop", "a"], { SVWAIT: "9" }, 1.2],
        [["-w2", "down", "a"], {}, 2.0],
        [["stop", "a"], { SVWAIT: "x" }, 0.4],
        [["stop", "a"], { SVWAIT: "" }, 0.4],
        [["stop", "a"], { SVWAIT: "1x" }, 1.2],
        [["-w", "x", "down", "a"], {}, 0.4],
        // SVWAIT alone makes nobody wait.
        [["down", "a"], { SVWAIT: "5" }, 0],
      ];
      await each(
        rows.flatMap((row) => [UPKEEP, RUNIT].map((tools) => ({ row, tools }))),
        async ({ row, tools }) => {
          const [args, env, least] = row;
          const dir = tempDir(t);
          new FakeRunsv(t, join(dir, "a"));
          await inTime((least + 4) * 1000, async () => {
            const began = performance.now();
            const r = await run(tools.program("sv"), args, { env: { SVDIR: dir, ...env } });
            const ms = performance.now() - began;
            const what = `${tools.name} ${args.join(" ")} ${JSON.stringify(env)}: ${ms} ms`;
            assert.ok(ms >= least * 1000, what);
            assert.equal(mask(r.stdout), least === 0 ? "" : "timeout: run: a: (pid PID) Ns\n", what);
            return ms;
          });
        },
        32,
      );
    });

    both(
      "a service that comes true while it is waited for, another that does not, in the order of the line",
      async (tools, dir, t) => {
        const fast = new FakeRunsv(t, join(dir, "fast"));
        new FakeRunsv(t, join(dir, "slow"));
        const sv = start(t, tools.program("sv"), ["-w15", "stop", "slow", "fast"], { env: { SVDIR: dir } });
        await until("the byte is there", () => fast.bytes === "d");
        fast.show({ ...RUNNING, gotTerm: true, want: "down" });
        fast.show(DOWN);
        await until("it is told before the other's time is up", () => sv.stdout().includes("fast"));
        assert.equal(mask(sv.stdout()), "ok: down: fast: Ns, normally up\n");
        assert.equal((await sv.exited).code, 1);
        await until("both are told", () => sv.stdout().includes("slow"));
        assert.equal(mask(sv.stdout()), "ok: down: fast: Ns, normally up\ntimeout: run: slow: (pid PID) Ns\n");
      },
    );

    both("kill: after the timeout, with the byte k", async (tools, dir, t) => {
      const fake = new FakeRunsv(t, join(dir, "a"));
      const r = await run(tools.program("sv"), ["-w0", "force-stop", "a"], { env: { SVDIR: dir } });
      assert.deepEqual([r.code, mask(r.stdout), fake.bytes], [1, "kill: run: a: (pid PID) Ns\n", "dk"]);
    });

    both("runsv ends meanwhile: what exit waits for, a failure for anything else", async (tools, dir, t) => {
      for (const [word, stdout, code] of [
        ["exit", "ok: a: runsv not running\n", 0],
        ["shutdown", "ok: a: runsv not running\n", 0],
        ["force-shutdown", "ok: a: runsv not running\n", 0],
        ["stop", "fail: a: runsv not running\n", 1],
        ["check", "fail: a: runsv not running\n", 1],
        ["restart", "fail: a: runsv not running\n", 1],
      ] as const) {
        const at = join(dir, word);
        const fake = new FakeRunsv(t, join(at, "a"), { ...RUNNING, state: "finish" });
        writeFileSync(join(at, "a/check"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
        const sv = start(t, tools.program("sv"), ["-v", word, "a"], { env: { SVDIR: at } });
        if (word === "check") await until("it waits", () => slurp(`/proc/${sv.pid}/stat`).includes(") S "));
        else await until("the byte is there", () => fake.bytes !== "");
        fake.die();
        assert.equal((await sv.exited).code, code, word);
        await until("it was told", () => sv.stdout() === stdout);
      }
    });

    both("a service that fails at first is not waited for", async (tools, dir, t) => {
      mkdirSync(join(dir, "never"));
      new FakeRunsv(t, join(dir, "gone")).die();
      new FakeRunsv(t, join(dir, "a"));
      const r = await run(tools.program("sv"), ["-w0", "start", "never", "gone", "missing", "a"], { env: { SVDIR: dir } });
      assert.equal(
        mask(r.stdout),
        "warning: never: unable to open supervise/ok: file does not exist\n" +
          "fail: gone: runsv not running\n" +
          "fail: missing: unable to change to service directory: file does not exist\n" +
          "ok: run: a: (pid PID) Ns\n",
      );
      assert.equal(r.code, 3);
    });

    // doc/differences.md, sv-slash: runit's second phase looks for it below SVDIR.
    both("a name that ends with a slash", async (tools, dir, t) => {
      new FakeRunsv(t, join(dir, "a"));
      const r = await run(tools.program("sv"), ["-w0", "start", "a/"], { cwd: dir, env: { SVDIR: "/nonexistent" } });
      const runit = "fail: a/: unable to change to service directory: file does not exist\n";
      const want = tools.name === "runit" ? [1, runit] : [0, "ok: run: a/: (pid PID) Ns\n"];
      assert.deepEqual([r.code, mask(r.stdout)], want);
    });

    // doc/differences.md, sv-restart-early.
    both("restart of a service that was started in this very second", async (tools, dir, t) => {
      const fake = new FakeRunsv(t, join(dir, "a"), { ...RUNNING, age: 0 });
      fake.show({ ...RUNNING, age: -1 });
      const r = await run(tools.program("sv"), ["-w0", "restart", "a"], { env: { SVDIR: dir } });
      assert.match(r.stdout, tools.name === "runit" ? /^ok: run: a: / : /^timeout: run: a: /);
    });
  });

  /** Notes how it was started. */
  const SCRIPT = `#!/bin/sh
tr '\\0' '|' </proc/$$/cmdline >cmdline
pwd >pwd
for fd in 0 1 2 3 4 5 6 7 8; do [ ! -e /proc/$$/fd/$fd ] || echo "$fd"; done >fds.new
grep -v '^1$' fds.new >fds
`;

  together("sv: the check script", () => {
    both("how it is run", async (tools, dir, t) => {
      new FakeRunsv(t, join(dir, "a"));
      writeFileSync(join(dir, "a/check"), `${SCRIPT}echo unheard; echo heard >&2\n`, { mode: 0o755 });
      const r = await run(tools.program("sv"), ["check", "a"], { env: { SVDIR: dir }, input: "" });
      const seen = outcome(r);
      assert.deepEqual([seen.code, seen.stdout], [0, "ok: run: a: (pid PID) Ns\n"]);
      assert.match(seen.stderr, /heard\n$/);
      assert.equal(slurp(join(dir, "a/cmdline")), "/bin/sh|check|");
      assert.equal(slurp(join(dir, "a/pwd")), `${dir}/a\n`);
      // Standard output is closed (the shell's redirection put another there); runit leaks its own descriptor 3:
      // doc/differences.md, sv-check-descriptor.
      assert.equal(slurp(join(dir, "a/fds")), tools.name === "runit" ? "0\n2\n3\n" : "0\n2\n");
    });

    const RESULTS: readonly (readonly [string, string, number, number])[] = [
      ["exit 0", "#!/bin/sh\nexit 0\n", 0, 0],
      ["exit 1", "#!/bin/sh\nexit 1\n", 1, 1],
      ["exit 100", "#!/bin/sh\nexit 100\n", 1, 1],
      // Agreement for runit: doc/differences.md, sv-check-signal, sv-check-not-executable.
      ["killed", "#!/bin/sh\nkill -KILL $$\n", 1, 0],
      ["no interpreter", "#!/no/such\n", 1, 0],
    ];
    for (const [what, content, ours, theirs] of RESULTS) {
      both(`its end: ${what}`, async (tools, dir, t) => {
        new FakeRunsv(t, join(dir, "a"));
        writeFileSync(join(dir, "a/check"), content, { mode: 0o755 });
        for (const word of ["start", "check"]) {
          const r = await run(tools.program("sv"), ["-w1", word, "a"], { env: { SVDIR: dir } });
          const code = tools.name === "runit" ? theirs : ours;
          assert.deepEqual([r.code, mask(r.stdout)], [code, `${code === 0 ? "ok" : "timeout"}: run: a: (pid PID) Ns\n`], word);
          assert.match(r.stderr, what === "no interpreter" ? /^warning: unable to run a\/check: file does not exist\n/ : /^$/);
        }
      });
    }

    both("its end: not executable", async (tools, dir, t) => {
      new FakeRunsv(t, join(dir, "a"));
      writeFileSync(join(dir, "a/check"), "#!/bin/sh\nexit 0\n");
      chmodSync(join(dir, "a/check"), 0o644);
      const r = await run(tools.program("sv"), ["-w0", "start", "a"], { env: { SVDIR: dir } });
      assert.equal(r.code, tools.name === "runit" ? 0 : 1);
      assert.match(r.stderr, /^warning: unable to run a\/check: access denied\n/);
    });

    both("it is asked again until it agrees", async (tools, dir, t) => {
      new FakeRunsv(t, join(dir, "a"));
      writeFileSync(join(dir, "a/check"), "#!/bin/sh\necho >>asked\n[ $(wc -l <asked) -ge 3 ]\n", { mode: 0o755 });
      const r = await run(tools.program("sv"), ["start", "a"], { env: { SVDIR: dir } });
      assert.deepEqual([r.code, slurp(join(dir, "a/asked"))], [0, "\n\n\n"]);
    });

    both("one that takes longer than the time is heard", async (tools, dir, t) => {
      new FakeRunsv(t, join(dir, "a"));
      writeFileSync(join(dir, "a/check"), "#!/bin/sh\nsleep 1.5\nexit 0\n", { mode: 0o755 });
      const r = await run(tools.program("sv"), ["-w0", "check", "a"], { env: { SVDIR: dir } });
      assert.deepEqual([r.code, mask(r.stdout)], [0, "ok: run: a: (pid PID) Ns\n"]);
    });

    both("it is not for a service that is to be down, nor for down, exit, pause and signals", async (tools, dir, t) => {
      new FakeRunsv(t, join(dir, "a"), DOWN);
      writeFileSync(join(dir, "a/check"), "#!/bin/sh\necho >>asked\nexit 1\n", { mode: 0o755 });
      for (const word of ["check", "down", "pause", "hup", "cont"]) {
        await run(tools.program("sv"), ["-w0", word, "a"], { env: { SVDIR: dir } });
      }
      assert.equal(slurp(join(dir, "a/asked")), "");
    });
  });
});
