/** chpst's options, each by its effect on the program it starts. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chpst, descriptorsOf, environmentOf, inspect, plain, smallRoot, valueIn } from "../support/chpst.ts";
import { both, RUNIT, run, start, tempDir, UPKEEP, until } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;
const NEEDS_ROOT = ROOT_USER ? false : "needs root";

type User = { readonly args: readonly string[]; readonly uid: string; readonly gid: string; readonly groups: string };
const USERS: readonly User[] = [
  { args: ["-u", "daemon"], uid: "1", gid: "1", groups: "1" },
  { args: ["-udaemon"], uid: "1", gid: "1", groups: "1" },
  { args: ["-u", "daemon:bin"], uid: "1", gid: "2", groups: "2" },
  { args: ["-u", "daemon:sys:bin:adm"], uid: "1", gid: "3", groups: "2 3 4" },
  { args: ["-u", "daemon:bin:bin"], uid: "1", gid: "2", groups: "2 2" },
  { args: ["-u", ":1234:56"], uid: "1234", gid: "56", groups: "56" },
  { args: ["-u", ":1234:56:78:9"], uid: "1234", gid: "56", groups: "9 56 78" },
  { args: ["-u", ":0:0"], uid: "0", gid: "0", groups: "0" },
  { args: ["-u", "daemon", "-u", "bin"], uid: "2", gid: "2", groups: "2" },
  { args: ["-P", "-vu", "sys:adm", "--"], uid: "3", gid: "4", groups: "4" },
];

if (ROOT_USER) {
  both("chpst -u: users and groups", async (tools) => {
    for (const { args, uid, gid, groups } of USERS) {
      const report = await inspect(tools, "chpst", args);
      assert.deepEqual([report.result.code, report.result.stderr], [0, ""], args.join(" "));
      assert.deepEqual([report.uid, report.gid, report.groups], [uid, gid, groups], args.join(" "));
    }
  });

  both("chpst -u: the supplementary groups of before are gone", async (tools) => {
    const report = await inspect(tools, "chpst", ["-u", ":0:0:7:8", tools.program("chpst"), "-u", "daemon"]);
    assert.equal(report.groups, "1");
  });

  both("chpst -u and -U look in the new root, and only there", async (tools, dir) => {
    const root = smallRoot(dir);
    writeFileSync(join(root, "etc/passwd"), "here:x:4242:4343::/:\nnobody:x:77:88::/:\n");
    writeFileSync(join(root, "etc/group"), "theirs:x:4545:\n");
    for (const [spec, expected] of [
      ["here", "4242 4343 4343"],
      ["nobody", "77 88 88"],
      ["here:theirs", "4242 4545 4545"],
    ] as const) {
      const ids = await chpst(tools, "chpst", ["-/", root, "-u", spec, "-U", spec, "/busybox", "sh", "-c", "echo $UID $GID; id"]);
      const [uid, gid] = expected.split(" ");
      assert.match(ids.stdout, new RegExp(`^${uid} ${gid}\nuid=${uid}(\\(\\w+\\))? gid=${gid}(\\(\\w+\\))?`), spec);
    }
    const { code, stderr } = await chpst(tools, "chpst", ["-/", root, "-u", "daemon", "/busybox", "true"]);
    assert.deepEqual([code, stderr], [111, "chpst: fatal: unknown user/group: daemon\n"]);
  });

  both("chpst -/: working directory, program and lock are those of the root", async (tools, dir) => {
    const root = smallRoot(dir);
    mkdirSync(join(root, "deep"));
    const { stdout } = await chpst(tools, "chpst", ["-/", root, "-l", "/lock", "/busybox", "sh", "-c", "pwd; ls /"]);
    assert.equal(stdout.split("\n")[0], "/");
    assert.match(stdout, /busybox/);
    assert.equal(statSync(join(root, "lock")).mode & 0o777, 0o600);
    const missing = await chpst(tools, "chpst", ["-/", root, "/bin/sh", "-c", "true"]);
    assert.deepEqual([missing.code, missing.stderr], [111, "chpst: fatal: unable to run: /bin/sh: file does not exist\n"]);
  });

  both("chpst -n: adds to the nice value, which the kernel bounds", async (tools) => {
    const { stdout: own } = await run("nice", []);
    for (const [increment, nice] of [
      ["5", Number(own) + 5],
      ["+5", Number(own) + 5],
      ["-5", Number(own) - 5],
      ["0", Number(own)],
      ["", Number(own)],
      ["30", 19],
      ["-70", -20],
      ["1000000", 19],
    ] as const) {
      const { stdout, stderr } = await chpst(tools, "chpst", ["-n", increment, "nice"]);
      assert.deepEqual([Number(stdout), stderr], [nice, ""], increment);
    }
    const { code, stderr } = await chpst(tools, "chpst", ["-u", "daemon", tools.program("chpst"), "-n", "-5", "nice"]);
    if (code !== 0) assert.deepEqual([code, stderr], [111, "chpst: fatal: unable to set nice level: permission denied\n"]);
  });

  both("chpst: the lock is opened by the new user, in the new directory", async (tools, dir) => {
    const denied = await chpst(tools, "chpst", ["-u", "daemon", "-l", join(dir, "lock"), "true"]);
    assert.deepEqual([denied.code, denied.stderr], [111, `chpst: fatal: unable to open lock: ${dir}/lock: access denied\n`]);
  });
}

both("chpst -U: UID and GID in the environment, ids as they were", async (tools) => {
  for (const [spec, uid, gid] of [
    ["daemon", "1", "1"],
    ["daemon:bin:sys", "1", "2"],
    [":12:34:56", "12", "34"],
    ["nobody", "65534", "65534"],
  ] as const) {
    const environment = await environmentOf(tools, "chpst", ["-U", spec], { env: { UID: "old", GID: "old" } });
    assert.deepEqual([valueIn(environment, "UID"), valueIn(environment, "GID")], [uid, gid]);
    assert.equal(environment.filter((e) => /^[UG]ID=/.test(e)).length, 2);
    const report = await inspect(tools, "chpst", ["-U", spec]);
    assert.equal(report.uid, String(process.getuid?.()));
  }
});

both("chpst -U has the last word over -e", async (tools, dir) => {
  writeFileSync(join(dir, "UID"), "from a file\n");
  const environment = await environmentOf(tools, "chpst", ["-U", ":5:6", "-e", dir]);
  assert.equal(valueIn(environment, "UID"), "5");
});

both("chpst -b: argv[0], and the program's file stays what it is", async (tools) => {
  const { stdout } = await chpst(tools, "chpst", ["-b", "another name", "/bin/cat", "/proc/self/cmdline"]);
  assert.equal(stdout, "another name\0/proc/self/cmdline\0");
  const empty = await chpst(tools, "chpst", ["-b", "", "cat", "/proc/self/cmdline"]);
  assert.equal(empty.stdout, "\0/proc/self/cmdline\0");
  const missing = await chpst(tools, "chpst", ["-b", "shown", "/nowhere/program"]);
  assert.deepEqual([missing.code, missing.stderr], [111, "chpst: fatal: unable to run: shown: file does not exist\n"]);
});

both("chpst -P: a session of its own", async (tools) => {
  const ids = "exec cut -d' ' -f1,5,6 /proc/self/stat";
  // The harness starts chpst as a leader, which cannot become one again: a failure of no weight.
  const leader = await chpst(tools, "chpst", ["-P", "sh", "-c", ids]);
  assert.equal(leader.code, 0);
  const forked = await run("sh", ["-c", `${tools.program("chpst")} -P sh -c "${ids}"; :`]);
  const [pid, group, session] = forked.stdout.trim().split(" ");
  assert.deepEqual([group, session], [pid, pid]);
  const same = await run("sh", ["-c", `${tools.program("chpst")} sh -c "${ids}"; :`]);
  const plainIds = same.stdout.trim().split(" ");
  assert.notEqual(plainIds[2], plainIds[0]);
});

both("chpst -0 -1 -2: closed, not /dev/null", async (tools, dir) => {
  for (const [option, left] of [
    ["-0", ["1", "2"]],
    ["-1", ["0", "2"]],
    ["-2", ["0", "1"]],
    ["-02", ["1"]],
    ["-012", []],
  ] as const) {
    const found = await descriptorsOf(tools, "chpst", [option], dir);
    assert.deepEqual([...found.keys()].sort(), left, option);
  }
});

both("chpst -0: already closed", async (tools) => {
  for (const [option, redirect, name] of [
    ["-0", "<&-", "stdin"],
    ["-1", ">&-", "stdout"],
  ] as const) {
    const { code, stderr } = await run("sh", ["-c", `exec ${tools.program("chpst")} ${option} true ${redirect}`]);
    assert.deepEqual([code, stderr], [111, `chpst: fatal: unable to close ${name}: file descriptor not open\n`]);
  }
});

both("chpst -l, -L: a lock for the life of the program", async (tools, dir, t) => {
  const lock = join(dir, "lock");
  const args = (option: string, ...program: string[]): string[] => [option, lock, ...program];
  const holder = start(t, tools.program("chpst"), args("-l", "sh", "-c", "echo held; exec sleep 1000"));
  await until("the lock is held", () => holder.stdout() === "held\n");
  assert.equal(statSync(lock).mode & 0o777, 0o600);
  const { code, stderr } = await chpst(tools, "chpst", args("-L", "true"));
  assert.deepEqual([code, stderr], [111, `chpst: fatal: unable to lock: ${lock}: temporary failure\n`]);
  const waiter = start(t, tools.program("chpst"), args("-l", "echo", "mine"));
  await until("the other waits", () => blocked(waiter.pid));
  assert.equal(waiter.stdout(), "");
  holder.kill("SIGKILL");
  assert.equal((await waiter.exited).code, 0);
  await until("the other has run", () => waiter.stdout() === "mine\n");
  const found = await descriptorsOf(tools, "chpst", ["-l", lock], dir);
  assert.equal(found.get("3"), lock);
});

both("chpst -l: what is in the file stays", async (tools, dir) => {
  writeFileSync(join(dir, "lock"), "content", { mode: 0o644 });
  assert.equal((await chpst(tools, "chpst", ["-l", "lock", "true"], { cwd: dir })).code, 0);
  assert.equal(readFileSync(join(dir, "lock"), "latin1"), "content");
  assert.equal(statSync(join(dir, "lock")).mode & 0o777, 0o644);
});

function blocked(pid: number): boolean {
  return /lock/.test(readFileSync(`/proc/${pid}/wchan`, "latin1")) || / S /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
}

/** Locks of one toolchain hold off the other's: both are flock(2). */
test("chpst -L: a lock of runit's holds", async (t) => {
  const dir = tempDir(t);
  const lock = join(dir, "lock");
  for (const [first, second] of [
    [RUNIT, UPKEEP],
    [UPKEEP, RUNIT],
  ] as const) {
    const holder = start(t, first.program("chpst"), ["-l", lock, "sh", "-c", "echo held; exec sleep 1000"]);
    await until("the lock is held", () => holder.stdout() === "held\n");
    assert.equal((await chpst(second, "chpst", ["-L", lock, "true"])).code, 111);
    holder.kill("SIGKILL");
    await holder.exited;
  }
});

