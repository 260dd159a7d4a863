/** The six short forms from daemontools, under their names and with Debian's `d` in front. */
import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chpst, environmentOf, inspect, plain, programOf, valueIn } from "../support/chpst.ts";
import { both, run, start, until } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;
const SOFTLIMIT =
  "usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles]" +
  " [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child\n\n";

/** A link of any name to chpst. */
function named(tools: { program(name: string): string }, dir: string, name: string): string {
  const link = join(dir, name);
  symlinkSync(tools.program("chpst"), link);
  return link;
}

both("short forms: each under its name, with and without d", async (tools, dir) => {
  writeFileSync(join(dir, "VARIABLE"), "value\n");
  const forms: readonly (readonly [string, readonly string[]])[] = [
    ["setuidgid", ["daemon"]],
    ["envuidgid", ["daemon"]],
    ["envdir", [dir]],
    ["pgrphack", []],
    ["setlock", [join(dir, ".lock")]],
    ["softlimit", ["-o", "77"]],
  ];
  for (const [form, args] of forms) {
    for (const name of [form, `d${form}`]) {
      if (form === "setuidgid" && !ROOT_USER) continue;
      const link = named(tools, dir, name);
      const { code, stderr } = await run(link, [...args, "true"]);
      // envdir reads the links too: programs whose first line is no value of a variable.
      if (form !== "envdir") assert.deepEqual([code, stderr], [0, ""], name);
    }
  }
});

both("short forms: usage", async (tools) => {
  for (const [name, args, message] of [
    ["setuidgid", [], "usage: setuidgid account child\n\n"],
    ["setuidgid", ["daemon"], "usage: setuidgid account child\n\n"],
    ["envuidgid", ["daemon"], "usage: envuidgid account child\n\n"],
    ["envdir", ["/"], "usage: envdir dir child\n\n"],
    ["pgrphack", [], "usage: pgrphack child\n\n"],
    ["setlock", ["/tmp/x"], "usage: setlock [ -nNxX ] file program [ arg ... ]\n\n"],
    ["setlock", ["-q"], "setlock: illegal option -- q\nusage: setlock [ -nNxX ] file program [ arg ... ]\n\n"],
    ["softlimit", [], SOFTLIMIT],
    ["softlimit", ["-z", "true"], `softlimit: illegal option -- z\n${SOFTLIMIT}`],
    ["softlimit", ["-o"], `softlimit: option requires an argument -- o\n${SOFTLIMIT}`],
  ] as const) {
    const { code, stderr } = await chpst(tools, name, args);
    assert.deepEqual([code, stderr], [100, message], `${name} ${args.join(" ")}`);
  }
});

both("short forms: a bad number prints chpst's usage under the name", async (tools) => {
  const { code, stderr } = await chpst(tools, "softlimit", ["-o", "many", "true"]);
  assert.equal(code, 100);
  assert.match(stderr, /^usage: softlimit \[-vV?P012\]/);
});

both("short forms: another name is chpst", async (tools, dir) => {
  const { code, stderr } = await run(named(tools, dir, "chpst-of-mine"), []);
  assert.equal(code, 100);
  assert.match(stderr, /^usage: (chpst|chpst-of-mine) \[-vV?P012\]/);
});

if (ROOT_USER) {
  both("setuidgid: a plain account", async (tools) => {
    const report = await inspect(tools, "setuidgid", ["daemon"]);
    assert.deepEqual([report.uid, report.gid, report.groups], ["1", "1", "1"]);
    for (const account of ["daemon:bin", ":1:1", "1", ""]) {
      const { code, stderr } = await chpst(tools, "setuidgid", [account, "true"]);
      assert.deepEqual([code, plain(stderr)], [111, `chpst: fatal: unknown account: ${account}\n`]);
    }
  });
}

both("envuidgid: a plain account", async (tools) => {
  const environment = await environmentOf(tools, "envuidgid", ["daemon"]);
  assert.deepEqual([valueIn(environment, "UID"), valueIn(environment, "GID")], ["1", "1"]);
  const { code, stderr } = await chpst(tools, "envuidgid", ["nosuch", "true"]);
  assert.deepEqual([code, plain(stderr)], [111, "chpst: fatal: unknown account: nosuch\n"]);
});

both("pgrphack: a session of its own", async (tools) => {
  const { stdout } = await run("sh", ["-c", `${programOf(tools, "pgrphack")} cut -d' ' -f1,5,6 /proc/self/stat; :`]);
  const [pid, group, session] = stdout.trim().split(" ");
  assert.deepEqual([group, session], [pid, pid]);
});

// compat: -n waits and -N does not, the reverse of daemontools.
both("setlock: waits with -n only; -x is silent", async (tools, dir, t) => {
  const lock = join(dir, "lock");
  const holder = start(t, programOf(tools, "setlock"), [lock, "sh", "-c", "echo held; exec sleep 1000"]);
  await until("the lock is held", () => holder.stdout() === "held\n");
  const busy = `chpst: fatal: unable to lock: ${lock}: temporary failure\n`;
  for (const [args, code, message] of [
    [[], 111, busy],
    [["-N"], 111, busy],
    [["-nN"], 111, busy],
    [["-X"], 111, busy],
    [["-xX"], 111, busy],
    [["-x"], 0, ""],
    [["-Nx"], 0, ""],
  ] as const) {
    const result = await chpst(tools, "setlock", [...args, lock, "true"]);
    assert.deepEqual([result.code, result.stderr], [code, message], args.join(" "));
  }
  const waiter = start(t, programOf(tools, "setlock"), ["-Nn", lock, "echo", "mine"]);
  holder.kill("SIGKILL");
  assert.equal((await waiter.exited).code, 0);
});

both("setlock -x: also a program that cannot be run is no word and exit code 0", async (tools, dir) => {
  const { code, stderr } = await chpst(tools, "setlock", ["-x", join(dir, "lock"), "/nowhere/program"]);
  assert.deepEqual([code, stderr], [0, ""]);
  const loud = await chpst(tools, "setlock", [join(dir, "lock"), "/nowhere/program"]);
  assert.deepEqual([loud.code, loud.stderr], [111, "chpst: fatal: unable to run: /nowhere/program: file does not exist\n"]);
});
