/**
 * The promises of SECURITY.md, each tried as a user without privileges. A test
 * has the number of its promise; tools/docs.test.ts holds the two together.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type Child, type Env, type Result, run, SANITIZED, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { boot } from "../support/pidns.ts";
import { lives, Service, SLEEP, slurp } from "../support/service.ts";

/** Two users without rights over each other. */
const ALICE = 65533;
const MALLORY = 65532;

const SV = UPKEEP.program("sv");
const ENV: Env = { PATH: UPKEEP.path };

function words(uid: number, program: string, args: readonly string[]): string[] {
  return ["--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups", program, ...args];
}

function as(uid: number, program: string, args: readonly string[], env: Env = {}): Promise<Result> {
  return run("setpriv", words(uid, program, args), { env: { ...ENV, ...env } });
}

function startAs(t: TestContext, uid: number, program: string, args: readonly string[], env: Env = {}): Child {
  return start(t, "setpriv", words(uid, program, args), { env: { ...ENV, ...env } });
}

/** A directory of a user's, with a service in it. */
function serviceOf(t: TestContext, uid: number, run = SLEEP, log = true): Service {
  const dir = tempDir(t);
  const s = new Service(serviceDir(join(dir, "svc"), { run, ...(log ? { log: { run: "#!/bin/sh\nexec cat\n" } } : {}) }));
  for (const path of [dir, s.dir, s.path("run"), ...(log ? [s.log.dir, s.log.path("run")] : [])]) chownSync(path, uid, uid);
  return s;
}

/** Owner, group and mode of a file, as ls -n has them. */
function owned(path: string): string {
  const { uid, gid, mode } = lstatSync(path);
  return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
}

const OPEN: Readonly<Record<string, string>> = { pid: "644", stat: "644", status: "644" };
const CLOSED: Readonly<Record<string, string>> = { lock: "600", control: "600", ok: "600", adopt: "600" };

