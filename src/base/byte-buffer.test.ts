import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteBuffer } from "./byte-buffer.ts";
import { ascii, text } from "./bytes.ts";

test("grows, at every size and step", () => {
  for (let size = 0; size < 70; size++) {
    const b = new ByteBuffer(size);
    let want = "";
    for (let n = 0; n < 90; n++) {
      const piece = "x".repeat(n % 7) + String.fromCharCode(n);
      b.put(ascii(piece));
      b.putDecimal(n * 12345);
      b.putText(",");
      want += `${piece}${n * 12345},`;
      assert.equal(b.length, want.length);
    }
    assert.equal(text(b.bytes()), want);
    b.clear();
    assert.equal(b.length, 0);
    assert.equal(text(b.bytes()), "");
  }
});

test("decimal numbers", () => {
  for (const n of [0, 1, 9, 10, 11, 99, 100, 1e9, 2 ** 32, 2 ** 53 - 1, 1e15]) {
    const b = new ByteBuffer(1);
    b.putDecimal(n);
    assert.equal(text(b.bytes()), `${n}`);
  }
});
