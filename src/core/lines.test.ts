/** Lines in pieces, and the pieces of them that are written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii, EMPTY, text } from "../base/bytes.ts";
import { LINE_MAX, LineAssembler, portion } from "./lines.ts";

test("only whole lines come out, whatever the pieces", () => {
  const input = "one\ntwo\n\nthree three\nrest";
  for (let size = 1; size <= input.length; size++) {
    for (const name of ["", "web: "]) {
      const lines = new LineAssembler(ascii(name));
      const out: string[] = [];
      for (let at = 0; at < input.length; at += size) out.push(text(lines.push(ascii(input.slice(at, at + size)))));
      assert.ok(out.every((s) => s === "" || s.endsWith("\n")));
      out.push(text(lines.end()), text(lines.end()));
      assert.equal(out.join(""), `${name}one\n${name}two\n${name}\n${name}three three\n${name}rest\n`);
    }
  }
});

test("an endless line goes on in pieces, under one name", () => {
  const lines = new LineAssembler(ascii("web: "));
  let out = "";
  for (let i = 0; i < 3; i++) out += text(lines.push(ascii("x".repeat(LINE_MAX / 2 + 1))));
  assert.equal(out.length, LINE_MAX + 2 + 5);
  out += text(lines.push(ascii("y\nz\n")));
  assert.equal(out.slice(5), `${"x".repeat(3 * (LINE_MAX / 2 + 1))}y\nweb: z\n`);
  lines.push(ascii("x".repeat(LINE_MAX + 1)));
  assert.equal(text(lines.end()), "\n");
  assert.equal(text(new LineAssembler(EMPTY).end()), "");
});

test("a portion is whole lines where they fit", () => {
  const b = ascii("aaa\nbbb\ncccccc\n");
  assert.deepEqual([portion(b, 0, 9), portion(b, 8, 4), portion(b, 12, 4), portion(b, 0, 99)], [8, 4, 3, 15]);
});
