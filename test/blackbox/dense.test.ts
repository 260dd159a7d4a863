/**
 * runsvdir --dense: one process supervises every service. What an operator sees
 * is what a runsv each would show; there is no runsv. Killed, trapped or
 * upgraded, its successor finds every service where it was.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { logsItself, make, type Services, supervise } from "../support/dense.ts";
import { type Child, RUNIT, run, SANITIZED, serviceDir, start, type Toolchain, tempDir, UPKEEP, until } from "../support/lab.ts";
import { all } from "../support/logs.ts";
import { Service, SLEEP, slurp } from "../support/service.ts";

const LINES = `#!/bin/sh
n=0
while :; do n=$((n+1)); echo "$$ $n"; sleep 0.02; done
`;
const CAT = "#!/bin/sh\nexec cat >>lines\n";

/** Pid of a service that runs, and is not `other`. */
async function runs(dir: string, other = 0): Promise<number> {
  const s = new Service(dir);
  await until(`${dir} runs`, () => s.stat === "run" && s.pid > 0 && s.pid !== other && s.status.pid === s.pid);
  return s.pid;
}

async function sv(dir: string, ...words: string[]): Promise<string> {
  const done = await run(UPKEEP.program("sv"), ["-w", "20", ...words], { env: { PATH: UPKEEP.path, SVDIR: dir } });
  assert.equal(done.code, 0, done.stdout + done.stderr);
  return done.stdout.replace(/\d+s/g, "Ns").replace(/pid \d+/g, "pid N");
}

