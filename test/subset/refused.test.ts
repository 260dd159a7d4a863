/**
 * What the compiler refuses although tsc and Node accept it. A line a gap;
 * `$` makes names unique. When an upgrade of the compiler fills a gap, this
 * test says so, and a rule of tools/tidy.ts may go.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT, tempDir } from "../support/lab.ts";

const REFUSED: readonly string[] = [
  "type I$ = { now(): number }; class C$ { now(): number { return 1; } } function u$(i: I$): number { return i.now(); } function f$(): void { u$(new C$()); }",
  "interface I$ { now(): number } class C$ implements I$ { now(): number { return 1; } } function u$(i: I$): number { return i.now(); } function f$(): void { u$(new C$()); }",
  "function f$(): void { for (let i = 0, j = 9; i < j; i++) j--; }",
  "function f$(): void { const m = new Map<string, () => void>(); m.clear(); }",
  "function f$(): void { const m = new Map<string, Uint8Array>(); m.clear(); }",
  "function f$(): void { const m = new Map<string, Map<string, number>>(); m.clear(); }",
  "function f$(): void { const m: Map<string, number>[] = []; m.push(new Map()); }",
  "class C$ {} function f$(): void { const s = new Set<C$>(); s.clear(); }",
  "class C$ {} function f$(): void { const m = new Map<C$, number>(); m.clear(); }",
  "function f$(): void { const b = new Uint8Array(1); b[0]! |= 1; }",
  "function f$(): void { const a = [1]; a[0]!++; }",
  "class S$ { static n = 0; } function f$(): void { S$.n++; }",
  "class O$ { o = { n: 0 }; f(): void { this.o.n += 1; } } function f$(): void { new O$().f(); }",
  "function f$(): void { const o: { n?: number } = {}; o.n ??= 1; }",
  "function f$(): void { let x = 1; const y = (x += 1) + 2; console.log(`${y}`); }",
  'function f$(): void { console.log("aba".replaceAll("a", "b")); }',
  "function f$(): void { console.log((255).toString(16)); }",
  'function f$(): void { const m = new Map<string, number>(); m.set("a", 1).set("b", 2); }',
  "function u$(b: Uint8Array & { readonly __brand: 1 }): number { return b.length; } function f$(): void { u$(new Uint8Array(1) as Uint8Array & { readonly __brand: 1 }); }",
  'function u$(): never { throw new Error("x"); } function f$(): void { const g = (): number => u$(); g(); }',
  'function f$(): void { const s = process.argv.length > 9 ? "a" : "b"; switch (s) { case "a": case "b": break; default: { const n: never = s; console.log(n); } } }',
  "function f$(): void { new Uint8Array(3).fill(1); }",
  "function f$(): void { const a: Uint8Array[] = []; const o = new Uint8Array(9); for (const b of a) o.set(b, 0); }",
  "function f$(): void { new Uint8Array(3).set([1]); }",
];

function source(lines: ReadonlyMap<number, string>): string {
  const all = REFUSED.map((_, i) => lines.get(i) ?? "");
  const calls = [...lines.keys()].map((i) => `f${i}();`);
  return [...all, ...calls].join("\n");
}

test("refused by the compiler", async (t) => {
  const dir = tempDir(t);
  const file = join(dir, "refused.ts");
  const left = new Map(REFUSED.map((line, i) => [i, line.replaceAll("$", String(i))]));
  const messages = new Map<number, string>();
  // Errors of one phase hide those of later ones: what is refused leaves, and the rest is tried again.
  for (let before = -1; before !== left.size && left.size > 0; ) {
    before = left.size;
    writeFileSync(file, source(left));
    const args = [
      join(ROOT, "node_modules/.bin/scriptc"),
      "build",
      file,
      "--emit=llvm",
      "--backend",
      "llvm",
      "-o",
      join(dir, "refused.ll"),
    ];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: ROOT });
    for (const [, line = "", message = ""] of (stdout + stderr).matchAll(/refused\.ts:(\d+):\d+ - error (.*)/g)) {
      const i = Number(line) - 1;
      if (left.delete(i)) messages.set(i, message);
    }
  }
  for (const [i, line] of REFUSED.entries()) {
    await t.test(line, () => {
      assert.ok(messages.has(i), "compiles now");
      assert.match(messages.get(i) ?? "", /^SC\d{4}/);
    });
  }
});