describe("security", {
  concurrency: 8,
  skip: process.getuid?.() === 0 ? (SANITIZED ? "reports of other users" : false) : "needs root, to become others",
}, () => {
  test("1: whatever the umask, what controls a service is its supervisor's user's alone", async (t) => {
    const s = serviceOf(t, ALICE);
    const shell = `umask 0; exec '${UPKEEP.program("runsv")}' '${s.dir}'`;
    startAs(t, ALICE, "/bin/sh", ["-c", shell]);
    await s.runs();
    await s.log.runs();
    for (const { dir } of [s, s.log]) {
      assert.equal(owned(join(dir, "supervise")), `${ALICE}:${ALICE} 700`);
      for (const [file, mode] of Object.entries({ ...OPEN, ...CLOSED }))
        assert.equal(owned(join(dir, "supervise", file)), `${ALICE}:${ALICE} ${mode}`, file);
      assert.deepEqual(readdirSync(join(dir, "supervise")).sort(), Object.keys({ ...OPEN, ...CLOSED }).sort());
    }
  });

  test("2: another user can neither control a service nor ask about it, nor keep it from its lock", async (t) => {
    const s = serviceOf(t, ALICE);
    const runsv = startAs(t, ALICE, UPKEEP.program("runsv"), [s.dir]);
    const pid = await s.runs();
    for (const [command, code] of [
      ["status", 1],
      ["down", 1],
      ["force-shutdown", 1],
      ["kill", 1],
    ] as const) {
      const told = await as(MALLORY, SV, ["-w", "1", command, s.dir]);
      assert.equal(told.code, code, command);
      assert.match(told.stdout + told.stderr, /access denied|permission denied/i, command);
    }
    for (const file of Object.keys(CLOSED)) {
      const path = join(s.dir, "supervise", file);
      assert.notEqual((await as(MALLORY, "/usr/bin/flock", ["-n", path, "true"])).code, 0, file);
      assert.notEqual((await as(MALLORY, "/bin/sh", ["-c", `echo d >>'${path}'`])).code, 0, file);
    }
    assert.notEqual((await as(MALLORY, UPKEEP.program("runsv"), [s.dir], { UPKEEP_STATE: "/dev/null/none" })).code, 0);
    assert.equal(s.pid, pid);
    assert.equal((await as(ALICE, SV, ["-w", "20", "exit", s.dir])).code, 0);
    assert.deepEqual(await runsv.exited, { code: 0, signal: null });
  });

  test("3: who was given control and ok has the commands, also after a restart of runsv, and no more", async (t) => {
    const s = serviceOf(t, ALICE, SLEEP, false);
    const launch = (): Child => startAs(t, ALICE, UPKEEP.program("runsv"), [s.dir]);
    let runsv = launch();
    await s.runs();
    chmodSync(s.path("supervise"), 0o755);
    for (const file of ["control", "ok"]) {
      chownSync(s.path(`supervise/${file}`), ALICE, MALLORY);
      chmodSync(s.path(`supervise/${file}`), 0o620);
    }
    for (const round of [1, 2]) {
      const pid = s.pid;
      assert.equal((await as(MALLORY, SV, ["-w", "20", "restart", s.dir])).code, 0, `round ${round}`);
      await s.runs(pid);
      for (const file of ["lock", "adopt", "status", "stat", "pid"])
        assert.notEqual((await as(MALLORY, "/bin/sh", ["-c", `: >>'${s.path(`supervise/${file}`)}'`])).code, 0, file);
      assert.notEqual((await as(MALLORY, "/bin/rm", ["-f", s.path("supervise/status")])).code, 0);
      runsv.kill("SIGTERM");
      await runsv.exited;
      runsv = launch();
      await s.runs();
    }
  });

  test("4: sv, pointed at another user's directory, writes nowhere but into a FIFO, and does not hang", async (t) => {
    const victim = join(tempDir(t), "victim");
    const dir = tempDir(t);
    for (const kind of ["file", "device", "status FIFO", "garbage", "huge"]) {
      writeFileSync(victim, "precious\n");
      const supervise = join(dir, kind, "supervise");
      mkdirSync(supervise, { recursive: true });
      // Someone holds ok, as a supervisor does.
      start(t, "/bin/sh", ["-c", `mkfifo '${supervise}/ok'; exec sleep 1000 <>'${supervise}/ok'`]);
      await until("ok is there", () => existsSync(join(supervise, "ok")));
      symlinkSync(kind === "device" ? "/dev/full" : victim, join(supervise, "control"));
      const status = join(supervise, "status");
      if (kind === "status FIFO") await run("mkfifo", [status]);
      else if (kind === "huge") symlinkSync("/dev/zero", status);
      else writeFileSync(status, kind === "garbage" ? Buffer.alloc(20, 0xff) : Buffer.alloc(20));
      for (const path of [join(dir, kind), supervise]) lchownSync(path, MALLORY, MALLORY);
      for (const command of ["down", "kill", "status", "force-stop", "check"]) {
        const told = await run(SV, ["-w", "1", command, join(dir, kind)], { timeoutMs: 30_000 });
        assert.equal(told.signal, null, `${kind} ${command}`);
        assert.notEqual(told.stdout + told.stderr, "", `${kind} ${command}`);
        if (command === "down" || command === "kill") assert.notEqual(told.code, 0, `${kind} ${command}: ${told.stdout}`);
      }
      assert.equal(readFileSync(victim, "latin1"), "precious\n", kind);
    }
  });

  test("5: a state directory in which another user was first is not used", async (t) => {
    const top = tempDir(t);
    const state = join(top, "state");
    mkdirSync(state);
    chmodSync(state, 0o1777);
    const s = new Service(serviceDir(join(top, "svc"), { run: SLEEP }));
    const first = join(state, s.dir.split("/")[1] ?? "");
    const env = { UPKEEP_STATE: state };
    const attempt = (): Promise<Result> => as(ALICE, UPKEEP.program("runsv"), [s.dir], env);
    mkdirSync(first);
    for (const [what, prepare] of [
      ["Mallory's", (): void => chownSync(first, MALLORY, MALLORY)],
      [
        "everybody's",
        (): void => {
          chownSync(first, ALICE, ALICE);
          chmodSync(first, 0o777);
        },
      ],
    ] as const) {
      prepare();
      const refused = await attempt();
      assert.equal(refused.code, 111, what);
      assert.match(refused.stderr, /fatal: unable to open supervise\/lock: /, what);
    }
    renameSync(first, `${first}.away`);
    symlinkSync(`${first}.away`, first);
    assert.equal((await attempt()).code, 111, "a link");
    renameSync(first, join(top, "link"));
    startAs(t, ALICE, UPKEEP.program("runsv"), [s.dir], env);
    await new Service(join(state, s.dir)).runs();
    assert.equal(owned(join(state, s.dir, "supervise")), `${ALICE}:${ALICE} 700`);
  });

  test("6: a record another user may have written is not believed: its process gets no signal", async (t) => {
    const other = start(t, "/bin/sleep", ["1000"]);
    for (const forge of ["owner", "mode"]) {
      const s = serviceOf(t, ALICE, SLEEP, false);
      const adopt = s.path("supervise/adopt");
      const first = startAs(t, ALICE, UPKEEP.program("runsv"), [s.dir]);
      const pid = await s.runs();
      first.kill("SIGKILL");
      await first.exited;
      process.kill(pid, "SIGKILL");
      await until("the service is gone", () => !lives(pid));
      const record = readFileSync(adopt);
      record.writeUInt32LE(other.pid, 4);
      // Field 22 of proc(5) stat, in hundredths of a second since boot; the record has milliseconds.
      const started =
        Number(
          slurp(`/proc/${other.pid}/stat`)
            .replace(/^.*\) /, "")
            .split(" ")[19],
        ) * 10;
      record.writeBigUInt64LE(BigInt(started), 8);
      writeFileSync(adopt, record);
      if (forge === "owner") chownSync(adopt, MALLORY, MALLORY);
      else chmodSync(adopt, 0o666);
      // Root's, which could signal anybody.
      const runsv = start(t, UPKEEP.program("runsv"), [s.dir], { env: ENV });
      await until("it is told", () => runsv.stderr().includes("supervise/adopt belongs to another user: not believed"));
      const own = await s.runs();
      assert.notEqual(own, other.pid);
      assert.equal((await run(SV, ["-w", "20", "exit", s.dir])).code, 0);
      await runsv.exited;
      assert.ok(lives(other.pid), "nobody signalled it");
    }
  });

  test("7: LD_ variables and the like change nothing; the service gets the environment as it was given", async (t) => {
    const s = serviceOf(
      t,
      ALICE,
      `#!/bin/sh\ntr '\\0' '\\n' </proc/$$/environ >env.new; mv env.new env; exec sleep 1000\n`,
      false,
    );
    const evil = {
      LD_PRELOAD: "/nonexistent/evil.so",
      LD_LIBRARY_PATH: "/nonexistent",
      GCONV_PATH: "/nonexistent",
      MALLOC_CHECK_: "3",
      UPKEEP_UNKNOWN: "1",
      HUGE: "x".repeat(100_000),
      ODD: "a\nb\x01\u00ff",
    };
    const trace = join(tempDir(t), "trace");
    const strace = ["-o", trace, "-e", "trace=openat,open,execve", "-E", `HUGE=${evil.HUGE}`];
    for (const [name, value] of Object.entries(evil)) if (name !== "HUGE") strace.push("-E", `${name}=${value}`);
    start(t, "strace", [...strace, "--user=nobody", UPKEEP.program("runsv"), s.dir], { env: ENV });
    chownSync(s.path(".."), 65534, 65534);
    chownSync(s.dir, 65534, 65534);
    await s.has("env", 5);
    assert.doesNotMatch(slurp(trace), /nonexistent\/?[^"]*", O_/);
    for (const name of ["LD_PRELOAD", "GCONV_PATH", "UPKEEP_UNKNOWN"]) assert.match(s.file("env"), new RegExp(`^${name}=`, "m"));
    assert.ok(s.file("env").includes(`HUGE=${evil.HUGE}\n`));
  });

  test("8: a service inherits no descriptor of its supervisor's, and none that is closed", async (t) => {
    // In a shell of its own: descriptors of a pipe, or of a redirection, would be among what is seen.
    const see =
      "(ls -l /proc/$$/fd >fds.raw); sed -n 's/.* \\([0-9]* -> .*\\)/\\1/; s/ ->//p' fds.raw >fds.new; mv fds.new fds\n";
    for (const closed of [false, true]) {
      const s = serviceOf(t, ALICE, `#!/bin/sh\n${see}exec sleep 1000\n`);
      writeFileSync(s.path("finish"), `#!/bin/sh\n${see.replaceAll("fds", "fds2")}`, { mode: 0o755 });
      // What this test itself was given stays open.
      const before = `cd '${s.dir}'; ${see.replaceAll("fds", "given")}`;
      const runsv = `exec '${UPKEEP.program("runsv")}' '${s.dir}' ${closed ? "<&- >&- 2>&-" : "</dev/null >/dev/null 2>/dev/null"}`;
      const shell = `${before}${runsv}`;
      startAs(t, ALICE, "/bin/sh", ["-c", shell]);
      await s.has("fds", 3);
      s.tell("d");
      await s.has("fds2", 3);
      for (const file of ["fds", "fds2"]) {
        const given = s.lines("given").filter((line) => !/^[0-2] /.test(line));
        // The shell's own is its script.
        const lines = s.lines(file).filter((line) => !given.includes(line) && !line.includes(s.dir));
        assert.deepEqual(
          lines.map((line) => line.replace(/pipe:.*/, "pipe")),
          ["0 /dev/null", "1 pipe", "2 /dev/null"],
          `${closed} ${file}`,
        );
      }
    }
  });

  test("9: signals a parent blocked or ignored keep no supervisor from its work, and TERM reaches every service", async (t) => {
    const perl = `#!/usr/bin/perl
open(S, "<", "/proc/self/status"); @l = grep(/^Sig(Blk|Ign)/, <S>);
open(O, ">", "sig.new"); print O @l; close(O); rename("sig.new", "sig");
sleep 1000;
`;
    const s = serviceOf(t, ALICE, perl, false);
    const hostile = ["--block-signal", "--ignore-signal=CHLD", "--ignore-signal=TERM", UPKEEP.program("runsv"), s.dir];
    const runsv = startAs(t, ALICE, "/usr/bin/env", hostile);
    const pid = await s.runs();
    await s.has("sig");
    for (const line of s.lines("sig")) {
      const bits = BigInt(`0x${line.split("\t")[1]}`);
      for (const signal of [15n, 17n]) assert.equal((bits >> (signal - 1n)) & 1n, 0n, `${line}: ${signal}`);
    }
    process.kill(pid, "SIGKILL");
    await s.runs(pid);
    runsv.kill("SIGTERM");
    assert.deepEqual(await runsv.exited, { code: 0, signal: null });
  });

  test("10: chpst -u leaves no id, group or way back; where a step is refused the program does not run", async () => {
    const chpst = UPKEEP.program("chpst");
    const probe = [
      "sh",
      "-c",
      "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status; setpriv --reuid 0 true 2>/dev/null && echo back",
    ];
    const dropped = await run(chpst, ["-u", `:${ALICE}:${ALICE}`, ...probe]);
    const four = `${ALICE}\t${ALICE}\t${ALICE}\t${ALICE}`;
    assert.match(
      dropped.stdout.replace(/ +/g, " "),
      new RegExp(`^Uid:\t${four}\nGid:\t${four}\nGroups:\t(${ALICE} ?)?\nCapEff:\t0+\n$`),
    );
    for (const refused of [
      ["-u", "root"],
      ["-/", "/"],
      ["-n", "-5"],
      ["-u", "root", "-e", "/nonexistent"],
    ]) {
      const r = await as(ALICE, chpst, [...refused, "sh", "-c", "echo ran"]);
      assert.notEqual(r.code, 0, refused.join(" "));
      assert.equal(r.stdout, "", refused.join(" "));
    }
  });

  test("11: process 1 is stopped by nobody but root", async (t) => {
    const m = await boot(t, UPKEEP, ["/sbin/runit"], {
      etc: {
        "runit/1": "#!/bin/sh\n: >/run/runit.stopit; : >/run/runit.reboot; chmod 0 /run/runit.stopit /run/runit.reboot\n",
        "runit/2": "#!/bin/sh\necho two\nexec sleep 1000\n",
        "runit/3": "#!/bin/sh\necho three\n",
      },
    });
    await until("stage 2", () => m.console().includes("two\n"));
    const inside = (...all: string[]): Promise<Result> => m.exec("setpriv", ...words(MALLORY, all[0] ?? "", all.slice(1)));
    for (const level of ["0", "6"]) {
      const r = await inside("/opt/bin/runit-init", level);
      assert.equal(r.code, 111);
      assert.match(r.stderr, /fatal: unable to create|fatal: .*(access denied|permission denied)/i);
    }
    for (const signal of ["CONT", "INT", "TERM", "KILL"]) assert.notEqual((await inside("/bin/kill", `-${signal}`, "1")).code, 0);
    await m.exec("/opt/bin/runit-init", "0");
    assert.equal(await m.end, "off");
  });
});
