/**
 * sv(8) on supervisors that are made of FIFOs: its options, the bytes it sends,
 * the init.d mode, the streams. Each row is run with Debian's sv and ours on
 * directories of the same content and has to give the same; where ours differs
 * on purpose, the row says both.
 */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { each, type Outcome, outcome, same, twice } from "../support/compare.ts";
import { DOWN, FakeRunsv, RUNNING, type Shown } from "../support/fake-runsv.ts";
import { both, mask, RUNIT, run, type Toolchain, tempDir, UPKEEP } from "../support/lab.ts";

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
  await each(USAGE, async (args) => {
    const r = await same(t, "usage", () => undefined, args);
    assert.equal(r.code, 100);
    assert.match(r.stderr, /usage: sv \[-v\] \[-w sec\] command service \.\.\.\n\n$/);
  });
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
  await each(ACCEPTED, async (args) => {
    const r = await same(t, "accepted", (dir) => new FakeRunsv(t, join(dir, "a")), args);
    assert.deepEqual([r.code, r.stdout], [0, "run: a: (pid PID) Ns\n"]);
  });
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
  await each(FIRST_LETTERS.split(" "), async (word) => {
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
  });
});

test("the bytes of words that wait, and what they say when nothing comes true", async (t) => {
  const rows = `${FULL_WORDS} ${CAPITALS}`.split(" ").flatMap((word) => [
    { word, shown: RUNNING },
    { word, shown: { ...DOWN, want: "up" as const } },
  ]);
  await each(rows, async ({ word, shown }) => {
    // `check` on a service that is down is one of the differences between versions: sv-wait.test.ts.
    if (word === "check" && shown.state === "down") return;
    const [ours, theirs] = await twice(t, (dir) => new FakeRunsv(t, join(dir, "a"), shown), ["-w0", word, "a"]);
    assert.deepEqual(ours, word === "start" ? { ...theirs, bytes: "u" } : theirs, `${word} on ${JSON.stringify(shown)}`);
  });
});

// ---- init.d mode ----

/** Both toolchains' sv, called by a link named "web" in an init.d directory. */
function initd(t: TestContext, prepare: (dir: string) => void, args: readonly string[]): Promise<readonly [Outcome, Outcome]> {
  const one = async (tools: Toolchain): Promise<Outcome> => {
    const dir = tempDir(t);
    prepare(dir);
    mkdirSync(join(dir, "init.d"));
    symlinkSync(tools.program("sv"), join(dir, "init.d/web"));
    return outcome(await run(join(dir, "init.d/web"), args, { cwd: dir, env: { SVDIR: dir } }));
  };
  return Promise.all([one(UPKEEP), one(RUNIT)]);
}

test("init.d mode: usage", async (t) => {
  for (const args of [[], ["-x"], ["-w"], ["zap"], ["s"], ["sfoo"], ["stat"], ["-w", "1"]]) {
    const [ours, theirs] = await initd(t, () => undefined, args);
    assert.deepEqual(ours, theirs, args.join(" "));
    assert.equal(ours.code, 2);
    assert.match(ours.stderr, /usage: web \[-w sec\] command\n\n$/);
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
    assert.equal(ours.code, code, what);
  }
});

test("init.d mode: the log service does not change the LSB code", async (t) => {
  const prepare = (dir: string): void => {
    new FakeRunsv(t, join(dir, "web"), DOWN);
    new FakeRunsv(t, join(dir, "web/log"));
  };
  const [ours, theirs] = await initd(t, prepare, ["status"]);
  // runit 2.3.0 gives 3, Debian's 2.1.2 the log's 0: sv-lsb-log.
  assert.deepEqual([ours.code, theirs.code], [3, 0]);
  assert.equal(ours.stdout, theirs.stdout);
});

test("init.d mode: commands, and words after the command", async (t) => {
  for (const [args, bytes] of [
    [["term"], "t"],
    [["up", "other"], "u"],
    [["-w0", "force-restart"], "tcuk"],
    [["-w", "0", "reload", "x", "y"], "h"],
  ] as const) {
    const fakes: FakeRunsv[] = [];
    const [ours, theirs] = await initd(
      t,
      (dir) => fakes.push(new FakeRunsv(t, join(dir, "web"), { ...DOWN, state: "run", pid: 9 })),
      [...args],
    );
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

both("status of 150 services with long names comes whole through a pipe", async (tools, dir, t) => {
  const names = Array.from({ length: 150 }, (_, i) => `${"s".repeat(240)}${i}`);
  for (const name of names) new FakeRunsv(t, join(dir, name));
  const r = await run(tools.program("sv"), ["status", ...names], { env: { SVDIR: dir } });
  assert.equal(mask(r.stdout), names.map((name) => `run: ${name}: (pid PID) Ns\n`).join(""));
  assert.equal(r.code, 0);
});
