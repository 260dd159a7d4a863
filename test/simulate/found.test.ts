/** What the simulation has found, each as a row that fails when the bug comes back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SIGTERM } from "../../src/kernel/constants.ts";
import type { Process } from "../../src/kernel/simulated/process.ts";
import { supervisorIn } from "./programs.ts";
import { type Files, Scene } from "./scene.ts";

type Row = { readonly name: string; readonly files: Files; readonly play: (s: Scene) => void };

const LIVES: Files = { run: "" };
/** Descriptors of a dense runsvdir that must spare them from its first service on, and can just open it. */
const FEW = 22;
const LOGGED: Files = { run: "out=5-20", log: "read=1" };

/** A supervisor is killed and the next one meets a fault: the service lives on, and there is one of it. */
function adoptsDespite(fault: string, skip: number, files: Files): (s: Scene) => void {
  return (s) => {
    s.runsv();
    s.run(3000);
    const run = s.service.run;
    s.kill(s.service.runsv);
    s.run(10);
    const second = s.runsv(fault, skip);
    s.run(100);
    assert.equal(second.planned, "", "the fault was met");
    if (second.state !== "live") s.runsv();
    s.run(3000);
    assert.equal(s.service.run, run);
    assert.equal(s.service.starts, 1);
    assert.equal(s.service.log === null, files.log === undefined);
  };
}

