/**
 * The age sv(8) shows, when the wall clock is not what it was at the last
 * transition. The clock of the machine is left alone: the label in the status
 * file and in our record is moved instead, which is the same to a reader.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ADOPT_BYTES, AdoptRecord } from "../../src/formats/adopt.ts";
import { packTai64n, TAI64N_BYTES } from "../../src/formats/tai64n.ts";
import { RUNIT, run, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";

/** A machine whose clock began at the epoch, then met its time server. */
const JUMP_SECONDS = 129651272;
const RUN = "#!/bin/sh\nexec sleep 1000\n";

/** Moves the label of the last transition by `seconds`, in the status file and, if `record`, in the record too. */
function moveLabel(dir: string, seconds: number, record: boolean): void {
  const label = new Uint8Array(TAI64N_BYTES);
  packTai64n(label, 0, { seconds: Math.floor(Date.now() / 1000) + seconds, nanoseconds: 0 });
  for (const [file, at] of [
    ["status", 0],
    ["adopt", 24],
  ] as const) {
    if (file === "adopt" && !record) continue;
    const bytes = readFileSync(join(dir, "supervise", file));
    bytes.set(label, at);
    writeFileSync(join(dir, "supervise", file), bytes);
  }
}

/** Waits for a running service and the last of its files, the status: a label moved earlier would be written over. */
async function running(dir: string): Promise<void> {
  await until("it runs", () => readFileSync(join(dir, "supervise/stat"), "latin1") === "run\n");
  const pid = Number(readFileSync(join(dir, "supervise/pid"), "latin1"));
  await until("the status says so", () => readFileSync(join(dir, "supervise/status")).readUInt32LE(12) === pid);
}

async function shownAge(sv: string, dir: string): Promise<number> {
  const { stdout } = await run(sv, ["status", dir]);
  const m = /^run: .*\(pid \d+\) (\d+)s\n$/.exec(stdout);
  assert.ok(m, stdout);
  return Number(m[1]);
}

test("a clock that was set does not show in the age", async (t) => {
  const dir = serviceDir(join(tempDir(t), "svc"), { run: RUN });
  start(t, UPKEEP.program("runsv"), [dir]);
  await running(dir);
  const ours = UPKEEP.program("sv");
  for (const jump of [-JUMP_SECONDS, JUMP_SECONDS, -3600, 2]) {
    moveLabel(dir, jump, true);
    const age = await shownAge(ours, dir);
    assert.ok(age < 60, `${jump} s: ${age}`);
  }
  // runit's sv has the label alone.
  moveLabel(dir, -JUMP_SECONDS, true);
  assert.ok((await shownAge(RUNIT.program("sv"), dir)) >= JUMP_SECONDS);
});

test("the age is right when the clock was not set: as the wall clock has it", async (t) => {
  const dir = serviceDir(join(tempDir(t), "svc"), { run: RUN });
  start(t, UPKEEP.program("runsv"), [dir]);
  await running(dir);
  const ours = (): Promise<number> => shownAge(UPKEEP.program("sv"), dir);
  await until("three seconds pass", async () => (await ours()) >= 3);
  // It may take its time in between.
  const ages = [await ours(), await shownAge(RUNIT.program("sv"), dir), await ours()];
  assert.deepEqual(
    ages,
    ages.toSorted((a, b) => a - b),
  );
});

test("a record of another transition, of another boot, or of no sense is not believed", async (t) => {
  const dir = serviceDir(join(tempDir(t), "svc"), { run: RUN });
  start(t, UPKEEP.program("runsv"), [dir]);
  await running(dir);
  const sv = UPKEEP.program("sv");
  moveLabel(dir, -5000, false);
  assert.ok((await shownAge(sv, dir)) >= 5000, "another label");
  moveLabel(dir, -5000, true);
  assert.ok((await shownAge(sv, dir)) < 5000, "the same label");
  const path = join(dir, "supervise/adopt");
  const good = readFileSync(path);
  const record = new AdoptRecord();
  assert.equal(record.raw.length, ADOPT_BYTES);
  record.raw.set(good);
  record.bootId[3] = (record.bootId[3] ?? 0) ^ 1;
  for (const bytes of [
    record.raw,
    good.subarray(0, 80),
    new Uint8Array(0),
    Buffer.concat([Buffer.from("UPK9"), good.subarray(4)]),
  ]) {
    writeFileSync(path, bytes);
    assert.ok((await shownAge(sv, dir)) >= 5000, Buffer.from(bytes.subarray(0, 60)).toString("hex"));
  }
});
