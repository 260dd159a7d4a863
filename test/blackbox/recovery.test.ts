/**
 * What a supervisor's death does to the services: nothing. Killed, trapped or
 * replaced, the next one finds the living processes and goes on with them.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Child, run, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { imageOf, lives, processState } from "../support/service.ts";

const LINES = `#!/bin/sh
n=0
while :; do n=$((n+1)); echo "$$ $n"; sleep 0.02; done
`;
const CAT = "#!/bin/sh\nexec cat >>lines\n";

function status(dir: string): string {
  try {
    return readFileSync(join(dir, "supervise/stat"), "latin1");
  } catch {
    return "";
  }
}

function pidOf(dir: string): number {
  try {
    return Number(readFileSync(join(dir, "supervise/pid"), "latin1"));
  } catch {
    return 0;
  }
}

async function running(dir: string): Promise<number> {
  // status is the last of the files to be written.
  const told = (): number => readFileSync(join(dir, "supervise/status")).readUInt32LE(12);
  await until(`${dir} runs`, () => status(dir) === "run\n" && pidOf(dir) > 0 && told() === pidOf(dir));
  return pidOf(dir);
}

/** The files a process has open, for comparison: without the shell's own copies. */
function openIn(process: number): string[] {
  return readdirSync(`/proc/${process}/fd`)
    .filter((fd) => Number(fd) < 10)
    .map((fd) => `${fd} ${readlinkSync(`/proc/${process}/fd/${fd}`)}`);
}

function supervise(t: TestContext, dir: string, env: Record<string, string> = {}): Child {
  return start(t, UPKEEP.program("runsv"), [dir], { env: { ...process.env, PATH: UPKEEP.path, ...env } });
}

/** Whether a process has a handler for a signal. */
function catches(pid: number, signal: number): boolean {
  const caught = /^SigCgt:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? "0";
  return ((BigInt(`0x${caught}`) >> BigInt(signal - 1)) & 1n) === 1n;
}

/** Each process's lines must count up without a gap, and no line may be torn. */
function assertWhole(lines: string): void {
  const last = new Map<string, number>();
  for (const line of lines.split("\n").slice(0, -1)) {
    const m = /^(\d+) (\d+)$/.exec(line);
    assert.ok(m, `torn line: ${line}`);
    const [, process = "", count = ""] = m;
    assert.equal(Number(count), (last.get(process) ?? 0) + 1, `gap before: ${line}`);
    last.set(process, Number(count));
  }
}

test("a killed runsv: its successor adopts service and log service", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: LINES, finish: '#!/bin/sh\necho "$@" >ended\n', log: { run: CAT } });
  const first = supervise(t, dir);
  const service = await running(dir);
  const log = await running(join(dir, "log"));
  const since = readFileSync(join(dir, "supervise/status")).subarray(0, 12);
  first.kill("SIGKILL");
  await first.exited;
  supervise(t, dir);
  const sv = UPKEEP.program("sv");
  await until("the successor answers", async () => (await run(sv, ["status", dir])).stdout.startsWith("run:"));
  assert.equal(pidOf(dir), service);
  assert.equal(pidOf(join(dir, "log")), log);
  assert.deepEqual(readFileSync(join(dir, "supervise/status")).subarray(0, 12), since, "true age");
  const size = statSync(join(dir, "log/lines")).size;
  await until("lines still arrive", () => statSync(join(dir, "log/lines")).size > size + 100);
  // It is controlled, its end is noticed, finish gets the true status, and it is started again.
  assert.equal((await run(sv, ["-w", "20", "restart", dir])).code, 0);
  await until("finish ran", () => {
    try {
      return readFileSync(join(dir, "ended"), "latin1") === "-1 15\n";
    } catch {
      return false;
    }
  });
  assert.notEqual(await running(dir), service);
  assert.equal((await run(sv, ["-w", "20", "exit", dir])).code, 0);
  assertWhole(readFileSync(join(dir, "log/lines"), "latin1"));
});

