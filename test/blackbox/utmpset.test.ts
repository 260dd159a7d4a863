/** utmpset on private copies of utmp and wtmp, which a mount namespace puts in the place of the system's. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { both, type Result, run, start, type Toolchain, tempDir, UPKEEP, until } from "../support/lab.ts";

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

  both("utmpset: a line of any bytes; of other types of record too", async (tools, dir) => {
    const { utmp } = files(dir);
    const before = record("\xff\xe9", "a");
    before.writeInt16LE(2, 0);
    writeFileSync(utmp, Buffer.concat([record("x", "a"), before]));
    const script = join(dir, "script");
    const text = `#!/bin/sh\nmount --bind '${dir}/run' /run && exec '${tools.program("utmpset")}' '\xff\xe9'\n`;
    writeFileSync(script, Buffer.from(text, "latin1"), { mode: 0o755 });
    const { code, stderr } = await run("unshare", ["-m", script]);
    assert.deepEqual([code, stderr], [0, ""]);
    const after = readFileSync(utmp);
    assert.equal(after.readInt16LE(RECORD), 8);
    assert.deepEqual(after.subarray(0, RECORD), record("x", "a"));
  });

  both("utmpset -w: behind what is there; a file that cannot be opened", async (tools, dir) => {
    const { utmp, wtmp } = files(dir);
    writeFileSync(utmp, record("tty1", "a"));
    writeFileSync(wtmp, Buffer.concat([record("tty1", "a"), Buffer.from("half")]), { mode: 0o664 });
    assert.equal((await inPlace(tools, dir, ["-w", "tty1"])).code, 0);
    const after = readFileSync(wtmp);
    assert.equal(after.length, 2 * RECORD + 4);
    assert.deepEqual(after.subarray(0, RECORD + 4), Buffer.concat([record("tty1", "a"), Buffer.from("half")]));
    assert.equal(after.toString("latin1", RECORD + 4 + 8, RECORD + 4 + 13), "tty1\0");
    rmSync(wtmp);
    mkdirSync(wtmp);
    writeFileSync(utmp, record("tty1", "a"));
    const denied = await inPlace(tools, dir, ["-w", "tty1"]);
    assert.deepEqual([denied.code, denied.stderr], [111, "utmpset: fatal: unable to open /var/log/wtmp: is a directory\n"]);
    assert.equal(readFileSync(utmp).readInt16LE(0), 8, "utmp was done before");
  });

  both("utmpset: without the right to write", async (tools, dir) => {
    const { utmp } = files(dir);
    writeFileSync(utmp, record("tty1", "a"), { mode: 0o644 });
    const script = `mount --bind '${dir}/run' /run && exec '${tools.program("chpst")}' -u nobody '${tools.program("utmpset")}' tty1`;
    const { code, stderr } = await run("unshare", ["-m", "sh", "-c", script], { cwd: "/" });
    assert.deepEqual([code, stderr], [111, "utmpset: fatal: unable to open /var/run/utmp: access denied\n"]);
    assert.deepEqual(readFileSync(utmp), record("tty1", "a"));
  });

  both("utmpset: waits for the lock of another", async (tools, dir, t) => {
    const { utmp } = files(dir);
    writeFileSync(utmp, record("tty1", "a"));
    const holder = start(t, "flock", ["-F", utmp, "sh", "-c", "echo held; exec sleep 1000"]);
    await until("the lock is held", () => holder.stdout() === "held\n");
    const script = `mount --bind '${dir}/run' /run && exec '${tools.program("utmpset")}' tty1`;
    const waiter = start(t, "unshare", ["-m", "sh", "-c", script]);
    await until("the lock is waited for", () =>
      readFileSync("/proc/locks", "latin1")
        .split("\n")
        .some((l) => / -> FLOCK /.test(l) && l.split(/\s+/).includes(String(waiter.pid))),
    );
    assert.equal(readFileSync(utmp).readInt16LE(0), 7);
    holder.kill("SIGKILL");
    assert.equal((await waiter.exited).code, 0);
    assert.equal(readFileSync(utmp).readInt16LE(0), 8);
  });

  // As of 2.3.0; Debian's 2.1.2 never finds a line of 32 bytes, and takes longer ones.
  test("utmpset: a line of 32 bytes is found, a longer one refused", async (t) => {
    const dir = tempDir(t);
    const { utmp } = files(dir);
    const line = "l".repeat(32);
    writeFileSync(utmp, record(line, "a"));
    const long = await inPlace(UPKEEP, dir, [`${line}l`]);
    const message = `utmpset: fatal: unable to logout line ${line}l in utmp: name too long\n`;
    assert.deepEqual([long.code, long.stderr], [111, message]);
    assert.deepEqual(readFileSync(utmp), record(line, "a"));
    assert.equal((await inPlace(UPKEEP, dir, [line])).code, 0);
    assert.equal(readFileSync(utmp).readInt16LE(0), 8);
  });
}
