/** Environment directories: chpst -e and envdir. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chpst, environmentOf, programOf, valueIn } from "../support/chpst.ts";
import { both, run, tempDir, UPKEEP } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;

/** File content and the value that comes of it; null: the variable is removed. */
const VALUES: readonly (readonly [string, string, string | null])[] = [
  ["PLAIN", "value\n", "value"],
  ["UNENDED", "value", "value"],
  ["TWO_LINES", "first\nsecond\n", "first"],
  ["BLANKS", "  value \t \t\n", "  value"],
  ["ONLY_BLANKS", " \t ", ""],
  ["RETURN", "value\r\n", "value\r"],
  ["NULS", "a\0b\0\0c\0\n", "a\nb\n\nc\n"],
  ["NUL_UNENDED", "\0", "\n"],
  ["NEWLINE", "\n", ""],
  ["EMPTY", "", null],
  ["EQUALS", "a=b=c\n", "a=b=c"],
  ["LATIN", "\xff\xfe\x80 \xe9\n", "\xff\xfe\x80 \xe9"],
  ["PAGE", `${"p".repeat(4096)}\nmore`, "p".repeat(4096)],
  ["PAGE_MINUS", `${"p".repeat(4095)}\n`, "p".repeat(4095)],
  ["LONG", `${"x".repeat(100_000)}\nmore`, "x".repeat(100_000)],
  ["LINES_BEYOND", `v\n${"more\n".repeat(50_000)}`, "v"],
];

function writeAll(dir: string): void {
  for (const [name, content] of VALUES) writeFileSync(join(dir, name), Buffer.from(content, "latin1"));
}

for (const form of ["chpst", "envdir"]) {
  both(`${form}: what a file says`, async (tools, dir) => {
    writeAll(dir);
    const env = Object.fromEntries(VALUES.map(([name]) => [name, "old"]));
    const environment = await environmentOf(tools, form, form === "chpst" ? ["-e", dir] : [dir], {
      env: { ...env, OTHER: "kept" },
    });
    for (const [name, , value] of VALUES) assert.equal(valueIn(environment, name), value ?? undefined, name);
    assert.equal(valueIn(environment, "OTHER"), "kept");
    assert.equal(new Set(environment.map((e) => e.split("=")[0])).size, environment.length, "a variable once");
  });
}

both("chpst -e: names with a dot in front are no variables, others of any bytes are", async (tools, dir) => {
  writeFileSync(join(dir, ".HIDDEN"), "no\n");
  writeFileSync(join(dir, "A=B"), "v\n");
  writeFileSync(join(dir, "EMPTY=X"), "");
  writeFileSync(join(dir, "with space"), "yes\n");
  writeFileSync(Buffer.from(`${dir}/\xff\xfe`, "latin1"), "bytes\n");
  const environment = await environmentOf(tools, "chpst", ["-e", dir], { env: { EMPTY: "gone?" } });
  assert.equal(valueIn(environment, ".HIDDEN"), undefined);
  assert.ok(environment.includes("A=B=v"), environment.join("\n"));
  assert.ok(environment.includes("with space=yes"));
  assert.ok(environment.includes("\xff\xfe=bytes"));
});

both("chpst -e: a symlink counts as what it leads to, a FIFO without a writer as empty", async (tools, dir) => {
  const variables = join(dir, "e");
  mkdirSync(variables);
  writeFileSync(join(dir, "target"), "through\n");
  symlinkSync("../target", join(variables, "LINK"));
  await run("mkfifo", [join(variables, "FIFO")]);
  const environment = await environmentOf(tools, "chpst", ["-e", variables], { env: { FIFO: "old" } });
  assert.equal(valueIn(environment, "LINK"), "through");
  assert.equal(valueIn(environment, "FIFO"), undefined);
});

both("chpst -e passes over a directory, and says so with -v; for envdir it is the end", async (tools, dir) => {
  mkdirSync(join(dir, "SUB"));
  writeFileSync(join(dir, "VARIABLE"), "value\n");
  const message = `unable to read ${dir}/SUB: is a directory\n`;
  const silent = await chpst(tools, "chpst", ["-e", dir, "sh", "-c", "echo $VARIABLE"]);
  assert.deepEqual([silent.code, silent.stdout, silent.stderr], [0, "value\n", ""]);
  const verbose = await chpst(tools, "chpst", ["-ve", dir, "sh", "-c", "echo $VARIABLE"]);
  assert.deepEqual([verbose.code, verbose.stdout, verbose.stderr], [0, "value\n", `chpst: warning: ${message}`]);
  const strict = await chpst(tools, "envdir", [dir, "sh", "-c", "echo started"]);
  assert.deepEqual([strict.code, strict.stdout, strict.stderr], [111, "", `chpst: fatal: ${message}`]);
});

