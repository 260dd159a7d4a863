/**
 * The harness of the black-box tests: programs of two toolchains, private
 * directories, children that cannot outlive their test.
 *
 * Supervisors fork, their services call setsid and are inherited by PID 1 when
 * a test kills the supervisor, so neither the parent nor the process group
 * tells what belongs to a test. Three signs do, and each is looked for in
 * /proc: a marker in the environment, a working directory under one of the
 * test's directories, and a parent that has one of these. What is found is
 * stopped first and killed then, so that nothing can fork out of sight.
 */
import { type ChildProcess, execFileSync, type StdioOptions, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { setTimeout as delay, setImmediate as readPipes } from "node:timers/promises";

export const ROOT = resolve(import.meta.dirname, "../..");

/** Longest life of a test registered with `both`. */
const TEST_LIMIT_MS = 180_000;
/** Rounds of killing, 5 ms apart: what was killed needs its turn to die on a busy machine. */
const SWEEP_ROUNDS = 1000;

export type Toolchain = {
  readonly name: "upkeep" | "runit";
  /** Absolute path of a program, e.g. program("sv"); throws when there is none. */
  program(name: string): string;
  /** A PATH on which this toolchain's programs come first. */
  readonly path: string;
};

const SYSTEM_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

function toolchain(name: "upkeep" | "runit", dirs: readonly string[]): Toolchain {
  return {
    name,
    path: [...new Set([...dirs, ...SYSTEM_PATH])].join(":"),
    program(program: string): string {
      for (const dir of dirs) if (existsSync(join(dir, program))) return join(dir, program);
      throw new Error(`${name}: no program ${program} in ${dirs.join(":")}`);
    },
  };
}

export const BIN_DIR = resolve(ROOT, process.env["UPKEEP_BIN_DIR"] ?? "dist/bin");
/** The program is tools/sanitize.ts's: what tests say about sizes, memory and times does not hold for it. */
export const SANITIZED = existsSync(join(BIN_DIR, "SANITIZED"));
export const UPKEEP: Toolchain = toolchain("upkeep", [BIN_DIR]);
export const RUNIT: Toolchain = toolchain("runit", ["/usr/bin", "/usr/sbin", "/sbin"]);

/** One test per toolchain, each with a fresh directory that is removed afterwards. */
export function both(name: string, fn: (tools: Toolchain, dir: string, t: TestContext) => Promise<void>): void {
  for (const tools of [UPKEEP, RUNIT]) {
    test(`${name} [${tools.name}]`, { timeout: TEST_LIMIT_MS }, async (t) => fn(tools, tempDir(t), t));
  }
}

// ---- What belongs to a test ----

type Belongings = { readonly marker: string; readonly dirs: string[]; readonly roots: Set<number> };

const MARKER = "UPKEEP_TEST_ID";
const FILE_MARKER = `${process.pid}.${Math.random().toString(36).slice(2)}`;
let counter = 0;

/** What `run` starts belongs to the test file; swept when its process ends. */
const ofFile: Belongings = { marker: FILE_MARKER, dirs: [], roots: new Set() };
const ofTest = new WeakMap<TestContext, Belongings>();

function belongings(t: TestContext): Belongings {
  let mine = ofTest.get(t);
  if (!mine) {
    counter += 1;
    mine = { marker: `${FILE_MARKER}-${counter}.`, dirs: [], roots: new Set() };
    const all = mine;
    ofTest.set(t, all);
    t.after(() => {
      sweep(all);
      for (const dir of all.dirs) removeTree(dir);
    });
  }
  return mine;
}

process.on("exit", () => {
  sweep(ofFile);
});

type Process = { readonly pid: number; readonly ppid: number; readonly state: string };

function processes(): Process[] {
  const found: Process[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = slurp(`/proc/${name}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields.length > 3) found.push({ pid: Number(name), ppid: Number(fields[1]), state: fields[0] ?? "" });
  }
  return found;
}

function slurp(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function isMarked(pid: number, mine: Belongings): boolean {
  if (mine.roots.has(pid)) return true;
  if (slurp(`/proc/${pid}/environ`).includes(`${MARKER}=${mine.marker}`)) return true;
  const cwd = workingDirectory(pid);
  return mine.dirs.some((dir) => cwd === dir || cwd.startsWith(`${dir}/`));
}

/** Live processes of a test, descendants included. */
function members(mine: Belongings): number[] {
  const all = processes().filter((p) => p.state !== "Z" && p.state !== "X" && p.pid !== process.pid);
  const found = new Set(all.filter((p) => isMarked(p.pid, mine)).map((p) => p.pid));
  for (let grown = true; grown; ) {
    grown = false;
    for (const p of all) {
      if (!found.has(p.pid) && found.has(p.ppid)) {
        found.add(p.pid);
        grown = true;
      }
    }
  }
  return [...found];
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already, or not ours to signal.
  }
}

function isOver(pid: number): boolean {
  const stat = slurp(`/proc/${pid}/stat`);
  return stat === "" || /^ [ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1));
}

/** Kills whatever belongs to a test and returns how many processes that were. */
function sweep(mine: Belongings): number {
  const killed = new Set<number>();
  for (let round = 0; round < SWEEP_ROUNDS; round++) {
    const found = members(mine);
    // A killed process may no longer show what it belongs to and still be dying.
    if (found.length === 0 && [...killed].every(isOver)) break;
    for (const pid of found) signal(pid, "SIGSTOP");
    const settled = members(mine);
    for (const pid of new Set([...found, ...settled])) {
      signal(pid, "SIGKILL");
      killed.add(pid);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
  mine.roots.clear();
  return killed.size;
}

/** rm -rf that first detaches what a test mounted there, so as never to delete through a mount. */
function removeTree(dir: string): void {
  const mounts = slurp("/proc/self/mountinfo")
    .split("\n")
    .map((line) => (line.split(" ")[4] ?? "").replace(/\\040/g, " "))
    .filter((path) => path === dir || path.startsWith(`${dir}/`));
  for (const path of mounts.reverse()) execFileSync("umount", ["-l", path], { stdio: "ignore" });
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

/** Random letters; what a test looks for in messages that name a directory is not among them. */
function nameOfNoWord(): string {
  return Array.from(randomBytes(8), (byte) => "BCDFGHJKLMNPQRSTVWXZ".charAt(byte % 20)).join("");
}

/** A private directory, removed (and everything running in it killed) when the test ends. */
export function tempDir(t: TestContext): string {
  const dir = join(tmpdir(), `upkeep-test-${nameOfNoWord()}`);
  mkdirSync(dir);
  chmodSync(dir, 0o755);
  belongings(t).dirs.push(dir);
  return dir;
}

// ---- Programs ----

/** Entries added to a small fixed environment; undefined removes one. */
export type Env = Readonly<Record<string, string | undefined>>;

function environment(env: Env | undefined, marker: string): Record<string, string> {
  const base: Env = { PATH: SYSTEM_PATH.join(":"), HOME: "/", LC_ALL: "C", TZ: "UTC", ...passed(), ...env, [MARKER]: marker };
  return Object.fromEntries(Object.entries(base).filter((e): e is [string, string] => e[1] !== undefined));
}

/** What the sanitizers read comes from outside. */
function passed(): Env {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => /^((ASAN|UBSAN|LSAN)_OPTIONS|UPKEEP_AUDIT_DIR)$/.test(name)),
  );
}

export type RunOptions = {
  readonly cwd?: string;
  readonly env?: Env;
  readonly input?: string | Uint8Array;
  readonly argv0?: string;
  readonly timeoutMs?: number;
};

/** Output is latin-1: a character a byte. `code` is null after death by `signal`. */
export type Result = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream?.on("error", () => undefined);
  return () => Buffer.concat(chunks).toString("latin1");
}

/** Runs a program to its end; kills it (and fails) after `timeoutMs` (2 min). */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const limitMs = options.timeoutMs ?? 120_000;
  const child = spawn(program, args, {
    cwd: options.cwd,
    argv0: options.argv0,
    env: environment(options.env, `${FILE_MARKER}.`),
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on("error", () => undefined); // The program need not read its input.
  child.stdin.end(options.input ?? "");
  return new Promise((done, fail) => {
    const what = `${program} ${args.join(" ")}`;
    const timer = setTimeout(() => {
      signal(-(child.pid ?? 0), "SIGKILL");
      fail(new Error(`${what}: still running after ${limitMs} ms\n${stdout()}${stderr()}`));
    }, limitMs);
    child.on("error", (e) => {
      clearTimeout(timer);
      fail(e);
    });
    child.on("exit", (code, sig) => {
      clearTimeout(timer);
      // A process it left behind may keep the pipes open: their end is waited for, but not for long.
      const finish = (): void => done({ code, signal: sig, stdout: stdout(), stderr: stderr() });
      // Counted in turns of the loop: after a stall the clock alone would say that there is nothing to read.
      let turns = 0;
      const patience = setInterval(() => {
        turns += 1;
        if (turns < 20) return;
        child.stdout.destroy();
        child.stderr.destroy();
      }, 100);
      child.on("close", () => {
        clearInterval(patience);
        finish();
      });
    });
  });
}

export type StartOptions = { readonly cwd?: string; readonly env?: Env; readonly argv0?: string; readonly stdio?: StdioOptions };

/** A program in the background. */
export type Child = {
  readonly pid: number;
  readonly stdin: Writable | null;
  /** What came so far (stdio "pipe", the default). */
  stdout(): string;
  stderr(): string;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(name: NodeJS.Signals): void;
};

function asChild(child: ChildProcess, pid: number): Child {
  return {
    pid,
    stdin: child.stdin,
    stdout: collect(child.stdout),
    stderr: collect(child.stderr),
    exited: new Promise((done) => {
      child.on("exit", (code, sig) => done({ code, signal: sig }));
    }),
    kill: (name) => {
      child.kill(name);
    },
  };
}

/** Starts a program in a session of its own; it and all its descendants are killed when the test ends. */
export function start(t: TestContext, program: string, args: readonly string[], options: StartOptions = {}): Child {
  const mine = belongings(t);
  const child = spawn(program, args, {
    cwd: options.cwd,
    argv0: options.argv0,
    env: environment(options.env, mine.marker),
    stdio: options.stdio ?? ["ignore", "pipe", "pipe"],
    detached: true,
  });
  child.on("error", () => undefined);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program}: cannot be started`);
  mine.roots.add(pid);
  child.on("exit", () => mine.roots.delete(pid));
  return asChild(child, pid);
}

/**
 * Polls until the condition holds; what it throws counts as "not yet". Then what
 * programs have written so far is read, too: after a standstill the files may say
 * more than what came through the pipes until then.
 */
export async function until(what: string, condition: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
  const end = performance.now() + limitMs;
  let reason = "";
  for (;;) {
    try {
      if (await condition()) return await readPipes();
      reason = "";
    } catch (e) {
      reason = ` (${e instanceof Error ? e.message : String(e)})`;
    }
    if (performance.now() >= end) throw new Error(`not within ${limitMs} ms: ${what}${reason}`);
    await delay(15);
  }
}

/** Takes a time in ms, up to 15 times: fails when it never was below the limit. A busy machine has its say, and the fastest tells. */
export async function inTime(limitMs: number, take: () => Promise<number>): Promise<void> {
  const times: number[] = [];
  while (times.length < 15) {
    const ms = await take();
    // The sanitized program alone may take long.
    if (ms < limitMs || SANITIZED) return;
    times.push(Math.round(ms));
  }
  throw new Error(`never within ${limitMs} ms: ${times.join(" ")}`);
}

// ---- Service directories ----

export type ServiceFiles = {
  readonly run: string;
  readonly finish?: string;
  readonly check?: string;
  readonly down?: boolean;
  readonly control?: Readonly<Record<string, string>>;
  readonly log?: { readonly run: string; readonly down?: boolean };
};

function script(path: string, content: string | undefined): void {
  if (content !== undefined) writeFileSync(path, content, { mode: 0o755 });
}

/** Writes a service directory; scripts are written as they are (with their #! line), executable. Returns `path`. */
export function serviceDir(path: string, files: ServiceFiles): string {
  mkdirSync(path, { recursive: true });
  script(join(path, "finish"), files.finish);
  script(join(path, "check"), files.check);
  if (files.down) writeFileSync(join(path, "down"), "");
  if (files.control) {
    mkdirSync(join(path, "control"), { recursive: true });
    for (const [letter, content] of Object.entries(files.control)) script(join(path, "control", letter), content);
  }
  if (files.log) serviceDir(join(path, "log"), files.log);
  script(join(path, "run"), files.run);
  return path;
}

/** pids → PID, seconds → Ns, in what sv, ps titles and messages say. */
export function mask(text: string): string {
  return text.replace(/\bpid(s?) \d+/g, "pid$1 PID").replace(/\b\d+s\b/g, "Ns");
}
