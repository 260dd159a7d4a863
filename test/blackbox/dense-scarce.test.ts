/**
 * runsvdir --dense with few descriptors: from half of them on a supervisor keeps
 * one, its control FIFO, and is the same to everybody else. What cannot be had
 * at all is told once, and tried again.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { make, type Services } from "../support/dense.ts";
import { type Child, RUNIT, run, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { Service, SLEEP, slurp } from "../support/service.ts";

const SV = UPKEEP.program("sv");
/** Also for root, which may raise a limit unless it is taken from it. */
const LIMITED = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-sys_resource"] : [];

function supervise(t: TestContext, dir: string, descriptors: number): Child {
  const words = [...LIMITED, UPKEEP.program("runsvdir"), "--dense", "-P", dir];
  return start(t, "/bin/sh", ["-c", `ulimit -n ${descriptors}; exec "$@"`, "sh", ...words], {
    env: { PATH: `${UPKEEP.path}:/usr/bin:/bin` },
  });
}

function sleepers(count: number): Services {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`s${100 + i}`, { run: SLEEP }]));
}

function all(dir: string): Service[] {
  return readdirSync(dir).map((name) => new Service(join(dir, name)));
}

async function allRun(services: readonly Service[]): Promise<number[]> {
  await until("all run", () => services.every((s) => s.stat === "run" && s.pid > 0 && s.status.pid === s.pid));
  return services.map((s) => s.pid);
}

/** What a process has open, below `dir`. */
function openBelow(pid: number, dir: string): string[] {
  const found: string[] = [];
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const to = readlinkSync(`/proc/${pid}/fd/${fd}`);
      if (to.startsWith(`${dir}/`)) found.push(to.slice(dir.length + 1));
    } catch {
      // Closed meanwhile.
    }
  }
  return found;
}

/** Services whose supervisor has its control FIFO only. */
function spared(pid: number, dir: string): Service[] {
  const open = openBelow(pid, dir);
  const names = readdirSync(dir).filter((name) => {
    const its = open.filter((path) => path === name || path.startsWith(`${name}/`));
    return its.length === 1 && its[0] === `${name}/supervise/control`;
  });
  return names.map((name) => new Service(join(dir, name)));
}

const COUNT = 30;

test("more services than six descriptors each allow: all run, and the spared ones are as any other", async (t) => {
  const dir = make(t, sleepers(COUNT));
  const runsvdir = supervise(t, dir, 120);
  await allRun(all(dir));
  const few = spared(runsvdir.pid, dir);
  assert.ok(few.length > COUNT / 2, `${few.length} spared`);
  assert.ok(readdirSync(`/proc/${runsvdir.pid}/fd`).length < 3 * COUNT);
  const [s, other] = few as [Service, Service];
  for (const tools of [UPKEEP, RUNIT]) {
    const second = await run(tools.program("runsv"), [s.dir], { timeoutMs: 20_000 });
    assert.deepEqual([second.code, second.stderr.includes("unable to lock supervise/lock")], [111, true], tools.name);
    const before = s.pid;
    assert.equal((await run(tools.program("sv"), ["-w", "20", "restart", s.dir])).code, 0, tools.name);
    await until("another runs", () => s.pid > 0 && s.pid !== before);
    assert.match((await run(tools.program("sv"), ["status", s.dir])).stdout, /^run: /, tools.name);
    assert.equal((await run(tools.program("sv"), ["-w", "20", "down", s.dir])).code, 0, tools.name);
    assert.equal((await run(tools.program("sv"), ["-w", "20", "up", s.dir])).code, 0, tools.name);
  }
  const pid = other.pid;
  other.tell("x");
  await until("ended, and begun anew", () => other.pid > 0 && other.pid !== pid);
  // With only the control FIFO of each, too.
  runsvdir.kill("SIGHUP");
  assert.equal((await runsvdir.exited).code, 111);
  for (const each of all(dir)) assert.deepEqual([each.pid, each.stat], [0, "down"]);
  assert.equal(runsvdir.stderr(), "");
});