test("chpst -C: into a directory, after the root and before everything else", { skip: NEEDS_ROOT }, async (t) => {
  const dir = tempDir(t);
  const root = smallRoot(dir);
  mkdirSync(join(root, "deep"));
  const plainRun = await chpst(UPKEEP, "chpst", ["-C", dir, "-l", "lock", "pwd"]);
  assert.equal(plainRun.stdout, `${dir}\n`);
  assert.ok(statSync(join(dir, "lock")).isFile());
  const inRoot = await chpst(UPKEEP, "chpst", ["-C", "deep", "-/", root, "/busybox", "pwd"]);
  assert.equal(inRoot.stdout, "/deep\n");
  const missing = await chpst(UPKEEP, "chpst", ["-C", "/nowhere", "true"]);
  assert.deepEqual(
    [missing.code, missing.stderr],
    [111, "chpst: fatal: unable to change directory: /nowhere: file does not exist\n"],
  );
});

both("chpst: -V, usage", async (tools) => {
  for (const [args, message] of [
    [[], "usage: chpst\n\n"],
    [["-V"], "$Id$\nusage: chpst\n\n"],
    [["-P"], "usage: chpst\n\n"],
    [["-x", "true"], "chpst: illegal option -- x\nusage: chpst\n\n"],
    [["-u"], "chpst: option requires an argument -- u\nusage: chpst\n\n"],
    [["-Pq", "true"], "chpst: illegal option -- q\nusage: chpst\n\n"],
    [["-l", "a", "-L", "b", "true"], "usage: chpst\n\n"],
    [["-m", "1k", "true"], "usage: chpst\n\n"],
    [["-n", "--5", "true"], "usage: chpst\n\n"],
    [["-n", "1.5", "true"], "usage: chpst\n\n"],
  ] as const) {
    const { code, stdout, stderr } = await chpst(tools, "chpst", args);
    assert.deepEqual([code, stdout, plain(stderr)], [100, "", message], args.join(" "));
  }
});

both("chpst: the exit code and the death of the program are its own", async (tools) => {
  for (const code of [0, 1, 100, 111, 255]) {
    assert.equal((await chpst(tools, "chpst", ["-P", "sh", "-c", `exit ${code}`])).code, code);
  }
  assert.equal((await chpst(tools, "chpst", ["-P", "sh", "-c", "kill -9 $$"])).signal, "SIGKILL");
});
