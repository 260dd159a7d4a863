/** upkeep, called by its own name and by none it knows. */
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { VERSION } from "../../src/version.ts";
import { run, tempDir, UPKEEP } from "../support/lab.ts";

const upkeep = UPKEEP.program("upkeep");

test("--help and --version go to standard output", async () => {
  const help = await run(upkeep, ["--help"]);
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /^usage: upkeep COMMAND /);
  const version = await run(upkeep, ["--version"]);
  assert.deepEqual(version, { code: 0, signal: null, stdout: `upkeep ${VERSION}\n`, stderr: "" });
});

test("no command, or one there is not: exit 100 and nothing on standard output", async () => {
  const none = await run(upkeep, []);
  assert.deepEqual([none.code, none.stdout], [100, ""]);
  assert.match(none.stderr, /^usage: upkeep COMMAND /);
  for (const name of ["nonsense", "upkeep", "", "--nonsense", "sv\xff"]) {
    const { code, stdout, stderr } = await run(upkeep, [name]);
    assert.deepEqual([code, stdout], [100, ""], name);
    assert.match(stderr, /^upkeep: fatal: .*: unknown command\n$/s, name);
  }
});

test("upkeep NAME is the command NAME", async () => {
  const direct = await run(UPKEEP.program("sv"), []);
  const byName = await run(upkeep, ["sv"]);
  assert.deepEqual(byName, direct);
  assert.match(direct.stderr, /^usage: sv /);
});

test("a link to a link to a command, called by another name, is upkeep only when it says so", async (t) => {
  const dir = tempDir(t);
  symlinkSync(upkeep, join(dir, "upkeep-0.1"));
  const { stdout } = await run(join(dir, "upkeep-0.1"), ["--version"]);
  assert.equal(stdout, `upkeep ${VERSION}\n`);
});
