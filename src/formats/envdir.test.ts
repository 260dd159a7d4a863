/** An environment directory's files, and what becomes of an environment by them. */
import "../../test/support/memory.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Garbage } from "../../test/support/garbage.ts";
import { ascii, text } from "../base/bytes.ts";
import { EnvironmentChanges } from "../core/environment.ts";
import { envdirEntry } from "./envdir.ts";

const WORDS = ["\n", "\0", " ", "\t", "\r", "=", "value", "\xff\xfe"];

test("envdir: any content, read as the rules say", () => {
  for (let seed = 1; seed <= 3000; seed++) {
    const content = new Garbage(seed, WORDS).text(12);
    const line = content.split("\n")[0] ?? "";
    const value = line.replace(/[ \t]+$/, "").replaceAll("\0", "\n");
    const expected = content === "" ? "N" : `N=${value}`;
    assert.equal(text(envdirEntry(ascii("N"), ascii(content))), expected, JSON.stringify(content));
  }
});

/** The rules once more: later settings win, and stand at the end. */
function applied(environment: readonly string[], changes: readonly string[]): string[] {
  const last = new Map<string, string>();
  for (const change of changes) {
    const name = change.split("=")[0] ?? "";
    last.set(name, change);
  }
  const kept = environment.filter((entry) => !last.has(entry.split("=")[0] ?? ""));
  return [...kept, ...[...last.values()].filter((change) => change.includes("="))];
}

test("environment: any entries, any changes", () => {
  const names = ["A", "B", "AB", "", "A B", "\xff"];
  const words = [...names, "=", "=", "x"];
  for (let seed = 1; seed <= 3000; seed++) {
    const garbage = new Garbage(seed, words);
    const list = (): string[] => Array.from({ length: seed % 40 }, () => garbage.text(4).replaceAll("\0", ""));
    const [environment, changes] = [list(), list()];
    const made = new EnvironmentChanges();
    for (const change of changes) made.set(ascii(change));
    if (made.isEmpty) continue;
    const out = text(made.apply(ascii(environment.map((entry) => `${entry}\0`).join(""))));
    assert.deepEqual(out.split("\0").slice(0, -1), applied(environment, changes), `seed ${seed}`);
  }
});
