/** The fixed order in which chpst makes its changes, options given twice, and changes that the rights do not allow. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chpst, descriptorsOf, environmentOf, inspect, plain, programOf, SELF, smallRoot, valueIn } from "../support/chpst.ts";
import { both, run, type Toolchain, tempDir, UPKEEP } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;
const NEEDS_ROOT = ROOT_USER ? false : "needs root";

/** chpst called by nobody, and what it says. */
async function asNobody(tools: Toolchain, name: string, args: readonly string[], cwd = "/"): Promise<readonly unknown[]> {
  const words = ["-u", "nobody", programOf(tools, name), ...args];
  const { code, stdout, stderr } = await run(tools.program("chpst"), words, { cwd });
  return [code, stdout, plain(stderr)];
}

if (ROOT_USER) {
  both("chpst -e comes before -/: the directory is outside the new root", async (tools, dir) => {
    const root = smallRoot(dir);
    mkdirSync(join(dir, "e"));
    writeFileSync(join(dir, "e/V"), "outside\n");
    const { stdout } = await chpst(tools, "chpst", ["-/", root, "-e", join(dir, "e"), "/busybox", "sh", "-c", "echo $V; pwd"]);
    assert.equal(stdout, "outside\n/\n");
    const relative = await chpst(tools, "chpst", ["-/", "root", "-e", "e", "/busybox", "sh", "-c", "echo $V"], { cwd: dir });
    assert.equal(relative.stdout, "outside\n");
  });

  both("chpst -n, -m and -P come before or with the rights of root", async (tools) => {
    const { stdout } = await chpst(tools, "chpst", ["-u", "nobody", "-n", "-7", "sh", "-c", "nice; id -u"]);
    assert.equal(stdout, "-7\n65534\n");
  });

  both("chpst -u comes before -l: the file belongs to the user, in a directory of his", async (tools, dir) => {
    chmodSync(dir, 0o777);
    const lock = join(dir, "lock");
    assert.equal((await chpst(tools, "chpst", ["-l", lock, "-u", "daemon:bin", "true"])).code, 0);
    const { uid, gid, mode } = statSync(lock);
    assert.deepEqual([uid, gid, mode & 0o7777], [1, 2, 0o600]);
  });

  both("chpst -u: refused without the right to, before anything runs", async (tools) => {
    for (const spec of ["daemon", ":1:1", ":65534:65534", "nobody"]) {
      const message = "chpst: fatal: unable to setgroups: permission denied\n";
      assert.deepEqual(await asNobody(tools, "chpst", ["-u", spec, "echo", "started"]), [111, "", message], spec);
    }
    const own = await asNobody(tools, "setuidgid", ["nobody", "echo", "started"]);
    assert.deepEqual(own, [111, "", "chpst: fatal: unable to setgroups: permission denied\n"]);
  });

  both("chpst -/ and -n: refused without the right to", async (tools) => {
    const root = "chpst: fatal: unable to change root directory: permission denied\n";
    assert.deepEqual(await asNobody(tools, "chpst", ["-/", "/", "echo", "started"]), [111, "", root]);
    const nice = "chpst: fatal: unable to set nice level: permission denied\n";
    for (const n of ["-1", "-500"])
      assert.deepEqual(await asNobody(tools, "chpst", ["-n", n, "echo", "started"]), [111, "", nice]);
    const directory = "chpst: fatal: unable to change directory: /root: access denied\n";
    assert.deepEqual(await asNobody(tools, "chpst", ["-/", "/root", "echo", "started"]), [111, "", directory]);
  });

  both("setuidgid: the supplementary groups of before are gone", async (tools) => {
    const { stdout } = await chpst(tools, "chpst", ["-u", ":0:0:7:8", programOf(tools, "setuidgid"), "daemon", ...SELF]);
    assert.match(stdout, /^Groups:\s1 *$/m);
  });

  both("chpst -u: sixty groups", async (tools) => {
    const names = Array.from({ length: 60 }, () => "bin").join(":");
    assert.equal((await inspect(tools, "chpst", ["-u", `daemon:${names}`])).groups.split(" ").length, 60);
    const numbers = Array.from({ length: 60 }, (_, i) => String(i + 100)).join(":");
    assert.equal((await inspect(tools, "chpst", ["-u", `:1:${numbers}`])).groups, numbers.replaceAll(":", " "));
  });

  // compat: doc/differences.md, chpst-groups
  test("chpst -u: more groups than sixty", async () => {
    const numbers = Array.from({ length: 1000 }, (_, i) => String(i + 100)).join(":");
    assert.equal((await inspect(UPKEEP, "chpst", ["-u", `:1:${numbers}`])).groups, numbers.replaceAll(":", " "));
    const names = Array.from({ length: 61 }, () => "bin").join(":");
    const last = await chpst(UPKEEP, "chpst", ["-u", `daemon:${names}:nosuch`, "echo", "started"]);
    assert.equal(plain(last.stderr), `chpst: fatal: unknown user/group: daemon:${names}:nosuch\n`);
    const many = await chpst(UPKEEP, "chpst", ["-u", `:1${":7".repeat(65_537 / 2)}:7`, "echo", "started"]);
    assert.deepEqual([many.code, many.stdout], [0, "started\n"]);
  });

  // compat: doc/differences.md, chpst-envdir-cwd
  test("chpst -e: the working directory need not be readable", async (t) => {
    const dir = tempDir(t);
    const closed = join(dir, "closed");
    const variables = join(dir, "e");
    mkdirSync(closed, { mode: 0o700 });
    mkdirSync(variables);
    chmodSync(dir, 0o755);
    assert.deepEqual(await asNobody(UPKEEP, "chpst", ["-e", variables, "echo", "started"], closed), [0, "started\n", ""]);
  });

  both("chpst -u in a root without passwd or group file", async (tools, dir) => {
    const root = smallRoot(dir);
    for (const args of [
      ["-u", "nobody"],
      ["-U", "nobody"],
    ]) {
      const { code, stdout, stderr } = await chpst(tools, "chpst", ["-/", root, ...args, "/busybox", "echo", "started"]);
      assert.deepEqual([code, stdout], [111, ""]);
      assert.match(
        stderr,
        /^chpst: fatal: (unable to get password\/group file entry: file does not exist|unknown user\/group: nobody)\n$/,
      );
    }
    // Numbers need no file.
    const numbers = await chpst(tools, "chpst", ["-/", root, "-u", ":12:34", "/busybox", "sh", "-c", "id -u; id -g"]);
    assert.equal(numbers.stdout, "12\n34\n");
  });
}

