/** Bad input: runit's exit code, one clear line, and nothing started. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chpst, plain } from "../support/chpst.ts";
import { both, run, tempDir, UPKEEP } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;
const NEEDS_ROOT = ROOT_USER ? false : "needs root";

/** Options that fail, and the line they fail with. */
function cases(dir: string): readonly (readonly [readonly string[], string])[] {
  return [
    [["-u", "nosuch"], "unknown user/group: nosuch"],
    [["-u", "1000"], "unknown user/group: 1000"],
    [["-u", ""], "unknown user/group: "],
    [["-u", "daemon:nosuch"], "unknown user/group: daemon:nosuch"],
    [["-u", "daemon:bin:nosuch"], "unknown user/group: daemon:bin:nosuch"],
    [["-u", "daemon:1"], "unknown user/group: daemon:1"],
    [["-u", "daemon:"], "unknown user/group: daemon:"],
    [["-u", "root:x:0:0"], "unknown user/group: root:x:0:0"],
    [["-u", "daem"], "unknown user/group: daem"],
    [["-u", "\u00fcn\u00efx"], "unknown user/group: \xc3\xbcn\xc3\xafx"],
    [["-u", "n".repeat(2000)], `unknown user/group: ${"n".repeat(2000)}`],
    [["-U", "nosuch"], "unknown user/group: nosuch"],
    [["-u", ":1000"], "invalid uid/gids: 1000"],
    [["-u", ":x:1"], "invalid uid/gids: x:1"],
    [["-u", ":1:x"], "invalid uid/gids: 1:x"],
    [["-u", ":1:2:x"], "invalid uid/gids: 1:2:x"],
    [["-U", ":-1:1"], "invalid uid/gids: -1:1"],
    [["-e", join(dir, "nowhere")], `unable to switch to directory: ${dir}/nowhere: file does not exist`],
    [["-l", dir], `unable to open lock: ${dir}: is a directory`],
    [["-L", dir], `unable to open lock: ${dir}: is a directory`],
    [["-l", join(dir, "no", "lock")], `unable to open lock: ${dir}/no/lock: file does not exist`],
    [["-l", ""], "unable to open lock: : file does not exist"],
    [["-/", join(dir, "nowhere")], `unable to change directory: ${dir}/nowhere: file does not exist`],
  ];
}

both("chpst: what is wrong with an option", async (tools, dir) => {
  for (const [args, message] of cases(dir)) {
    const { code, stdout, stderr } = await chpst(tools, "chpst", [...args, "echo", "started"]);
    assert.deepEqual([code, stdout, plain(stderr)], [111, "", `chpst: fatal: ${message}\n`]);
  }
});

both("chpst: what is wrong with the program", async (tools, dir) => {
  const file = (name: string, content: string, mode: number): string => {
    writeFileSync(join(dir, name), content, { mode });
    return join(dir, name);
  };
  mkdirSync(join(dir, "directory"));
  symlinkSync("loop", join(dir, "loop"));
  for (const [program, reason] of [
    ["/nowhere/program", "file does not exist"],
    ["no-such-program-anywhere", "file does not exist"],
    ["", "access denied"],
    [file("plain", "#!/bin/sh\n", 0o644), "access denied"],
    [join(dir, "directory"), "access denied"],
    [file("interpreter", "#!/nowhere/sh\n", 0o755), "file does not exist"],
    [file("headless", "echo started\n", 0o755), "exec format error"],
    [file("empty", "", 0o755), "exec format error"],
    [join(dir, "plain", "below"), "not a directory"],
    [join(dir, "loop"), "symbolic link loop"],
    [`/${"n".repeat(300)}`, "file name too long"],
  ] as const) {
    const { code, stdout, stderr } = await chpst(tools, "chpst", ["-P", program, "word"]);
    assert.deepEqual([code, stdout, stderr], [111, "", `chpst: fatal: unable to run: ${program}: ${reason}\n`]);
  }
});

both("chpst: the search along PATH", async (tools, dir) => {
  for (const name of ["a", "b", "c"]) mkdirSync(join(dir, name));
  const [a, b, c] = [join(dir, "a"), join(dir, "b"), join(dir, "c")];
  writeFileSync(join(a, "denied"), "#!/bin/sh\n", { mode: 0o644 });
  writeFileSync(join(b, "denied"), "#!/bin/sh\necho b\n", { mode: 0o755 });
  writeFileSync(join(a, "headless"), "echo started\n", { mode: 0o755 });
  writeFileSync(join(b, "headless"), "#!/bin/sh\necho b\n", { mode: 0o755 });
  writeFileSync(join(c, "here"), "#!/bin/sh\necho here\n", { mode: 0o755 });
  const fails = (name: string, reason: string): string => `chpst: fatal: unable to run: ${name}: ${reason}\n`;
  for (const [PATH, name, output] of [
    [`${a}:${b}`, "denied", "b\n"],
    [`${a}:${c}`, "denied", fails("denied", "access denied")],
    [`${a}:${b}`, "headless", fails("headless", "exec format error")],
    [`${a}:${b}`, "here", fails("here", "file does not exist")],
    [`${a}::${b}`, "here", "here\n"],
    [`:${a}`, "here", "here\n"],
    [`${a}:`, "here", "here\n"],
    ["", "here", "here\n"],
    [undefined, "here", fails("here", "file does not exist")],
    [undefined, "true", ""],
  ] as const) {
    const { stdout, stderr } = await chpst(tools, "chpst", [name], { cwd: c, env: { PATH } });
    assert.equal(`${stdout}${stderr}`, output, `${PATH} ${name}`);
  }
});

