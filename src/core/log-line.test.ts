import "../../test/support/memory.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { ascii, text } from "../base/bytes.ts";
import { Batch, LineCopies, LineCut, RecordStream, Replacement } from "./log-line.ts";
import { TO_LOG } from "./log-pattern.ts";
import { Selection } from "./log-selection.ts";

class Recorded extends LineCopies {
  errors = "";
  network = "";
  down = false;
  override toStderr(line: Uint8Array, cut: boolean, _first: boolean): void {
    this.errors += `${text(line)}${cut ? "..." : ""}\n`;
  }
  override toNetwork(line: Uint8Array, cut: boolean, _first: boolean): Uint8Array {
    if (this.down) return ascii(`down: ${text(line)}\n`);
    this.network += `${text(line)}${cut ? "..." : ""}\n`;
    return new Uint8Array(0);
  }
}

type Setting = {
  readonly lineMax?: number;
  readonly patterns?: readonly string[];
  readonly json?: boolean;
  readonly network?: boolean;
  readonly networkOnly?: boolean;
  readonly batch?: number;
  readonly replacement?: Replacement;
  readonly stopAt?: number;
};

function selectionOf(lines: readonly string[]): Selection {
  return new Selection(lines.map((l) => ({ letter: l.charCodeAt(0), pattern: ascii(l.slice(1)) })));
}

/** Input in, records out: what svlogd does with one directory. */
class Log {
  out = "";
  batches = 0;
  readonly copies: Recorded = new Recorded();
  readonly stream: RecordStream;
  readonly #cut: LineCut;
  readonly #setting: Setting;
  readonly #batch: Batch;
  #kept = Buffer.alloc(0);

  constructor(setting: Setting) {
    this.#setting = setting;
    const lineMax = setting.lineMax ?? 1000;
    this.#cut = new LineCut(lineMax);
    this.#batch = new Batch(setting.batch ?? 65536);
    const selection = selectionOf(setting.patterns ?? []);
    const { json = false, network = false, networkOnly = false } = setting;
    this.stream = new RecordStream({ lineMax, selection, json, network, networkOnly }, this.copies);
  }

