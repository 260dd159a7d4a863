import assert from "node:assert/strict";
import { test } from "node:test";
import { program } from "./tidy/source.ts";
import { examineText, LONGER_FILES } from "./tidy/text.ts";
import { examineSource } from "./tidy.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

type Case = { readonly rule: string; readonly path?: string; readonly bad: readonly string[]; readonly good: readonly string[] };

const LONG = "  f();\n".repeat(71);

/** Each rule: what it finds, and the forms it leaves alone. */
const CASES: readonly Case[] = [
  {
    rule: "index",
    bad: [
      "export function f(b: Uint8Array): number | undefined { return b[0]; }",
      "export function f(b: Uint8Array): boolean { return b[0] === undefined; }",
      "export function f(a: readonly string[], i: number): string { const s = a[i]; return s ?? ''; }",
      "export function f(b: Uint8Array, i: number): boolean { return b[i] === 10; }",
      "export function f(a: readonly string[], i: number): string { return a[i] ?? ''; }",
      "export function f(s: string): string | undefined { return s[0]; }",
    ],
    good: [
      "export function f(b: Uint8Array): number { return b.length > 0 ? b[0]! : -1; }",
      "export function f(b: Uint8Array): void { b[0] = 1; }",
      "export function f(r: Record<string, number>): number | undefined { return r['x']; }",
      "export function f(t: readonly [number, number]): number { return t[0]!; }",
      "export function f(s: string): string { return s.charAt(0); }",
      "export function f(a: ({ n: number } | null)[], i: number): boolean { return i < a.length && (a[i] ?? null) !== null; }",
    ],
  },
  {
    rule: "widening",
    bad: [
      "class C { n = 0; } type R = { n: number }; function g(r: R): void { r.n = 1; } export function f(c: C): void { g(c); }",
      "type W = { n: number; m: number }; type R = { n: number }; export function f(w: W): R { return w; }",
      "type W = { n: number; m: number }; type R = { n: number }; export function f(w: W): void { const r: R = w; r.n = 1; }",
      "class B { n = 0; } class D extends B { m = 0; } export function f(d: D[]): readonly B[] { return d; }",
      "class C { n = 0; } type R = { n: number }; type H = { r: R }; export function f(c: C): H { return { r: c }; }",
      "class C { n = 0; } type R = { n: number }; export function f(c: C): readonly R[] { return [c]; }",
      "class C { n = 0; } type R = { readonly n: number }; export function f(h: { r: R }, c: C): void { h.r = c; }",
    ],
    good: [
      "class B { n = 0; } class D extends B { m = 0; } function g(b: B): void { b.n = 1; } export function f(d: D): void { g(d); }",
      "type R = { n: number }; function g(r: R): void { r.n = 1; } export function f(r: R): void { g(r); g({ n: 1 }); }",
      "type R = { n: number }; function g<T extends R>(r: T): T { return r; } class C { n = 0; } export function f(c: C): C { return g(c); }",
      "type W = { readonly n: number; readonly m: number }; type R = { readonly n: number }; export function f(w: W): R { return w; }",
      "class C { n = 0; } export function f(c: C | null): C | null { const d: C | null = c; return d; }",
      "type E = { readonly kind: 'a'; n: number } | { readonly kind: 'b' }; export function f(e: E): E { return e.kind === 'a' ? e : { kind: 'b' }; }",
      "class B { n = 0; } export function f(b: B[]): readonly B[] { return b; }",
    ],
  },
  {
    rule: "iteration",
    bad: [
      "export function f(b: Uint8Array): number { let n = 0; for (const c of b) n += c; return n; }",
      "export function f(a: readonly Uint8Array[]): number { let n = 0; for (const b of a) n += b.length; return n; }",
      "export function f(a: readonly number[]): number[] { return a.map((n) => n + 1); }",
      "export function f(a: readonly Uint8Array[], g: (b: Uint8Array) => void): void { a.forEach((b) => g(b)); }",
    ],
    good: [
      "export function f(b: Uint8Array): number { let n = 0; for (let i = 0; i < b.length; i++) n += b[i]!; return n; }",
      "export function f(a: readonly string[]): number { let n = 0; for (const s of a) n += s.length; return n; }",
      "export function f(a: readonly { readonly n: number }[]): number[] { return a.map((r) => r.n); }",
    ],
  },
  {
    rule: "string",
    bad: [
      "export function f(b: Uint8Array): string { return new TextDecoder().decode(b); }",
      "export function f(b: Buffer): string { return b.toString('utf8'); }",
      "export function f(b: Uint8Array): string { return Buffer.from(b).toString(); }",
    ],
    good: [
      "export function f(b: Uint8Array): string { return Buffer.from(b).toString('latin1'); }",
      "export const s = (7).toString();",
    ],
  },
  {
    rule: "literal",
    bad: ["export const s = 'a → b';", "export const s = (n: number): string => `${n} é`;"],
    good: ["// a → b\nexport const s = 'ab';"],
  },
  {
    rule: "compound",
    bad: [
      "export function f(b: Uint8Array): void { b[0] |= 1; }",
      "export function f(a: number[]): void { a[0]!++; }",
      "class C { o = { n: 0 }; f(): void { this.o.n += 1; } } export const c = new C();",
      "class S { static n = 0; } export function f(): void { S.n++; }",
      "type O = { n?: number }; export function f(o: O): void { o.n ??= 1; }",
      "export function f(x: number): number { let y = x; return (y += 1) + 2; }",
      "export function f(): void { for (let i = 0, j = 9; i < j; i++) j--; }",
    ],
    good: [
      "export function f(a: number[]): void { if (a.length > 0) a[0] = a[0]! + 1; }",
      "class C { n = 0; b = new Uint8Array(9); f(): void { this.n++; this.n += 2; this.b[this.n++] = 1; } } export const c = new C();",
      "export function f(): number { let n = 0; for (let i = 0; i < 9; i += 2) n += i; return n; }",
      "type O = { n: number }; export function f(o: O): void { o.n += 1; }",
    ],
  },
  {
    rule: "spread",
    bad: ["type O = { a?: number }; export function f(o: O): { a: number } { return { a: 1, ...o }; }"],
    good: ["type O = { a: number }; export function f(o: O): O { return { ...o, a: 5 }; }"],
  },
  {
    rule: "runtime",
    bad: [
      "export const r = (s: string): boolean => /x/.test(s);",
      "export const r = new RegExp('x');",
      "export const now = (): number => Date.now();",
      "export const s = (): string => JSON.stringify({});",
      "export async function f(): Promise<void> {}",
      "export function* g(): Generator<number> { yield 1; }",
      "export const n = (): number => Math.random();",
      "export const e = (): string => process.argv.join();",
      "export function f(): void { console.log('x'); }",
      "export function f(g: () => void): void { setTimeout(g, 1); }",
    ],
    good: [
      "export const n = Math.max(1, 2);",
      "type Clock = { readonly process: number; readonly Date: number }; export const f = (c: Clock): number => c.process + c.Date;",
    ],
  },
  {
    rule: "foreign",
    bad: ["declare function kX(n: number): number;\nexport const f = (): number => kX(1);"],
    good: ["export declare const x: number;"],
  },
  {
    rule: "foreign",
    path: "src/kernel",
    bad: [
      "export declare function kX(n: number): number;",
      "declare function kX(n: number): number;\nexport const f = kX;",
      "declare function kX(n: number): number;\nexport function f(g: (n: number) => number): void { g(1); }\nf(kX);",
    ],
    good: ["declare function kX(n: number): number;\nexport function x(n: number): number { return kX(n); }"],
  },
  {
    rule: "maps",
    bad: [
      "export const m: Map<string, () => void> | null = null;",
      "export const m: Map<number, Uint8Array> | null = null;",
      "export const m = new Map<string, Map<string, number>>();",
      "class C {} export const s = new Set<C>();",
      "export const a: Map<string, number>[] = [];",
    ],
    good: [
      "export const m = new Map<string, { readonly run: () => void }>();",
      "export const s = new Set<number>(); export const t = new Set<'a' | 'b'>();",
      "class C {} export const m = new Map<number, C>();",
    ],
  },
  {
    rule: "contract",
    bad: ["type K = { f(): void }; export class C implements K { f(): void {} }"],
    good: ["abstract class K { abstract f(): void; } export class C extends K { override f(): void {} }"],
  },
  {
    rule: "layers",
    bad: [
      "import { say } from '../kernel/output.ts'; export const f = say;",
      "import { readFileSync } from 'node:fs'; export const f = readFileSync;",
      "export { run } from '../commands/run.ts';",
      "import { Kernel } from '../kernel/kernel.ts'; export type T = Kernel;",
    ],
    good: [
      "import type { Kernel } from '../kernel/kernel.ts'; import { ascii } from '../base/bytes.ts'; export const f = (k: Kernel): Uint8Array => (k ? ascii('') : ascii(''));",
    ],
  },
  { rule: "layers", path: "src/elsewhere", bad: ["import { ascii } from '../base/bytes.ts'; export const f = ascii;"], good: [] },
  {
    rule: "length",
    bad: [
      `declare const f: () => void;\nexport function g(): void {\n${LONG}}`,
      `declare const f: () => void;\nexport const g = (): void => {\n${LONG}};`,
    ],
    good: [
      `declare const f: () => void;\nexport function g(n: number): void {\n  switch (n) {\n    case 0:\n${LONG}      break;\n  }\n}`,
    ],
  },
];