const ROWS: readonly Row[] = [
  {
    name: "u behind x in one read keeps runsv and brings the service up",
    files: { run: "", down: true },
    play: (s) => {
      const p = s.runsv();
      s.run(1500);
      s.command("xu");
      s.run(3000);
      assert.equal(p.state, "live");
      assert.notEqual(s.service.run, null);
    },
  },
  {
    name: "a runsv that cannot watch its signals does not start",
    files: LIVES,
    play: (s) => {
      const p = s.runsv("ENOSPC epollControl", 1);
      s.run(100);
      assert.equal(p.status, 111 << 8);
      assert.equal(s.service.starts, 0);
    },
  },
  {
    name: "a runsv that cannot watch its control fifo does not start",
    files: LIVES,
    play: (s) => {
      const p = s.runsv("ENOSPC epollControl", 0);
      s.run(100);
      assert.equal(p.status, 111 << 8);
      assert.equal(s.service.starts, 0);
    },
  },
  {
    name: "no descriptor for the boot id: the record is never written without it",
    files: LIVES,
    play: (s) => {
      const first = s.runsv("EMFILE open", 6);
      s.run(100);
      assert.equal(first.planned, "", "the fault was met");
      if (first.state !== "live") s.runsv();
      s.run(2000);
      s.kill(s.service.runsv);
      s.run(10);
      s.runsv();
      s.run(2000);
      assert.equal(s.service.starts, 1);
    },
  },
  { name: "the record is read in spite of EINTR", files: LIVES, play: adoptsDespite("EINTR pread", 0, LIVES) },
  { name: "/proc is read in spite of EINTR", files: LIVES, play: adoptsDespite("EINTR read", 2, LIVES) },
  { name: "no descriptor for the record", files: LIVES, play: adoptsDespite("EMFILE open", 5, LIVES) },
  { name: "no descriptor for a pidfd of the living service", files: LIVES, play: adoptsDespite("EMFILE pidfdOpen", 0, LIVES) },
  { name: "no descriptor to look at the living service", files: LIVES, play: adoptsDespite("EMFILE open", 8, LIVES) },
  { name: "no descriptor for the log pipe", files: LOGGED, play: adoptsDespite("EMFILE open", 12, LOGGED) },
  { name: "no descriptor to tell this life of the container", files: LIVES, play: adoptsDespite("EMFILE open", 7, LIVES) },
  {
    name: "the log pipe is found at the service when the log died with runsv",
    files: LOGGED,
    play: (s) => {
      s.runsv();
      s.run(3000);
      const run = s.service.run;
      s.kill(s.service.runsv);
      s.kill(s.service.log);
      s.runsv();
      s.run(3000);
      assert.equal(s.service.run, run);
      assert.notEqual(s.service.log, null);
      assert.equal(run?.descriptor(1)?.file.pipe, s.service.log?.descriptor(0)?.file.pipe);
    },
  },
  {
    name: "runsvdir keeps the pipe that is in use, not a new one, for a service it found running",
    files: LOGGED,
    play: (s) => {
      const first = s.runsvdir();
      s.run(3000);
      s.kill(first);
      s.runsvdir();
      s.run(3000);
      samePipe(s);
    },
  },
  {
    name: "a runsvdir without a descriptor for the boot id recognises the living runsv later",
    files: LIVES,
    play: (s) => {
      const first = s.runsvdir();
      s.run(3000);
      s.kill(first);
      const second = s.runsvdir();
      second.planned = "EMFILE open";
      s.run(6000);
      assert.equal(second.planned, "", "the fault was met");
      assert.equal(s.checks.seconds, 0);
    },
  },
  {
    name: "a record that a full disk did not take is made when there is room",
    files: LOGGED,
    play: (s) => {
      const first = s.runsv("ENOSPC open", 3);
      s.run(3000);
      assert.equal(first.planned, "", "the fault was met");
      s.command("t");
      s.run(3000);
      const run = s.service.run;
      s.kill(s.service.runsv);
      s.kill(s.service.log);
      s.runsv();
      s.run(3000);
      assert.equal(s.service.run, run);
      assert.equal(run?.descriptor(1)?.file.pipe, s.service.log?.descriptor(0)?.file.pipe);
    },
  },
  {
    name: "runsvdir keeps an old pipe after u behind x: the one in use counts",
    files: { run: "out=5-20 orphan=2000", log: "read=1" },
    play: (s) => {
      s.runsvdir();
      s.run(3000);
      s.command("x");
      s.run(500);
      s.command("u");
      s.run(4000);
      samePipe(s);
    },
  },
  {
    name: "d to a released log: runsv still ends",
    files: { run: "out=5-20 orphan=20000", log: "read=1" },
    play: (s) => {
      const p = s.runsv();
      s.run(3000);
      s.command("x");
      s.run(500);
      assert.equal(p.state, "live", "it waits for the log service");
      s.command("d", true);
      s.run(1000);
      assert.equal(p.status, 0);
      assert.notEqual(p.state, "live");
    },
  },
  {
    name: "a dense runsvdir told to end before it has looked: it ends what a killed one left, and says so",
    files: { run: "out=5-20 slow=500", log: "read=1" },
    play: (s) => {
      s.kill(dense(s));
      s.run(10);
      const next = s.runsvdir(true);
      // Its first turn, in which it sees the directory and opens nothing.
      s.run(0.01);
      s.signal(next, SIGTERM);
      s.run(400);
      assert.equal(next.state, "live", "it waits for the service");
      s.run(3000);
      assert.equal(next.status, 0);
      assert.equal(s.service.run ?? s.service.log, null);
      assert.equal(s.service.starts, 1);
    },
  },
  {
    name: "a dense runsvdir told to end before it has looked: it starts nothing",
    files: LIVES,
    play: (s) => {
      s.kill(dense(s));
      s.kill(s.service.run);
      s.run(10);
      const next = s.runsvdir(true);
      s.run(0.01);
      s.signal(next, SIGTERM);
      s.run(3000);
      assert.equal(next.status, 0);
      assert.equal(s.service.starts, 1);
    },
  },
  {
    name: "a dense runsvdir told to end, then a service told to come up: it ends",
    files: { run: "slow=1000" },
    play: (s) => {
      const p = dense(s);
      s.signal(p, SIGTERM);
      s.run(300);
      s.command("u");
      s.run(200);
      s.command("o");
      s.run(3000);
      assert.equal(p.status, 0);
      assert.equal(s.service.run, null);
      assert.equal(s.service.starts, 1);
    },
  },
];

