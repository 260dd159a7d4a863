/**
 * Tables of the stage machine. A line of a play is an event, or a moment
 * ("+5s"), and what comes out: lines as they are without the prefix
 * "- runit: ", actions in words.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { after, type Instant, instant, pid } from "../base/units.ts";
import { FORK_RETRY_MS, RESTART_MS, STATUS_LOST, type StageAction, type StageEvent, Stages, TERM_MS } from "./stage.ts";

const SIGNALS = { cont: false, int: false, power: false, alarm: false };

/** Events in words: "started 10", "exit 10 111", "killed 10 9", "cont", "set", "unset", "due"… */
function eventOf(word: string): StageEvent {
  const [verb = "", a = "", b = ""] = word.split(" ");
  switch (verb) {
    case "begin":
      return { kind: "begin" };
    case "started":
      return { kind: "started", pid: pid(Number(a)) };
    case "nofork":
      return { kind: "startFailed", error: "temporary failure" };
    case "exit":
      return { kind: "ended", pid: pid(Number(a)), status: Number(b) << 8 };
    case "killed":
      return { kind: "ended", pid: pid(Number(a)), status: Number(b) };
    case "lost":
      return { kind: "ended", pid: pid(Number(a)), status: STATUS_LOST };
    case "set":
    case "unset":
      return { kind: "looked", set: verb === "set" };
    case "due":
      return { kind: "due" };
    default:
      return { kind: "signals", ...SIGNALS, [verb]: true };
  }
}

function show(action: StageAction): string {
  switch (action.act) {
    case "say":
      assert.match(action.line, /^- runit: .*\n$/);
      return action.line.slice(9, -1);
    case "start":
      return `start ${action.path}${action.console ? " console" : ""}`;
    case "look":
      return `look ${action.file}`;
    case "clearStopit":
      return "clear";
    case "signal":
      return `kill ${action.pid} ${action.signal}`;
    case "off":
      return action.powerOff ? "power off" : "off";
  }
}

class Play {
  readonly stages = new Stages();
  now: Instant = instant(1000);

  /** The actions an event brings. */
  step(word: string): string[] {
    if (word.startsWith("+")) {
      this.now = after(this.now, Number.parseFloat(word.slice(1)) * 1000);
      return this.step("due");
    }
    return this.stages.step(eventOf(word), this.now).map(show);
  }

  run(...rows: readonly (readonly [string, ...string[]])[]): this {
    for (const [word, ...expected] of rows) assert.deepEqual(this.step(word), expected, word);
    return this;
  }
}

const inStage1 = (): Play => new Play().run(["begin", "start /etc/runit/1 console"], ["started 10"]);
const inStage2 = (): Play => inStage1().run(["exit 10 0", "leave stage: /etc/runit/1", "start /etc/runit/2"], ["started 20"]);
const inStage3 = (): Play => inStage2().run(["exit 20 0", "leave stage: /etc/runit/2", "start /etc/runit/3"], ["started 30"]);

const OVER = ["leave stage: /etc/runit/3", "sending KILL signal to all processes...", "off"] as const;

test("one stage after the other, and off", () => {
  const p = inStage3().run(["exit 30 0", ...OVER]);
  assert.equal(p.stages.phase, "off");
  assert.equal(p.stages.deadline(), null);
  p.run(["cont"], ["exit 99 0"], ["+60"]);
});

test("orphans change nothing", () => {
  inStage2().run(["exit 77 0"], ["killed 78 9"], ["lost 79"]);
});

test("a failed fork is tried again after five seconds", () => {
  const p = new Play().run(
    ["begin", "start /etc/runit/1 console"],
    ["nofork", 'fatal: unable to fork for "/etc/runit/1" pausing: temporary failure'],
    ["+4.9"],
    ["+0.1", "start /etc/runit/1 console"],
  );
  assert.equal(FORK_RETRY_MS, 5000);
  p.run(["started 10"]);
  assert.equal(p.stages.deadline(), null);
});

