/** What reaches the program unchanged: words, variables and names of any bytes, signals, descriptors, large environments. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chpst, descriptorsOf, environmentOf, inspect, inspectPlain, plain, programOf, smallRoot } from "../support/chpst.ts";
import { both, run, tempDir, UPKEEP } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;

/** Node passes UTF-8 only, so a shell script is where other bytes come from. */
function script(dir: string, text: string): string {
  const path = join(dir, "script");
  writeFileSync(path, Buffer.from(text, "latin1"), { mode: 0o755 });
  return path;
}

/** Every byte a word can have but the two that end a shell's quotation or word. */
const ALL_BYTES = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1))
  .filter((c) => c !== "'" && c !== "\n")
  .join("");

both("chpst: words of any bytes, empty ones too", async (tools, dir) => {
  const words = [ALL_BYTES, "", "\xff", "\xc3", "\xed\xa0\x80", "-u", "--", ""];
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const { stdout } = await run(
    script(dir, `#!/bin/dash\nexec '${tools.program("chpst")}' -P /bin/cat /proc/self/cmdline - ${quoted}`),
    [],
  );
  // cat complains about the rest, but has printed its command line before.
  assert.equal(stdout.split("\0").slice(3, -1).join("\0"), words.join("\0"));
});

both("chpst: argv[0], files and variables of any bytes", async (tools, dir) => {
  const name = "\xff\xfe\x80'".replace("'", "");
  const program = tools.program("chpst");
  writeFileSync(Buffer.from(join(dir, name), "latin1"), "#!/bin/sh\ncat /proc/$$/cmdline\n", { mode: 0o755 });
  const text = `#!/bin/dash
cd '${dir}'
'${program}' -b '${name}' /bin/cat /proc/self/cmdline
printf '|'
env '${name}=${name}' '${program}' -l '${name}lock' -e /var/empty-of-upkeep /bin/cat /proc/self/environ | tr '\\0' '\\n' | grep -a '${name}'
env '${name}=${name}' '${program}' -l '${name}lock' -U :1:2 /bin/cat /proc/self/environ | tr '\\0' '\\n' | grep -a '${name}'
printf '|'
PATH='${dir}':$PATH '${program}' '${name}'
printf '|'
'${program}' '${name}none' 2>&1
ls | od -An -tx1`;
  const { stdout } = await run(script(dir, text), [], { env: { LC_ALL: "C" } });
  const parts = stdout.split("|");
  assert.equal(parts[0], `${name}\0/proc/self/cmdline\0`);
  assert.equal(parts[1], `${name}=${name}\n`);
  assert.match(parts[2] ?? "", new RegExp(`${name}\0$`));
  assert.match(parts[3] ?? "", new RegExp(`^chpst: fatal: unable to run: ${name}none: file does not exist\n`));
  assert.match((parts[3] ?? "").replace(/\s+/g, " "), /ff fe 80 6c 6f 63 6b 0a/, "the lock file");
});

const PLAIN_FIELDS = /^(SigBlk|SigIgn|SigCgt|SigPnd|ShdPnd|Cap\w+|NoNewPrivs|Seccomp|Umask|Uid|Gid|Groups|Cpus_allowed)$/;

/** Options of every kind; `dir` is an empty directory. None changes what PLAIN_FIELDS are compared of. */
function everyKind(dir: string): string[][] {
  const all = [
    [],
    ["-P"],
    ["-o", "100"],
    ["-e", dir],
    ["-U", "daemon"],
    ["-v"],
    ["-b", "name"],
    ["-n", "1"],
    ["-l", join(dir, ".l")],
  ];
  return ROOT_USER
    ? [...all, ["-/", "/"], ["-u", ":0:0"], ["-P", "-e", dir, "-U", ":1:2", "-/", "/", "-u", "root", "-n", "2", "-c", "0"]]
    : all;
}

const LONG = [["--nice=7"], ["--oom-score=700"], ["--ionice=idle"], ["--sched=batch"], ["--cpus=0-8191"], ["--pdeathsig=TERM"]];

both("chpst: signals, capabilities, umask and groups are the caller's", async (tools, dir) => {
  const before = await inspectPlain();
  const groups = ROOT_USER ? (await inspect(tools, "chpst", ["-u", ":0:0"])).field("Groups") : before.field("Groups");
  for (const args of [...everyKind(dir), ...(tools.name === "upkeep" ? LONG : [])]) {
    const after = await inspect(tools, "chpst", args);
    assert.deepEqual([after.result.code, after.result.stderr], [0, ""], args.join(" "));
    for (const [name, value] of before.status) {
      const expected = name === "Groups" && args.includes("-u") ? groups : value;
      if (PLAIN_FIELDS.test(name)) assert.equal(after.field(name), expected, `${args.join(" ")}: ${name}`);
    }
  }
  assert.equal(before.field("SigBlk"), "0000000000000000");
});

both("chpst: a signal mask and pending signals of the caller pass", async (tools) => {
  const program = programOf(tools, "chpst");
  const perl = `use POSIX; my $s = POSIX::SigSet->new(SIGHUP, SIGTERM, SIGCHLD);
    POSIX::sigprocmask(SIG_BLOCK, $s); kill HUP => $$; exec "${program}", "-P", "cat", "/proc/self/status"`;
  const { stdout } = await run("/usr/bin/perl", ["-e", perl]);
  assert.match(stdout, /^SigBlk:\t0000000000014001$/m);
  assert.match(stdout, /^ShdPnd:\t0000000000000001$/m);
});