test("a killed runsv: a service that ended meanwhile gets its finish, and starts again", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: "#!/bin/sh\nexec sleep 1000\n", finish: '#!/bin/sh\necho "$@" >ended\n' });
  const first = supervise(t, dir);
  const service = await running(dir);
  first.kill("SIGKILL");
  await first.exited;
  process.kill(service, "SIGKILL");
  await until("the service is gone", () => {
    try {
      return readFileSync(`/proc/${service}/stat`, "latin1").includes(") Z ");
    } catch {
      return true;
    }
  });
  supervise(t, dir);
  await until("a new one runs", () => status(dir) === "run\n" && pidOf(dir) !== service && pidOf(dir) > 0);
  await until("finish ran", () => {
    try {
      return /^-1 [09]\n$/.test(readFileSync(join(dir, "ended"), "latin1"));
    } catch {
      return false;
    }
  });
});

test("a killed runsv: what an operator took down stays down", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: "#!/bin/sh\nexec sleep 1000\n" });
  const first = supervise(t, dir);
  await running(dir);
  const sv = UPKEEP.program("sv");
  assert.equal((await run(sv, ["-w", "20", "down", dir])).code, 0);
  await until("down", () => status(dir) === "down\n");
  first.kill("SIGKILL");
  await first.exited;
  supervise(t, dir);
  await until("the successor answers", async () => (await run(sv, ["status", dir])).stdout.startsWith("down:"));
  assert.equal((await run(sv, ["-w", "20", "up", dir])).code, 0);
  await running(dir);
});

test("a process that only has the old number is left alone", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: "#!/bin/sh\nexec sleep 1000\n" });
  const first = supervise(t, dir);
  const service = await running(dir);
  first.kill("SIGKILL");
  await first.exited;
  process.kill(service, "SIGKILL");
  const other = start(t, "/bin/sleep", ["1000"], {});
  // The record names the other process, with the start time of the dead one.
  const adopt = join(dir, "supervise/adopt");
  const record = readFileSync(adopt);
  record.writeUInt32LE(other.pid, 4);
  record.writeBigUInt64LE(record.readBigUInt64LE(8) - 60_000n, 8);
  writeFileSync(adopt, record);
  supervise(t, dir);
  await until("a new one runs", () => status(dir) === "run\n" && pidOf(dir) > 0 && pidOf(dir) !== other.pid);
  assert.equal((await run(UPKEEP.program("sv"), ["-w", "20", "exit", dir])).code, 0);
  assert.doesNotThrow(() => process.kill(other.pid, 0));
});

for (const kind of ["index", "stack"]) {
  test(`a trap in runsv (${kind}): same pid, services untouched`, async (t) => {
    const dir = join(tempDir(t), "svc");
    serviceDir(dir, { run: LINES, log: { run: CAT } });
    const child = supervise(t, dir, { UPKEEP_TEST_TRAP: kind });
    const service = await running(dir);
    const log = await running(join(dir, "log"));
    for (let i = 0; i < 3; i++) {
      const before = readFileSync(join(dir, "supervise/adopt")).readBigUInt64LE(64);
      child.kill("SIGUSR2");
      await until("it came back", () => readFileSync(join(dir, "supervise/adopt")).readBigUInt64LE(64) > before);
    }
    assert.equal(pidOf(dir), service);
    assert.equal(pidOf(join(dir, "log")), log);
    const sv = UPKEEP.program("sv");
    const descriptors = openIn(service);
    assert.equal((await run(sv, ["-w", "20", "restart", dir])).code, 0);
    // What runsv kept for itself across the trap, its lock above all, is not for the service.
    const again = await running(dir);
    await until("it has the same open", () => openIn(again).join() === descriptors.join());
    assert.equal((await run(sv, ["-w", "20", "exit", dir])).code, 0);
    assert.deepEqual(await child.exited, { code: 0, signal: null });
    assertWhole(readFileSync(join(dir, "log/lines"), "latin1"));
  });

  test(`a trap in runsvdir (${kind}): same pid, supervisors and services untouched`, async (t) => {
    const top = tempDir(t);
    for (const name of ["a", "b"]) serviceDir(join(top, name), { run: LINES, log: { run: CAT } });
    const env = { ...process.env, PATH: UPKEEP.path, UPKEEP_TEST_TRAP: kind };
    const child = start(t, UPKEEP.program("runsvdir"), [top], { env });
    const before = [await running(join(top, "a")), await running(join(top, "b"))];
    for (let i = 0; i < 3; i++) {
      const image = imageOf(child.pid);
      child.kill("SIGUSR2");
      await until("it came back", () => imageOf(child.pid) !== image);
    }
    serviceDir(join(top, "c"), { run: LINES });
    await running(join(top, "c"));
    assert.deepEqual([pidOf(join(top, "a")), pidOf(join(top, "b"))], before);
    child.kill("SIGHUP");
    assert.deepEqual(await child.exited, { code: 111, signal: null });
    for (const name of ["a", "b", "c"]) await until(`${name} is down`, () => status(join(top, name)) === "down\n");
    for (const name of ["a", "b"]) assertWhole(readFileSync(join(top, name, "log/lines"), "latin1"));
  });
}