  feed(piece: Uint8Array): void {
    const all = Buffer.concat([this.#kept, piece]);
    const inRest = this.#cut.inRest;
    const end = this.#cut.take(new Uint8Array(all));
    this.#kept = all.subarray(end);
    this.#block(new Uint8Array(all.subarray(0, end)), inRest);
  }

  end(): void {
    if (this.#kept.length > 0 || this.#cut.inRest) this.feed(ascii("\n"));
  }

  #block(block: Uint8Array, inRest: boolean): void {
    this.#setting.replacement?.apply(block, this.#cut.lineMax, inRest);
    this.stream.at = 0;
    while (!this.stream.finished(block)) {
      this.#batch.length = 0;
      this.stream.fill(block, ascii("@ "), ascii("@ "), this.#batch, this.#setting.stopAt ?? 1e9);
      this.batches++;
      this.out += text(this.#batch.room.subarray(0, this.#batch.length));
    }
  }
}

/** The result of an input cut into pieces of at most `most` bytes (0: whole). */
function log(setting: Setting, input: Uint8Array, most: number, random: Random): Log {
  const l = new Log(setting);
  for (let at = 0; at < input.length; ) {
    const n = most === 0 ? input.length : most === 1 ? 1 : 1 + random.below(most);
    l.feed(input.subarray(at, at + n));
    at += n;
  }
  l.end();
  return l;
}

function sameHoweverCut(what: string, setting: Setting, input: string | Uint8Array, expected: string): void {
  const bytes = typeof input === "string" ? ascii(input) : input;
  const random = new Random(7);
  for (const most of [0, 1, 2, 3, 10, 100, 5000]) {
    assert.equal(log(setting, bytes, most, random).out, expected, `${what}: pieces of ${most}`);
  }
}

test("lines: a stamp in front of each, an unterminated last one kept", () => {
  sameHoweverCut("lines", {}, "foo\n\nbar\nlast", "@ foo\n@ \n@ bar\n@ last\n");
  sameHoweverCut("nothing", {}, "", "");
  sameHoweverCut("newlines", {}, "\n\n\n", "@ \n@ \n@ \n");
});

test("lines: longer than len stay one line, whatever comes when", () => {
  const long = "x".repeat(5000);
  sameHoweverCut("long", { lineMax: 10 }, `${long}\na\n${long}`, `@ ${long}\n@ a\n@ ${long}\n`);
  sameHoweverCut("exactly len", { lineMax: 3 }, "abc\nabcd\nab", "@ abc\n@ abcd\n@ ab\n");
});

test("lines: a batch smaller than the records changes nothing", () => {
  const input = "a".repeat(3000) + "\n" + "b\n".repeat(300);
  sameHoweverCut("batch", { lineMax: 10, batch: 600 }, input, `@ ${"a".repeat(3000)}\n${"@ b\n".repeat(300)}`);
});

test("replacement: the first len bytes of a line, and only those", () => {
  const replacement = new Replacement(95, ascii("fb"));
  const input = "foo\tb\x80r\n~\x7f \n" + "f".repeat(12) + "\nf\n";
  sameHoweverCut("replace", { lineMax: 10, replacement }, input, `@ _oo___r\n@ ~_ \n@ ${"_".repeat(10)}ff\n@ _\n`);
});

test("selection: by the first len bytes; the rest follows them", () => {
  const setting = { lineMax: 5, patterns: ["-*", "+foo*", "e*x"] };
  sameHoweverCut("select", setting, "foo\nbar\nfoooooooooo\nbarrrrrrrrr\nfoo\n", "@ foo\n@ foooooooooo\n@ foo\n");
  const l = log({ lineMax: 5, patterns: ["e*x", "-*"] }, ascii("aax\naaaaxaa\naaaaaaax\nb\n"), 3, new Random(1));
  assert.equal(l.copies.errors, "aax\naaaax...\n");
  assert.equal(l.out, "");
});

test("network: what fails to go is in the file", () => {
  const l = new Log({ network: true, networkOnly: true, lineMax: 4 });
  l.feed(ascii("foo\nlonger\n"));
  l.copies.down = true;
  l.feed(ascii("bar\n"));
  assert.equal(l.copies.network, "foo\nlong...\n");
  assert.equal(l.out, "down: bar\n");
});

test("json: one object a line, however cut", () => {
  sameHoweverCut("json", { json: true }, 'a "b"\\\n\x01\n', '@ a \\"b\\"\\\\"}\n@ \\u0001"}\n');
  sameHoweverCut(
    "json, small batch",
    { json: true, batch: 520 },
    "\x02".repeat(900) + "\nx\n",
    `@ ${"\\u0002".repeat(900)}"}\n@ x"}\n`,
  );
});

test("a batch ends with the record that reaches the limit", () => {
  const l = new Log({ stopAt: 8 });
  l.feed(ascii("aa\nbb\ncc\ndd\nee\n"));
  assert.equal(l.batches, 3);
  assert.equal(l.out, "@ aa\n@ bb\n@ cc\n@ dd\n@ ee\n");
});

test("at a limit that is reached already a batch is one record", () => {
  for (const patterns of [[], ["+a*"]]) {
    const l = new Log({ stopAt: 0, patterns });
    l.feed(ascii("aa\nbb\ncc\n"));
    assert.equal(l.batches, 3);
    assert.equal(l.out, "@ aa\n@ bb\n@ cc\n");
  }
});

test("lines: random bytes come out as a line-by-line reference has them", () => {
  const random = new Random(42);
  for (let round = 0; round < 60; round++) {
    const bytes = new Uint8Array(random.below(4000));
    const newlines = random.of([3, 30, 1000]);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(newlines) === 0 ? 10 : random.below(256);
    const lineMax = random.of([1, 5, 40, 1000]);
    const lines = text(bytes).split("\n");
    if (lines[lines.length - 1] === "") lines.pop();
    const patterns = random.of([[], ["-*a*"], ["-*", "+*\xf0*", "+*b*\t*"]]);
    const reference = selectionOf(patterns);
    const selected = lines.filter((l) => reference.decideOneByOne(ascii(l.slice(0, lineMax))) === TO_LOG);
    const batch = random.of([600, 5000]);
    sameHoweverCut(`round ${round}`, { lineMax, batch, patterns }, bytes, selected.map((l) => `@ ${l}\n`).join(""));
  }
});