both("chpst: the lock has the lowest free descriptor before -0 -1 -2 close theirs, and limits come last", async (tools, dir) => {
  const lock = join(dir, "lock");
  const found = await descriptorsOf(tools, "chpst", ["-0", "-l", lock], dir);
  assert.deepEqual([found.get("3"), found.get("0")], [lock, undefined]);
  // One descriptor at most, yet the lock could be opened: the limit is set after that.
  const limited = await chpst(tools, "chpst", [
    "-o",
    "1",
    "-l",
    join(dir, "other"),
    "-e",
    dir,
    "/bin/busybox",
    "echo",
    "started",
  ]);
  assert.deepEqual([limited.code, limited.stdout, limited.stderr], [0, "started\n", ""]);
  assert.ok(existsSync(join(dir, "other")));
});

both("chpst: of an option given twice the last counts; two locks are none", async (tools, dir) => {
  for (const name of ["one", "two"]) {
    mkdirSync(join(dir, name));
    writeFileSync(join(dir, name, name.toUpperCase()), "set\n");
  }
  const environment = await environmentOf(tools, "chpst", ["-e", join(dir, "one"), "-e", join(dir, "two")]);
  assert.deepEqual([valueIn(environment, "ONE"), valueIn(environment, "TWO")], [undefined, "set"]);
  const name = await chpst(tools, "chpst", ["-b", "first", "-b", "second", "/bin/cat", "/proc/self/cmdline"]);
  assert.equal(name.stdout, "second\0/proc/self/cmdline\0");
  const numbers = await environmentOf(tools, "chpst", ["-U", ":1:2", "-U", ":3:4"]);
  assert.deepEqual([valueIn(numbers, "UID"), valueIn(numbers, "GID")], ["3", "4"]);
  for (const locks of [
    ["-l", "a", "-l", "a"],
    ["-L", "a", "-l", "b"],
    ["-L", "a", "-L", "b"],
  ]) {
    const { code, stdout, stderr } = await chpst(tools, "chpst", [...locks, "echo", "started"], { cwd: dir });
    assert.deepEqual([code, stdout, plain(stderr)], [100, "", "usage: chpst\n\n"]);
    assert.ok(!existsSync(join(dir, "a")));
  }
  if (!ROOT_USER) return;
  const { stdout: nice } = await chpst(tools, "chpst", ["-n", "9", "-n", "2", "nice"]);
  const { stdout: own } = await run("nice", []);
  assert.equal(Number(nice), Number(own) + 2);
});

