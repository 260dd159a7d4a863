/**
 * One probe a function, chosen by argument: `behaviour.ts NAME`. Runs under
 * Node and compiled; test/subset/behaviour.test.ts pins what both print and
 * how they end. Where the two differ, tools/tidy.ts has a rule.
 */

/** A number the compiler cannot know. */
function unknown(n: number): number {
  return n + process.argv.length - 3;
}

function show(...parts: readonly string[]): void {
  console.log(parts.join(" "));
}

// ---- Indexes ----

function bytesReadPastEnd(): void {
  const b = new Uint8Array(2);
  const v = b[unknown(2)];
  show("read", v === undefined ? "undefined" : "a number");
}

function bytesComparedPastEnd(): void {
  const b = new Uint8Array(2);
  show(b[unknown(2)] === undefined ? "undefined" : "a number");
}

function bytesWritePastEnd(): void {
  const b = new Uint8Array(2);
  b[unknown(2)] = 1;
  show("written", `${b.length}`);
}

function numbersPastEnd(): void {
  const a = [1, 2];
  const v = a[unknown(2)]!;
  show("read", `${v}`);
}

function objectsPastEnd(): void {
  const a = [{ n: 1 }];
  const v = a[unknown(1)];
  show(v === undefined ? "undefined" : "an object");
}

function stringsPastEnd(): void {
  const a = ["a"];
  const v = a[unknown(1)];
  show(v === undefined ? "undefined" : "a string");
}

function bytesListPastEnd(): void {
  const a = [new Uint8Array(1)];
  const v = a[unknown(1)];
  show(v === undefined ? "undefined" : "bytes");
}

function objectsPastEndAsserted(): void {
  const a = [{ n: 1 }];
  const v = a[unknown(1)]!;
  show("read", v === undefined ? "undefined" : "an object");
}

function nullElementAsserted(): void {
  const a: ({ n: number } | null)[] = [null];
  const v = a[unknown(0)]!;
  show(v === null ? "null" : "an object");
}

function nullElement(): void {
  const a: ({ n: number } | null)[] = [null, { n: 1 }];
  const v = a[unknown(0)] ?? null;
  const w = a[unknown(1)] ?? null;
  show(v === null ? "null" : "an object", w === null ? "null" : "an object");
}

function nullElementPastEnd(): void {
  const a: ({ n: number } | null)[] = [null];
  const v = a[unknown(1)] ?? null;
  show(v === null ? "null" : "an object");
}

function recordMissingKey(): void {
  const r: Record<string, number> = { a: 1 };
  show(r["b"] === undefined ? "undefined" : "a number");
}

function setPastEnd(): void {
  const b = new Uint8Array(2);
  try {
    b.set(new Uint8Array(2), unknown(1));
    show("written");
  } catch (e) {
    show(e instanceof RangeError ? "RangeError" : "another error");
  }
}

function mapMissingAsserted(): void {
  const m = new Map<string, { n: number }>();
  try {
    show(`${m.get("a")!.n}`);
  } catch (e) {
    show(e instanceof TypeError ? "TypeError" : "another error");
  }
}

// ---- Copies ----

type Narrow = { n: number };
type Wide = { n: number; m: number };
class Counter {
  n = 0;
}
class Special extends Counter {
  m = 0;
}

function raise(r: Narrow): void {
  r.n = 5;
}
function raiseCounter(c: Counter): void {
  c.n = 5;
}
function raiseAny<T extends Narrow>(r: T): void {
  r.n = 5;
}
function raiseFirst(list: readonly Narrow[]): void {
  if (list.length > 0) list[0]!.n = 5;
}

