/**
 * sv(8) on supervisors that are made of FIFOs: what it sends, what it says,
 * where, and with which exit code. Each row is run with Debian's sv and ours on
 * directories of the same content and has to give the same; where ours differs
 * on purpose, the row says both.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DOWN, FakeRunsv, RUNNING, type Shown } from "../support/fake-runsv.ts";
import { both, mask, type Result, RUNIT, run, tempDir, type Toolchain, UPKEEP } from "../support/lab.ts";

type Outcome = { readonly code: number | null; readonly stdout: string; readonly stderr: string; readonly bytes?: string };

function outcome(r: Result, bytes?: string): Outcome {
  const seen = { code: r.code, stdout: mask(r.stdout), stderr: mask(r.stderr) };
  return bytes === undefined ? seen : { ...seen, bytes };
}

/** Runs sv in a fresh directory prepared by `prepare`, once for each toolchain, and gives both outcomes. */
async function twice(
  t: TestContext,
  prepare: (dir: string) => FakeRunsv | undefined,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<readonly [Outcome, Outcome]> {
  const one = async (tools: Toolchain): Promise<Outcome> => {
    const dir = tempDir(t);
    const fake = prepare(dir);
    const r = await run(tools.program("sv"), args, { cwd: dir, env: { SVDIR: dir, ...env } });
    return outcome(r, fake?.bytes);
  };
  return [await one(UPKEEP), await one(RUNIT)];
}

async function same(
  t: TestContext,
  what: string,
  prepare: (dir: string) => FakeRunsv | undefined,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const [ours, theirs] = await twice(t, prepare, args, env);
  assert.deepEqual(ours, theirs, `${what}: ${args.join(" ")}`);
  return ours;
}

// ---- Options and usage ----

const USAGE: readonly (readonly string[])[] = [
  [],
  ["status"],
  ["-v"],
  ["-w", "1"],
  ["-x", "status", "a"],
  ["-vx"],
  ["-w"],
  ["-vw"],
  ["-", "status", "a"],
  ["zap", "a"],
  ["", "a"],
  ["force", "a"],
  ["restarts", "a"],
  ["-\xff"],
];

test("usage: text, stream and exit code", async (t) => {
  for (const args of USAGE) {
    const r = await same(t, "usage", () => undefined, args);
    assert.equal(r.code, 100);
    assert.match(r.stderr, /usage: sv \[-v\] \[-w sec\] command service \.\.\.\n\n$/);
  }
});

test("-V prints an id line, then usage", async (t) => {
  for (const r of await twice(t, () => undefined, ["-V"])) {
    assert.match(r.stderr, /^\$Id: [0-9a-f]{40} \$\nusage: sv \[-v\] \[-w sec\] command service \.\.\.\n\n$/);
    assert.deepEqual([r.code, r.stdout], [100, ""]);
  }
});

const ACCEPTED: readonly (readonly string[])[] = [
  ["--", "status", "a"],
  ["--anything", "status", "a"],
  ["-v", "--", "status", "a"],
  ["-w", "3x", "status", "a"],
  ["-vw1", "status", "a"],
  ["-w", "", "status", "a"],
];

test("option forms that are accepted", async (t) => {
  for (const args of ACCEPTED) {
    const r = await same(t, "accepted", (dir) => new FakeRunsv(t, join(dir, "a")), args);
    assert.deepEqual([r.code, r.stdout], [0, "run: a: (pid PID) Ns, normally down\n".replace(", normally down", "")]);
  }
});

// ---- Commands: bytes ----

const FULL_WORDS = "start stop shutdown restart reload check try-restart force-stop force-shutdown force-reload force-restart";
const FIRST_LETTERS = "up upgrade down once pause cont hup alarm interrupt quit kill term 1 10 2 exit x ex status s sfoo";
const CAPITALS = "Down Exit Xit Term D E X T";

test("the bytes of every word, in every state", async (t) => {
  const states: readonly Shown[] = [
    RUNNING,
    { ...RUNNING, want: "down" },
    { ...RUNNING, want: "down", gotTerm: true },
    { ...RUNNING, state: "finish" },
    DOWN,
    { ...DOWN, want: "up" },
  ];
  for (const word of `${FIRST_LETTERS}`.split(" ")) {
    for (const shown of states) {
      const [ours, theirs] = await twice(t, (dir) => new FakeRunsv(t, join(dir, "a"), shown), [word, "a"]);
      // runit does not write what the status says is wanted already: doc/differences.md, sv-always-writes.
      const letter = word.startsWith("e") ? "x" : word.charAt(0);
      const want = letter === "s" ? "" : letter;
      assert.equal(ours.bytes, want, `${word} on ${JSON.stringify(shown)}`);
      const wanted = shown.want === "up" ? "u" : "d";
      const skips = letter === wanted && (letter === "u" || shown.gotTerm === true);
      assert.equal(theirs.bytes, skips ? "" : want, `runit: ${word} on ${JSON.stringify(shown)}`);
      assert.deepEqual({ ...ours, bytes: "" }, { ...theirs, bytes: "" });
    }
  }
});

test("the bytes of words that wait, and what they say when nothing comes true", async (t) => {
  for (const word of `${FULL_WORDS} ${CAPITALS}`.split(" ")) {
    for (const shown of [RUNNING, { ...DOWN, want: "up" as const }]) {
      // A second in which nothing happens; `check` on a service that is down: see sv-wait.test.ts.
      if (word === "check" && shown.state === "down") continue;
      const [ours, theirs] = await twice(t, (dir) => new FakeRunsv(t, join(dir, "a"), shown), ["-w0", word, "a"]);
      const skipped = word === "start";
      assert.deepEqual(ours, skipped ? { ...theirs, bytes: "u" } : theirs, `${word} on ${JSON.stringify(shown)}`);
    }
  }
});

// ---- Status lines ----

const FLAGS: readonly Shown[] = [{}, { paused: true }, { gotTerm: true }, { paused: true, gotTerm: true }];

test("status: every state, want, flag, with and without a down file", async (t) => {
  for (const state of ["run", "down", "finish"] as const) {
    for (const want of ["up", "down"] as const) {
      for (const flags of FLAGS) {
        for (const down of [false, true]) {
          const prepare = (dir: string): FakeRunsv => {
            const shown: Shown = { state, want, pid: state === "down" ? 0 : 99, ...flags };
            const fake = new FakeRunsv(t, join(dir, "a"), shown);
            if (down) writeFileSync(join(dir, "a/down"), "");
            return fake;
          };
          await same(t, "status", prepare, ["status", "a"]);
        }
      }
    }
  }
});

/** A service "a" with something under log/. */
type Log = { readonly make: (t: TestContext, log: string) => void };
const LOGS: Readonly<Record<string, Log>> = {
  running: {
    make: (t, log) => {
      new FakeRunsv(t, log);
    },
  },
  "down, with its own down file": {
    make: (t, log) => {
      new FakeRunsv(t, log, DOWN);
      writeFileSync(join(log, "down"), "");
    },
  },
  "without runsv": {
    make: (t, log) => {
      new FakeRunsv(t, log).die();
    },
  },
  "without a status file": {
    make: (t, log) => {
      new FakeRunsv(t, log).remove("status");
    },
  },
  "with a status file that was cut": {
    make: (t, log) => {
      new FakeRunsv(t, log).write(new Uint8Array(19));
    },
  },
  "not a directory": {
    make: (_t, log) => {
      writeFileSync(log, "");
    },
  },
  "a dangling link": {
    make: (_t, log) => {
      symlinkSync("nowhere", log);
    },
  },
  "a link to itself": {
    make: (_t, log) => {
      symlinkSync("log", log);
    },
  },
};

test("status: the log service", async (t) => {
  for (const [what, log] of Object.entries(LOGS)) {
    for (const shown of [RUNNING, DOWN]) {
      const prepare = (dir: string): FakeRunsv => {
        const fake = new FakeRunsv(t, join(dir, "a"), shown);
        log.make(t, join(dir, "a/log"));
        return fake;
      };
      const [ours, theirs] = await twice(t, prepare, ["status", "a"]);
      // After a warning runit prints the main service's state once more, under the name log: sv-log-stale.
      const stale = /^(.*; (warning|fail): .*\n)(run|down): log: .*\n$/.exec(theirs.stdout);
      assert.deepEqual(ours, stale?.[1] === undefined ? theirs : { ...theirs, stdout: stale[1] }, what);
    }
  }
});

test("status: a log directory without supervise is one warning and no more", async (t) => {
  const prepare = (dir: string): FakeRunsv => {
    mkdirSync(join(dir, "a/log"), { recursive: true });
    return new FakeRunsv(t, join(dir, "a"));
  };
  const [ours, theirs] = await twice(t, prepare, ["status", "a"]);
  const warning = "run: a: (pid PID) Ns; warning: a/log: unable to open supervise/ok: file does not exist\n";
  assert.equal(ours.stdout, warning);
  assert.equal(theirs.stdout, `${warning}run: log: (pid PID) Ns\n`);
  assert.deepEqual([ours.code, theirs.code], [1, 1]);
});

test("status: bytes no supervisor writes", async (t) => {
  const rows: Uint8Array[] = [0, 1, 2, 0x64, 0x75].map((fill) => new Uint8Array(20).fill(fill));
  const good = new Uint8Array(20);
  good.set([0x40, 0, 0, 0, 0x6b]);
  for (const tail of [[1, 0x75, 9, 1], [0, 0x78, 0, 1], [0, 0, 0, 2]]) {
    const b = Uint8Array.from(good);
    b.set([1, 2, 0, 0, ...tail], 12);
    rows.push(b);
  }
  rows.push(Uint8Array.from([...good, 1, 2, 3, 4]));
  for (const bytes of rows) {
    const prepare = (dir: string): FakeRunsv => {
      const fake = new FakeRunsv(t, join(dir, "a"));
      fake.write(bytes);
      return fake;
    };
    await same(t, `status ${Buffer.from(bytes).toString("hex")}`, prepare, ["status", "a"]);
  }
});

test("the age is whole seconds and never negative", async (t) => {
  for (const [age, want] of [[5, /^run: a: \(pid 4242\) [56]s\n$/], [-3600, /^run: a: \(pid 4242\) 0s\n$/], [100000, /\) 10000[01]s\n$/]] as const) {
    for (const tools of [UPKEEP, RUNIT]) {
      const dir = tempDir(t);
      new FakeRunsv(t, join(dir, "a"), { ...RUNNING, age });
      const r = await run(tools.program("sv"), ["status", "a"], { env: { SVDIR: dir } });
      assert.match(r.stdout, want, tools.name);
    }
  }
});

