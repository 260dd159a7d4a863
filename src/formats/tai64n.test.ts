import assert from "node:assert/strict";
import { test } from "node:test";
import { text } from "../base/bytes.ts";
import { LABEL_BYTES, packTai64n, putLabel, TAI64N_BYTES, unpackTai64n } from "./tai64n.ts";

function hex(seconds: number, nanoseconds: number): string {
  const b = new Uint8Array(TAI64N_BYTES);
  packTai64n(b, 0, { seconds, nanoseconds });
  return Buffer.from(b).toString("hex");
}

test("labels, with BigInt as the oracle", () => {
  for (const seconds of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 11, 2 ** 32 - 10, 2 ** 32, 2 ** 45]) {
    for (const nanoseconds of [0, 1, 999, 1000, 123456789, 999999999]) {
      const high = (2n ** 62n + 10n + BigInt(seconds)).toString(16).padStart(16, "0");
      const low = (Math.floor(nanoseconds / 1000) * 1000 + 500).toString(16).padStart(8, "0");
      assert.equal(hex(seconds, nanoseconds), high + low);
      const b = Uint8Array.from(Buffer.from(high + low, "hex"));
      assert.deepEqual(unpackTai64n(b, 0), { seconds, nanoseconds: Math.floor(nanoseconds / 1000) * 1000 + 500 });
    }
  }
});

test("before 1970, and bytes that end early", () => {
  const b = new Uint8Array(TAI64N_BYTES);
  assert.equal(unpackTai64n(b, 0).seconds, 0);
  packTai64n(b, 0, { seconds: 1795339082, nanoseconds: 0 });
  for (let n = 0; n < TAI64N_BYTES; n++) unpackTai64n(b.slice(0, n), 0);
  assert.equal(unpackTai64n(b.slice(0, 3), 0).seconds, 0);
});

test("the text form is @ and 24 digits, where it fits", () => {
  const b = new Uint8Array(LABEL_BYTES + 2);
  putLabel(b, 1, { seconds: 1795339082, nanoseconds: 133490000 });
  assert.equal(text(b.slice(1, LABEL_BYTES + 1)), "@400000006b02b35407f4e744");
  assert.equal(text(b.slice(1, LABEL_BYTES + 1)), `@${hex(1795339082, 133490000)}`);
  assert.deepEqual([b[0], b[LABEL_BYTES + 1]], [0, 0]);
  const small = new Uint8Array(LABEL_BYTES);
  putLabel(small, 1, { seconds: 1, nanoseconds: 1 });
  assert.ok(small.every((v) => v === 0));
});
