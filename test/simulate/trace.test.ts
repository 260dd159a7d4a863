/**
 * The simulated kernel against the real one: in the same scenario runsv makes
 * the same calls, in the same order, with the same paths. The real ones are
 * told by strace(1).
 */
import assert from "node:assert/strict";
import { closeSync, constants, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { text } from "../../src/base/bytes.ts";
import type { Process } from "../../src/kernel/simulated/process.ts";
import type { World } from "../../src/kernel/simulated/world.ts";
import { serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { Checks } from "./checks.ts";
import { Scene } from "./scene.ts";

/** System calls by the name of the method of Kernel that makes them. What is not here, the simulation has no part in. */
const CALLS: Readonly<Record<string, string>> = {
  openat: "open",
  close: "close",
  read: "read",
  write: "write",
  pread64: "pread",
  pwrite64: "pwrite",
  renameat: "rename",
  newfstatat: "stat",
  fstat: "fstat",
  mkdirat: "mkdir",
  mknodat: "mkfifo",
  readlinkat: "readlink",
  flock: "flock",
  ftruncate: "truncate",
  fchdir: "fchdir",
  pipe2: "pipe",
  signalfd4: "signalfd",
  epoll_create1: "epollCreate",
  epoll_ctl: "epollControl",
  epoll_pwait: "epollWait",
  wait4: "waitpid",
  vfork: "spawn",
  kill: "kill",
  pidfd_open: "pidfdOpen",
  pidfd_send_signal: "pidfdKill",
};
const KNOWN = new Set(Object.values(CALLS));
const WITH_PATH = new Set(["open", "stat", "mkdir", "mkfifo", "readlink"]);

/** A call as a line; numbers of processes and descriptors are not the same in two kernels. */
function told(name: string, path: string): string {
  return WITH_PATH.has(name) ? `${name} ${path.replace(/\/proc\/(?!1\/)\d+/, "/proc/N").replace(/fd\/\d+/, "fd/N")}` : name;
}

/** Waiting in vain, being interrupted and waiting again are one wait. */
function oneWait(calls: readonly string[]): string[] {
  return calls.filter((c, i) => c !== "epollWait" || calls[i - 1] !== "epollWait");
}

/** Notes the calls of one simulated process. */
class Tracer extends Checks {
  readonly calls: string[] = [];
  pid = 0;
  #last = "";

  override call(world: World, p: Process, name: string): void {
    super.call(world, p, name);
    if (p.pid !== this.pid) return;
    this.finish(p);
    this.#last = name;
  }

  /** The path is known when the call is over. */
  finish(p: Process): void {
    if (KNOWN.has(this.#last)) this.calls.push(told(this.#last === "readSignal" ? "read" : this.#last, text(p.lastPath)));
    this.#last = "";
  }
}

function realCalls(file: string): string[] {
  const calls: string[] = [];
  let signals = "none";
  for (const line of readFileSync(file, "latin1").split("\n")) {
    const m = /^(\w+)\((.*)$/.exec(line);
    const name = m === null ? undefined : CALLS[m[1]!];
    if (m === null || name === undefined) continue;
    const rest = m[2]!;
    if (name === "signalfd") signals = / = (\d+)$/.exec(line)?.[1] ?? "none";
    // Read by readSignal, which the simulation tells by its own name.
    if (name === "read" && rest.startsWith(`${signals},`)) continue;
    calls.push(told(name, /"([^"]*)"/.exec(rest)?.[1] ?? ""));
  }
  return calls;
}

/** `starts`: the second between two starts must be over, as it is in the simulation. */
type Step = { readonly send?: string; readonly starts?: boolean; readonly stat: string; readonly log?: boolean };

type Scenario = { readonly name: string; readonly log: boolean; readonly adopts: boolean; readonly steps: readonly Step[] };

const SCENARIOS: readonly Scenario[] = [
  {
    name: "a service up, restarted, down, up, paused, continued, to its end",
    log: false,
    adopts: false,
    steps: [
      { stat: "run\n" },
      { send: "t", starts: true, stat: "run\n" },
      { send: "d", stat: "down\n" },
      { send: "u", starts: true, stat: "run\n" },
      { send: "p", stat: "run, paused\n" },
      { send: "c", stat: "run\n" },
      { send: "x", stat: "down\n" },
    ],
  },
  {
    name: "a service with a log service",
    log: true,
    adopts: false,
    steps: [
      { stat: "run\n", log: true },
      { send: "1", starts: true, stat: "run\n" },
      { send: "d", stat: "down\n" },
      { send: "x", stat: "down\n" },
    ],
  },
  {
    name: "a service and its log service taken over from a killed runsv",
    log: true,
    adopts: true,
    steps: [
      { stat: "run\n", log: true },
      { send: "c", stat: "run\n" },
      { send: "p", stat: "run, paused\n" },
    ],
  },
];

/** As long as a step of the simulation takes: longer than the second between two starts. */
const STEP_MS = 1500;

function simulated(scenario: Scenario): string[] {
  const scene = new Scene({ run: "", ...(scenario.log ? { log: "read=1" } : {}) });
  const tracer = new Tracer([scene.service]);
  if (scenario.adopts) {
    scene.runsv();
    scene.run(STEP_MS);
    scene.kill(scene.service.runsv);
  }
  scene.watch(tracer);
  const p = scene.runsv();
  tracer.pid = p.pid;
  for (const step of scenario.steps) {
    if (step.send !== undefined) scene.command(step.send);
    scene.run(STEP_MS);
  }
  tracer.finish(p);
  assert.equal(tracer.failure, "");
  return oneWait(tracer.calls);
}

function send(dir: string, letters: string): void {
  const fd = openSync(join(dir, "supervise/control"), constants.O_WRONLY | constants.O_NONBLOCK);
  writeSync(fd, letters);
  closeSync(fd);
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** The trace has not grown for a while. */
async function quiet(file: string): Promise<void> {
  let size = -1;
  let since = 0;
  await until("runsv waits", () => {
    const now = statSync(file).size;
    if (now !== size) since = performance.now();
    size = now;
    return performance.now() - since > 200;
  });
}

async function real(t: TestContext, scenario: Scenario): Promise<string[]> {
  const top = tempDir(t);
  const dir = join(top, "s");
  const run = "#!/bin/sh\nexec sleep 1000\n";
  serviceDir(dir, { run, ...(scenario.log ? { log: { run: "#!/bin/sh\nexec cat >/dev/null\n" } } : {}) });
  const runsv = UPKEEP.program("runsv");
  if (scenario.adopts) {
    const first = start(t, runsv, ["s"], { cwd: top });
    await until(
      "it runs",
      () => read(join(dir, "supervise/stat")) === "run\n" && read(join(dir, "log/supervise/stat")) === "run\n",
    );
    first.kill("SIGKILL");
    await first.exited;
  }
  const file = join(top, "trace");
  const child = start(t, "/usr/bin/strace", ["-o", file, "-s", "80", runsv, "s"], { cwd: top });
  await until("it is traced", () => read(file).includes("epoll_pwait"));
  let before = performance.now();
  for (const step of scenario.steps) {
    if (step.starts === true) await until("a second is over", () => performance.now() - before > 1100);
    if (step.send !== undefined) send(dir, step.send);
    await until(`stat is ${step.stat}`, () => read(join(dir, "supervise/stat")) === step.stat);
    if (step.log === true) await until("the log service runs", () => read(join(dir, "log/supervise/stat")) === "run\n");
    await quiet(file);
    before = performance.now();
  }
  if (scenario.steps[scenario.steps.length - 1]!.send === "x") await child.exited;
  return oneWait(realCalls(file));
}

for (const scenario of SCENARIOS) {
  test(`the same calls as in the simulation: ${scenario.name}`, async (t) => {
    const expected = simulated(scenario);
    const actual = await real(t, scenario);
    assert.ok(expected.length > 60, "the simulation has a trace");
    assert.deepEqual(actual, expected);
  });
}
