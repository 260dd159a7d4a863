/**
 * Scripted sessions of each program, with or without an error injected. A
 * session ends well when everything asked for came true in time, whatever was
 * injected; a supervisor that ended with a message is started again, as its
 * parent would.
 */
import assert from "node:assert/strict";
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Child, type Env, run, serviceDir, start, UPKEEP, until } from "../support/lab.ts";
import { boot, inside, type Machine, type MachineEnd, type MachineFiles } from "../support/pidns.ts";
import { Service, slurp } from "../support/service.ts";
import { type Injection, straceArgs } from "./injection.ts";

const STRACE = "/usr/bin/strace";
/** Longest time for one step; retries are a second apart, svlogd's three. */
const STEP_MS = 40_000;
/** A command whose signal met an error is given again after this long, as an operator would. */
const AGAIN_MS = 2500;

const PIDS = "#!/bin/sh\necho $$ >>pids\nexec sleep 1000\n";
const LOG = "#!/bin/sh\necho $$ >>pids\nexec cat >>lines\n";

export type Session = (t: TestContext, dir: string, trace: string, injection: Injection | null) => Promise<void>;

function alive(pid: number): boolean {
  const stat = slurp(`/proc/${pid}/stat`);
  return stat !== "" && !/\) [ZX] /.test(stat);
}

/** Living processes of a service, by the numbers they wrote down. */
function copies(dir: string): number {
  return slurp(join(dir, "pids"))
    .split("\n")
    .filter((pid) => pid !== "" && alive(Number(pid))).length;
}

/** Without memory there is no other end than SIGABRT, and a word about it. */
function noMemory(signal: NodeJS.Signals | null, told: string): boolean {
  return signal === "SIGABRT" && told.includes("out of memory");
}

function assertEnd(code: number | null, signal: NodeJS.Signals | null, told: string): void {
  if (noMemory(signal, told)) return;
  assert.ok(code === 111 || code === 100, `it ended with ${code ?? signal}: ${told}`);
}

/** A supervisor under strace, started again without it when it has ended with a message. */
class Supervised {
  child: Child;
  ended: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null;
  readonly #t: TestContext;
  readonly #program: string;
  readonly #args: readonly string[];
  readonly #cwd: string;

  constructor(t: TestContext, program: string, args: readonly string[], cwd: string, strace: readonly string[]) {
    this.#t = t;
    this.#program = UPKEEP.program(program);
    this.#args = args;
    this.#cwd = cwd;
    this.child = this.#start(STRACE, [...strace, this.#program, ...args]);
  }

  #start(program: string, args: readonly string[]): Child {
    const child = start(this.#t, program, args, { cwd: this.#cwd, env: { PATH: UPKEEP.path } });
    this.ended = null;
    child.exited.then((end) => {
      this.ended = end;
    });
    return child;
  }

  /** Until it holds; `again` is done first, and again when nothing comes of it. `endCode`: it is to end with that. */
  async step(what: string, holds: () => boolean, again: () => void = () => undefined, endCode = -1): Promise<void> {
    let due = 0;
    await until(
      what,
      () => {
        const end = this.ended;
        if (end !== null && end.code === endCode) return holds();
        if (end !== null && !holds()) {
          assertEnd(end.code, end.signal, this.child.stderr());
          assert.match(this.child.stderr(), /\S.*: .*\S\n/, `${what}: it ended without a word`);
          this.child = this.#start(this.#program, this.#args);
          due = 0;
        }
        const now = performance.now();
        if (now >= due) {
          due = now + AGAIN_MS;
          try {
            again();
          } catch {
            // Nobody listens yet.
            due = now;
          }
        }
        return holds();
      },
      STEP_MS,
    );
  }
}

function assertOne(dirs: readonly string[]): void {
  for (const dir of dirs) assert.ok(copies(dir) <= 1, `${copies(dir)} processes of ${dir}`);
}

/** Up, restarted, down, up, to its end; with a log service. */
const runsv: Session = async (t, dir, trace, injection) => {
  const s = new Service(serviceDir(join(dir, "s"), { run: PIDS, log: { run: LOG } }));
  const both = [s.dir, s.log.dir];
  const p = new Supervised(t, "runsv", ["s"], dir, straceArgs(trace, injection));
  const up = (): boolean => s.stat === "run" && s.log.stat === "run" && copies(s.dir) === 1 && copies(s.log.dir) === 1;
  await p.step("up", up);
  assertOne(both);
  const first = s.pid;
  await p.step(
    "restarted",
    () => up() && s.pid !== first,
    () => s.tell("t"),
  );
  assertOne(both);
  await p.step(
    "down",
    () => s.stat === "down" && copies(s.dir) === 0,
    () => s.tell("d"),
  );
  await p.step("up again", up, () => s.tell("u"));
  assertOne(both);
  await p.step(
    "told to exit",
    () => s.stat === "down" && s.log.stat === "down" && p.ended?.code === 0,
    () => s.tell("x"),
    0,
  );
  assert.equal(copies(s.dir) + copies(s.log.dir), 0);
};