both("chpst: too many words", async (tools) => {
  const { code, stdout, stderr } = await chpst(tools, "chpst", ["-b", "x".repeat(131_071), "sh", "-c", "echo started"]);
  assert.deepEqual([code, stdout, stderr.length], [0, "started\n", 0]);
});

// compat: doc/differences.md, chpst-uid-without-gid
test("chpst -u: numbers that are none are no zeros", async () => {
  for (const spec of [":1000:", "::7", "::", ":", ":1:", ":1::3", ":1:2:", ":4294967295:1", ":1:4294967296", ":99999999999:1"]) {
    for (const option of ["-u", "-U"]) {
      const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", [option, spec, "echo", "started"]);
      assert.deepEqual([code, stdout, stderr], [111, "", `chpst: fatal: invalid uid/gids: ${spec.slice(1)}\n`]);
    }
  }
});

// compat: doc/differences.md, chpst-nss-hint
test("chpst: an unknown name names the sources that are not asked", { skip: NEEDS_ROOT }, async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:\n");
  writeFileSync(join(root, "etc/group"), "root:x:0:\n");
  const ask = async (): Promise<string> => (await chpst(UPKEEP, "chpst", ["-/", root, "-u", "nosuch", "/true"])).stderr;
  assert.equal(await ask(), "chpst: fatal: unknown user/group: nosuch\n");
  writeFileSync(join(root, "etc/nsswitch.conf"), "passwd: files\ngroup: files\n");
  assert.equal(await ask(), "chpst: fatal: unknown user/group: nosuch\n");
  writeFileSync(
    join(root, "etc/nsswitch.conf"),
    "# x\npasswd:  files sss [NOTFOUND=return] ldap # none\ngroup: files sss\nhosts: dns\n",
  );
  const hint = "only /etc/passwd and /etc/group are read; nsswitch.conf has sss, ldap too";
  assert.equal(await ask(), `chpst: fatal: unknown user/group: nosuch (${hint})\n`);
});

test("chpst, setuidgid: the same with the system's own nsswitch.conf", { skip: NEEDS_ROOT }, async (t) => {
  const dir = tempDir(t);
  const file = join(dir, "nsswitch.conf");
  writeFileSync(file, "passwd: files systemd\ngroup: files systemd\n");
  const hint = "(only /etc/passwd and /etc/group are read; nsswitch.conf has systemd too)";
  for (const [form, args, message] of [
    ["chpst", ["-u", "nosuch"], `unknown user/group: nosuch ${hint}`],
    ["chpst", ["-U", "daemon:nosuch"], `unknown user/group: daemon:nosuch ${hint}`],
    ["setuidgid", ["nosuch"], `unknown account: nosuch ${hint}`],
    ["envuidgid", ["nosuch"], `unknown account: nosuch ${hint}`],
  ] as const) {
    const script = `mount --bind '${file}' /etc/nsswitch.conf && exec '${UPKEEP.program(form)}' "$@" echo started`;
    const { code, stdout, stderr } = await run("unshare", ["-m", "sh", "-c", script, "sh", ...args]);
    assert.deepEqual([code, stdout, stderr], [111, "", `chpst: fatal: ${message}\n`]);
  }
});

test("chpst: no passwd, no group file in the new root", { skip: NEEDS_ROOT }, async (t) => {
  const root = tempDir(t);
  const ask = async (spec: string): Promise<string> => (await chpst(UPKEEP, "chpst", ["-/", root, "-u", spec, "/true"])).stderr;
  const missing = "chpst: fatal: unable to get password/group file entry: file does not exist\n";
  assert.equal(await ask("root"), missing);
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:\n");
  assert.equal(await ask("root:root"), missing);
  assert.match(await ask("root"), /unable to run: \/true/);
  chmodSync(join(root, "etc"), 0o755);
});

// compat: doc/differences.md, chpst-checks-first
test("chpst: nothing is touched when a later option is wrong", async (t) => {
  const dir = tempDir(t);
  const lock = join(dir, "lock");
  for (const args of [
    ["-l", lock, "-u", "nosuch"],
    ["-l", lock, "-e", join(dir, "nowhere")],
    ["-l", lock, "-o", "x"],
    ["-l", lock, "--nice", "x"],
  ]) {
    const { code } = await chpst(UPKEEP, "chpst", [...args, "echo", "started"]);
    assert.ok(code === 111 || code === 100);
    assert.ok(!existsSync(lock));
  }
});
