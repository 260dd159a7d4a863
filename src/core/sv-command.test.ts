import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii } from "../base/bytes.ts";
import { svCommand } from "./sv-command.ts";

/** acts, then `w` for one that always waits and `k` for one that kills; null is shown as "usage". */
function show(word: string, verbose = false, initd = false): string {
  const c = svCommand(ascii(word), verbose, initd);
  return c === null ? "usage" : `${c.acts}${c.wait ? " w" : ""}${c.kill ? " k" : ""}`;
}

test("every letter", () => {
  const want: Record<string, string> = { s: "", D: "d w k", E: "x w k", X: "x w k", T: "tc w k", e: "x" };
  for (const c of "udopchaiqktx12") want[c] = c;
  for (let i = 0; i < 256; i++) {
    const c = String.fromCharCode(i);
    assert.equal(show(c), want[c] ?? "usage", `letter ${i}`);
  }
  assert.equal(show(""), "usage");
});

const WORDS: Record<string, string> = {
  start: "u w",
  stop: "d w",
  shutdown: "x w",
  restart: "tcu w",
  reload: "h w",
  check: "C w",
  "try-restart": "tc w",
  "force-stop": "d w k",
  "force-shutdown": "x w k",
  "force-reload": "tc w k",
  "force-restart": "tcu w k",
};

test("every full word, and none but the full word", () => {
  for (const [word, want] of Object.entries(WORDS)) {
    assert.equal(show(word), want, word);
    assert.equal(show(word, true), want, `-v ${word}`);
    assert.equal(show(word, false, true), want, `init.d ${word}`);
    assert.notEqual(show(`${word}x`), want, `${word}x`);
    assert.notEqual(show(word.slice(0, -1)), want, word.slice(0, -1));
  }
});

test("a word counts by its first letter", () => {
  const rows: Record<string, string> = {
    upgrade: "u",
    up: "u",
    down: "d",
    once: "o",
    pause: "p",
    cont: "c",
    checks: "c",
    hup: "h",
    alarm: "a",
    interrupt: "i",
    quit: "q",
    kill: "k",
    term: "t",
    "try-restarts": "t",
    "10": "1",
    "2": "2",
    exit: "x",
    x: "x",
    Down: "d w k",
    Exit: "x w k",
    Term: "tc w k",
    status: "",
    sfoo: "",
    starts: "",
    restarts: "usage",
    force: "usage",
    "force-exit": "usage",
    zap: "usage",
  };
  for (const [word, want] of Object.entries(rows)) assert.equal(show(word), want, word);
});

test("-v waits for plain commands, never for a report", () => {
  assert.equal(show("up", true), "u w");
  assert.equal(show("exit", true), "x w");
  assert.equal(show("status", true), "");
});

test("init.d mode wants words with s in full", () => {
  assert.equal(show("status", false, true), "");
  for (const word of ["s", "sfoo", "stat", "statuss"]) assert.equal(show(word, false, true), "usage", word);
  assert.equal(show("up", false, true), "u");
});