/** Two services, one more, one less, all down. */
const runsvdir: Session = async (t, dir, trace, injection) => {
  const top = join(dir, "top");
  mkdirSync(join(dir, "away"));
  const names = ["a", "b", "c"];
  for (const name of names)
    serviceDir(join(name === "c" ? join(dir, "away") : top, name), { run: PIDS, ...(name === "a" ? { log: { run: LOG } } : {}) });
  const service = (name: string): Service => new Service(join(top, name));
  const p = new Supervised(t, "runsvdir", [top], dir, straceArgs(trace, injection));
  const up = (name: string): boolean => service(name).stat === "run" && copies(join(top, name)) === 1;
  await p.step("up", () => up("a") && up("b"));
  renameSync(join(dir, "away/c"), join(top, "c"));
  await p.step("one more", () => up("a") && up("b") && up("c"));
  for (const name of names) assertOne([join(top, name)]);
  renameSync(join(top, "b"), join(dir, "away/b"));
  await p.step("one less", () => new Service(join(dir, "away/b")).stat === "down" && copies(join(dir, "away/b")) === 0);
  assert.ok(up("a") && up("c"));
  const down = (name: string): boolean => service(name).stat === "down" && copies(join(top, name)) === 0;
  await p.step(
    "told to end",
    () => down("a") && down("c") && p.ended?.code === 111,
    () => {
      const strace = p.child.pid;
      const traced = Number(slurp(`/proc/${strace}/task/${strace}/children`).trim().split(" ")[0]);
      const name = slurp(`/proc/${strace}/comm`).trim();
      process.kill(name === "strace" && traced > 0 ? traced : strace, "SIGHUP");
    },
    111,
  );
};

const LINES = 120;

/** What a log directory holds, oldest first. */
function logFiles(log: string): string[] {
  const old = readdirSync(log).filter((name) => name.startsWith("@"));
  return [...old.sort(), "current"].map((name) => slurp(join(log, name)));
}

/** Lines through several rotations: all of them, whole and in order. */
const svlogd: Session = async (t, dir, trace, injection) => {
  const log = join(dir, "log");
  mkdirSync(log);
  writeFileSync(join(log, "config"), "s1000\nn0\n");
  const svlogd = UPKEEP.program("svlogd");
  const child = start(t, STRACE, [...straceArgs(trace, injection), svlogd, log], { cwd: dir, stdio: ["pipe", "pipe", "pipe"] });
  const lines = Array.from({ length: LINES }, (_, i) => `line ${i} ${"x".repeat(i % 50)}`);
  child.stdin?.on("error", () => undefined);
  const written = (): number => logFiles(log).join("").length;
  let ended: number | null | undefined;
  child.exited.then((end) => {
    ended = end.signal === null ? end.code : -1;
  });
  for (let i = 0; i < LINES; i += 20) {
    child.stdin?.write(`${lines.slice(i, i + 20).join("\n")}\n`);
    if (i === 60) await until("it has read", () => ended !== undefined || written() > 0, STEP_MS);
  }
  child.stdin?.end();
  await until("it ends", () => ended !== undefined, STEP_MS);
  const kept = logFiles(log).join("").split("\n").slice(0, -1);
  if (child.stderr().includes("unable to read standard input")) {
    // Which counts as its end; the next svlogd on the pipe reads the rest.
    assert.deepEqual(kept, lines.slice(0, kept.length));
  } else if (ended === 0) assert.deepEqual(kept, lines, child.stderr());
  else {
    // Where it cannot start it says so, and has taken nothing.
    const end = await child.exited;
    assertEnd(end.code, end.signal, child.stderr());
    assert.match(child.stderr(), /\S.*: .*\S\n/, "it ended without a word");
    assert.deepEqual(kept, []);
  }
};

/** A command, and what is asked: it says what is, or that it cannot. */
const sv: Session = async (t, dir, trace, injection) => {
  const s = new Service(serviceDir(join(dir, "s"), { run: PIDS }));
  start(t, UPKEEP.program("runsv"), ["s"], { cwd: dir });
  await s.is("run");
  const status = await run(STRACE, [...straceArgs(trace, injection), UPKEEP.program("sv"), "-w", "10", "restart", s.dir], {
    cwd: dir,
  });
  if (noMemory(status.signal, status.stderr)) return;
  assert.equal(status.signal, null, status.stderr);
  const told = status.stdout + status.stderr;
  // compat: the exit code speaks of the service, also where the report cannot be written.
  if (status.code === 0 && injection?.call === "write") await s.is("run");
  else if (status.code === 0) assert.match(told, /ok: run: /);
  else assert.match(told, /(fail|warning|timeout|fatal|unable): ?.*\n/, `code ${status.code}, told: ${told}`);
};

