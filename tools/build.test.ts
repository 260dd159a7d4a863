/** What the build promises: one static file, the same each time, that needs nothing around it. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { VERSION } from "../src/version.ts";
import { run, tempDir } from "../test/support/lab.ts";
import { NAMES } from "./build.ts";
import { ROOT } from "./compile.ts";

const PROGRAM = join(ROOT, "dist/bin/upkeep");
const SIZE_MAX = 1024 * 1024;

test("two builds of one tree, in different places, are byte-identical", (t) => {
  const dir = tempDir(t);
  for (const part of ["src", "native", "tools", "package.json", "tsconfig.json"])
    cpSync(join(ROOT, part), join(dir, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  execFileSync(process.execPath, ["tools/build.ts"], { cwd: dir, stdio: ["ignore", "ignore", "inherit"] });
  assert.ok(readFileSync(join(dir, "dist/bin/upkeep")).equals(readFileSync(PROGRAM)), "the builds differ");
});

test("at most one megabyte, static, stripped, without a path of the machine that built it", () => {
  assert.ok(statSync(PROGRAM).size <= SIZE_MAX, `${statSync(PROGRAM).size} bytes`);
  const headers = execFileSync("readelf", ["-lSd", "-W", PROGRAM], { encoding: "latin1", stdio: ["ignore", "pipe", "ignore"] });
  assert.doesNotMatch(headers, /INTERP|DYNAMIC|NEEDED/);
  assert.doesNotMatch(headers, /\.symtab|\.debug_/);
  assert.ok(!readFileSync(PROGRAM, "latin1").includes(ROOT), "the build directory is in the program");
});

test("a relative link for every name, and nothing else", () => {
  for (const name of NAMES) {
    const link = join(ROOT, "dist/bin", name);
    assert.ok(lstatSync(link).isSymbolicLink(), name);
    assert.equal(readlinkSync(link), "upkeep", name);
  }
});

test("runs in an empty root, without /proc, /dev and libraries", {
  skip: process.getuid?.() !== 0 && "needs root",
}, async (t) => {
  const dir = tempDir(t);
  copyFileSync(PROGRAM, join(dir, "upkeep"));
  chmodSync(join(dir, "upkeep"), 0o755);
  const { code, stdout, stderr } = await run("chroot", [dir, "/upkeep", "--version"]);
  assert.deepEqual([code, stdout, stderr], [0, `upkeep ${VERSION}\n`, ""]);
});

test("a build that changes nothing leaves the running file in place", () => {
  const before = statSync(PROGRAM).ino;
  const { status } = spawnSync(process.execPath, [join(ROOT, "tools/build.ts")], { stdio: "ignore" });
  assert.equal(status, 0);
  assert.equal(statSync(PROGRAM).ino, before);
  assert.ok(!existsSync(`${PROGRAM}.${process.pid}`));
});
