import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { text } from "../base/bytes.ts";
import { isoTime, stampBytes } from "./timestamp.ts";

const T = { seconds: 1764113216, nanoseconds: 204317999 };

test("each kind", () => {
  assert.equal(text(stampBytes("none", T, 0)), "");
  assert.equal(text(stampBytes("tai64n", T, 0)), "@4000000069263b4a0c2da33c ");
  assert.equal(text(stampBytes("utc", T, 0)), "2025-11-25_23:26:56.20431 ");
  assert.equal(text(stampBytes("utcT", T, 0)), "2025-11-25T23:26:56.20431 ");
  assert.equal(text(stampBytes("isoUtc", T, 3600)), "2025-11-25T23:26:56.204317Z ");
  assert.equal(text(stampBytes("isoLocal", T, 3600)), "2025-11-26T00:26:56.204317+01:00 ");
  assert.equal(text(stampBytes("isoLocal", T, -12600)), "2025-11-25T19:56:56.204317-03:30 ");
});

test("dates as the calendar has them", () => {
  const random = new Random(3);
  for (let i = 0; i < 20_000; i++) {
    const seconds = i < 3000 ? i * 86400 + 951_000_000 : random.below(4_102_444_800);
    const expected = new Date(seconds * 1000).toISOString().replace(".000Z", ".000000Z");
    assert.equal(text(isoTime({ seconds, nanoseconds: 0 }, 0, true)), expected);
  }
});
