/**
 * The machine of runsv, as tables. A row plays a script and compares what came
 * out, in a notation of its own:
 *
 *   script  letters of commands, `exit N`, `signal N`, `hook 0|1` (1: handled),
 *           `forkfail`, `+MS`; each separated by "; "
 *   result  start run, start finish, hook X, killhook, SIG…, status (s: stamped)
 *
 * What a start or a hook would report at once is reported by the player: a
 * start has a process, an absent hook is not handled, unless the script says
 * `hooks` first: then hooks run until `hook …` ends them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Instant, instant, pid } from "../base/units.ts";
import { type Command, commandOf, letterOf, signalOf } from "./control.ts";
import {
  finishArguments,
  QUEUE_MAX,
  Service,
  type ServiceAction,
  type ServiceEvent,
  STATUS_UNKNOWN,
  type Want,
} from "./service.ts";

const SIGNAL_NAMES: Record<number, string> = {
  1: "HUP",
  2: "INT",
  3: "QUIT",
  9: "KILL",
  10: "USR1",
  12: "USR2",
  14: "ALRM",
  15: "TERM",
  18: "CONT",
  19: "STOP",
};

class Player {
  readonly service: Service;
  readonly out: string[] = [];
  now: Instant = instant(10_000);
  hooks = false;
  forkFails = false;
  hasFinish = false;
  #nextPid = 100;

  constructor(want: Want, isLog: boolean) {
    this.service = new Service(want, isLog);
  }

  send(first: ServiceEvent): void {
    const events = [first];
    for (let i = 0; i < events.length; i++) {
      for (const action of this.service.step(events[i]!, this.now)) {
        const answer = this.#perform(action);
        if (answer !== null) events.push(answer);
      }
    }
    this.#invariants();
  }

  #perform(action: ServiceAction): ServiceEvent | null {
    switch (action.act) {
      case "start":
        this.out.push(`start ${action.program}`);
        return this.forkFails ? { kind: "startFailed" } : { kind: "started", pid: pid(this.#nextPid++) };
      case "signal":
        this.out.push(SIGNAL_NAMES[action.signal] ?? `${action.signal}`);
        return null;
      case "hook":
        if (!this.hooks) return { kind: "hookEnded", handled: false };
        this.out.push(`hook ${letterOf(action.command)}`);
        return null;
      case "killHook":
        this.out.push("killhook");
        return null;
      case "status":
        this.out.push(action.stamp ? "status s" : "status");
        return null;
    }
  }

  #invariants(): void {
    const s = this.service;
    assert.ok(s.state !== "down" || s.pid === 0, "down without a process");
    assert.ok(s.state !== "run" || s.pid !== 0, "run with a process");
    if (s.state === "finish" && s.pid === 0) assert.notEqual(s.deadline(), null, "finish is started or waited for");
  }

  step(word: string): void {
    const [verb = "", value = ""] = word.split(" ");
    if (verb.startsWith("+")) {
      this.now = instant(this.now + Number(verb.slice(1)));
      const at = this.service.deadline();
      if (at !== null && at <= this.now) this.send({ kind: "due" });
    } else if (verb === "exit") this.send({ kind: "ended", status: Number(value) << 8, hasFinish: this.hasFinish });
    else if (verb === "signal") this.send({ kind: "ended", status: Number(value), hasFinish: this.hasFinish });
    else if (verb === "hook") this.send({ kind: "hookEnded", handled: value === "1" });
    else if (verb === "hooks") this.hooks = true;
    else if (verb === "finish") this.hasFinish = true;
    else if (verb === "forkfail") this.forkFails = true;
    else if (verb === "forkworks") this.forkFails = false;
    else if (verb === "begin") this.send({ kind: "begin" });
    else if (verb === "clear") this.out.length = 0;
    else for (const letter of verb) this.send({ kind: "command", command: commandOf(letter.charCodeAt(0)) ?? "up" });
  }
}

function play(script: string, want: Want = "up", isLog = false): { out: string; player: Player } {
  const player = new Player(want, isLog);
  for (const word of script.split("; ")) player.step(word);
  return { out: player.out.join(", "), player };
}

const ROWS: readonly (readonly [name: string, script: string, out: string])[] = [
  ["start when wanted", "begin", "start run, status s"],
  ["restart not before a second after the last start", "begin; clear; exit 1; +900", "status s"],
  ["restart after that second", "begin; clear; exit 1; +1000", "status s, start run, status s"],
  ["restart at once when it ran longer", "begin; +2000; clear; exit 0; +0", "status s, start run, status s"],
  ["but after the commands that came before the end", "begin; +2000; clear; exit 0; d; +5000", "status s, status"],
  [
    "once among them is a start",
    "begin; +2000; clear; exit 0; o; exit 0; +5000",
    "status s, status, start run, status s, status s",
  ],
  ["so when finish ended", "finish; begin; +2000; exit 0; clear; exit 0; d; +5000", "status s, status"],
  ["finish follows run without a wait", "finish; begin; clear; exit 3", "status, start finish, status"],
  ["the throttle counts from the start of run, through finish", "finish; begin; exit 0; +400; clear; exit 0; +500", "status s"],
  ["and ends a second after it", "finish; begin; exit 0; +400; clear; exit 0; +600", "status s, start run, status s"],
  ["down stops: TERM, then CONT", "begin; clear; d", "status, TERM, status, CONT"],
  ["down while down only changes what is wanted", "begin; d; exit 0; clear; d", "status"],
  ["up after down starts", "begin; +2000; d; exit 0; clear; u", "status, start run, status s"],
  ["up within the second waits for it", "begin; d; exit 0; clear; u; +999", "status"],
  ["down in that second is not lost", "begin; exit 1; clear; d; +2000", "status"],
  ["down and up in that second end up", "begin; exit 1; clear; du; +1000", "status, status, start run, status s"],
  ["once runs once", "begin; +2000; d; exit 0; clear; o; exit 0; +5000", "status, start run, status s, status s"],
  ["once on a running service only changes what is wanted", "begin; clear; o; exit 0; +5000", "status, status s"],
  ["term restarts", "begin; +2000; clear; t; exit 0; +0", "TERM, status, status s, start run, status s"],
  ["term while wanted down also continues", "begin; o; clear; t", "TERM, status, CONT"],
  [
    "restart: term, continue, up",
    "begin; +2000; clear; tcu; signal 15; +0",
    "TERM, status, CONT, status, status, status s, start run, status s",
  ],
  ["kill does not change the state before the process is gone", "begin; +2000; clear; k", "KILL"],
  ["kill and up never make two", "begin; +2000; clear; ku; signal 9; +0", "KILL, status, status s, start run, status s"],
  ["kill reaches finish", "finish; begin; exit 0; clear; k", "KILL"],
  ["kill while down does nothing", "begin; d; exit 0; clear; k", ""],
  ["pause and continue", "begin; clear; pc", "STOP, status, CONT, status"],
  ["pause while down sets no flag", "begin; d; exit 0; clear; p", ""],
  ["down continues a paused service and clears the flag", "begin; p; clear; d", "status, TERM, status, CONT, status"],
  ["plain signals", "begin; clear; ahiq12", "ALRM, HUP, INT, QUIT, USR1, USR2"],
  ["plain signals while down", "begin; d; exit 0; clear; ahiq12", ""],
  ["plain signals during finish", "finish; begin; exit 0; clear; tpcahiq12", ""],
  ["exit: TERM, CONT, then gone", "begin; clear; x; exit 0", "status, TERM, status, CONT, status s"],
  ["a failed fork is tried again", "forkfail; begin; +999; clear; forkworks; +1", "start run, status s"],
  ["and does not end what is wanted", "forkfail; begin; clear; d; +5000; forkworks; u", "status, status, start run, status s"],
  ["a failed fork of finish is tried again", "finish; begin; forkfail; exit 0; clear; forkworks; +1000", "start finish, status"],
  ["hook u comes before each start", "hooks; begin; hook 1", "hook u, start run, status s"],
  [
    "down during hook u: no start is taken back, it is stopped",
    "hooks; begin; d; hook 1; hook 0",
    "hook u, start run, status s, status, hook t, TERM, status, CONT, hook d",
  ],
  ["hook t that exits 0 replaces TERM", "begin; hooks; clear; t; hook 1", "hook t"],
  ["hook t that fails does not", "begin; hooks; clear; t; hook 0", "hook t, TERM, status"],
  ["down: hook t, CONT, hook d", "begin; hooks; clear; d; hook 1; hook 0", "status, hook t, CONT, hook d"],
  ["exit: hook t, CONT, hook x", "begin; hooks; clear; x; hook 1; hook 0", "status, hook t, CONT, hook x"],
  ["hook k that exits 0 replaces KILL", "begin; hooks; clear; k; hook 1", "hook k"],
  ["the paused flag follows a handled p", "begin; hooks; clear; p; hook 1", "hook p, status"],
  ["commands wait for a hook", "begin; hooks; clear; hi; hook 1; hook 1", "hook h, hook i"],
  ["kill ends a hook that hangs", "begin; hooks; clear; tk; hook 0; hook 0", "hook t, killhook, TERM, status, hook k, KILL"],
  ["the process may end while a hook runs", "begin; +2000; hooks; clear; t; exit 0; hook 0", "hook t, status s, hook u"],
];

for (const [name, script, out] of ROWS) {
  test(`service: ${name}`, () => {
    assert.equal(play(script).out, out);
  });
}

test("log service: no hooks, no finish, x ignored", () => {
  const log = play("finish; hooks; begin; clear; x; d; exit 3; +5000", "up", true);
  assert.equal(log.out, "status, TERM, status, CONT, status s");
  assert.equal(log.player.service.state, "down");
});

test("every command in every state leaves a machine that goes on", () => {
  const letters = "udoxtkpcahiq12";
  const states = [
    "begin",
    "begin; d; exit 0",
    "begin; exit 0",
    "finish; begin; exit 0",
    "hooks; begin",
    "forkfail; begin",
    "begin; p",
    "begin; x",
    "begin; k",
  ];
  for (const state of states) {
    for (const letter of letters) {
      for (const isLog of [false, true]) {
        const { player } = play(`${state}; ${letter}`, "up", isLog);
        player.hooks = false;
        player.forkFails = false;
        player.hasFinish = false;
        if (player.service.hook !== null) player.step("hook 0");
        if (player.service.pid !== 0) player.step("signal 9");
        if (player.service.pid !== 0) player.step("signal 9");
        player.step("u");
        player.step("+2000");
        assert.equal(player.service.state, "run", `${state}; ${letter}; log ${isLog}`);
      }
    }
  }
});

test("the queue behind a hook is bounded, and nothing in it is lost", () => {
  const player = play("begin; hooks; h").player;
  let taken = 0;
  while (player.service.room > 0 && taken < 1000) {
    player.step("h");
    taken++;
  }
  assert.equal(taken, QUEUE_MAX);
  player.out.length = 0;
  for (let i = 0; i <= QUEUE_MAX; i++) player.step("hook 0");
  assert.equal(player.out.filter((o) => o === "HUP").length, QUEUE_MAX + 1);
});

test("finish arguments", () => {
  const rows: readonly (readonly [number, string, string])[] = [
    [0, "0", "0"],
    [3 << 8, "3", "0"],
    [255 << 8, "255", "0"],
    [15, "-1", "15"],
    [9, "-1", "9"],
    [11 | 128, "-1", "139"],
    [STATUS_UNKNOWN, "-1", "0"],
  ];
  for (const [status, code, signal] of rows) assert.deepEqual(finishArguments(status), { code, signal });
});

test("letters and commands", () => {
  const commands: Command[] = [
    "up",
    "down",
    "once",
    "exit",
    "term",
    "kill",
    "pause",
    "continue",
    "alarm",
    "hangup",
    "interrupt",
    "quit",
    "usr1",
    "usr2",
  ];
  for (const command of commands) {
    assert.equal(commandOf(letterOf(command).charCodeAt(0)), command);
    assert.equal(typeof signalOf(command), "number");
  }
  for (let byte = 0; byte < 256; byte++) {
    if (!"udoxtkpcahiq12".includes(String.fromCharCode(byte))) assert.equal(commandOf(byte), null);
  }
});
