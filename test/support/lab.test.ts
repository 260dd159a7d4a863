import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { mask, run, serviceDir, start, tempDir, until } from "./lab.ts";

function alive(pid: number): boolean {
  try {
    // A zombie waits for its parent, it does not run.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

function pidIn(file: string): number {
  return Number(readFileSync(file, "latin1"));
}

/** Stands in for a test: collects what it registers for its end. */
function pretend(): { t: TestContext; end: () => Promise<void> } {
  const hooks: (() => unknown)[] = [];
  const t = { after: (fn: () => unknown) => hooks.push(fn) };
  return {
    t: t as unknown as TestContext,
    end: async () => {
      for (const hook of hooks) await hook();
    },
  };
}

test("descendants die with their test, wherever they went", async (t) => {
  const outside = tempDir(t);
  const file = (name: string): string => join(outside, name);
  const { t: inner, end } = pretend();
  const dir = tempDir(inner);
  // a: own session, orphaned; b: no marker either, but runs in the test's directory; c: no marker, a child.
  const child = start(inner, "/bin/sh", [
    "-c",
    `(cd /; setsid sh -c 'echo $$ >${file("a")}; exec sleep 1000' &)
     (cd ${dir}; setsid env -i sh -c 'echo $$ >${file("b")}; exec sleep 1000' &)
     cd /; env -i setsid sh -c 'echo $$ >${file("c")}; exec sleep 1000' &
     trap '' TERM; wait`,
  ]);
  await until("three pids", () => ["a", "b", "c"].every((name) => pidIn(file(name)) > 0));
  const pids = [child.pid, pidIn(file("a")), pidIn(file("b")), pidIn(file("c"))];
  assert.deepEqual(pids.map(alive), [true, true, true, true]);
  await end();
  assert.deepEqual(pids.map(alive), [false, false, false, false]);
  assert.equal((await child.exited).signal, "SIGKILL");
  assert.equal(existsSync(dir), false);
});

test("the test's end comes also when it fails", async (t) => {
  const dir = tempDir(t);
  writeFileSync(
    join(dir, "failing.test.ts"),
    `import { test } from "node:test";
     import { start, tempDir, until } from ${JSON.stringify(join(import.meta.dirname, "lab.ts"))};
     import { existsSync, writeFileSync } from "node:fs";
     test("fails", async (t) => {
       const inner = tempDir(t);
       start(t, "/bin/sh", ["-c", "setsid sleep 1000 & echo $! >${dir}/pid; wait"], {});
       await until("pid", () => existsSync("${dir}/pid"));
       writeFileSync("${dir}/inner", inner);
       throw new Error("on purpose");
     });`,
  );
  const r = await run(process.execPath, ["--test", join(dir, "failing.test.ts")], { env: { NODE_TEST_CONTEXT: undefined } });
  assert.equal(r.code, 1, r.stdout);
  assert.match(r.stdout, /on purpose/);
  await until("the sleep is gone", () => !alive(pidIn(join(dir, "pid"))));
  assert.equal(existsSync(readFileSync(join(dir, "inner"), "latin1")), false);
});

test("until gives up, and says on what and why", async () => {
  await assert.rejects(
    until("never", () => false, 50),
    /^Error: not within 50 ms: never$/,
  );
  await assert.rejects(
    until("file", () => statSync("/nonexistent").isFile(), 50),
    /not within 50 ms: file \(ENOENT/,
  );
  let n = 0;
  await until("third time", () => ++n === 3);
});

test("run gives code, signal, streams byte by byte, input and argv0", async () => {
  const r = await run("/bin/sh", ["-c", "cat; printf '\\377' >&2; exit 7"], { input: "in\xe4" });
  assert.deepEqual({ ...r }, { code: 7, signal: null, stdout: Buffer.from("in\xe4").toString("latin1"), stderr: "\xff" });
  assert.equal((await run("/bin/sh", ["-c", "kill -9 $$"])).signal, "SIGKILL");
  assert.equal((await run("/bin/sh", ["-c", "echo $0"], { argv0: "sh" })).stdout, "sh\n");
  await assert.rejects(run("/bin/sleep", ["100"], { timeoutMs: 100 }), /still running after 100 ms/);
  await assert.rejects(run("/nonexistent", []), /ENOENT/);
  const background = await run("/bin/sh", ["-c", "echo now; sleep 100 &"]);
  assert.equal(background.stdout, "now\n");
});

test("run and start give a small environment of their own", async () => {
  const names = (await run("/usr/bin/env", [], { env: { EXTRA: "1", HOME: undefined } })).stdout
    .split("\n")
    .map((line) => line.split("=")[0])
    .filter((name) => name !== "" && !/SAN_OPTIONS$/.test(name ?? ""));
  assert.deepEqual(names.sort(), ["EXTRA", "LC_ALL", "PATH", "TZ", "UPKEEP_TEST_ID"]);
});

test("serviceDir writes what it is told", (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, "x"));
  const path = serviceDir(join(dir, "x", "svc"), {
    run: "#!/bin/sh\nexec sleep 5\n",
    finish: "#!/bin/sh\n",
    down: true,
    control: { t: "#!/bin/sh\nexit 1\n" },
    log: { run: "#!/bin/sh\nexec cat\n", down: true },
  });
  assert.equal(statSync(join(path, "run")).mode & 0o777, 0o755);
  for (const name of ["run", "finish", "down", "control/t", "log/run", "log/down"]) assert.ok(existsSync(join(path, name)), name);
  for (const name of ["check", "control/d", "log/finish"]) assert.ok(!existsSync(join(path, name)), name);
});

test("mask hides pids and seconds", () => {
  assert.equal(mask("run: a: (pid 123) 45s; run: log: (pid 9) 1s"), "run: a: (pid PID) Ns; run: log: (pid PID) Ns");
  assert.equal(mask("timeout: 7sec, pids 1"), "timeout: 7sec, pids PID");
});
