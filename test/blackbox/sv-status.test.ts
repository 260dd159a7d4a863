/**
 * What sv(8) says about services, and about what is wrong with them; where it
 * looks for them. On supervisors made of FIFOs, as in sv.test.ts.
 */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { each, same, twice } from "../support/compare.ts";
import { DOWN, FakeRunsv, RUNNING, type Shown } from "../support/fake-runsv.ts";
import { mask, RUNIT, run, tempDir, UPKEEP } from "../support/lab.ts";

// ---- Status lines ----

const FLAGS: readonly Shown[] = [{}, { paused: true }, { gotTerm: true }, { paused: true, gotTerm: true }];

test("status: every state, want, flag, with and without a down file", async (t) => {
  const rows = (["run", "down", "finish"] as const).flatMap((state) => [
    { state, want: "up" as const },
    { state, want: "down" as const },
  ]);
  await each(rows, async ({ state, want }) => {
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
  });
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
  for (const tail of [
    [1, 0x75, 9, 1],
    [0, 0x78, 0, 1],
    [0, 0, 0, 2],
  ]) {
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
  for (const [age, want] of [
    [5, /^run: a: \(pid 4242\) [56]s\n$/],
    [-3600, /^run: a: \(pid 4242\) 0s\n$/],
    [100000, /\) 10000[01]s\n$/],
  ] as const) {
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
  await each(Object.entries(WRONG), async ([what, wrong]) => {
    for (const args of [
      ["status"],
      ["term"],
      ["exit"],
      ["x"],
      ["-w0", "stop"],
      ["-w0", "shutdown"],
      ["-w0", "force-stop"],
      ["-w0", "check"],
    ]) {
      if (what === "down a link to itself" && args[1] === "shutdown") continue;
      await same(t, what, (dir) => wrong.make(t, join(dir, "a")), [...args, "a"]);
    }
  });
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
    // The programs may lie where nobody else may go.
    const sv = join(dir, "sv");
    copyFileSync(tools.program("sv"), sv);
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

test("many names by path: in one directory, in several, with slashes and dots, missing, through a link that changes", async (t) => {
  const make = (dir: string): undefined => {
    for (const name of ["x/a", "x/b", "x/c", "y/a", "y/z/a"]) new FakeRunsv(t, join(dir, name));
    symlinkSync("y", join(dir, "link"));
    symlinkSync("../y", join(dir, "x/link"));
    return undefined;
  };
  const inOne = ["./x/a", "./x/b/", "./x/c//", "./x/a/.", "./x//b", "./x/no", "./x/..", "./x/link", "./x/link/a", "./x/."];
  const inSeveral = ["./x/a", "./y/a", "./x/b", "./y/z/a", "./y/z/../a", "./link/a", "./link/z/a", "./no/a", "./no/b", "./x/c"];
  const short = [".", "..", "/", "//", "/.", "./", "../", "./.", "x/", "x//", "y/"];
  for (const names of [inOne, inSeveral, short, [...inSeveral, ...inOne]]) {
    await same(t, "status", make, ["status", ...names]);
    await same(t, "down", make, ["-w", "1", "down", ...names]);
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
  await each([1, 2, 98, 99, 100, 101, 256, 300], async (n) => {
    const r = await same(t, `${n} failures`, () => undefined, ["status", ...Array<string>(n).fill("missing")]);
    assert.equal(r.code, Math.min(n, 99));
  });
});