both("chpst: elements of PATH that are no directories, and directories in the program's place", async (tools, dir) => {
  mkdirSync(join(dir, "a/tool"), { recursive: true });
  mkdirSync(join(dir, "b"));
  writeFileSync(join(dir, "b/tool"), "#!/bin/sh\necho b\n", { mode: 0o755 });
  writeFileSync(join(dir, "file"), "");
  symlinkSync("loop", join(dir, "loop"));
  const fails = (reason: string): string => `chpst: fatal: unable to run: tool: ${reason}\n`;
  for (const [path, output] of [
    ["a:b", "b\n"],
    ["a", fails("access denied")],
    ["none:b", "b\n"],
    ["file:b", fails("not a directory")],
    ["loop:b", fails("symbolic link loop")],
    [`${"n".repeat(300)}:b`, fails("file name too long")],
  ] as const) {
    const PATH = path
      .split(":")
      .map((element) => join(dir, element))
      .join(":");
    const { stdout, stderr } = await chpst(tools, "chpst", ["tool"], { env: { PATH } });
    assert.equal(`${stdout}${stderr}`, output, path);
  }
});

both("setlock: a directory, a place that is not there, a waiting one, a lock that is kept", async (tools, dir) => {
  const run1 = async (...args: string[]): Promise<readonly unknown[]> => {
    const { code, stdout, stderr } = await chpst(tools, "setlock", args);
    return [code, stdout, stderr];
  };
  const none = join(dir, "no/lock");
  assert.deepEqual(await run1(dir, "echo", "x"), [111, "", `chpst: fatal: unable to open lock: ${dir}: is a directory\n`]);
  assert.deepEqual(await run1("-n", none, "echo", "x"), [
    111,
    "",
    `chpst: fatal: unable to open lock: ${none}: file does not exist\n`,
  ]);
  assert.deepEqual(await run1("-x", dir, "echo", "x"), [0, "", ""]);
  assert.deepEqual(await run1("-nx", join(dir, "lock"), "echo", "x"), [0, "x\n", ""]);
  assert.deepEqual(await run1("-x", join(dir, "lock"), "sh", "-c", "exit 3"), [3, "", ""]);
  const found = await descriptorsOf(tools, "setlock", [join(dir, "lock")], dir);
  assert.equal(found.get("3"), join(dir, "lock"));
  assert.equal(readFileSync(join(dir, "lock"), "latin1"), "");
});

both("softlimit: every letter with = is its hard limit, and words behind the options are the program's", async (tools) => {
  const before = await inspect(tools, "softlimit", []);
  for (const [letter, name] of [
    ["a", "Max address space"],
    ["c", "Max core file size"],
    ["d", "Max data size"],
    ["f", "Max file size"],
    ["l", "Max locked memory"],
    ["m", "Max stack size"],
    ["o", "Max open files"],
    ["p", "Max processes"],
    ["r", "Max resident set"],
    ["s", "Max stack size"],
    ["t", "Max cpu time"],
  ] as const) {
    const [, hard] = before.limit(name);
    assert.deepEqual((await inspect(tools, "softlimit", [`-${letter}`, "="])).limit(name), [hard, hard], letter);
    assert.deepEqual((await inspect(tools, "softlimit", [`-${letter}=`])).limit(name), [hard, hard], letter);
  }
  const words = await chpst(tools, "softlimit", ["-o", "50", "echo", "-o", "60"]);
  assert.equal(words.stdout, "-o 60\n");
});

test("short forms: what a root user's program is given is in /proc/self", { skip: NEEDS_ROOT }, async () => {
  const report = await inspect(UPKEEP, "softlimit", ["-o", "33", UPKEEP.program("setuidgid"), "daemon"]);
  assert.deepEqual([report.limit("Max open files")[0], report.uid], ["33", "1"]);
});