test("a spared service whose directory is moved, or whose link goes: its own files are written, where they are now", async (t) => {
  const dir = make(t, sleepers(COUNT));
  const elsewhere = tempDir(t);
  serviceDir(join(elsewhere, "linked"), { run: SLEEP, finish: "#!/bin/sh\necho ended >it\n" });
  symlinkSync(join(elsewhere, "linked"), join(dir, "zz"));
  const runsvdir = supervise(t, dir, 120);
  await allRun(all(dir));
  const linked = new Service(join(elsewhere, "linked"));
  assert.deepEqual(openBelow(runsvdir.pid, elsewhere), ["linked/supervise/control"]);
  const moved = spared(runsvdir.pid, dir)[0];
  assert.ok(moved);
  renameSync(moved.dir, join(dir, "moved"));
  const now = new Service(join(dir, "moved"));
  const pid = now.pid;
  process.kill(pid, "SIGKILL");
  await until("it runs again, in its place", () => now.pid > 0 && now.pid !== pid && now.stat === "run");
  renameSync(join(elsewhere, "linked"), join(elsewhere, "renamed"));
  rmSync(join(dir, "zz"));
  const gone = new Service(join(elsewhere, "renamed"));
  await until("it has ended", () => gone.pid === 0 && gone.stat === "down");
  assert.equal(slurp(join(elsewhere, "renamed/it")), "ended\n");
  assert.throws(() => statSync(linked.dir));
});

test("with few descriptors killed: the next one finds every service, and notices the end of each", async (t) => {
  const dir = make(t, sleepers(COUNT));
  const first = supervise(t, dir, 120);
  const pids = await allRun(all(dir));
  first.kill("SIGKILL");
  await first.exited;
  const next = supervise(t, dir, 120);
  await until("all are found", async () => {
    const done = await run(SV, ["status", ...all(dir).map((s) => s.dir)]);
    return done.code === 0;
  });
  assert.deepEqual(
    all(dir).map((s) => s.pid),
    pids,
  );
  const pidfds = readdirSync(`/proc/${next.pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${next.pid}/fd/${fd}`) === "anon_inode:[pidfd]";
    } catch {
      return false;
    }
  });
  assert.ok(pidfds.length < COUNT / 2, `${pidfds.length} have one`);
  const last = all(dir).at(-1) as Service;
  assert.equal((await run(SV, ["-w", "20", "restart", last.dir])).code, 0, "signalled without a pidfd");
  for (const pid of pids.slice(0, -1)) process.kill(pid, "SIGKILL");
  await until("each is started again", () => all(dir).every((s, i) => s.pid > 0 && s.pid !== pids[i]));
  assert.equal(next.stderr(), "");
});

test("log services in other programs are spared, too, and lose nothing", async (t) => {
  const services = sleepers(COUNT);
  const lines = "#!/bin/sh\nn=0\nwhile :; do n=$((n+1)); echo $n; sleep 0.02; done\n";
  services["zz"] = { run: lines, log: { run: "#!/bin/sh\nexec cat >>lines\n" } };
  const dir = make(t, services);
  const runsvdir = supervise(t, dir, 120);
  await allRun(all(dir));
  const zz = new Service(join(dir, "zz"));
  await until("its log runs", () => zz.log.stat === "run");
  // Whose turn was last has its directories open: now that is another.
  assert.equal((await run(SV, ["-w", "20", "restart", join(dir, "s129")])).code, 0);
  const open = openBelow(runsvdir.pid, dir).filter((path) => path.startsWith("zz"));
  assert.deepEqual(open.sort(), ["zz/log/supervise/control", "zz/supervise/control"]);
  const [log, pid] = [zz.log.pid, zz.pid];
  runsvdir.kill("SIGKILL");
  await runsvdir.exited;
  const next = supervise(t, dir, 120);
  // From then on it holds the pipe, too.
  await until("it is taken over", () => zz.supervisor === next.pid);
  process.kill(pid, "SIGKILL");
  await until("it runs again", () => zz.pid > 0 && zz.pid !== pid && zz.stat === "run");
  assert.equal(zz.log.pid, log);
  const again = zz.pid;
  zz.tell("x");
  await until("ended, and begun anew", () => zz.pid > 0 && zz.pid !== again && zz.log.pid > 0 && zz.log.pid !== log);
  const counts = zz.log.lines("lines").map(Number);
  let last = 0;
  for (const count of counts) {
    assert.ok(count === last + 1 || count === 1, `${count} after ${last}`);
    last = count;
  }
  assert.ok(counts.length > 0);
});

