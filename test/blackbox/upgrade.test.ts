/** An upgrade of everything in place: another executable on disk, and no service ends, no line is lost. */
import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, mkdirSync, readlinkSync, renameSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BIN_DIR, SANITIZED, serviceDir, start, tempDir, until } from "../support/lab.ts";
import { Service, SLEEP } from "../support/service.ts";

const LINES = '#!/bin/sh\nn=0\nwhile :; do n=$((n+1)); echo "$$ $n"; sleep 0.02; done\n';

test("runsvdir by SIGUSR1, each runsv by SIGKILL: all run the new program, with the old services", {
  skip: SANITIZED ? "the executable is copied" : false,
}, async (t) => {
  const top = tempDir(t);
  const bin = join(top, "bin");
  mkdirSync(bin);
  copyFileSync(join(BIN_DIR, "upkeep"), join(bin, "upkeep"));
  for (const name of ["runsvdir", "runsv"]) symlinkSync("upkeep", join(bin, name));
  const a = new Service(serviceDir(join(top, "services/a"), { run: LINES, log: { run: "#!/bin/sh\nexec cat >>lines\n" } }));
  const b = new Service(serviceDir(join(top, "services/b"), { run: SLEEP }));
  const runsvdir = start(t, join(bin, "runsvdir"), [join(top, "services")], { env: { PATH: `${bin}:/usr/bin:/bin` } });
  const before = [await a.runs(), await a.log.runs(), await b.runs()];

  // As a package manager does it: the new file gets the name of the old one.
  copyFileSync(join(bin, "upkeep"), join(bin, "upkeep.new"));
  appendFileSync(join(bin, "upkeep.new"), "\n");
  renameSync(join(bin, "upkeep.new"), join(bin, "upkeep"));
  const fresh = (pid: number): boolean =>
    readlinkSync(`/proc/${pid}/exe`) === join(bin, "upkeep") &&
    statSync(`/proc/${pid}/exe`).ino === statSync(join(bin, "upkeep")).ino;
  assert.ok(!fresh(runsvdir.pid));
  runsvdir.kill("SIGUSR1");
  await until("runsvdir is the new program", () => fresh(runsvdir.pid));
  for (const s of [a, b]) {
    const old = s.supervisor;
    assert.ok(!fresh(old));
    process.kill(old, "SIGKILL");
    await until("its runsv is the new program", () => s.supervisor !== old && fresh(s.supervisor));
  }
  const seen = a.log.lines("lines").length;
  await a.log.has("lines", seen + 20);
  assert.deepEqual([a.pid, a.log.pid, b.pid], before);
  const lines = a.log.lines("lines");
  assert.deepEqual(
    lines,
    lines.map((_, i) => `${before[0]} ${i + 1}`),
  );
  runsvdir.kill("SIGHUP");
  assert.equal((await runsvdir.exited).code, 111);
  for (const s of [a, b]) await s.is("down");
  assert.equal(runsvdir.stderr(), "");
});