function exactRecord(): void {
  const r: Narrow = { n: 1 };
  raise(r);
  show(`${r.n}`);
}
function widerRecord(): void {
  const w: Wide = { n: 1, m: 2 };
  raise(w);
  show(`${w.n}`);
}
function instanceAsRecord(): void {
  const c = new Counter();
  raise(c);
  show(`${c.n}`);
}
function instanceAsBase(): void {
  const s = new Special();
  raiseCounter(s);
  show(`${s.n}`);
}
function genericKeepsIdentity(): void {
  const w: Wide = { n: 1, m: 2 };
  const c = new Counter();
  raiseAny(w);
  raiseAny(c);
  show(`${w.n}`, `${c.n}`);
}
function widerArray(): void {
  const list: Wide[] = [{ n: 1, m: 2 }];
  raiseFirst(list);
  show(`${list[0]!.n}`);
}
function exactArray(): void {
  const list: Narrow[] = [{ n: 1 }];
  raiseFirst(list);
  show(`${list[0]!.n}`);
}
function subarrayShares(): void {
  const b = new Uint8Array(4);
  b.subarray(1, 3)[0] = 7;
  const c = b.slice(1, 3);
  c[0] = 9;
  show(`${b[1]!}`, `${c[0]!}`);
}
const DEFAULTS: { a: number } = { a: 1 };
function spreadOfPartial(): void {
  const partial: { a?: number } = {};
  if (unknown(0) === 1) partial.a = 3;
  try {
    const all: { a: number } = { ...DEFAULTS, ...partial };
    show(`${all.a}`);
  } catch (e) {
    show(e instanceof TypeError ? "TypeError" : "another error");
  }
}

// ---- The end of the process ----

function deep(n: number): number {
  return n === 0 ? 0 : 1 + deep(n + 1);
}
function stackOverflow(): void {
  show(`${deep(unknown(1))}`);
}
function uncaught(): void {
  throw new Error(`after ${unknown(1)}`);
}

// ---- What the program is built from ----

