/** Tables of the stop sequence. A row: an event or "+SECONDS", then the actions in words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { after, type Instant, instant } from "../base/units.ts";
import { exitCodeOf, GRACE_MS, type Inhabitants, Shutdown, type ShutdownAction, type ShutdownEvent } from "./shutdown.ts";

const NOBODY: Inhabitants = { stage2: false, stage3: false, tree: false, command: false };

function show(a: ShutdownAction): string {
  switch (a.act) {
    case "signalStage2":
    case "signalCommand":
    case "signalAll":
      return `${a.act} ${a.signal}`;
    case "report":
      return `report ${a.leftMs}`;
    case "exit":
      return `exit ${a.code}`;
    default:
      return a.act;
  }
}

class Play {
  readonly machine = new Shutdown(GRACE_MS);
  now: Instant = instant(5000);
  readonly who: Inhabitants;

  constructor(who: Partial<Inhabitants>) {
    this.who = { ...NOBODY, ...who };
  }

  #event(word: string): ShutdownEvent {
    const [verb = "", a = "0", b = "0"] = word.split(" ");
    switch (verb) {
      case "stop":
        return { kind: "stop", signal: Number(a), code: Number(b), now: this.who };
      case "left":
        return { kind: "left", count: Number(a) };
      case "command":
        return { kind: "commandEnded", code: Number(a) };
      default:
        return { kind: verb as "treeEnded" };
    }
  }

  step(word: string): string[] {
    if (!word.startsWith("+")) return this.machine.step(this.#event(word), this.now).map(show);
    const end = after(this.now, Number.parseFloat(word.slice(1)) * 1000);
    const all: string[] = [];
    // As the reactor does: at each deadline on the way.
    for (let d = this.machine.deadline(); d !== null && d <= end; d = this.machine.deadline()) {
      this.now = d > this.now ? d : this.now;
      all.push(...this.machine.step({ kind: "due" }, this.now).map(show));
    }
    this.now = end;
    return all;
  }

  run(...rows: readonly (readonly [string, ...string[]])[]): this {
    for (const [word, ...expected] of rows) {
      const actual = this.step(word).filter((a) => a !== "count");
      assert.deepEqual(actual, expected, word);
      assert.equal(this.machine.deadline() === null, this.machine.phase === "up" || this.machine.phase === "gone", word);
    }
    return this;
  }
}

const GONE = [
  ["left 0", "drain"],
  ["drained", "exit 0"],
] as const;

test("an orderly stop of a tree", () => {
  const p = new Play({ tree: true }).run(["stop 15", "stopTree"], ["+0.1"], ["treeEnded", "signalAll 15"], ["left 2"], ...GONE);
  p.run(["stop 15"], ["+10"], ["drained"]);
});

test("an empty container goes at once", () => {
  new Play({}).run(["stop 15", "signalAll 15"], ...GONE);
});

test("the exit code is what the request calls for, or the command's", () => {
  new Play({ tree: true }).run(
    ["stop 0 3", "stopTree"],
    ["treeEnded", "signalAll 15"],
    ["left 0", "drain"],
    ["drained", "exit 3"],
  );
  new Play({ command: true }).run(
    ["stop 15", "signalCommand 15"],
    ["command 143", "signalAll 15"],
    ["left 0", "drain"],
    ["drained", "exit 143"],
  );
  // The command ended first: that is the reason to stop.
  new Play({ tree: true }).run(
    ["command 7"],
    ["stop 0 7", "stopTree"],
    ["treeEnded", "signalAll 15"],
    ["left 0", "drain"],
    ["drained", "exit 7"],
  );
  assert.deepEqual([0, 7 << 8, 255 << 8, 15, 139].map(exitCodeOf), [0, 7, 255, 143, 139]);
});

test("the command gets the signal that came, where it is one that asks to end", () => {
  for (const [signal, passed] of [
    [2, 2],
    [3, 3],
    [15, 15],
    [30, 15],
    [37, 15],
  ]) {
    new Play({ command: true }).run([`stop ${signal}`, `signalCommand ${passed}`]);
  }
});

test("who does not stop is killed in time, and the rest of the budget is kept for the others", () => {
  const p = new Play({ tree: true, command: true }).run(
    ["stop 15", "signalCommand 15", "stopTree"],
    ["+2.9"],
    ["+0.2", "report 5000"],
    ["+2", "report 3000"],
    ["+0.6", "signalCommand 9", "killTree"],
    ["command 137"],
    ["+1.2", "signalAll 15"],
    ["left 3"],
    ["+0.1", "report 1000"],
  );
  assert.equal(p.machine.phase, "strays");
  const killed = p.step("+1.2").filter((a) => a !== "count");
  assert.equal(killed[0], "signalAll 9");
  p.run(["left 0", "drain"], ["+0.6", "exit 137"]);
  assert.ok(p.now - 5000 <= GRACE_MS + 1000);
});

test("strays that stay cost a quarter of the budget", () => {
  const p = new Play({ tree: true }).run(["stop 15", "stopTree"], ["treeEnded", "signalAll 15"], ["+1.9"]);
  const rest = p.step("+0.7").filter((a) => a !== "count");
  assert.deepEqual([rest[0], rest.at(-1)], ["signalAll 9", "drain"]);
  p.run(["+0.5", "exit 0"]);
});

test("a second request is KILL, from everywhere", () => {
  const phases: Readonly<Record<string, Play>> = {
    stage2: new Play({ stage2: true }).run(["stop 15", "signalStage2 15"]),
    stage3: new Play({ stage3: true }).run(["stop 15", "startStage3"]),
    services: new Play({ tree: true }).run(["stop 15", "stopTree"]),
    strays: new Play({}).run(["stop 15", "signalAll 15"]),
  };
  for (const [phase, play] of Object.entries(phases)) {
    assert.equal(play.machine.phase, phase);
    play.run(["stop 15", "signalAll 9"], ["left 0", "drain"], ["drained", "exit 137"]);
  }
});

test("a request without a signal does not hurry an orderly stop", () => {
  new Play({ tree: true, command: true }).run(
    ["stop 15", "signalCommand 15", "stopTree"],
    ["command 0"],
    ["stop 0 0"],
    ["treeEnded", "signalAll 15"],
    ...GONE,
  );
});

test("stage 2 ends, then stage 3 runs, then what is left of the services", () => {
  new Play({ stage2: true, stage3: true, tree: true }).run(
    ["stop 15", "signalStage2 15"],
    ["stage2Ended", "startStage3"],
    ["stage3Ended", "stopTree"],
    ["treeEnded", "signalAll 15"],
    ...GONE,
  );
});

test("stage 2 and stage 3 have their share and no more", () => {
  const p = new Play({ stage2: true, stage3: true }).run(
    ["stop 15", "signalStage2 15"],
    ["+3.3", "report 5000", "signalStage2 9", "startStage3"],
    ["stage2Ended"],
  );
  assert.deepEqual(
    p.step("+2.4").filter((a) => !/report|count/.test(a)),
    ["killStage3", "signalAll 15"],
  );
  p.run(...GONE);
});

test("whatever happens, it is over after the budget and two moments", () => {
  const everyone = { stage2: true, stage3: true, tree: true, command: true };
  for (const who of [everyone, { tree: true }, { command: true }, {}]) {
    const p = new Play(who);
    p.step("stop 15");
    p.step("left 9");
    assert.match(p.step("+9").at(-1) ?? "", /^exit/);
  }
});

test("without a limit only the end of those waited for leads on", () => {
  const machine = new Shutdown(Number.POSITIVE_INFINITY);
  machine.step({ kind: "stop", signal: 15, code: 0, now: { ...NOBODY, tree: true } }, instant(0));
  for (let at = 0; at < 1e6; at += 1000) {
    const out = machine.step({ kind: "due" }, instant(at)).map(show);
    assert.ok(out.every((a) => a === "report Infinity"));
  }
  assert.deepEqual(machine.step({ kind: "treeEnded" }, instant(1e6)).map(show), ["signalAll 15", "count"]);
});

test("after a trap the stop goes on within the same budget", () => {
  const p = new Play({ tree: true }).run(["stop 15", "stopTree"], ["+2"]);
  const q = new Play({ tree: true });
  q.now = p.now;
  assert.deepEqual(q.machine.restore(p.machine.memory(), q.who, q.now).map(show), ["stopTree"]);
  assert.match(q.step("+7").at(-1) ?? "", /^exit 0/);
  const idle = new Play({ tree: true });
  assert.deepEqual(idle.machine.restore(new Shutdown(GRACE_MS).memory(), idle.who, idle.now), []);
  assert.equal(idle.machine.stopping, false);
});