// ---- What can be wrong with a service ----

type Wrong = { readonly make: (t: TestContext, a: string) => FakeRunsv | undefined };
const WRONG: Readonly<Record<string, Wrong>> = {
  missing: { make: () => undefined },
  "not a directory": {
    make: (_t, a) => {
      writeFileSync(a, "");
      return undefined;
    },
  },
  "never supervised": {
    make: (_t, a) => {
      mkdirSync(a);
      return undefined;
    },
  },
  "without runsv": {
    make: (t, a) => {
      const fake = new FakeRunsv(t, a);
      fake.die();
      return fake;
    },
  },
  "without status": {
    make: (t, a) => {
      const fake = new FakeRunsv(t, a);
      fake.remove("status");
      return fake;
    },
  },
  "status empty": {
    make: (t, a) => {
      const fake = new FakeRunsv(t, a);
      fake.write(new Uint8Array(0));
      return fake;
    },
  },
  "status cut": {
    make: (t, a) => {
      const fake = new FakeRunsv(t, a);
      fake.write(new Uint8Array(18));
      return fake;
    },
  },
  "status a directory": {
    make: (t, a) => {
      const fake = new FakeRunsv(t, a);
      fake.remove("status");
      mkdirSync(join(a, "supervise/status"));
      return fake;
    },
  },
  "without control": {
    make: (t, a) => {
      const fake = new FakeRunsv(t, a);
      fake.remove("control");
      return fake;
    },
  },
  "supervise a file": {
    make: (_t, a) => {
      mkdirSync(a);
      writeFileSync(join(a, "supervise"), "");
      return undefined;
    },
  },
  "supervise a link to itself": {
    make: (_t, a) => {
      mkdirSync(a);
      symlinkSync("supervise", join(a, "supervise"));
      return undefined;
    },
  },
  "down a link to itself": {
    make: (t, a) => {
      const fake = new FakeRunsv(t, a);
      symlinkSync("down", join(a, "down"));
      return fake;
    },
  },
};