for (const [how, program, words, signal] of [
  ["a trap of runsv", "runsv", ["top/svc"], "SIGUSR2"],
  ["a new image of runsvdir", "runsvdir", ["top"], "SIGUSR1"],
  ["a trap of runsvdir", "runsvdir", ["top"], "SIGUSR2"],
  ["a new image of a dense runsvdir", "runsvdir", ["--dense", "top"], "SIGUSR1"],
  ["a trap of a dense runsvdir", "runsvdir", ["--dense", "top"], "SIGUSR2"],
] as const) {
  test(`${how}: programs started from then on have those signals blocked that they would have had`, async (t) => {
    const cwd = tempDir(t);
    const top = join(cwd, "top");
    const dir = join(top, "svc");
    serviceDir(dir, { run: "#!/bin/sh\nexec sleep 1000\n" });
    // Blocked when it is started: WINCH, which is passed on.
    const blocked = `use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(28)); exec @ARGV or die`;
    const env = { PATH: `${UPKEEP.path}:/usr/bin:/bin`, UPKEEP_TEST_TRAP: "index" };
    const child = start(t, "perl", ["-e", blocked, UPKEEP.program(program), ...words], { env, cwd });
    const mask = (pid: number): string =>
      /^SigBlk:\s+0*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? "";
    const first = await running(dir);
    assert.equal(mask(first), "8000000");
    const image = imageOf(child.pid);
    child.kill(signal);
    await until("it has another image", () => imageOf(child.pid) !== image && catches(child.pid, 8));
    // A new service, and the old one again, by a new supervisor where it has one of its own.
    serviceDir(join(top, ".two"), { run: "#!/bin/sh\nexec sleep 1000\n" });
    renameSync(join(top, ".two"), join(top, "two"));
    if (program === "runsvdir") assert.equal(mask(await running(join(top, "two"))), "8000000");
    assert.equal((await run(UPKEEP.program("sv"), ["-w", "20", "restart", dir])).code, 0);
    await until("another runs", () => pidOf(dir) > 0 && pidOf(dir) !== first && status(dir) === "run\n");
    assert.equal(mask(pidOf(dir)), "8000000");
  });
}

test("every signal of a trap at once, again and again: same pid, services untouched", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: LINES, log: { run: CAT } });
  const child = supervise(t, dir);
  const service = await running(dir);
  const log = await running(join(dir, "log"));
  for (let i = 0; i < 20; i++) {
    // On a processor with wide registers the frame of each takes 12 kB of the stack they are handled on.
    const image = imageOf(child.pid);
    process.kill(child.pid, "SIGSTOP");
    for (const signal of ["SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"] as const) process.kill(child.pid, signal);
    process.kill(child.pid, "SIGCONT");
    await until("it is a new image, and ready for the next", () => imageOf(child.pid) !== image && catches(child.pid, 8));
  }
  assert.deepEqual([pidOf(dir), pidOf(join(dir, "log"))], [service, log]);
  assert.equal((await run(UPKEEP.program("sv"), ["-w", "20", "exit", dir])).code, 0);
  assert.equal((await child.exited).code, 0);
  assertWhole(readFileSync(join(dir, "log/lines"), "latin1"));
});

test("a killed runsvdir: its successor finds the supervisors and starts no second ones", async (t) => {
  const top = tempDir(t);
  for (const name of ["a", "b"]) serviceDir(join(top, name), { run: "#!/bin/sh\nexec sleep 1000\n" });
  const env = { ...process.env, PATH: UPKEEP.path };
  const first = start(t, UPKEEP.program("runsvdir"), [top], { env });
  const before = [await running(join(top, "a")), await running(join(top, "b"))];
  first.kill("SIGKILL");
  await first.exited;
  const second = start(t, UPKEEP.program("runsvdir"), [top], { env });
  serviceDir(join(top, "c"), { run: "#!/bin/sh\nexec sleep 1000\n" });
  await running(join(top, "c"));
  assert.deepEqual([pidOf(join(top, "a")), pidOf(join(top, "b"))], before);
  second.kill("SIGHUP");
  assert.equal((await second.exited).code, 111);
  for (const name of ["a", "b", "c"]) await until(`${name} is down`, () => status(join(top, name)) === "down\n");
  assert.equal(second.stderr(), "");
});

