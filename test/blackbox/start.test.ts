/** `npm start`: supervises the examples, says how to look at them, and leaves nothing behind. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Child, ROOT, RUNIT, run, start, tempDir, UPKEEP, until } from "../support/lab.ts";

const PATH = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
const SERVICES = ["flaky", "spare", "store", "web", "worker"];
const LOGS = ["flaky", "web", "worker"];

/** Our programs; for one that is not there yet, Debian's. */
function programs(dir: string): string {
  const bin = join(dir, "bin");
  mkdirSync(bin);
  for (const name of ["runsvdir", "runsv", "sv", "svlogd"]) {
    const there = !spawnSync(UPKEEP.program(name), { input: "" }).stderr.includes("unknown command");
    symlinkSync((there ? UPKEEP : RUNIT).program(name), join(bin, name));
  }
  return bin;
}

function descendants(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ");
    return list.filter((s) => s !== "").flatMap((s) => [Number(s), ...descendants(Number(s))]);
  } catch {
    return [];
  }
}

function privateCopies(dir: string): string[] {
  return readdirSync(dir).filter((name) => /^upkeep-/.test(name));
}

/** The commands it printed, without their indentation. */
function commands(output: string): string[] {
  const lines = output.split(/\r?\n/).filter((line) => /^ {2}(\/|tail )/.test(line));
  return lines.map((line) => line.trim());
}

function sh(command: string): ReturnType<typeof run> {
  return run("/bin/sh", ["-c", command]);
}

async function allUp(child: Child, dir: string): Promise<string[]> {
  await until("three commands are printed", () => commands(child.stdout()).length === 3);
  const list = commands(child.stdout());
  await until("all but spare run, with their logs", async () => {
    const { stdout } = await sh(list[0] ?? "");
    const up = stdout.split("\n").filter((line) => line.startsWith("run: "));
    const logs = up.filter((line) => line.includes("; run: log: "));
    return up.length === SERVICES.length - 1 && logs.length === LOGS.length && /^down: .*spare/m.test(stdout);
  });
  const [stage = ""] = privateCopies(dir);
  await until("the worker's rounds are in its log", () =>
    readFileSync(join(dir, stage, "services/worker/log/main/current"), "latin1").includes(" round 1\n"),
  );
  return list;
}

/** The examples run and the printed commands work; `stop` ends them without a trace. */
async function scenario(t: TestContext, begin: (dir: string) => Child, stop: (child: Child) => void, exit = 0): Promise<void> {
  const dir = tempDir(t);
  const child = begin(dir);
  const list = await allUp(child, dir);
  const restart = await sh(list[1] ?? "");
  assert.match(restart.stdout, /^ok: run: .*\/web: \(pid \d+\) \d+s/);
  const [url = ""] = /http:\/\/[\d.:]+\//.exec(child.stdout()) ?? [];
  await until("the web server answers", async () => (await (await fetch(url)).text()).startsWith("request "));
  const logs = (await sh(`timeout 0.5 ${list[2]}`)).stdout;
  assert.match(logs, / listening on 127\.0\.0\.1:\d+\n/);

  const all = descendants(child.pid);
  assert.ok(all.length >= 14, `${all.length} processes`);
  stop(child);
  const { code } = await child.exited;
  const output = child.stdout() + child.stderr();
  assert.equal(code, exit, output);
  const left = all.filter((pid) => existsSync(`/proc/${pid}`));
  assert.deepEqual(left, [], "processes or zombies are left");
  assert.deepEqual(privateCopies(dir), []);
  const order = [...output.matchAll(/^ok: (\w+): runsv not running/gm)].map((m) => m[1]);
  assert.deepEqual(order, SERVICES, output);
}

test("TERM stops the examples in order and leaves nothing behind", async (t) => {
  const begin = (dir: string): Child =>
    start(t, process.execPath, [join(ROOT, "tools/start.ts")], {
      env: { TMPDIR: dir, PATH, UPKEEP_BIN_DIR: programs(dir), PORT: "0" },
    });
  await scenario(t, begin, (child) => child.kill("SIGTERM"));
});

test("npm start on a terminal, and Ctrl-C", async (t) => {
  const begin = (dir: string): Child =>
    start(t, "script", ["-qefc", "npm start", "/dev/null"], {
      cwd: ROOT,
      env: { TMPDIR: dir, PATH, UPKEEP_BIN_DIR: programs(dir), PORT: "0", HOME: dir },
      stdio: ["pipe", "pipe", "pipe"],
    });
  const interrupt = (child: Child): void => {
    child.stdin?.write("\x03");
  };
  await scenario(t, begin, interrupt, 130); // npm's own: it was interrupted, too.
});

test("a runsvdir that does not start is reported, and nothing is left", async (t) => {
  const dir = tempDir(t);
  const { code, stderr } = await run(process.execPath, [join(ROOT, "tools/start.ts")], {
    env: { TMPDIR: dir, PATH, UPKEEP_BIN_DIR: dir, PORT: "0" },
  });
  assert.equal(code, 1);
  assert.match(stderr, /^upkeep: fatal: unable to run runsvdir: .*ENOENT/);
  assert.deepEqual(privateCopies(dir), []);
});