test("messages and exit codes for what is wrong with a service", async (t) => {
  for (const [what, wrong] of Object.entries(WRONG)) {
    for (const args of [["status"], ["term"], ["exit"], ["x"], ["-w0", "stop"], ["-w0", "shutdown"], ["-w0", "force-stop"], ["-w0", "check"]]) {
      if (what === "down a link to itself" && args[1] === "shutdown") continue;
      await same(t, what, (dir) => wrong.make(t, join(dir, "a")), [...args, "a"]);
    }
  }
});

test("exit of a runsv that is gone is success, of a directory never supervised a counted warning", async (t) => {
  const gone = await same(t, "gone", (dir) => WRONG["without runsv"]?.make(t, join(dir, "a")), ["exit", "a"]);
  assert.deepEqual([gone.code, gone.stdout], [0, "ok: a: runsv not running\n"]);
  const never = await same(t, "never", (dir) => WRONG["never supervised"]?.make(t, join(dir, "a")), ["exit", "a"]);
  assert.deepEqual([never.code, never.stdout], [1, "warning: a: unable to open supervise/ok: file does not exist\n"]);
});

test("a user who may not look", { skip: process.getuid?.() !== 0 }, async (t) => {
  for (const tools of [UPKEEP, RUNIT]) {
    const dir = tempDir(t);
    new FakeRunsv(t, join(dir, "a"));
    chmodSync(join(dir, "a/supervise"), 0o700);
    mkdirSync(join(dir, "b"), { mode: 0o700 });
    chmodSync(tempDirParent(dir), 0o755);
    const sv = join(dir, "sv");
    // The programs may lie where nobody else may go.
    const binary = tools.name === "upkeep" ? "upkeep" : "sv";
    writeFileSync(sv, await readProgram(tools.program(binary)), { mode: 0o755 });
    const r = await run("/usr/bin/chpst", ["-u", "nobody", sv, "status", "a", "b"], { cwd: dir, env: { SVDIR: dir } });
    assert.equal(
      r.stdout,
      "warning: a: unable to open supervise/ok: access denied\nfail: b: unable to change to service directory: access denied\n",
      tools.name,
    );
    assert.equal(r.code, 2);
  }
});