function children(pid: number): number[] {
  return slurp(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}

/** Log lines of all files in order: each process's count up by one, none is torn, none comes twice. */
function assertWhole(lines: string): void {
  const last = new Map<string, number>();
  for (const line of lines.split("\n").slice(0, -1)) {
    const m = /^(\d+) (\d+)$/.exec(line);
    assert.ok(m, `torn line: ${line}`);
    const [, process = "", count = ""] = m;
    assert.equal(Number(count), (last.get(process) ?? 0) + 1, `before: ${line}`);
    last.set(process, Number(count));
  }
  assert.ok(last.size > 0);
}

test("the services' programs are its children; sv does all that it does to a runsv", async (t) => {
  const dir = make(t, {
    a: { run: '#!/bin/sh\necho 2>&1 "$$" >>started; exec sleep 1000\n', finish: '#!/bin/sh\necho "$@" >>ended\n' },
    b: { run: SLEEP, down: true, log: { run: CAT } },
    c: {
      run: "#!/bin/sh\ntrap 'echo USR1 >>got' USR1\n: >ready\nwhile :; do sleep 0.05; done\n",
      control: { h: "#!/bin/sh\necho hook >>got\n" },
    },
  });
  const runsvdir = supervise(t, dir);
  const a = await runs(join(dir, "a"));
  const c = await runs(join(dir, "c"));
  const log = await runs(join(dir, "b/log"));
  await until("three children, no runsv", () => {
    const pids = children(runsvdir.pid);
    return pids.length === 3 && [a, c, log].every((pid) => pids.includes(pid));
  });
  assert.equal(
    await sv(dir, "status", "a", "b", "c"),
    "run: a: (pid N) Ns\ndown: b: Ns; run: log: (pid N) Ns\nrun: c: (pid N) Ns\n",
  );
  // -P: a session of its own.
  assert.equal(slurp(`/proc/${a}/stat`).split(") ")[1]?.split(" ")[3], `${a}`);
  await sv(dir, "restart", "a");
  await runs(join(dir, "a"), a);
  assert.equal(slurp(join(dir, "a/ended")), "-1 15\n");
  await sv(dir, "up", "b");
  await sv(dir, "down", "a", "b");
  await sv(dir, "once", "b");
  await until("c is ready", () => slurp(join(dir, "c/ready")) === "" && readdirSync(join(dir, "c")).includes("ready"));
  await sv(dir, "hup", "c");
  await sv(dir, "1", "c");
  await until("hook and signal", () => slurp(join(dir, "c/got")) === "hook\nUSR1\n");
  // x: its supervisor ends, and begins anew, as a runsv would.
  new Service(join(dir, "c")).tell("x");
  await runs(join(dir, "c"), c);
  assert.equal((await run(RUNIT.program("sv"), ["status", join(dir, "c")])).code, 0, "Debian's sv");
});

test("a directory that comes is served, one that goes is not; renamed it goes on", async (t) => {
  const dir = make(t, { a: { run: SLEEP } });
  supervise(t, dir);
  const a = await runs(join(dir, "a"));
  serviceDir(join(dir, ".new"), { run: SLEEP });
  renameSync(join(dir, ".new"), join(dir, "new"));
  const added = await runs(join(dir, "new"));
  renameSync(join(dir, "a"), join(dir, "z"));
  await until("it is seen", async () => (await sv(dir, "status", "z")).startsWith("run: z"));
  assert.equal(new Service(join(dir, "z")).pid, a);
  renameSync(join(dir, "new"), join(dir, ".gone"));
  await until("it has ended", () => !slurp(`/proc/${added}/comm`));
  assert.equal(new Service(join(dir, "z")).pid, a);
});

for (const [signal, code] of [
  ["SIGTERM", 0],
  ["SIGHUP", 111],
] as const) {
  test(`${signal}: every service is stopped, its log written, then it ends with ${code}`, async (t) => {
    const dir = make(t, {
      a: { run: SLEEP },
      b: {
        run: "#!/bin/sh\ntrap 'echo bye; exit 0' TERM\necho hello\n: >ready\nwhile :; do sleep 0.05; done\n",
        log: { run: CAT },
      },
    });
    const runsvdir = supervise(t, dir);
    const pids = [await runs(join(dir, "a")), await runs(join(dir, "b"))];
    await until("b is ready", () => readdirSync(join(dir, "b")).includes("ready"));
    runsvdir.kill(signal);
    assert.deepEqual(await runsvdir.exited, { code, signal: null });
    for (const pid of pids) assert.equal(slurp(`/proc/${pid}/comm`), "");
    assert.equal(slurp(join(dir, "b/log/lines")), "hello\nbye\n");
    assert.equal(new Service(join(dir, "a")).stat, "down");
  });
}

/** What happens to the process, and who serves then. */
const DEATHS: Record<string, (t: TestContext, dir: string, first: Child) => Promise<Child>> = {
  "kill -9": async (t, dir, first) => {
    first.kill("SIGKILL");
    await first.exited;
    return supervise(t, dir);
  },
  "an upgrade (USR1)": async (_t, _dir, first) => {
    first.kill("SIGUSR1");
    return first;
  },
  "a trap": async (_t, _dir, first) => {
    first.kill("SIGUSR2");
    return first;
  },
};

for (const [what, die] of Object.entries(DEATHS)) {
  test(`${what}: nothing is lost and nothing doubled`, { timeout: 180_000 }, async (t) => {
    const services: Services = { down: { run: SLEEP } };
    for (let i = 0; i < 20; i++) services[`s${i}`] = { run: "#!/bin/sh\necho $$ >>starts\nexec sleep 1000\n" };
    services["own"] = { run: LINES, log: { run: CAT } };
    const dir = make(t, services);
    serviceDir(join(dir, "inner"), { run: LINES });
    logsItself(join(dir, "inner"), "s20000\nn0\n");
    const first = supervise(t, dir, { UPKEEP_TEST_TRAP: "read" });
    const names = readdirSync(dir);
    const before = new Map<string, number>();
    for (const name of names) before.set(name, await runs(join(dir, name)));
    const log = await runs(join(dir, "own/log"));
    await sv(dir, "down", "down");
    const inner = join(dir, "inner/log/current");
    await until("lines come", () => slurp(inner).length > 100 && slurp(join(dir, "own/log/lines")).length > 100);
    const second = await die(t, dir, first);
    const had = slurp(inner).length;
    await until("lines come again", () => slurp(inner).length > had + 200);
    // Every supervisor reads its control FIFO again: it lives.
    await until("all answer", async () => {
      const { stdout } = await run(UPKEEP.program("sv"), ["status", ...names], { env: { PATH: UPKEEP.path, SVDIR: dir } });
      return stdout.split("\n").filter((line) => /^(run|down):/.test(line)).length === names.length;
    });
    for (const name of names) {
      const s = new Service(join(dir, name));
      if (name === "down") assert.equal(s.stat, "down");
      else assert.equal(s.pid, before.get(name), name);
      if (/^s\d/.test(name)) assert.equal(s.lines("starts").length, 1, name);
    }
    assert.equal(new Service(join(dir, "own/log")).pid, log);
    await sv(dir, "restart", "s0");
    await new Service(join(dir, "s0")).has("starts", 2);
    second.kill("SIGHUP");
    assert.equal((await second.exited).code, 111);
    await until("the log service has ended", () => new Service(join(dir, "own/log")).stat === "down");
    assertWhole(slurp(join(dir, "own/log/lines")));
    assertWhole(all(join(dir, "inner/log")));
  });
}

test("told to stop while it still takes services over: they stop, too", async (t) => {
  const services: Services = {};
  for (let i = 0; i < 200; i++) services[`s${i}`] = { run: SLEEP, finish: "#!/bin/sh\necho >finished\n" };
  const dir = make(t, services);
  const first = supervise(t, dir);
  const all = Object.keys(services).map((name) => new Service(join(dir, name)));
  for (const s of all) await runs(s.dir);
  first.kill("SIGKILL");
  await first.exited;
  const second = supervise(t, dir);
  await until("it has begun", () => all.some((s) => s.supervisor === second.pid));
  second.kill("SIGHUP");
  assert.equal((await second.exited).code, 111);
  for (const s of all) {
    assert.equal(s.stat, "down", s.dir);
    assert.equal(s.lines("finished").length, 1, s.dir);
  }
});

test("told to stop and a service then told to come up: it ends", async (t) => {
  const dir = make(t, {
    slow: { run: "#!/bin/sh\ntrap 'echo >told' TERM\necho >ready\nwhile [ ! -e go ]; do sleep 0.05; done\n" },
    other: { run: "#!/bin/sh\necho $$ >>starts\nexec sleep 1000\n" },
  });
  const runsvdir = supervise(t, dir);
  const slow = new Service(join(dir, "slow"));
  const other = new Service(join(dir, "other"));
  await slow.has("ready");
  await other.has("starts");
  runsvdir.kill("SIGTERM");
  await slow.has("told");
  await until("the supervisor of the other one ends", () => other.stat === "down");
  slow.tell("u");
  await until("it goes on ending", () => slow.stat === "run, got TERM, want exit");
  writeFileSync(slow.path("go"), "");
  assert.equal((await runsvdir.exited).code, 0);
  assert.equal(slow.stat, "down");
  assert.equal(other.lines("starts").length, 1);
});

test("log/config without log/run: logged by the process itself", async (t) => {
  const dir = make(t, { plain: { run: "#!/bin/sh\necho one; printf two; exec sleep 1000\n" }, stamped: { run: LINES } });
  logsItself(join(dir, "plain"), "\n");
  logsItself(join(dir, "stamped"), "Ttai64n\ns2000\n!cat\n");
  const runsvdir = supervise(t, dir);
  const plain = join(dir, "plain/log/current");
  await until("a line", () => slurp(plain) === "one\n");
  assert.equal(await sv(dir, "status", "plain"), "run: plain: (pid N) Ns; run: log: (pid N) Ns\n");
  assert.equal(new Service(join(dir, "plain/log")).pid, runsvdir.pid);
  assert.deepEqual(children(runsvdir.pid).length, 2, "no logger");
  const files = (): string[] => readdirSync(join(dir, "stamped/log"));
  await until("rotated and processed", () => files().filter((name) => name.endsWith(".s")).length >= 2);
  assert.match(slurp(join(dir, "stamped/log/current")), /^(@[0-9a-f]{24} \d+ \d+\n)*$/);
  const count = files().length;
  await sv(dir, "alarm", "stamped/log");
  await until("ALRM rotates", () => files().length > count);
  writeFileSync(join(dir, "stamped/log/config"), "s1000000\n");
  await sv(dir, "hup", "stamped/log");
  await until("HUP reads the config", () => /^\d+ \d+\n/m.test(slurp(join(dir, "stamped/log/current"))));
  await sv(dir, "pause", "stamped/log");
  await sv(dir, "cont", "stamped/log");
  await sv(dir, "restart", "stamped/log");
  await sv(dir, "down", "stamped/log");
  const size = slurp(join(dir, "stamped/log/current")).length;
  await sv(dir, "up", "stamped/log");
  await until("it goes on", () => slurp(join(dir, "stamped/log/current")).length > size);
  // The end: what was not yet a line is one.
  runsvdir.kill("SIGTERM");
  assert.equal((await runsvdir.exited).code, 0);
  assert.equal(slurp(plain), "one\ntwo\n");
});

test("a service that another runsv holds: told, and taken when that has gone", async (t) => {
  const dir = make(t, { a: { run: SLEEP } });
  const other = start(t, RUNIT.program("runsv"), [join(dir, "a")], { env: { PATH: RUNIT.path } });
  const a = await runs(join(dir, "a"));
  const runsvdir = supervise(t, dir);
  await until("it is told", () =>
    runsvdir.stderr().includes("runsv a: fatal: unable to lock supervise/lock: temporary failure\n"),
  );
  assert.equal(new Service(join(dir, "a")).pid, a);
  other.kill("SIGTERM");
  await other.exited;
  await runs(join(dir, "a"), a);
});

test("descriptors: few for a service, none of them and no raised limit in its program", async (t) => {
  const dir = make(t, { a: { run: "#!/bin/sh\nulimit -n >limit; ulimit -Hn >>limit; exec sleep 1000\n" } });
  const limited = 'ulimit -Sn 300; exec "$0" "$@"';
  const hard = spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "latin1" }).stdout;
  const words = ["-c", limited, UPKEEP.program("runsvdir"), "--dense", dir];
  const runsvdir = start(t, "/bin/sh", words, { env: { PATH: UPKEEP.path } });
  const a = await runs(join(dir, "a"));
  await until("the program has started", () => slurp(`/proc/${a}/comm`) === "sleep\n");
  assert.equal(slurp(join(dir, "a/limit")), `300\n${hard}`);
  const plain = start(t, "/bin/sleep", ["1000"]);
  await until("a program of ours has started", () => slurp(`/proc/${plain.pid}/comm`) === "sleep\n");
  assert.deepEqual(readdirSync(`/proc/${a}/fd`), readdirSync(`/proc/${plain.pid}/fd`));
  const count = (): number => readdirSync(`/proc/${runsvdir.pid}/fd`).length;
  // Not while a descriptor more is open for a moment.
  const looks: number[] = [];
  await until("it rests", () => looks.push(count()) >= 10 && looks.slice(-10).every((n) => n === looks.at(-1)));
  const one = count();
  for (let i = 0; i < 10; i++) serviceDir(join(dir, `n${i}`), { run: SLEEP });
  for (let i = 0; i < 10; i++) await runs(join(dir, `n${i}`));
  // One more may be open for a moment.
  await until("six for each", () => count() - one === 60);
  const eleven = one + 60;
  // Looked at only when it is complete.
  serviceDir(join(dir, ".logged"), { run: SLEEP, log: { run: CAT } });
  renameSync(join(dir, ".logged"), join(dir, "logged"));
  await runs(join(dir, "logged/log"));
  await until("thirteen with a log service", () => count() - eleven === 13);
  logsItself(serviceDir(join(dir, ".inner"), { run: SLEEP }), "");
  renameSync(join(dir, ".inner"), join(dir, "inner"));
  await runs(join(dir, "inner/log"));
  // Logged by itself; and two for all that are, which come with the first look.
  await until("sixteen and two", () => count() - eleven - 13 === 16 + 2);
  for (const name of ["logged", "inner"]) rmSync(join(dir, name), { recursive: true, force: true });
  for (let i = 0; i < 10; i++) rmSync(join(dir, `n${i}`), { recursive: true, force: true });
  await until("given back", () => count() === one + 2);
});