test("SIGUSR1 replaces runsvdir's image in place", async (t) => {
  const top = tempDir(t);
  serviceDir(join(top, "a"), { run: "#!/bin/sh\nexec sleep 1000\n" });
  const env = { ...process.env, PATH: UPKEEP.path };
  const child = start(t, UPKEEP.program("runsvdir"), ["-P", top], { env });
  const before = await running(join(top, "a"));
  const image = imageOf(child.pid);
  child.kill("SIGUSR1");
  await until("the image is another", () => imageOf(child.pid) !== image);
  serviceDir(join(top, "b"), { run: "#!/bin/sh\nexec sleep 1000\n" });
  await running(join(top, "b"));
  assert.equal(pidOf(join(top, "a")), before);
  assert.match(readFileSync(`/proc/${child.pid}/cmdline`, "latin1"), /runsvdir\0-P\0/);
  child.kill("SIGHUP");
  assert.equal((await child.exited).code, 111);
  assert.equal(child.stderr(), "");
});

test("a killed runsvdir, then a killed runsv, then its log service: no line is lost, none torn", async (t) => {
  const top = tempDir(t);
  const dir = join(top, "a");
  serviceDir(dir, { run: LINES, log: { run: CAT } });
  const env = { ...process.env, PATH: UPKEEP.path };
  const first = start(t, UPKEEP.program("runsvdir"), [top], { env });
  const service = await running(dir);
  await running(join(dir, "log"));
  const adopt = (): Buffer => readFileSync(join(dir, "supervise/adopt"));
  first.kill("SIGKILL");
  await first.exited;
  const second = start(t, UPKEEP.program("runsvdir"), [top], { env });
  // Its first look is over when it has started what is new.
  serviceDir(join(top, "b"), { run: "#!/bin/sh\nexec sleep 1000\n" });
  await running(join(top, "b"));
  const supervisor = adopt().readUInt32LE(44);
  process.kill(supervisor, "SIGKILL");
  await until("another runsv", () => adopt().readUInt32LE(44) !== supervisor);
  const log = await running(join(dir, "log"));
  // What it has read and not yet written would be lost: it is to wait for more.
  process.kill(service, "SIGSTOP");
  await until("the service stands still", () => processState(service) === "T");
  await until("its log service waits", () => processState(log) === "S");
  process.kill(log, "SIGKILL");
  // A read that waits takes what arrives, even if the reader is to die: pipe_read in the kernel's fs/pipe.c.
  await until("it is dead", () => !lives(log));
  process.kill(service, "SIGCONT");
  await until("another log service", () => pidOf(join(dir, "log")) !== log && pidOf(join(dir, "log")) > 0);
  const size = statSync(join(dir, "log/lines")).size;
  await until("lines still arrive", () => statSync(join(dir, "log/lines")).size > size + 100);
  assert.equal(pidOf(dir), service);
  second.kill("SIGHUP");
  await second.exited;
  await until("down", () => status(dir) === "down\n");
  assertWhole(readFileSync(join(dir, "log/lines"), "latin1"));
});

const PAUSE = "#!/bin/sh\nexec sleep 1000\n";

/** Kills the supervisor of `dir` and starts the next; `before` happens in between. */
async function succeed(t: TestContext, dir: string, first: Child, before?: () => void): Promise<Child> {
  const supervisor = (): number => readFileSync(join(dir, "supervise/adopt")).readUInt32LE(44);
  first.kill("SIGKILL");
  await first.exited;
  before?.();
  const next = supervise(t, dir);
  await until("the successor has taken over", () => supervisor() === next.pid && status(dir) !== "");
  return next;
}

test("a killed runsv: a paused service stays paused, and goes on when it is told to", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: PAUSE });
  const first = supervise(t, dir);
  const service = await running(dir);
  const sv = UPKEEP.program("sv");
  await run(sv, ["pause", dir]);
  await until("paused", () => status(dir) === "run, paused\n");
  await succeed(t, dir, first);
  assert.match((await run(sv, ["status", dir])).stdout, /^run: .* paused\n/);
  await run(sv, ["cont", dir]);
  await until("it goes on", () => status(dir) === "run\n");
  assert.equal(pidOf(dir), service);
});