// ---- Names ----

test("where names are looked up", async (t) => {
  const make = (dir: string): FakeRunsv => {
    mkdirSync(join(dir, "elsewhere"));
    return new FakeRunsv(t, join(dir, "svc/a"));
  };
  for (const [name, found] of [
    ["a", true],
    ["./svc/a", true],
    ["../a", false],
    ["svc/a", false],
    ["svc/a/", true],
    ["a/", false],
    ["a/.", true],
    ["./a", false],
    ["", false],
    [".", false],
  ] as const) {
    const env = { SVDIR: "svc" };
    const r = await same(t, `name "${name}"`, make, ["status", name], env);
    assert.equal(r.code, found ? 0 : 1, name);
    await same(t, `name "${name}"`, make, ["term", name], env);
  }
});

test("an absolute name, a log service by its path", async (t) => {
  for (const tools of [UPKEEP, RUNIT]) {
    const dir = tempDir(t);
    const a = new FakeRunsv(t, join(dir, "a"));
    const log = new FakeRunsv(t, join(dir, "a/log"), DOWN);
    const env = { SVDIR: "/nonexistent" };
    const r = await run(tools.program("sv"), ["up", a.dir, log.dir], { env });
    assert.deepEqual([r.code, r.stdout], [0, ""]);
    assert.equal(log.bytes, "u");
    const s = await run(tools.program("sv"), ["status", "a/log"], { env: { SVDIR: dir } });
    assert.equal(mask(s.stdout), "down: a/log: Ns, normally up\n");
  }
});