for (const highest of [9, 90, 1030]) {
  test(`a descriptor it was started with, and no other, is its programs': ${highest}`, async (t) => {
    const list = "#!/bin/sh\nls /proc/$$/fd >fds\nexec sleep 1000\n";
    const dir = make(t, {
      a: { run: list },
      b: { run: list, log: { run: "#!/bin/sh\nls /proc/$$/fd >fds\nexec cat >>lines\n" } },
    });
    const cwd = tempDir(t);
    const opens = `ulimit -n 2000; exec 7</dev/null ${highest}</dev/null; ls /proc/$$/fd >given; exec "$@"`;
    const words = [UPKEEP.program("runsvdir"), "--dense", dir];
    start(t, "/bin/bash", ["-c", opens, "sh", ...words], { cwd, env: { PATH: `${UPKEEP.path}:/usr/bin:/bin` } });
    const numbers = (file: string): number[] => slurp(file).split("\n").filter(Boolean).map(Number);
    // 10 and above: a shell itself, for its script.
    const known = (file: string): number[] => numbers(file).filter((fd) => fd < 10 || fd >= 20);
    for (const service of ["a", "b", "b/log"]) {
      await runs(join(dir, service));
      await until("it has looked", () => numbers(join(dir, service, "fds")).length >= 5);
      assert.deepEqual(known(join(dir, service, "fds")), known(join(cwd, "given")));
      assert.ok(known(join(dir, service, "fds")).includes(highest));
    }
  });
}