both("chpst -e: no such directory, no directory", async (tools, dir) => {
  writeFileSync(join(dir, "file"), "");
  for (const [path, reason] of [
    [`${dir}/nowhere`, "file does not exist"],
    [`${dir}/file`, "not a directory"],
    [`${dir}/${"n".repeat(300)}`, "file name too long"],
    ["", "file does not exist"],
  ] as const) {
    const { code, stdout, stderr } = await chpst(tools, "chpst", ["-e", path, "echo", "started"]);
    assert.deepEqual([code, stdout, stderr], [111, "", `chpst: fatal: unable to switch to directory: ${path}: ${reason}\n`]);
  }
});

if (ROOT_USER) {
  both("chpst -e: what may not be read is the end", async (tools, dir) => {
    const as = [programOf(tools, "chpst"), "-u", "nobody"];
    const variables = join(dir, "e");
    mkdirSync(variables);
    writeFileSync(join(variables, "SECRET"), "s\n", { mode: 0o600 });
    const run1 = await run(as[0] ?? "", [...as.slice(1), programOf(tools, "chpst"), "-e", variables, "echo", "started"], {
      cwd: "/",
    });
    assert.deepEqual(
      [run1.code, run1.stdout, run1.stderr],
      [111, "", `chpst: fatal: unable to read ${variables}/SECRET: access denied\n`],
    );
    for (const [mode, what] of [
      [0o711, "open directory"],
      [0o600, "switch to directory"],
    ] as const) {
      chmodSync(variables, mode);
      const { code, stdout, stderr } = await run(
        as[0] ?? "",
        [...as.slice(1), programOf(tools, "chpst"), "-e", variables, "echo", "started"],
        { cwd: "/" },
      );
      assert.deepEqual([code, stdout], [111, ""]);
      assert.match(stderr, new RegExp(`^chpst: fatal: unable to ${what}: ${variables}: access denied\n$`));
    }
  });
}

// compat: doc/differences.md, chpst-dangling-link
test("chpst -e: a symlink that leads nowhere is passed over with a warning", async (t) => {
  const dir = tempDir(t);
  symlinkSync("nowhere", join(dir, "A"));
  writeFileSync(join(dir, "B"), "value\n");
  symlinkSync("nowhere", join(dir, "C"));
  for (const [form, args] of [
    ["chpst", ["-e", dir]],
    ["envdir", [dir]],
  ] as const) {
    const { code, stdout, stderr } = await chpst(UPKEEP, form, [...args, "env"], { env: { A: "a", C: "c" } });
    assert.equal(code, 0);
    assert.deepEqual(
      ["A", "B", "C"].map((name) => valueIn(stdout.split("\n"), name)),
      ["a", "value", "c"],
    );
    const warnings = stderr.trim().split("\n").sort();
    assert.deepEqual(
      warnings,
      ["A", "C"].map((name) => `chpst: warning: unable to read ${dir}/${name}: file does not exist`),
    );
  }
});

both("chpst -e: the PATH it sets is not the one the program is looked for in", async (tools, dir) => {
  const e = join(dir, "e");
  const bin = join(dir, "bin");
  mkdirSync(e);
  mkdirSync(bin);
  writeFileSync(join(e, "PATH"), bin);
  writeFileSync(join(bin, "only-here"), "#!/bin/sh\necho found\n", { mode: 0o755 });
  const missing = await chpst(tools, "chpst", ["-e", e, "only-here"]);
  assert.deepEqual([missing.code, missing.stderr], [111, "chpst: fatal: unable to run: only-here: file does not exist\n"]);
  const environment = await environmentOf(tools, "chpst", ["-e", e]);
  assert.equal(valueIn(environment, "PATH"), bin);
});

both("chpst -e: ten thousand files", async (tools, dir) => {
  const expected: string[] = [];
  for (let i = 0; i < 10_000; i++) {
    writeFileSync(join(dir, `VARIABLE_${i}`), `${i}\n`);
    expected.push(`VARIABLE_${i}=${i}`);
  }
  assert.equal(readdirSync(dir).length, 10_000);
  const environment = await environmentOf(tools, "chpst", ["-e", dir]);
  assert.deepEqual(environment.filter((e) => e.startsWith("VARIABLE_")).sort(), expected.sort());
});