test("every rule fires where it should and nowhere else", async (t) => {
  const texts = new Map<string, string>();
  const place = (c: Case, i: number, kind: string, j: number): string => `${c.path ?? "src/core"}/case-${i}-${kind}-${j}.ts`;
  for (const [i, c] of CASES.entries()) {
    for (const kind of ["bad", "good"] as const) {
      for (const [j, text] of c[kind].entries()) texts.set(place(c, i, kind, j), text);
    }
  }
  const findings = program(ROOT, [...texts.keys()], texts).flatMap(examineSource);
  for (const [i, c] of CASES.entries()) {
    for (const kind of ["bad", "good"] as const) {
      for (const [j, text] of c[kind].entries()) {
        await t.test(`${c.rule} ${kind === "bad" ? "finds" : "accepts"}: ${text.slice(0, 70)}`, () => {
          const found = findings.filter((f) => f.file === place(c, i, kind, j) && f.rule === c.rule);
          assert.equal(found.length > 0, kind === "bad", JSON.stringify(found));
        });
      }
    }
  }
});

test("a reason excuses a finding, a bare mark does not", () => {
  const text = "export const f = (b: Uint8Array): number | undefined => b[0];";
  const texts = new Map([
    ["src/core/a.ts", `// tidy: index, the caller checked\n${text}`],
    ["src/core/b.ts", `// tidy: index\n${text}`],
    ["src/core/c.ts", `// tidy: widening, another rule\n${text}`],
  ]);
  const found = program(ROOT, [...texts.keys()], texts).flatMap(examineSource);
  assert.deepEqual(
    found.map((f) => `${f.file}:${f.line}`),
    ["src/core/b.ts:2", "src/core/c.ts:2"],
  );
});