/** The program runs with everything that was asked for, or not at all. */
const chpst: Session = async (_t, dir, trace, injection) => {
  mkdirSync(join(dir, "env"));
  writeFileSync(join(dir, "env/GREETING"), "hello\n");
  const asked = ["-u", "nobody", "-e", join(dir, "env"), "-o", "100", "-n", "3", "-P"];
  const probe = 'echo "$(id -u) $GREETING $(ulimit -n) $(nice)"';
  const args = [...straceArgs(trace, injection), UPKEEP.program("chpst"), ...asked, "/bin/sh", "-c", probe];
  const r = await run(STRACE, args, { cwd: dir });
  if (noMemory(r.signal, r.stderr)) return;
  assert.equal(r.signal, null, r.stderr);
  if (r.code === 0) assert.equal(r.stdout, `65534 hello 100 ${getPriority() + 3}\n`);
  else {
    assert.equal(r.stdout, "");
    assert.match(r.stderr, /chpst: fatal: .*\n/, `code ${r.code}: ${r.stderr}`);
  }
};

const POLITE =
  "#!/bin/sh\ntrap 'echo $(basename $PWD) stops; exit 0' TERM\necho $(basename $PWD) runs\nwhile :; do sleep 0.1; done\n";
const STAGES: MachineFiles = {
  "runit/1": "#!/bin/sh\n: >/run/runit.stopit; : >/run/runit.reboot; chmod 0 /run/runit.stopit /run/runit.reboot\necho one\n",
  "runit/2": "#!/bin/sh\n(sleep 0.1 &)\necho two\nexec runsvdir /etc/service\n",
  "runit/3": "#!/bin/sh\nsv -w 20 force-stop /etc/service/* >/dev/null\necho three\n",
  "service/a/run": POLITE,
  "service/b/run": POLITE,
};

/** Process 1 under strace, which is a stray of its own machine; the trace, kept below process 1's root, goes with it. */
async function traced(
  t: TestContext,
  words: readonly string[],
  env: Env,
  trace: string,
  injection: Injection | null,
  session: (m: Machine) => Promise<void>,
): Promise<void> {
  const before = [STRACE, "-D", ...straceArgs("/run/trace", injection)];
  const m = await boot(t, UPKEEP, words, { etc: STAGES, before, env });
  if (m.pid === 0) {
    // It is over already: its trace is gone with it.
    writeFileSync(trace, "(INJECTED)");
    return session(m);
  }
  const fd = openSync(`/proc/${m.pid}/root/run/trace`, constants.O_RDONLY);
  try {
    await session(m);
  } finally {
    writeFileSync(trace, readFileSync(fd));
    closeSync(fd);
  }
}

/** Three stages and a reboot: process 1 never ends by itself, which would be a panic. */
const runit: Session = (t, _dir, trace, injection) =>
  traced(t, ["/sbin/runit"], {}, trace, injection, async (m) => {
    const told = (line: string): boolean => m.console().split("\n").includes(line);
    const what = (): string => `:\n${m.console()}`;
    await until("stage 2", () => told("a runs") && told("b runs"), STEP_MS);
    let end: MachineEnd | null = null;
    m.end.then((how) => {
      end = how;
    });
    const again = async (): Promise<boolean> => {
      // A signal that met an error is given again, as an operator would.
      if (end === null) await m.exec("/opt/bin/runit-init", "6");
      return end !== null;
    };
    await until("the end", again, STEP_MS);
    assert.equal(end, "reboot", what());
    await until("the last line", () => told("- runit: system reboot."));
    for (const line of ["one", "two", "a stops", "b stops", "three"]) assert.ok(told(line), `no "${line}"${what()}`);
  });

/** A container's init with two services, ended by TERM. What keeps it from its start it says, and the engine tries again. */
const init: Session = (t, _dir, trace, injection) =>
  traced(t, [inside(UPKEEP, "upkeep"), "init"], { UPKEEP_CONTAINER: undefined }, trace, injection, async (m) => {
    const told = (line: string): boolean => m.stdout().split("\n").includes(line);
    let early: MachineEnd | null = null;
    m.end.then((how) => {
      early = how;
    });
    await until("services run", () => early !== null || (told("a runs") && told("b runs")), STEP_MS);
    if (early !== null) {
      assert.equal(early, 111);
      assert.match(m.stderr(), /\S.*: .*\S\n/, "it ended without a word");
      return;
    }
    m.kill("SIGTERM");
    assert.equal(await m.end, 0, m.stderr());
    for (const name of ["a", "b"]) assert.ok(told(`${name} stops`), `no end of ${name}: ${m.stdout()}${m.stderr()}`);
  });

/** Each with a namespace of its own, whose making takes longest. */
const machines: Readonly<Record<string, Session>> = process.getuid?.() === 0 ? { runit, init } : {};

export const SESSIONS: Readonly<Record<string, Session>> = { runsv, runsvdir, svlogd, sv, chpst, ...machines };

/** Errors that cannot come: runsvdir and an init signal their own children. */
export function possible(program: string, injection: Injection): boolean {
  // The first execve is strace's, of the program itself.
  if (injection.call === "execve" && injection.when === 1) return false;
  // A log directory it may not look at is none, as with runit.
  if (program === "runsv" && injection.call === "newfstatat" && injection.errno === "EACCES" && injection.when === 2)
    return false;
  // Before it can have a handler; under strace not even SIGSEGV ends process 1.
  if ((program === "runit" || program === "init") && injection.call === "mmap" && injection.when === 1) return false;
  return !((program === "runsvdir" || program === "init") && injection.call === "kill");
}