test("its log argument: what services and supervisors say scrolls in ps", async (t) => {
  const dir = make(t, { a: { run: "#!/bin/sh\necho from the service >&2\nexec sleep 1000\n" }, b: { run: "no interpreter\n" } });
  const words = ["--dense", dir, `log: ${".".repeat(200)}`];
  const runsvdir = start(t, UPKEEP.program("runsvdir"), words, { env: { PATH: UPKEEP.path } });
  const title = (): string => slurp(`/proc/${runsvdir.pid}/cmdline`).replaceAll("\0", " ");
  await until("both", () => title().includes("from the service") && title().includes("runsv b: fatal: unable to start ./run"));
});

/** Services under one process, all up, listed and stopped; how long that took, in ms. */
async function many(t: TestContext, tools: Toolchain, services: number, words: readonly string[]): Promise<number> {
  const dir = tempDir(t);
  const names = Array.from({ length: services }, (_, i) => `s${i}`);
  for (const name of names) serviceDir(join(dir, name), { run: "#!/bin/sh\nexec sleep 100000\n" });
  const begun = performance.now();
  const runsvdir = start(t, tools.program("runsvdir"), [...words, dir], { env: { PATH: tools.path } });
  const waiting = new Set(names);
  const up = (): boolean => {
    for (const name of waiting) {
      if (slurp(join(dir, name, "supervise/stat")) !== "run\n") return false;
      waiting.delete(name);
    }
    return true;
  };
  await until("all run", up, 300_000);
  const upMs = performance.now() - begun;
  const listing = performance.now();
  const done = await run(UPKEEP.program("sv"), ["status", ...names], {
    env: { PATH: UPKEEP.path, SVDIR: dir },
    timeoutMs: 60_000,
  });
  const listMs = performance.now() - listing;
  assert.equal(done.stdout.split("\n").filter((line) => line.startsWith("run: ")).length, services);
  const pids = [runsvdir.pid, ...children(runsvdir.pid).filter((pid) => slurp(`/proc/${pid}/comm`) === "runsv\n")];
  const pss = pids.map((pid) => Number(/^Pss:\s+(\d+) kB/m.exec(slurp(`/proc/${pid}/smaps_rollup`))?.[1]));
  const kB = pss.reduce((a, b) => a + b, 0);
  const stopping = performance.now();
  runsvdir.kill("SIGHUP");
  assert.equal((await runsvdir.exited).code, 111);
  await until("every runsv has ended", () => pids.every((pid) => slurp(`/proc/${pid}/comm`) !== "runsv\n"), 300_000);
  const ms = [upMs, listMs, performance.now() - stopping].map((n) => Math.round(n));
  t.diagnostic(
    `${tools.name} ${words.join(" ")}: ${services} services, PSS ${kB} kB; up, listed, stopped after ms: ${ms.join(", ")}`,
  );
  return kB;
}

const SERVICES = process.env["UPKEEP_LONG"] === "1" ? 10_000 : 1000;

test(`${SERVICES} services in one process: up, listed, stopped; less than 0.05 of the memory of runit's`, {
  skip: SANITIZED ? "the sanitizers' memory" : false,
  timeout: 900_000,
}, async (t) => {
  const ours = (await many(t, UPKEEP, SERVICES, ["--dense", "-P"])) / SERVICES;
  const theirs = (await many(t, RUNIT, 200, ["-P"])) / 200;
  t.diagnostic(`PSS of one service: ${ours.toFixed(2)} kB beside ${theirs.toFixed(2)} kB`);
  assert.ok(ours > 0 && ours < 0.05 * theirs);
});