both("chpst: ignored signals stay ignored, and no other is", async (tools) => {
  const { stdout } = await run("sh", ["-c", `trap '' HUP USR1; exec ${tools.program("chpst")} -P cat /proc/self/status`]);
  assert.match(stdout, /^SigIgn:\t0000000000000201$/m);
});

both("chpst: no descriptor but those of the caller, and the cgroup stays", async (tools, dir) => {
  for (const args of everyKind(dir).filter((a) => a[0] !== "-l")) {
    const found = await descriptorsOf(tools, "chpst", args, dir);
    assert.deepEqual([...found.keys()].sort(), ["0", "1", "2"], args.join(" "));
  }
  const { stdout } = await chpst(tools, "chpst", ["-P", "cat", "/proc/self/cgroup"]);
  assert.equal(stdout, (await run("cat", ["/proc/self/cgroup"])).stdout);
});

/** What is open for messages (a copy of standard error), files, directories: none of it reaches the program. */
test("chpst: no descriptor of a long option, of -2, or of a lock that stands in the way", async (t) => {
  const dir = tempDir(t);
  for (const [args, left] of [
    [["-2"], "01"],
    [["-012"], ""],
    ...LONG.map((long) => [long, "012"] as const),
    [["--no-new-privs", "--umask=22", "-e", dir, "-U", "daemon", "--limit=nofile=64", "--hard"], "012"],
    ...(ROOT_USER ? [[["--cap-keep=kill", "--cap-drop=net_raw", "-u", "root", "--user-groups"], "012"] as const] : []),
  ] as const) {
    const found = await descriptorsOf(UPKEEP, "chpst", args, dir);
    assert.equal([...found.keys()].sort().join(""), left, args.join(" "));
  }
});

both("chpst: directories, roots, files and users of any bytes", async (tools, dir) => {
  const name = "\xff \xe9\x80";
  const program = tools.program("chpst");
  const root = smallRoot(dir);
  const text = `#!/bin/dash
cd '${dir}' && mkdir '${name}' && echo value >'${name}/V' && mv root 'r${name}'
'${program}' -e '${name}' sh -c 'echo $V'
'${program}' -l '${name}/lock' true && ls '${name}'
'${program}' -u '${name}' true
'${program}' -e '${name}none' true
'${program}' -l '${name}none/l' true
${ROOT_USER ? `'${program}' -/ 'r${name}' /busybox echo inside` : "echo inside"}
'${program}' -/ '${name}none' true
'./${name}/V'; '${program}' './${name}/V'`;
  const { stdout, stderr } = await run(script(dir, text), [], { env: { LC_ALL: "C" } });
  assert.equal(stdout, "value\nV\nlock\ninside\n");
  const lines = plain(stderr)
    .split("\n")
    .filter((line) => line.startsWith("chpst: "));
  assert.deepEqual(lines, [
    `chpst: fatal: unknown user/group: ${name}`,
    `chpst: fatal: unable to switch to directory: ${name}none: file does not exist`,
    `chpst: fatal: unable to open lock: ${name}none/l: file does not exist`,
    `chpst: fatal: unable to change directory: ${name}none: file does not exist`,
    `chpst: fatal: unable to run: ./${name}/V: access denied`,
  ]);
  assert.ok(root.length > 0);
});

both("chpst: twenty thousand words, and one of 128 kB less a byte", async (tools) => {
  const words = Array.from({ length: 20_000 }, (_, i) => `word ${i}`);
  const many = await chpst(tools, "chpst", ["-P", "/usr/bin/printf", "%s\\n", ...words]);
  assert.equal(many.stdout, words.map((word) => `${word}\n`).join(""));
  const long = await chpst(tools, "chpst", ["-P", "/usr/bin/printf", "%s", "x".repeat(131_071)]);
  assert.equal(long.stdout.length, 131_071);
});

both("chpst: ten thousand variables and a megabyte", async (tools, dir) => {
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`V${i}`, String(i)]));
  const long = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`L${i}`, "x".repeat(100_000)]));
  const env = { ...many, ...long };
  writeFileSync(join(dir, "V77"), "changed\n");
  writeFileSync(join(dir, "V78"), "");
  for (const args of [[], ["-U", ":3:4"], ["-e", dir]]) {
    const found = await environmentOf(tools, "chpst", args, { env });
    const expected = new Map(Object.entries(env));
    if (args[0] === "-e") {
      expected.set("V77", "changed");
      expected.delete("V78");
    }
    const values = new Map(found.map((e) => [e.slice(0, e.indexOf("=")), e.slice(e.indexOf("=") + 1)]));
    for (const [name, value] of expected) assert.equal(values.get(name), value, name);
    assert.equal(values.has("V78"), args[0] !== "-e");
  }
});

both("chpst: an odd environment passes untouched", async (tools, dir) => {
  // Entries without =, without a name, and twice: execve(2) takes them all.
  const perl = `$ENV{A}="1"; exec {"${programOf(tools, "chpst")}"} "chpst", "-P", "/bin/cat", "/proc/self/environ"`;
  const { stdout, code } = await run("/usr/bin/perl", ["-e", perl], { cwd: dir, env: { B: "=x=", C: "" } });
  assert.equal(code, 0);
  for (const entry of ["A=1", "B==x=", "C="]) assert.ok(stdout.split("\0").includes(entry), entry);
});