test("stage 1: its exit code decides whether there is a stage 2", () => {
  const skip = ["leave stage: /etc/runit/1", "warning: skipping stage 2...", "start /etc/runit/3"] as const;
  inStage1().run(["exit 10 100", "warning: child failed: /etc/runit/1", ...skip]);
  inStage1().run(["killed 10 11", "warning: child crashed: /etc/runit/1", ...skip]);
  for (const code of [1, 111, 255]) {
    inStage1().run([`exit 10 ${code}`, "warning: child failed: /etc/runit/1", "leave stage: /etc/runit/1", "start /etc/runit/2"]);
  }
});

test("stage 2: 111 or a crash starts it again, after its group was killed", () => {
  for (const [end, what] of [
    ["exit 20 111", "failed"],
    ["killed 20 9", "crashed"],
    ["killed 20 139", "crashed"],
  ] as const) {
    const p = inStage2().run(
      [end, `warning: child ${what}: /etc/runit/2`, "warning: killing all processes in stage 2...", "kill -20 9"],
      ["cont"],
      ["+4.9"],
      ["+0.2", "warning: restarting.", "start /etc/runit/2"],
    );
    // What came meanwhile was remembered, as the original blocks it.
    p.run(["started 21", "look stopit"], ["unset"]);
  }
  assert.equal(RESTART_MS, 5000);
});

test("stage 2: any other exit code leads to stage 3", () => {
  for (const code of [1, 100, 255]) {
    inStage2().run([`exit 20 ${code}`, "warning: child failed: /etc/runit/2", "leave stage: /etc/runit/2", "start /etc/runit/3"]);
  }
});

test("stage 3: whatever becomes of it, the machine goes off", () => {
  inStage3().run(["exit 30 111", "warning: child failed: /etc/runit/3", ...OVER]);
  inStage3().run(["killed 30 15", "warning: child crashed: /etc/runit/3", ...OVER]);
});

test("signals only work in stage 2, and are not remembered elsewhere", () => {
  for (const signal of ["cont", "int"]) {
    inStage1().run(
      [signal, "warning: signals only work in stage 2."],
      ["exit 10 0", "leave stage: /etc/runit/1", "start /etc/runit/2"],
      ["started 20"],
    );
    inStage3().run([signal, "warning: signals only work in stage 2."]);
  }
});

test("CONT: without stopit nothing happens", () => {
  const p = inStage2().run(["cont", "look stopit"], ["unset"], ["cont", "look stopit"], ["unset"]);
  assert.equal(p.stages.phase, "run");
});

test("CONT and stopit: TERM to stage 2, then stage 3", () => {
  inStage2().run(
    ["cont", "look stopit"],
    ["set", "clear", "kill 20 15"],
    ["exit 20 7", "leave stage: /etc/runit/2", "start /etc/runit/3"],
  );
});

test("stage 2 that does not end gets KILL after five seconds", () => {
  const p = inStage2().run(
    ["cont", "look stopit"],
    ["set", "clear", "kill 20 15"],
    ["+4.9"],
    ["cont"],
    ["+0.2", "warning: stage 2 not terminated, sending sigkill...", "kill 20 9"],
  );
  assert.equal(p.stages.deadline(), null);
  assert.equal(TERM_MS, 5000);
  p.run(
    ["killed 20 9", "leave stage: /etc/runit/2", "start /etc/runit/3"],
    ["started 30", "warning: signals only work in stage 2."],
  );
});

test("INT: without ctrlaltdel nothing happens", () => {
  inStage2().run(["int", "look ctrlaltdel"], ["unset"]);
});

