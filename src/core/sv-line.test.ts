import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteBuffer } from "../base/byte-buffer.ts";
import { ascii, text } from "../base/bytes.ts";
import { packStatus, type Status, StatusBytes } from "../formats/status.ts";
import { putStatusLine } from "./sv-line.ts";

function line(s: Partial<Status>, downFile: boolean, age: number, name = "web"): string {
  const all: Status = {
    since: { seconds: 0, nanoseconds: 0 },
    pid: 0,
    paused: false,
    want: "up",
    gotTerm: false,
    state: "down",
    ...s,
  };
  const status = new StatusBytes();
  status.raw.set(packStatus(all));
  const out = new ByteBuffer(1);
  putStatusLine(out, ascii(name), status, downFile, age);
  return text(out.bytes());
}

test("the lines of sv(8)", () => {
  assert.equal(line({ state: "run", pid: 14371 }, false, 12), "run: web: (pid 14371) 12s");
  assert.equal(line({}, false, 3), "down: web: 3s, normally up, want up");
  assert.equal(line({ want: "down" }, false, 2), "down: web: 2s, normally up");
  assert.equal(line({ want: "down" }, true, 2), "down: web: 2s");
  assert.equal(line({ state: "finish", pid: 30, want: "down" }, false, 9), "finish: web: (pid 30) 9s, want down");
  assert.equal(
    line({ state: "run", pid: 7, paused: true, want: "down", gotTerm: true }, true, 8),
    "run: web: (pid 7) 8s, normally down, paused, want down, got TERM",
  );
});

test("a state without a process, a process without a state", () => {
  // Between the end of run and the start of finish, and after runit's `k`.
  assert.equal(line({ state: "finish" }, false, 1), "finish: web: (pid 0) 1s, normally up, want up");
  assert.equal(line({ state: "down", pid: 9, paused: true }, true, 1), "down: web: 1s, normally down, paused");
});

test("numbers and names of every kind", () => {
  for (const age of [0, 9, 10, 99, 100, 999999999, 4294967296])
    assert.equal(line({ want: "down" }, true, age), `down: web: ${age}s`);
  assert.equal(line({ pid: 4294967295, state: "run" }, false, 0), "run: web: (pid 4294967295) 0s");
  assert.equal(line({ want: "down" }, true, 0, "\xff\x01 \xe4"), "down: \xff\x01 \xe4: 0s");
});
