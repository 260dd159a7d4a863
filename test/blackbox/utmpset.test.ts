/** utmpset on private copies of utmp and wtmp, which a mount namespace puts in the place of the system's. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { both, type Result, run, type Toolchain } from "../support/lab.ts";

const RECORD = 384;

function record(line: string, user: string): Buffer {
  const b = Buffer.alloc(RECORD);
  b.writeInt16LE(7, 0);
  b.writeInt32LE(4242, 4);
  b.write(line, 8, "latin1");
  b.write("id", 40, "latin1");
  b.write(user, 44, "latin1");
  b.write("host.example", 76, "latin1");
  b.writeInt32LE(1000, 340);
  b.writeInt32LE(777, 344);
  b.writeInt32LE(99, 348);
  return b;
}

/** Runs with dir/run and dir/log as /run (where /var/run leads) and /var/log. */
function inPlace(tools: Toolchain, dir: string, args: readonly string[]): Promise<Result> {
  const script = `mount --bind '${dir}/run' /run && mount --bind '${dir}/log' /var/log && exec '${tools.program("utmpset")}' "$@"`;
  return run("unshare", ["-m", "sh", "-c", script, "sh", ...args]);
}

function files(dir: string): { readonly utmp: string; readonly wtmp: string } {
  mkdirSync(join(dir, "run"));
  mkdirSync(join(dir, "log"));
  return { utmp: join(dir, "run/utmp"), wtmp: join(dir, "log/wtmp") };
}

/** The time of a record is that of the test; then it is taken out, for comparison. */
function withoutTime(b: Buffer, at: number): Buffer {
  const seconds = b.readUInt32LE(at + 340);
  assert.ok(Math.abs(seconds - Date.now() / 1000) < 120, String(seconds));
  const copy = Buffer.from(b);
  copy.writeUInt32LE(0, at + 340);
  return copy;
}

both("utmpset: usage", async (tools) => {
  for (const args of [[], ["-q", "tty1"], ["-V"], ["-w"]]) {
    const { code, stderr } = await run(tools.program("utmpset"), args);
    assert.equal(code, 1);
    assert.match(stderr, /usage: \S*utmpset \[-w\] line\n\n$/);
  }
});

if (process.getuid?.() === 0) {
  both("utmpset: the record of the line, and no other byte", async (tools, dir) => {
    const { utmp, wtmp } = files(dir);
    const before = Buffer.concat([record("tty1", ""), record("tty10", "b"), record("tty1", "a"), record("tty1", "c")]);
    writeFileSync(utmp, before);
    const { code, stderr } = await inPlace(tools, dir, ["tty1"]);
    assert.deepEqual([code, stderr], [0, ""]);
    const expected = Buffer.from(before);
    expected.writeInt16LE(8, 2 * RECORD);
    expected.fill(0, 2 * RECORD + 44, 2 * RECORD + 332);
    expected.writeUInt32LE(0, 2 * RECORD + 340);
    assert.deepEqual(withoutTime(readFileSync(utmp), 2 * RECORD), expected);
    assert.ok(!existsSync(wtmp));
  });

  both("utmpset -w: one record more in wtmp", async (tools, dir) => {
    const { utmp, wtmp } = files(dir);
    writeFileSync(utmp, record("pts/3", "a"));
    assert.equal((await inPlace(tools, dir, ["-w", "pts/3"])).code, 0);
    const expected = Buffer.alloc(RECORD);
    expected.writeInt16LE(8, 0);
    expected.write("pts/3", 8, "latin1");
    assert.deepEqual(withoutTime(readFileSync(wtmp), 0), expected);
    assert.equal(statSync(wtmp).mode & 0o777, 0o600);
  });

  both("utmpset: no such line, no such file", async (tools, dir) => {
    const { utmp, wtmp } = files(dir);
    const open = await inPlace(tools, dir, ["-w", "tty1"]);
    assert.deepEqual([open.code, open.stderr], [111, "utmpset: fatal: unable to open /var/run/utmp: file does not exist\n"]);
    writeFileSync(utmp, Buffer.concat([record("tty1", "a"), Buffer.from("part of a record")]));
    const none = await inPlace(tools, dir, ["-w", "tty"]);
    assert.deepEqual([none.code, none.stderr], [111, "utmpset: warning: unable to logout line tty in utmp: no such entry\n"]);
    assert.ok(!existsSync(wtmp));
  });
}
