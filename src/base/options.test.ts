import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii, text } from "./bytes.ts";
import { OptionReader } from "./options.ts";

/** What `next` says, in short, and the words that are left: `-v -w=3 | status web`. */
function read(accepted: string, words: readonly string[]): string {
  const argv = ["sv", ...words].map(ascii);
  const reader = new OptionReader(argv, ascii(accepted));
  const seen: string[] = [];
  for (;;) {
    const step = reader.next();
    if (step.kind === "end") break;
    if (step.kind === "option") {
      const { letter, value } = step.option;
      seen.push(value === null ? `-${letter}` : `-${letter}=${text(value)}`);
      continue;
    }
    seen.push(`${step.kind} ${step.letter}`);
    break;
  }
  return [...seen, "|", ...argv.slice(reader.at).map(text)].join(" ");
}

const ROWS: readonly (readonly [string, readonly string[], string])[] = [
  ["w:vV", [], "|"],
  ["w:vV", ["status", "web"], "| status web"],
  ["w:vV", ["-v", "status"], "-v | status"],
  ["w:vV", ["-vv", "status"], "-v -v | status"],
  ["w:vV", ["-w", "3", "up"], "-w=3 | up"],
  ["w:vV", ["-w3", "up"], "-w=3 | up"],
  ["w:vV", ["-vw3", "up"], "-v -w=3 | up"],
  ["w:vV", ["-vw", "3", "up"], "-v -w=3 | up"],
  ["w:vV", ["-w", "-v", "up"], "-w=-v | up"],
  ["w:vV", ["-w", "", "up"], "-w= | up"],
  ["w:vV", ["-w", "--", "up"], "-w=-- | up"],
  ["w:vV", ["up", "-v"], "| up -v"],
  ["w:vV", ["-v", "--", "-v"], "-v | -v"],
  ["w:vV", ["--", "--"], "| --"],
  ["w:vV", ["-", "-v"], "| - -v"],
  ["w:vV", ["", "-v"], "|  -v"],
  ["w:vV", ["-v-", "up"], "-v unknown - | up"],
];

test("options as runit reads them", () => {
  for (const [accepted, words, want] of ROWS) assert.equal(read(accepted, words), want, words.join(" "));
});

test("a word that starts with two dashes ends options and is consumed", () => {
  assert.equal(read("w:vV", ["--foo", "-v"]), "| -v");
  assert.equal(read("w:vV", ["-v", "--v", "status"]), "-v | status");
});

test("wrong options are told apart", () => {
  assert.match(read("w:vV", ["-x"]), /^unknown x/);
  assert.match(read("w:vV", ["-vx"]), /^-v unknown x/);
  assert.match(read("w:vV", ["-:"]), /^unknown :/);
  assert.match(read("w:vV", ["-w"]), /^missing w/);
  assert.match(read("w:vV", ["-vw"]), /^-v missing w/);
  assert.match(read("", ["-a"]), /^unknown a/);
  // A letter is a byte, whatever the encoding.
  assert.match(read("w:vV", ["-\xff"]), /^unknown \xff/);
});
