import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { text } from "../base/bytes.ts";
import { JsonText } from "./json-text.ts";

function escaped(b: Uint8Array): string {
  const out = new Uint8Array(b.length * 6 + 6);
  const json = new JsonText();
  json.put(b, 0, b.length, out, 0);
  assert.equal(json.taken, b.length);
  return Buffer.from(out.subarray(0, json.end)).toString("utf8");
}

/** Python's surrogateescape, backwards. */
function back(s: string): Buffer {
  const parts: Buffer[] = [];
  for (const c of s) {
    const code = c.codePointAt(0) ?? 0;
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(c));
  }
  return Buffer.concat(parts);
}

test("escapes", () => {
  assert.equal(escaped(Buffer.from('a"b\\c\t\r\n\b\f\x01\x7f')), 'a\\"b\\\\c\\t\\r\\n\\b\\f\\u0001\x7f');
  assert.equal(escaped(Buffer.from("é€😀")), "é€😀");
  assert.equal(escaped(new Uint8Array([0xff, 0xc3])), "\\udcff\\udcc3");
  // Surrogates and overlong forms are no UTF-8.
  assert.equal(escaped(new Uint8Array([0xed, 0xa0, 0x80, 0xc0, 0x80])), "\\udced\\udca0\\udc80\\udcc0\\udc80");
});

test("any bytes are valid JSON and can be got back", () => {
  const random = new Random(11);
  for (let round = 0; round < 3000; round++) {
    const b = new Uint8Array(random.below(40));
    for (let i = 0; i < b.length; i++) b[i] = random.of([random.below(256), 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x41]);
    assert.equal(text(back(JSON.parse(`"${escaped(b)}"`))), text(b));
  }
});

test("stops where the room ends, and goes on", () => {
  const b = new Uint8Array([1, 2, 3, 4]);
  const out = new Uint8Array(13);
  const json = new JsonText();
  json.put(b, 0, 4, out, 0);
  assert.equal(json.taken, 2);
  assert.equal(json.end, 12);
});
