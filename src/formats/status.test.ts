import assert from "node:assert/strict";
import { test } from "node:test";
import { packStatus, STATUS_BYTES, type Status, StatusBytes, type StatusState, unpackStatus } from "./status.ts";

const STATES: readonly StatusState[] = ["down", "run", "finish"];

function every(): Status[] {
  const all: Status[] = [];
  for (const state of STATES)
    for (const want of ["up", "down"] as const)
      for (const paused of [false, true])
        for (const gotTerm of [false, true])
          for (const pid of [0, 1, 0x3823, 0x80000000, 0xffffffff])
            for (const seconds of [0, 1, 1795339082, 4294967286, 4294967296, 2 ** 40])
              all.push({ since: { seconds, nanoseconds: 133490500 }, pid, paused, want, gotTerm, state });
  return all;
}

test("a file written by runit", () => {
  const file = Uint8Array.from(Buffer.from("400000006b02b35607fe45b4" + "23380000" + "00750001", "hex"));
  const want: Status = {
    since: { seconds: 0x6b02b356 - 10, nanoseconds: 0x07fe45b4 },
    pid: 0x3823,
    paused: false,
    want: "up",
    gotTerm: false,
    state: "run",
  };
  assert.deepEqual(unpackStatus(file), want);
  assert.deepEqual(packStatus(want), file);
});

test("what is packed comes back", () => {
  for (const s of every()) {
    const b = packStatus(s);
    assert.equal(b.length, STATUS_BYTES);
    assert.deepEqual(unpackStatus(b), s);
    const view = new StatusBytes();
    view.raw.set(b);
    assert.deepEqual(
      [view.sinceSeconds, view.pid, view.paused, view.wantsUp, view.wantsDown, view.gotTerm, view.state],
      [s.since.seconds, s.pid, s.paused, s.want === "up", s.want === "down", s.gotTerm, STATES.indexOf(s.state)],
    );
    assert.equal(view.sinceMicroseconds, s.since.seconds * 1e6 + 133490);
  }
});

test("cut at every length", () => {
  const whole = packStatus({
    since: { seconds: 1795339082, nanoseconds: 500 },
    pid: 5,
    paused: true,
    want: "down",
    gotTerm: true,
    state: "finish",
  });
  for (let n = 0; n < STATUS_BYTES; n++) assert.equal(unpackStatus(whole.slice(0, n)), null, `${n} bytes`);
  assert.notEqual(unpackStatus(whole), null);
  assert.deepEqual(unpackStatus(Uint8Array.from([...whole, 1, 2, 3])), unpackStatus(whole), "more than 20 bytes");
});

test("any bytes are read without a complaint", () => {
  for (const fill of [0, 1, 0x40, 0x75, 0x7f, 0xff]) {
    const b = new Uint8Array(STATUS_BYTES).fill(fill);
    const view = new StatusBytes();
    view.raw.set(b);
    assert.ok(view.sinceSeconds >= 0);
    assert.equal(view.state, fill);
    assert.notEqual(unpackStatus(b), null);
  }
});