test("names that are no text, names that are very long", async (t) => {
  const odd = "-\xe4 '\"\x01\n\xff";
  await same(t, "odd name", (dir) => new FakeRunsv(t, join(dir, odd)), ["status", odd]);
  for (const length of [255, 256, 3400, 3600, 4095, 4096, 5000]) {
    const name = "n".repeat(length);
    const r = await same(t, `${length} bytes`, () => undefined, ["status", name]);
    assert.match(r.stdout, length === 255 ? /file does not exist\n$/ : /file name too long\n$/);
  }
  const deep = `${"d".repeat(200)}/`.repeat(19);
  await same(t, "a deep directory", (dir) => new FakeRunsv(t, join(dir, "a")), ["status", `./${deep}`]);
});

test("a service directory at the end of a path of nearly 4096 bytes", async (t) => {
  const levels = "x".repeat(200);
  const steps = 18;
  const prepare = (dir: string): undefined => {
    // Made step by step: from the root the path of supervise/status would be too long.
    let at = dir;
    for (let i = 0; i < steps; i++) {
      at = join(at, levels);
      mkdirSync(at);
    }
    return undefined;
  };
  const name = `./${`${levels}/`.repeat(steps)}`;
  const r = await same(t, "deep", prepare, ["status", name]);
  assert.match(r.stdout, /unable to open supervise\/ok: file does not exist\n$/);
});

test("SVDIR: missing, a file, empty, relative, with a slash at its end", async (t) => {
  const prepare = (dir: string): FakeRunsv => {
    writeFileSync(join(dir, "file"), "");
    return new FakeRunsv(t, join(dir, "sub/a"));
  };
  for (const [SVDIR, code] of [
    ["missing", 1],
    ["file", 1],
    ["", 1],
    ["sub", 0],
    ["./sub/", 0],
    ["sub//", 0],
  ] as const) {
    const r = await same(t, `SVDIR=${SVDIR}`, prepare, ["status", "a"], { SVDIR });
    assert.equal(r.code, code, SVDIR);
    await same(t, `SVDIR=${SVDIR}`, prepare, ["-w0", "check", "a"], { SVDIR });
  }
});

// ---- Several services ----

test("several services are reported in order and failures counted", async (t) => {
  const prepare = (dir: string): FakeRunsv => {
    new FakeRunsv(t, join(dir, "b"), DOWN);
    new FakeRunsv(t, join(dir, "gone")).die();
    mkdirSync(join(dir, "never"));
    return new FakeRunsv(t, join(dir, "a"));
  };
  for (const command of [["status"], ["hup"], ["exit"], ["-w0", "reload"]]) {
    await same(t, "several", prepare, [...command, "a", "gone", "b", "never", "missing", "a"]);
  }
});

test("the exit code counts to 99", async (t) => {
  for (const n of [1, 2, 98, 99, 100, 101, 256, 300]) {
    const r = await same(t, `${n} failures`, () => undefined, ["status", ...Array<string>(n).fill("missing")]);
    assert.equal(r.code, Math.min(n, 99));
  }
});

// ---- init.d mode ----

async function initd(t: TestContext, prepare: (dir: string) => void, args: readonly string[]): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const tools of [UPKEEP, RUNIT]) {
    const dir = tempDir(t);
    prepare(dir);
    mkdirSync(join(dir, "init.d"));
    symlinkSync(tools.program("sv"), join(dir, "init.d/web"));
    outcomes.push(outcome(await run(join(dir, "init.d/web"), args, { cwd: dir, env: { SVDIR: dir } })));
  }
  return outcomes;
}

test("init.d mode: usage", async (t) => {
  for (const args of [[], ["-x"], ["-w"], ["zap"], ["s"], ["sfoo"], ["stat"], ["-w", "1"]]) {
    const [ours, theirs] = await initd(t, () => undefined, args);
    assert.deepEqual(ours, theirs, args.join(" "));
    assert.equal(ours?.code, 2);
    assert.match(ours?.stderr ?? "", /usage: web \[-w sec\] command\n\n$/);
  }
  for (const r of await initd(t, () => undefined, ["-V"])) {
    assert.match(r.stderr, /^\$Id: [0-9a-f]{40} \$\nusage: web \[-w sec\] command\n\n$/);
    assert.equal(r.code, 2);
  }
});