test("INT: ctrlaltdel is run, then it is as after CONT", () => {
  inStage2().run(
    ["int", "look ctrlaltdel"],
    ["set", "ctrl-alt-del request...", "start /etc/runit/ctrlaltdel"],
    ["nofork", 'fatal: unable to fork for "/etc/runit/ctrlaltdel" pausing: temporary failure'],
    ["+5", "start /etc/runit/ctrlaltdel"],
    ["started 40"],
    ["exit 40 3", "leave stage: /etc/runit/ctrlaltdel", "look stopit"],
    ["set", "clear", "kill 20 15"],
  );
  inStage2().run(
    ["int", "look ctrlaltdel"],
    ["set", "ctrl-alt-del request...", "start /etc/runit/ctrlaltdel"],
    ["started 40"],
    ["killed 40 9", "warning: child crashed: /etc/runit/ctrlaltdel", "leave stage: /etc/runit/ctrlaltdel", "look stopit"],
    ["unset"],
  );
});

test("INT during ctrlaltdel is a request of its own", () => {
  inStage2().run(
    ["int", "look ctrlaltdel"],
    ["set", "ctrl-alt-del request...", "start /etc/runit/ctrlaltdel"],
    ["started 40"],
    ["int"],
    ["exit 40 0", "leave stage: /etc/runit/ctrlaltdel", "look ctrlaltdel"],
    ["unset", "look stopit"],
    ["unset"],
  );
});

test("stage 2 ends while ctrlaltdel runs", () => {
  const waiting = (): Play =>
    inStage2().run(
      ["int", "look ctrlaltdel"],
      ["set", "ctrl-alt-del request...", "start /etc/runit/ctrlaltdel"],
      ["started 40"],
      ["exit 20 1"],
      ["exit 40 0", "leave stage: /etc/runit/ctrlaltdel", "look stopit"],
    );
  waiting().run(["set", "clear", "leave stage: /etc/runit/2", "start /etc/runit/3"]);
  waiting().run(["unset", "warning: child failed: /etc/runit/2", "leave stage: /etc/runit/2", "start /etc/runit/3"]);
});

test("PWR: stage 3 without stopit, and a power off whatever the reboot file says", () => {
  inStage2().run(
    ["power", "clear", "kill 20 15"],
    ["exit 20 0", "leave stage: /etc/runit/2", "start /etc/runit/3"],
    ["started 30"],
    ["exit 30 0", ...OVER.slice(0, 2), "power off"],
  );
});

test("ALRM is passed to stage 2 and to nothing else", () => {
  inStage1().run(["alarm"]);
  inStage2().run(["alarm", "kill 20 14"]);
  inStage3().run(["alarm"]);
});

test("after a trap of process 1 its memory brings everything back", () => {
  const again = (p: Play): Play => {
    const q = new Play();
    q.now = p.now;
    q.stages.restore(p.stages.memory(), q.now);
    return q;
  };
  again(new Play()).run(["begin", "start /etc/runit/1 console"]);
  again(inStage1()).run(["begin"], ["exit 10 0", "leave stage: /etc/runit/1", "start /etc/runit/2"]);
  again(inStage2()).run(["begin"], ["cont", "look stopit"]);
  again(inStage2().run(["cont", "look stopit"], ["set", "clear", "kill 20 15"])).run(
    ["begin", "kill 20 15"],
    ["exit 20 0", "leave stage: /etc/runit/2", "start /etc/runit/3"],
  );
  again(inStage3().run(["exit 30 0", ...OVER])).run(["begin", "sending KILL signal to all processes...", "off"]);
  const cad = inStage2().run(
    ["int", "look ctrlaltdel"],
    ["set", "ctrl-alt-del request...", "start /etc/runit/ctrlaltdel"],
    ["started 40"],
  );
  again(cad).run(["begin"], ["exit 40 0", "leave stage: /etc/runit/ctrlaltdel", "look stopit"]);
  // What was lost: stage 1 and 3 count as ended, stage 2 is started anew.
  again(inStage1()).run(["begin"], ["lost 10", "leave stage: /etc/runit/1", "start /etc/runit/2"]);
  again(inStage2()).run(["begin"], ["lost 20", "warning: killing all processes in stage 2...", "kill -20 9"]);
  // A memory that is none is ignored.
  const stages = new Stages();
  stages.restore([9, 1], instant(0));
  assert.equal(stages.stage, 1);
});
