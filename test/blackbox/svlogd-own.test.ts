/** svlogd(8) where it is better than runit's on purpose (doc/differences.md), and what it can besides. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run, tempDir, UPKEEP, until } from "../support/lab.ts";
import { all, closeInput, logDir, read, rotated, startLog } from "../support/logs.ts";

const SVLOGD = UPKEEP.program("svlogd");

test("a last line without a newline is kept, and gets one", async (t) => {
  const dir = tempDir(t);
  for (const [i, input] of ["a", "one\ntwo", "x".repeat(999), "x".repeat(1000), "x".repeat(70000)].entries()) {
    const d = logDir(join(dir, `${i}`));
    assert.equal((await run(SVLOGD, [d], { input })).code, 0);
    assert.equal(read(d, "current"), `${input}\n`);
  }
});

test("TERM loses nothing: the line in progress is read to its end", async (t) => {
  const d = logDir(join(tempDir(t), "d"));
  const log = startLog(t, UPKEEP, [d], { options: ["-v"] });
  log.write("one\ntwo, not comp");
  await until("the line", () => read(d, "current") === "one\n");
  log.child.kill("SIGTERM");
  await until("the message", () => log.child.stderr().includes("sigterm received."));
  log.write("lete\nthe next one's\n");
  assert.deepEqual(await log.child.exited, { code: 0, signal: null });
  assert.equal(read(d, "current"), "one\ntwo, not complete\n");
});

test("a plus in a pattern is followed by what the pattern says", async (t) => {
  const dir = tempDir(t);
  for (const [pattern, expected] of [
    ["+ab", "aab\n"],
    ["a+bc", "abbc\n"],
    ["+aa", "aaa\n"],
  ] as const) {
    const d = logDir(join(dir, pattern), `-*\n+${pattern}\n`);
    await run(SVLOGD, [d], { input: "abbc\naaa\naab\na\n" });
    assert.equal(read(d, "current"), expected, pattern);
  }
});

test("HUP forgets the selection for standard error", async (t) => {
  const d = logDir(join(tempDir(t), "d"), "e*\n");
  const log = startLog(t, UPKEEP, [d], { options: ["-v"] });
  log.write("one\n");
  await until("the copy", () => log.child.stderr().includes("\none\n"));
  writeFileSync(join(d, "config"), "n5\n");
  log.child.kill("SIGHUP");
  await until("the reopening", () => log.child.stderr().includes("append: "));
  log.write("two\n");
  assert.equal(await closeInput(log), 0);
  assert.doesNotMatch(log.child.stderr(), /^two$/m);
});

test("HUP keeps a running processor; reading and rotating go on beside it", async (t) => {
  const d = logDir(join(tempDir(t), "d"), "!echo >started; while test ! -e go; do sleep 0.05; done; cat\n");
  const log = startLog(t, UPKEEP, [d], { options: ["-v"] });
  log.write("one\n");
  await until("the line", () => read(d, "current") === "one\n");
  log.child.kill("SIGALRM");
  await until("the processor", () => read(d, "started") === "\n");
  log.child.kill("SIGHUP");
  await until("the reopening", () => log.child.stderr().includes("append: "));
  log.write("two\n");
  await until("the next line", () => read(d, "current") === "two\n");
  log.child.kill("SIGALRM");
  await until("a rotation beside the processor", () => read(d, "current") === "");
  log.write("three\n");
  await until("the line after it", () => read(d, "current") === "three\n");
  writeFileSync(join(d, "go"), "");
  await until("both results", () => rotated(d).length === 2 && rotated(d).every((name) => name.endsWith(".s")));
  assert.equal(await closeInput(log), 0);
  assert.equal(all(d), "one\ntwo\nthree\n");
});

test("a processor killed by a signal has failed, and is tried again after a second", async (t) => {
  const d = logDir(join(tempDir(t), "d"), "!if test -e again; then cat; else : >again; kill -9 $$; fi\n");
  const log = startLog(t, UPKEEP, [d]);
  log.write("one\n");
  await until("the line", () => read(d, "current") === "one\n");
  log.child.kill("SIGALRM");
  const since = performance.now();
  await until("the result", () => rotated(d).join(" ").endsWith(".s"));
  assert.ok(performance.now() - since >= 900);
  assert.equal(all(d), "one\n");
  assert.ok(log.child.stderr().includes("processor failed, restart: "));
});

test("files a killed svlogd left for the processor are processed at the next start", async (t) => {
  const d = logDir(join(tempDir(t), "d"), "!tr a-z A-Z\n");
  writeFileSync(join(d, "@400000000000000000000001.u"), "old\n", { mode: 0o744 });
  const log = startLog(t, UPKEEP, [d]);
  await until("the result", () => read(d, "@400000000000000000000001.s") === "OLD\n");
  assert.equal(await closeInput(log), 0);
});

test("config z: rotated files are compressed by the ordinary tool", async (t) => {
  const d = logDir(join(tempDir(t), "d"), "zgzip9\n");
  const log = startLog(t, UPKEEP, [d]);
  log.write("one\n");
  await until("the line", () => read(d, "current") === "one\n");
  log.child.kill("SIGALRM");
  await until("the result", () => rotated(d).join(" ").endsWith(".s"));
  assert.equal(await closeInput(log), 0);
  const [name = ""] = rotated(d);
  assert.equal(execFileSync("gzip", ["-dc"], { input: Buffer.from(read(d, name), "latin1") }).toString(), "one\n");
});

test("config j: a JSON object for each line", async (t) => {
  const dir = tempDir(t);
  const d = logDir(join(dir, "d"), "jweb\nTutc\n");
  await run(SVLOGD, [d], { input: 'say "hi"\t\n\n' });
  const lines = read(d, "current").trimEnd().split("\n");
  const records = lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    records.map(({ service, text }) => [service, text]),
    [
      ["web", 'say "hi"\t'],
      ["web", ""],
    ],
  );
  for (const { time } of records) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});

test("config T: ISO-8601 with the zone", async (t) => {
  const dir = tempDir(t);
  for (const [word, zone, end] of [
    ["utc", "UTC", "Z"],
    ["local", "IST-05:30", "\\+05:30"],
  ] as const) {
    const d = logDir(join(dir, word), `T${word}\n`);
    await run(SVLOGD, [d], { input: "x\n", env: { TZ: zone } });
    assert.match(read(d, "current"), new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}${end} x\\n$`));
  }
});

test("300 directories at once", async (t) => {
  const dir = tempDir(t);
  const names = Array.from({ length: 300 }, (_, i) => `${i}`);
  for (const name of names) logDir(join(dir, name));
  const input = "a line\n".repeat(20000);
  assert.equal((await run(SVLOGD, names, { cwd: dir, input })).code, 0);
  for (const name of names) assert.equal(read(dir, `${name}/current`), input);
});