test("init.d mode: LSB status codes", async (t) => {
  const rows: readonly (readonly [string, (web: string) => void, number])[] = [
    ["running", (web) => new FakeRunsv(t, web), 0],
    ["finish", (web) => new FakeRunsv(t, web, { ...RUNNING, state: "finish" }), 0],
    ["down", (web) => new FakeRunsv(t, web, DOWN), 3],
    ["runsv gone", (web) => new FakeRunsv(t, web).die(), 1],
    ["missing", () => undefined, 1],
    ["never supervised", (web) => mkdirSync(web), 4],
    ["status cut", (web) => new FakeRunsv(t, web).write(new Uint8Array(7)), 4],
    ["status missing", (web) => new FakeRunsv(t, web).remove("status"), 4],
  ];
  for (const [what, make, code] of rows) {
    const [ours, theirs] = await initd(t, (dir) => make(join(dir, "web")), ["status"]);
    assert.deepEqual(ours, theirs, what);
    assert.equal(ours?.code, code, what);
  }
});

test("init.d mode: the log service does not change the LSB code", async (t) => {
  const prepare = (dir: string): void => {
    new FakeRunsv(t, join(dir, "web"), DOWN);
    new FakeRunsv(t, join(dir, "web/log"));
  };
  const [ours, theirs] = await initd(t, prepare, ["status"]);
  // runit 2.3.0 gives 3, Debian's 2.1.2 the log's 0: sv-lsb-log.
  assert.deepEqual([ours?.code, theirs?.code], [3, 0]);
  assert.equal(ours?.stdout, theirs?.stdout);
});

test("init.d mode: commands, and words after the command", async (t) => {
  for (const [args, bytes] of [
    [["term"], "t"],
    [["up", "other"], "u"],
    [["-w0", "force-restart"], "tcuk"],
    [["-w", "0", "reload", "x", "y"], "h"],
  ] as const) {
    const fakes: FakeRunsv[] = [];
    const [ours, theirs] = await initd(t, (dir) => fakes.push(new FakeRunsv(t, join(dir, "web"), { ...DOWN, state: "run", pid: 9 })), [...args]);
    assert.deepEqual(ours, theirs, args.join(" "));
    assert.equal(fakes[0]?.bytes, bytes, args.join(" "));
    assert.equal(fakes[1]?.bytes, bytes, args.join(" "));
  }
});

test("init.d mode: a link to the name sv of the multi-call binary, however it is reached", async (t) => {
  const dir = tempDir(t);
  new FakeRunsv(t, join(dir, "web"));
  symlinkSync(UPKEEP.program("sv"), join(dir, "sv"));
  symlinkSync("sv", join(dir, "web-link"));
  symlinkSync("web-link", join(dir, "other"));
  mkdirSync(join(dir, "x"));
  symlinkSync("../other", join(dir, "x/web"));
  const r = await run(join(dir, "x/web"), ["status"], { env: { SVDIR: dir } });
  assert.deepEqual([r.code, mask(r.stdout)], [0, "run: web: (pid PID) Ns\n"]);
});

// ---- Streams ----

test("a closed or full standard output is survived", async (t) => {
  for (const tools of [UPKEEP, RUNIT]) {
    const dir = tempDir(t);
    new FakeRunsv(t, join(dir, "a"));
    const sv = tools.program("sv");
    for (const to of [">&-", ">/dev/full"]) {
      const r = await run("/bin/sh", ["-c", `'${sv}' status a ${to}; echo $? >&2`], { env: { SVDIR: dir } });
      assert.equal(r.stderr, "0\n", `${tools.name} ${to}`);
    }
  }
});

both("status of 300 services comes whole through a pipe", async (tools, dir, t) => {
  const names = Array.from({ length: 300 }, (_, i) => `s${i}`);
  for (const name of names) new FakeRunsv(t, join(dir, name));
  const r = await run(tools.program("sv"), ["status", ...names], { env: { SVDIR: dir } });
  assert.equal(mask(r.stdout), names.map((name) => `run: ${name}: (pid PID) Ns\n`).join(""));
  assert.equal(r.code, 0);
  rmSync(dir, { recursive: true });
});