test("ok keeps its own FIFO where it is for others than control is", async (t) => {
  const dir = make(t, sleepers(COUNT));
  const first = supervise(t, dir, 120);
  await allRun(all(dir));
  const few = spared(first.pid, dir);
  const same = (s: Service): boolean => statSync(s.path("supervise/ok")).ino === statSync(s.path("supervise/control")).ino;
  assert.ok(few.every(same));
  first.kill("SIGHUP");
  await first.exited;
  const s = few.at(-1) as Service;
  rmSync(s.path("supervise/ok"));
  rmSync(s.path("supervise/control"));
  // A runsv that has descriptors enough makes both.
  const single = start(t, UPKEEP.program("runsv"), [s.dir], { env: { PATH: UPKEEP.path } });
  await allRun([s]);
  assert.ok(!same(s));
  chmodSync(s.path("supervise/ok"), 0o622);
  single.kill("SIGTERM");
  await single.exited;
  supervise(t, dir, 120);
  await allRun(all(dir));
  assert.ok(!same(s));
  assert.match((await run(SV, ["status", s.dir])).stdout, /^run: /);
});

const OVERLAY = "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged || exit 99";

test("on overlayfs, where a mapping is of another file: the lock keeps its descriptor, and is held", async (t) => {
  const base = make(t, {});
  for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(base, name));
  const probe = await run("unshare", ["-m", "sh", "-c", OVERLAY], { cwd: base, env: { PATH: "/usr/bin:/bin" } });
  if (probe.code !== 0) {
    t.skip(`no overlayfs here: ${probe.stderr.trim()}`);
    return;
  }
  for (const [name, files] of Object.entries(sleepers(COUNT))) serviceDir(join(base, "lower", name), files);
  const words = [...LIMITED, UPKEEP.program("runsvdir"), "--dense", "-P", "merged"];
  const runsvdir = start(t, "unshare", ["-m", "sh", "-c", `${OVERLAY}; ulimit -n 160; exec "$@"`, "sh", ...words], {
    cwd: base,
    env: { PATH: `${UPKEEP.path}:/usr/bin:/bin` },
  });
  const dir = `/proc/${runsvdir.pid}/root${base}/merged`;
  await until("it is mounted", () => readdirSync(dir).length === COUNT);
  await allRun(all(dir));
  assert.ok(readdirSync(`/proc/${runsvdir.pid}/fd`).length < 5 * COUNT);
  for (const s of all(dir).slice(-3))
    for (const tools of [UPKEEP, RUNIT]) {
      const second = await run(tools.program("runsv"), [s.dir], { timeoutMs: 20_000 });
      assert.deepEqual([second.code, second.stderr.includes("unable to lock supervise/lock")], [111, true], tools.name);
    }
});

test("more services than descriptors: told once, and started when there is room", async (t) => {
  const dir = make(t, sleepers(COUNT));
  const runsvdir = supervise(t, dir, 64);
  const running = (): Service[] => all(dir).filter((s) => s.stat === "run");
  await until("it is told", () => runsvdir.stderr().includes("process cannot open more files"));
  await until("some run", () => running().length > 6);
  const some = running();
  assert.ok(some.length < COUNT, `${some.length} run`);
  mkdirSync(join(dir, ".off"));
  const gone = some.slice(0, 3).map((s) => s.dir);
  for (const [i, from] of gone.entries()) renameSync(from, join(dir, ".off", `${i}`));
  await until("others run in their place", () => running().filter((s) => !some.some((o) => o.dir === s.dir)).length >= 3);
  const told = runsvdir.stderr().split("\n").slice(0, -1);
  assert.ok(told.length <= 3, runsvdir.stderr());
  assert.ok(told.every((line) => line.includes("process cannot open more files")));
});

test("wherever the scarce descriptors begin, no supervisor is begun with too few", async (t) => {
  const limits = [60, 62, 64, 66, 68, 70];
  const hosts = limits.map((limit) => supervise(t, make(t, sleepers(80)), limit));
  for (const [i, host] of hosts.entries()) {
    await until(`it is told with ${limits[i]}`, () => host.stderr().includes("process cannot open more files"));
    assert.doesNotMatch(host.stderr(), /fatal/);
  }
});
