/**
 * runsvchdir(8) on both toolchains, each with a private /etc/runit (a mount
 * namespace): output, exit codes, and the links afterwards.
 */
import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { both, type Env, type Result, RUNIT, run, type Toolchain, tempDir, UPKEEP } from "../support/lab.ts";
import { together } from "../support/service.ts";

const skip = process.getuid?.() !== 0 ? "needs a mount namespace" : false;

/** Sets a, b and "..weird"; current leads to a. Returns the directory that stands in for /etc/runit/runsvdir. */
function sets(dir: string): string {
  const at = join(dir, "runsvdir");
  for (const name of ["a", "b", "c d"]) mkdirSync(join(at, name), { recursive: true });
  writeFileSync(join(at, "file"), "");
  symlinkSync("a", join(at, "current"));
  return at;
}

function change(tools: Toolchain, dir: string, args: readonly string[], env: Env = {}): Promise<Result> {
  const script = 'd=$1; shift; mount --bind "$d" /etc/runit && exec "$@"';
  const program = tools.program("runsvchdir");
  return run("/usr/bin/unshare", ["-m", "sh", "-c", script, "sh", dir, program, ...args], { env, cwd: "/" });
}

/** Where the links lead, "-" for none. */
function links(at: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(at)) {
    if (lstatSync(join(at, name)).isSymbolicLink()) found[name] = readlinkSync(join(at, name));
  }
  return found;
}

if (!skip) {
  together("runsvchdir", () => {
    both("usage", async (tools) => {
      const program = tools.program("runsvchdir");
      const r = await run(program, []);
      assert.deepEqual([r.code, r.stdout, r.stderr], [1, "", `usage: ${program} dir\n\n`]);
      const named = await run(program, [], { argv0: "other-name" });
      // A multi-call binary goes by its name: upkeep has none that is called so.
      if (tools.name === "runit") assert.equal(named.stderr, "usage: other-name dir\n\n");
    });

    both("changes, changes back, and says when it is current", async (tools, dir) => {
      const at = sets(dir);
      const steps: readonly (readonly [readonly string[], string, Record<string, string>])[] = [
        [["a"], "runsvchdir: a: current.\n", { current: "a" }],
        [["b"], "runsvchdir: b: now current.\n", { current: "b", previous: "a" }],
        [["b", "ignored", "words"], "runsvchdir: b: current.\n", { current: "b", previous: "a" }],
        [["c d"], "runsvchdir: c d: now current.\n", { current: "c d", previous: "b" }],
        [["previous"], "runsvchdir: previous: now current.\n", { current: "previous", previous: "c d" }],
      ];
      for (const [args, stdout, want] of steps) {
        const r = await change(tools, dir, args);
        assert.deepEqual([r.code, r.stdout, r.stderr], [0, stdout, ""], args.join(" "));
        assert.deepEqual(links(at), want, args.join(" "));
      }
    });

    both("the link text is the argument, word for word", async (tools, dir) => {
      const at = sets(dir);
      const elsewhere = join(dir, "elsewhere");
      mkdirSync(elsewhere);
      for (const name of [elsewhere, "b/", "/etc/runit/runsvdir/a"]) {
        const r = await change(tools, dir, [name]);
        assert.deepEqual([r.code, r.stdout], [0, `runsvchdir: ${name}: now current.\n`]);
        assert.equal(links(at)["current"], name);
      }
    });

    both("what is refused leaves everything as it was", async (tools, dir) => {
      const at = sets(dir);
      const program = tools.program("runsvchdir");
      const rows: readonly (readonly [string, string])[] = [
        [".a", ".a: must not start with a dot."],
        ["../runsvdir/a", "../runsvdir/a: must not start with a dot."],
        ["missing", "missing: file does not exist"],
        ["", ": file does not exist"],
        ["file/x", "unable to stat: file/x: not a directory"],
        // runit has no ": " and no fixed text here: doc/differences.md, runsvchdir-separator.
        ["file", tools.name === "runit" ? "filenot a directory." : "file: not a directory."],
      ];
      for (const [name, message] of rows) {
        const r = await change(tools, dir, [name]);
        assert.deepEqual([r.code, r.stdout, r.stderr], [111, "", `${program}: fatal: ${message}\n`], name);
      }
      assert.deepEqual(links(at), { current: "a" });
    });

    both("a current that is missing, that dangles; a directory that is missing", async (tools, dir) => {
      const at = sets(dir);
      const program = tools.program("runsvchdir");
      const refused = async (message: string): Promise<void> => {
        const r = await change(tools, dir, ["b"]);
        assert.deepEqual([r.code, r.stdout, r.stderr], [111, "", `${program}: fatal: ${message}\n`]);
      };
      rmSync(join(at, "current"));
      await refused("unable to stat: current: file does not exist");
      symlinkSync("nowhere", join(at, "current"));
      await refused("unable to stat: current: file does not exist");
      rmSync(at, { recursive: true });
      await refused("unable to chdir: /etc/runit/runsvdir: file does not exist");
    });

    both("what stands in the way of current.new and previous", async (tools, dir) => {
      const at = sets(dir);
      // Left over from a run that was cut short.
      symlinkSync("nowhere", join(at, "current.new"));
      symlinkSync("nowhere", join(at, "previous"));
      assert.equal((await change(tools, dir, ["b"])).code, 0);
      assert.deepEqual(links(at), { current: "b", previous: "a" });
      rmSync(join(at, "previous"));
      mkdirSync(join(at, "previous"));
      const r = await change(tools, dir, ["a"]);
      assert.equal(r.code, 111);
      assert.match(r.stderr, /^\S+: fatal: unable to unlink: previous: /);
      assert.equal(links(at)["current"], "b");
      rmSync(join(at, "previous"), { recursive: true });
      rmSync(join(at, "current.new"), { force: true });
      mkdirSync(join(at, "current.new"));
      const s = await change(tools, dir, ["a"]);
      assert.equal(s.code, 111);
      assert.match(s.stderr, /^\S+: fatal: unable to unlink: current.new: /);
      assert.equal(links(at)["current"], "b");
    });

    test("RUNSVDIR names the directory, as in 2.3.0", async (t) => {
      const dir = tempDir(t);
      const at = sets(dir);
      const program = UPKEEP.program("runsvchdir");
      const r = await run(program, ["b"], { env: { RUNSVDIR: at } });
      assert.deepEqual([r.code, r.stdout, r.stderr], [0, "runsvchdir: b: now current.\n", ""]);
      assert.deepEqual(links(at), { current: "b", previous: "a" });
      const missing = await run(program, ["b"], { env: { RUNSVDIR: join(dir, "missing") } });
      assert.equal(missing.stderr, `${program}: fatal: unable to chdir: ${join(dir, "missing")}: file does not exist\n`);
      // 2.1.2 does not look at it.
      const old = await run(RUNIT.program("runsvchdir"), ["no-such-set"], { env: { RUNSVDIR: at } });
      assert.equal(old.code, 111);
    });
  });
}