abstract class Kernel {
  abstract write(b: Uint8Array): number;
  twice(b: Uint8Array): number {
    return this.write(b) + this.write(b);
  }
}
class Real extends Kernel {
  readonly #written: number[] = [];
  override write(b: Uint8Array): number {
    this.#written.push(b.length);
    return b.length;
  }
  get total(): number {
    let sum = 0;
    for (let i = 0; i < this.#written.length; i++) sum += this.#written[i]!;
    return sum;
  }
}
function use(k: Kernel): number {
  return k.twice(new Uint8Array(3));
}
function abstractKernel(): void {
  const k = new Real();
  show(`${use(k)}`, `${k.total}`, k instanceof Kernel ? "Kernel" : "not a Kernel");
}

type Pid = number & { readonly __brand: "Pid" };
function brands(): void {
  const list: Pid[] = [7 as Pid];
  const p = list.length > 0 ? list[0]! : (0 as Pid);
  show(`${p + 1}`, p === (7 as Pid) ? "equal" : "different");
}

type Event =
  | { readonly kind: "exit"; readonly status: number }
  | { readonly kind: "due" }
  | { readonly kind: "line"; readonly b: Uint8Array };
function nameOf(e: Event): string {
  switch (e.kind) {
    case "exit":
      return `exit ${e.status}`;
    case "due":
      return "due";
    case "line":
      return `line ${e.b.length}`;
    default:
      e satisfies never;
      throw new Error("no such event");
  }
}
function unions(): void {
  const all: Event[] = [{ kind: "exit", status: 3 }, { kind: "due" }, { kind: "line", b: new Uint8Array(4) }];
  const names: string[] = [];
  for (const e of all) names.push(nameOf(e));
  show(names.join(", "));
}

class Link {
  readonly label: string;
  next: Link | null = null;
  constructor(label: string) {
    this.label = label;
  }
}
function references(): void {
  const a = new Link("a");
  const b = new Link("b");
  a.next = b;
  b.next = a;
  const again = a.next.next;
  show(again === a ? "same" : "another", again === null ? "" : again.label);
}

function closures(): void {
  let n = 0;
  const add: ((by: number) => void)[] = [
    (by) => {
      n += by;
    },
    (by) => {
      n += 10 * by;
    },
  ];
  for (const f of add) f(2);
  show(`${n}`);
}

function latin1(): void {
  const b = new Uint8Array(256);
  for (let i = 0; i < b.length; i++) b[i] = i;
  const s = Buffer.from(b).toString("latin1");
  let same = s.length === 256;
  for (let i = 0; i < s.length; i++) if (s.charCodeAt(i) !== i) same = false;
  show(same ? "lossless" : "lossy");
}

function numbers(): void {
  const high = unknown(0xfffffffe);
  show(`${high >>> 0}`, `${high | 0}`, `${(unknown(1) << 31) >>> 0}`, `${unknown(2 ** 53 - 1)}`, `${unknown(7) % 4}`);
}

function finallyRuns(): void {
  const log: string[] = [];
  const f = (): string => {
    try {
      throw new Error("x");
    } catch {
      return "caught";
    } finally {
      log.push("finally");
    }
  };
  log.push(f());
  show(log.join(" "));
}

function mapsWhileIterating(): void {
  const m = new Map<number, string>([
    [1, "a"],
    [2, "b"],
    [3, "c"],
  ]);
  const seen: string[] = [];
  for (const [key, value] of m) {
    seen.push(value);
    if (key === 1) m.delete(2);
    if (key === 3) m.set(4, "d");
  }
  show(seen.join(" "), `${m.size}`);
}

function longChain(): void {
  let head: Link | null = null;
  for (let i = 0; i < 100000; i++) {
    const n = new Link("");
    n.next = head;
    head = n;
  }
  head = null;
  show("freed");
}

type Probe = { readonly name: string; readonly run: () => void };

const PROBES: readonly Probe[] = [
  { name: "bytes read past the end", run: () => bytesReadPastEnd() },
  { name: "bytes compared past the end", run: () => bytesComparedPastEnd() },
  { name: "bytes written past the end", run: () => bytesWritePastEnd() },
  { name: "numbers past the end", run: () => numbersPastEnd() },
  { name: "objects past the end", run: () => objectsPastEnd() },
  { name: "strings past the end", run: () => stringsPastEnd() },
  { name: "byte strings past the end", run: () => bytesListPastEnd() },
  { name: "objects past the end, asserted", run: () => objectsPastEndAsserted() },
  { name: "null element, asserted", run: () => nullElementAsserted() },
  { name: "null element", run: () => nullElement() },
  { name: "null element past the end", run: () => nullElementPastEnd() },
  { name: "missing key of a record", run: () => recordMissingKey() },
  { name: "set past the end", run: () => setPastEnd() },
  { name: "missing key of a map, asserted", run: () => mapMissingAsserted() },
  { name: "exact record", run: () => exactRecord() },
  { name: "wider record", run: () => widerRecord() },
  { name: "instance as record", run: () => instanceAsRecord() },
  { name: "instance as base", run: () => instanceAsBase() },
  { name: "generic parameter", run: () => genericKeepsIdentity() },
  { name: "array of wider records", run: () => widerArray() },
  { name: "array of exact records", run: () => exactArray() },
  { name: "subarray and slice", run: () => subarrayShares() },
  { name: "spread of a partial", run: () => spreadOfPartial() },
  { name: "stack overflow", run: () => stackOverflow() },
  { name: "uncaught error", run: () => uncaught() },
  { name: "abstract kernel", run: () => abstractKernel() },
  { name: "brands", run: () => brands() },
  { name: "unions", run: () => unions() },
  { name: "references", run: () => references() },
  { name: "closures", run: () => closures() },
  { name: "latin-1", run: () => latin1() },
  { name: "numbers", run: () => numbers() },
  { name: "finally", run: () => finallyRuns() },
  { name: "maps while iterating", run: () => mapsWhileIterating() },
  { name: "long chain", run: () => longChain() },
];

const wanted = process.argv.length > 2 ? process.argv[2]! : "";
for (const { name, run } of PROBES) if (name === wanted) run();
