/**
 * What svlogd must never do: lose or change a byte. Under a flood with rotations
 * and HUPs, killed again and again, on a full disk, with a processor that hangs.
 * UPKEEP_LONG=1: 1 GB, and 500 kills.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash, type Hash } from "node:crypto";
import { chmodSync, closeSync, createReadStream, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SANITIZED, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { all, closeInput, logDir, read, rotated, startLog } from "../support/logs.ts";
import { Random } from "../support/random.ts";
import { Service } from "../support/service.ts";

const LONG = process.env["UPKEEP_LONG"] === "1";
const MB = 1_000_000;

// ---- Every byte ----

const FLOOD_BYTES = LONG ? 1000 * MB : 50 * MB;
const PIECE = 64 * 1024;
const ALARM_MS = LONG ? 100 : 10;
const HUP_MS = 3 * ALARM_MS;

/** Random bytes, of which every 256th ends a line; the same without line ends; empty lines. */
function samples(random: Random): { readonly lines: Buffer; readonly long: Buffer; readonly empty: Buffer } {
  const lines = Buffer.alloc(4 * MB);
  for (let i = 0; i < lines.length; i++) lines[i] = random.below(256);
  const long = Buffer.from(lines);
  for (let i = 0; i < long.length; i++) if (long[i] === 10) long[i] = 0;
  return { lines, long, empty: Buffer.alloc(PIECE, 10) };
}

/** Pieces of random lines, a line of 10 MB now and then, many empty lines now and then; a newline at the end. */
function* flood(random: Random): Generator<Buffer> {
  const { lines, long, empty } = samples(random);
  const piece = (of: Buffer): Buffer => {
    const at = random.below(of.length - PIECE + 1);
    return of.subarray(at, at + 1 + random.below(PIECE));
  };
  for (let bytes = 0, next = 0; bytes < FLOOD_BYTES; ) {
    if (bytes < next) {
      const b = random.below(50) === 0 ? empty : piece(lines);
      bytes += b.length;
      yield b;
      continue;
    }
    for (let line = 0; line < 10 * MB; line += PIECE) {
      bytes += PIECE;
      yield long.subarray(line % (3 * MB), (line % (3 * MB)) + PIECE);
    }
    next = bytes + 25 * MB;
  }
  yield Buffer.from("\n");
}

async function digest(hash: Hash, files: readonly string[]): Promise<string> {
  for (const file of files) for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest("hex");
}

test(`${FLOOD_BYTES / MB} MB of random bytes with rotations and HUPs: the files together are the input`, {
  timeout: 900_000,
}, async (t) => {
  const dir = logDir(join(tempDir(t), "log"), "s1000000\nn0\n");
  const log = startLog(t, UPKEEP, [dir]);
  const { stdin, pid } = log.child;
  assert.ok(stdin);
  await until("it has begun", () => statSync(join(dir, "current"), { throwIfNoEntry: false }) !== undefined);
  const timers = [
    setInterval(() => process.kill(pid, "SIGALRM"), ALARM_MS),
    setInterval(() => process.kill(pid, "SIGHUP"), HUP_MS),
  ];
  const expected = createHash("sha256");
  let bytes = 0;
  try {
    for (const b of flood(new Random(20261127))) {
      expected.update(b);
      bytes += b.length;
      if (!stdin.write(b)) await new Promise((next) => stdin.once("drain", next));
    }
  } finally {
    for (const timer of timers) clearInterval(timer);
  }
  assert.equal(await closeInput(log), 0);
  const files = [...rotated(dir), "current"].map((name) => join(dir, name));
  const written = files.reduce((sum, file) => sum + statSync(file).size, 0);
  assert.equal(written, bytes);
  assert.equal(await digest(createHash("sha256"), files), expected.digest("hex"));
  t.diagnostic(`${bytes} bytes in ${files.length} files`);
});

// ---- Killed ----

const KILLS = LONG ? 500 : 50;
const LINE_BYTES = 80;
/** A block, and the beginning of a line of at most `len`. */
const LOST_MOST = 65536 + 1000;

/** Writes numbered lines of 80 bytes into the FIFO, until it is killed. */
function numbers(fifo: string): ChildProcess {
  const program = `BEGIN { for (i = 0; ; i++) printf "%010d %068d\\n", i, 0 }`;
  return spawn("sh", ["-c", `exec awk '${program}' >${fifo}`], { stdio: "ignore" });
}