test("a killed runsv: its successor waits for finish before it starts run", async (t) => {
  const dir = join(tempDir(t), "svc");
  const lines = "#!/bin/sh\necho run >>log\nexec sleep 1000\n";
  serviceDir(dir, {
    run: lines,
    finish: "#!/bin/sh\necho begin >>log\nwhile [ ! -e go ]; do sleep 0.05; done\necho end >>log\n",
  });
  const first = supervise(t, dir);
  const service = await running(dir);
  await until("run has said so", () => readFileSync(join(dir, "log"), "latin1") === "run\n");
  process.kill(service, "SIGTERM");
  await until("finish runs", () => status(dir) === "finish\n" && pidOf(dir) > 0);
  const finish = pidOf(dir);
  await succeed(t, dir, first);
  assert.equal(status(dir), "finish\n");
  assert.equal(pidOf(dir), finish);
  writeFileSync(join(dir, "go"), "");
  await until("run runs again", () => readFileSync(join(dir, "log"), "latin1").split("\n").length === 5);
  assert.equal(readFileSync(join(dir, "log"), "latin1"), "run\nbegin\nend\nrun\n");
});

test("a record of another boot, or of another container's life, is not believed", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: PAUSE });
  const first = supervise(t, dir);
  const service = await running(dir);
  t.after(() => process.kill(service, "SIGKILL"));
  const adopt = join(dir, "supervise/adopt");
  await succeed(t, dir, first, () => {
    const record = readFileSync(adopt);
    record.writeUInt8(record.readUInt8(48) ^ 1, 48);
    writeFileSync(adopt, record);
  });
  await until("a new one runs", () => status(dir) === "run\n" && pidOf(dir) > 0 && pidOf(dir) !== service);
  assert.equal((await run(UPKEEP.program("sv"), ["-w", "20", "exit", dir])).code, 0);
  assert.doesNotThrow(() => process.kill(service, 0), "nobody signals the process of that number");
});

test("a half-written record is none, and what follows is a whole one", async (t) => {
  const dir = join(tempDir(t), "svc");
  serviceDir(dir, { run: PAUSE, down: true });
  const first = supervise(t, dir);
  await until("it is down", () => status(dir) === "down\n");
  await succeed(t, dir, first, () => writeFileSync(join(dir, "supervise/adopt"), Buffer.alloc(50, 255)));
  assert.equal(status(dir), "down\n");
  assert.equal(readFileSync(join(dir, "supervise/adopt")).length, 96);
});

const PRIVILEGED = process.getuid?.() === 0 ? false : "needs root";

test("a log pipe that cannot be taken over: told, seen in sv status, mended by a restart", { skip: PRIVILEGED }, async (t) => {
  const dir = join(tempDir(t), "svc");
  const as = (program: string): string => `#!/bin/sh\nexec ${UPKEEP.program("chpst")} -u nobody ${program}\n`;
  serviceDir(dir, { run: as("sleep 1000"), log: { run: as("cat") } });
  // Without CAP_SYS_PTRACE, as in most containers, /proc/PID/fd of another user's process is closed.
  const env = { ...process.env, PATH: UPKEEP.path };
  const args = ["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", UPKEEP.program("runsv"), dir];
  const first = start(t, "/usr/bin/setpriv", args, { env });
  const service = await running(dir);
  const log = await running(join(dir, "log"));
  const became = (p: number): boolean => readFileSync(`/proc/${p}/status`, "latin1").includes("Uid:\t65534");
  await until("they are nobody's", () => became(service) && became(log));
  first.kill("SIGKILL");
  await first.exited;
  const next = start(t, "/usr/bin/setpriv", args, { env });
  const sv = UPKEEP.program("sv");
  await until("it is told", () => next.stderr().includes("unable to open log pipe of pid"));
  await until("it is seen", async () => /^run: .*s, log pipe lost; run: log: /.test((await run(sv, ["status", dir])).stdout));
  assert.equal(pidOf(dir), service);
  assert.equal((await run(sv, ["-w", "20", "restart", dir])).code, 0);
  assert.doesNotMatch((await run(sv, ["status", dir])).stdout, /lost/);
  await until("the log service reads the new pipe", () => pidOf(join(dir, "log")) !== log && pidOf(join(dir, "log")) > 0);
  assert.equal((await run(sv, ["-w", "20", "exit", dir])).code, 0);
});
