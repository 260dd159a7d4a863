import assert from "node:assert/strict";
import { test } from "node:test";
import { LOG_MARK_AT, LOG_PROGRESS_AT, LOG_PROGRESS_BYTES, packLogProgress, unpackLogProgress } from "./log-progress.ts";

const PLACE = { device: 64768, inode: 2 ** 40 + 7, size: 123_456_789_012 };

test("what is packed comes out again, until the last byte stands in the mark's place", () => {
  for (let last = 0; last < 256; last++) {
    const raw = packLogProgress(PLACE, last);
    assert.deepEqual(unpackLogProgress(raw), PLACE);
    raw[LOG_MARK_AT - LOG_PROGRESS_AT] = last;
    assert.equal(unpackLogProgress(raw), null, `${last} was taken`);
  }
});

test("no record: nothing to take back", () => {
  assert.equal(unpackLogProgress(new Uint8Array(0)), null);
  assert.equal(unpackLogProgress(new Uint8Array(LOG_PROGRESS_BYTES)), null);
  for (let n = 0; n < LOG_PROGRESS_BYTES; n++) assert.equal(unpackLogProgress(packLogProgress(PLACE, 10).subarray(0, n)), null);
});