/** A dense runsvdir whose service runs. */
function dense(s: Scene): Process {
  const p = s.runsvdir(true);
  s.run(3000);
  assert.notEqual(s.service.run, null);
  return p;
}

/** Service and log have their pipe in common, whichever of the supervisors is killed next. */
function samePipe(s: Scene): void {
  const run = s.service.run;
  for (const next of [s.service.runsv, s.service.log]) {
    s.kill(next);
    s.run(3000);
    assert.equal(s.service.run, run);
    assert.notEqual(s.service.log, null);
    assert.equal(run?.descriptor(1)?.file.pipe, s.service.log?.descriptor(0)?.file.pipe);
  }
}

/** The first supervisor is killed at its call number `at`; the next one must leave one service and one log. */
function killedAt(at: number, files: Files, fault: string, skip: number): void {
  const s = new Scene(files);
  const first = s.runsv(fault, skip);
  first.killAtCall = at;
  s.run(2500);
  if (first.state === "live") return;
  s.runsv();
  s.run(3000);
  assert.equal(s.checks.failure, "", `killed at call ${at}`);
  assert.notEqual(s.service.run, null, `killed at call ${at}`);
  assert.equal(s.service.log === null, files.log === undefined, `killed at call ${at}`);
}

test("a runsv killed at any call leaves one service", () => {
  for (let at = 1; at < 90; at++) killedAt(at, LIVES, "", 0);
  for (let at = 1; at < 140; at++) killedAt(at, LOGGED, "", 0);
});

/** `openFiles`: how many descriptors a process may have. Returns how many calls there were. */
function denseKilledAtAnyCall(openFiles: number): number {
  for (let at = 1; ; at++) {
    const s = new Scene(LOGGED);
    s.world.openFiles = openFiles;
    const first = s.runsvdir(true);
    first.killAtCall = at;
    s.run(2500);
    if (first.state === "live") return at;
    s.runsvdir(true);
    s.run(3000);
    assert.equal(s.checks.failure, "", `killed at call ${at}`);
    assert.notEqual(s.service.run, null, `killed at call ${at}`);
    assert.notEqual(s.service.log, null, `killed at call ${at}`);
  }
}

test("a dense runsvdir killed at any call leaves one service", () => {
  assert.ok(denseKilledAtAnyCall(1024) > 100);
});

test("a dense runsvdir with few descriptors killed at any call leaves one service", () => {
  assert.ok(denseKilledAtAnyCall(FEW) > denseKilledAtAnyCall(1024));
});

test("few descriptors: none for a moment, when directories are to be opened again, and no program without a record", () => {
  for (let n = 0; n < 40; n++) {
    const s = new Scene(LOGGED);
    s.world.openFiles = FEW;
    const first = dense(s);
    // As when another supervisor has opened its own since.
    supervisorIn(first, s.service.directory)?.putAway();
    first.planned = "EMFILE open";
    first.plannedSkip = n >> 2;
    first.plannedTimes = 1 + (n & 1);
    s.kill((n & 2) === 0 ? s.service.run : s.service.log);
    s.run(50);
    s.kill(first);
    s.run(100);
    s.runsvdir(true);
    s.run(3000);
    assert.equal(s.checks.failure, "", `case ${n}`);
    assert.notEqual(s.service.run, null);
    assert.notEqual(s.service.log, null);
  }
});

test("a runsv killed at any call whose record met EINTR leaves one service", () => {
  for (let skip = 0; skip < 4; skip++) for (let at = 1; at < 80; at++) killedAt(at, LIVES, "EINTR pwrite", skip);
});

for (const row of ROWS) {
  test(row.name, () => {
    const s = new Scene(row.files);
    row.play(s);
    assert.equal(s.checks.failure, "");
  });
}
