/** What reaches the program unchanged: words, variables and names of any bytes, signals, descriptors, large environments. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { chpst, descriptorsOf, environmentOf, inspectPlain, programOf, SELF, SelfReport } from "../support/chpst.ts";
import { both, run } from "../support/lab.ts";

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

both("chpst: signals, capabilities, umask and groups are the caller's", async (tools) => {
  const before = await inspectPlain();
  for (const args of [[], ["-P"], ["-o", "100"], ["-e", "/etc/skel-of-nobody"]]) {
    const result = await chpst(tools, "chpst", [...args, ...SELF]);
    if (result.code !== 0) continue;
    const after = new SelfReport(result);
    for (const [name, value] of before.status) if (PLAIN_FIELDS.test(name)) assert.equal(after.field(name), value, name);
  }
  assert.equal(before.field("SigBlk"), "0000000000000000");
});

both("chpst: ignored signals stay ignored, and no other is", async (tools) => {
  const { stdout } = await run("sh", ["-c", `trap '' HUP USR1; exec ${tools.program("chpst")} -P cat /proc/self/status`]);
  assert.match(stdout, /^SigIgn:\t0000000000000201$/m);
});

both("chpst: no descriptor but those of the caller, and the cgroup stays", async (tools, dir) => {
  for (const args of [["-P"], ["-e", dir], ["-U", "daemon"], ["-o", "50"]]) {
    const found = await descriptorsOf(tools, "chpst", args, dir);
    assert.deepEqual([...found.keys()].sort(), ["0", "1", "2"], args.join(" "));
  }
  const { stdout } = await chpst(tools, "chpst", ["-P", "cat", "/proc/self/cgroup"]);
  assert.equal(stdout, (await run("cat", ["/proc/self/cgroup"])).stdout);
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