test("text: leftovers, machine paths, registries, sizes", () => {
  const rules = (path: string, text: string): string[] => examineText(path, text).map((f) => f.rule);
  const join = (...parts: string[]): string => parts.join("");
  assert.deepEqual(rules("a.md", join("TO", "DO: x\n")), ["leftover"]);
  assert.deepEqual(rules("a.ts", join("// FIX", "ME\n")), ["leftover"]);
  assert.deepEqual(rules("a.md", join("see /wo", "rk/x\n")), ["machine"]);
  assert.deepEqual(rules("a.md", join("see /ho", "me/someone\n")), ["machine"]);
  assert.deepEqual(rules("a.json", join('"resol', 'ved": "x"\n')), ["machine"]);
  assert.deepEqual(rules("a.json", join("https://registry.", "example.org\n")), ["machine"]);
  assert.deepEqual(rules("src/a.ts", "\n".repeat(401)), ["length"]);
  assert.deepEqual(rules("src/a.ts", "\n".repeat(400)), []);
  assert.deepEqual(rules("src/a.test.ts", "\n".repeat(600)), []);
  const [longer = "", lines = 0] = Object.entries(LONGER_FILES)[0] ?? ["", 0];
  if (longer !== "") {
    assert.deepEqual(rules(longer, "\n".repeat(lines)), []);
    assert.deepEqual(rules(longer, "\n".repeat(lines + 1)), ["length"]);
    assert.deepEqual(rules(longer, "\n".repeat(lines - 1)), ["length"]);
  }
  assert.deepEqual(rules("native/a.c", "\n".repeat(1001)), ["length"]);
  assert.deepEqual(rules("a.md", "a network/x, a worker, $HOME/x, todo list\n"), []);
});