test(`kill -9, ${KILLS} times, always on the same pipe: nothing twice, at most a block lost each time`, {
  timeout: 600_000,
}, async (t) => {
  const top = tempDir(t);
  const dir = logDir(join(top, "log"), "s1000000\nn0\n");
  const fifo = join(top, "fifo");
  execFileSync("mkfifo", [fifo]);
  // Open at both ends as long as the test runs, as a supervisor holds it.
  const held = openSync(fifo, "r+");
  const writer = numbers(fifo);
  t.after(() => {
    writer.kill("SIGKILL");
    closeSync(held);
  });
  const random = new Random(9);
  const size = (): number => [...rotated(dir), "current"].reduce((sum, name) => sum + sizeOf(join(dir, name)), 0);
  for (let kill = 0; kill < KILLS; kill++) {
    const from = size();
    const step = random.below(200_000);
    const child = start(t, UPKEEP.program("svlogd"), [dir], { stdio: [held, "ignore", "pipe"], argv0: "svlogd" });
    await until("it writes", () => size() > from + step);
    child.kill("SIGKILL");
    await child.exited;
  }
  const seen = readLines([...rotated(dir), "current"].map((name) => read(dir, name)));
  assert.ok(seen.torn <= 2 * KILLS, `${seen.torn} torn lines`);
  assert.ok(seen.most <= LOST_MOST, `${seen.most} bytes lost at once`);
  assert.ok(seen.gaps <= KILLS, `${seen.gaps} gaps`);
  t.diagnostic(`${seen.lines} lines; lost in ${seen.gaps} of ${KILLS} kills, at most ${seen.most} bytes, ${seen.bytes} in all`);
});

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

type Seen = { lines: number; torn: number; gaps: number; most: number; bytes: number };

/**
 * Numbers go up through all files. Only at the beginning of a file may the end of a line stand
 * whose beginning was lost, and only at its end the beginning of one: a kill in the middle of a
 * write leaves what was written so far.
 */
function readLines(files: readonly string[]): Seen {
  const seen: Seen = { lines: 0, torn: 0, gaps: 0, most: 0, bytes: 0 };
  let next = 0;
  for (const text of files) {
    const lines = text.split("\n");
    const last = lines.pop() ?? "";
    assert.match(last, /^(\d{0,10}|\d{10} 0{0,68})$/, "the end of a file");
    if (last !== "") seen.torn++;
    if (lines.length > 0 && !/^\d{10} 0{68}$/.test(lines[0] ?? "")) {
      assert.match(lines.shift() ?? "", /^\d{0,9} ?0{0,68}$/, "the beginning of a file");
      seen.torn++;
    }
    for (const line of lines) {
      assert.match(line, /^\d{10} 0{68}$/);
      const number = Number(line.slice(0, 10));
      assert.ok(number >= next, `line ${number} after ${next - 1}`);
      const lost = (number - next) * LINE_BYTES;
      if (lost > 0) seen.gaps++;
      seen.most = Math.max(seen.most, lost);
      seen.bytes += lost;
      next = number + 1;
      seen.lines++;
    }
  }
  return seen;
}

// ---- A full disk, a processor that hangs ----

test("a tiny full file system: it says so, waits, goes on, and every line is there", {
  skip: (SANITIZED && "the sanitizers' own files") || (process.getuid?.() !== 0 && "mounts"),
}, async (t) => {
  const top = tempDir(t);
  const dir = logDir(join(top, "log"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "small", dir]);
  const elsewhere = logDir(join(top, "elsewhere"), "s10000000\nn0\n");
  writeFileSync(join(dir, "config"), "s1000000\nn0\n");
  const log = startLog(t, UPKEEP, [dir, elsewhere]);
  let text = "";
  for (let i = 0; i < 8000; i++) text += `line ${i}, of which a small disk holds only some\n`;
  log.write(text);
  const told = (): number => log.child.stderr().split("pausing: unable to write to current").length - 1;
  await until("it is told, and told again", () => told() >= 2);
  assert.ok(sizeOf(join(dir, "current")) <= 65536);
  execFileSync("mount", ["-o", "remount,size=4m", dir]);
  await until("it goes on", () => sizeOf(join(dir, "current")) === text.length);
  assert.equal(await closeInput(log), 0);
  for (const d of [dir, elsewhere]) assert.ok(read(d, "current") === text, d);
});

test("a processor that hangs: the log goes on; killed, it is tried again, and every file is processed", async (t) => {
  const top = tempDir(t);
  const processor = join(top, "processor");
  writeFileSync(processor, '#!/bin/sh\necho $$ >>"$T/begun"\n[ -e "$T/works" ] || exec sleep 1000\nexec cat\n');
  chmodSync(processor, 0o755);
  const dir = logDir(join(top, "log"), `s2000\nn0\n!${processor}\n`);
  const log = startLog(t, UPKEEP, [dir], { env: { ...process.env, T: top } });
  const begun = new Service(top);
  let text = "";
  for (let i = 0; i < 400; i++) text += `line ${i} of many, so that files fill up\n`;
  log.write(text);
  await until("all is written beside the hanging processor", () => all(dir).length >= text.length);
  assert.equal((await begun.has("begun")).length, 1);
  writeFileSync(join(top, "works"), "");
  process.kill(Number(begun.lines("begun")[0]), "SIGKILL");
  await until("all is processed", () => rotated(dir).every((name) => name.endsWith(".s")));
  assert.equal(await closeInput(log), 0);
  rmSync(processor);
  assert.ok(all(dir) === text);
  assert.ok(rotated(dir).length > 5);
  assert.equal(begun.lines("begun").length, rotated(dir).length + 1);
});
