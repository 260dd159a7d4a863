import assert from "node:assert/strict";
import { test } from "node:test";
import { packStatus, type Status, StatusBytes } from "../formats/status.ts";
import { changedSince, letterVerdict, limitMs, type Mark, verdict } from "./sv-wait.ts";

function bytes(s: Partial<Status>): StatusBytes {
  const all: Status = {
    since: { seconds: 1000, nanoseconds: 0 },
    pid: 0,
    paused: false,
    want: "up",
    gotTerm: false,
    state: "down",
    ...s,
  };
  const b = new StatusBytes();
  b.raw.set(packStatus(all));
  return b;
}

/** "down up", "run up", "run down", "run up paused", "run up TERM", "finish down"… */
function parse(words: string): StatusBytes {
  const [state, want, ...flags] = words.split(" ");
  return bytes({
    state: state === "run" ? "run" : state === "finish" ? "finish" : "down",
    pid: state === "down" ? 0 : 7,
    want: want === "up" ? "up" : "down",
    paused: flags.includes("paused"),
    gotTerm: flags.includes("TERM"),
  });
}

const STATUSES = ["down", "run", "finish"].flatMap((state) =>
  ["up", "down"].flatMap((want) => ["", " paused", " TERM", " paused TERM"].map((flags) => `${state} ${want}${flags}`)),
);

/** A row of the table in sv(8), as a predicate on the words; `c` asks the check script. */
const TABLE: Record<string, (words: string, changed: boolean) => "yes" | "no" | "check"> = {
  u: (s) => (s.startsWith("run") ? "check" : "no"),
  d: (s) => (s.startsWith("down") ? "yes" : "no"),
  x: () => "no",
  t: (s, changed) => {
    if (s.startsWith("down")) return s.startsWith("down down") ? "yes" : "no";
    return changed && !s.includes("TERM") ? "check" : "no";
  },
  o: (s, changed) => {
    if (s.startsWith("down")) return changed ? "yes" : "no";
    return / down/.test(s) ? "yes" : "no";
  },
  p: (s) => (s.startsWith("down") || s.includes("paused") ? "yes" : "no"),
  c: (s) => (s.startsWith("down") || !s.includes("paused") ? "yes" : "no"),
  C: (s) => {
    if (/^\w+ down/.test(s)) return s.startsWith("down") ? "yes" : "no";
    return s.startsWith("run") ? "check" : "no";
  },
};

test("every letter on every status", () => {
  for (const words of STATUSES) {
    for (const changed of [false, true]) {
      for (const letter of "udxtkopcChaiq12") {
        const rule = TABLE[letter === "k" ? "t" : letter];
        const want = rule ? rule(words, changed) : "yes";
        assert.equal(letterVerdict(letter, parse(words), changed), want, `${letter} on ${words}, changed ${changed}`);
      }
    }
  }
});

test("all letters have to come true, the check script last", () => {
  assert.equal(verdict("tcu", parse("run up"), true), "check");
  assert.equal(verdict("tcu", parse("run up"), false), "no");
  assert.equal(verdict("tcu", parse("run up paused"), true), "no");
  assert.equal(verdict("tcu", parse("finish up"), true), "no");
  assert.equal(verdict("tc", parse("down down"), false), "yes");
  assert.equal(verdict("h", parse("down up"), false), "yes");
});

test("a restart is one that came after the command, to the microsecond", () => {
  const at = (seconds: number, microseconds: number): StatusBytes =>
    bytes({ since: { seconds, nanoseconds: microseconds * 1000 }, pid: 7, state: "run" });
  const mark: Mark = { sentAt: 1000e6 + 500, labelBefore: 1000e6 + 100 };
  assert.equal(changedSince(at(1000, 100), mark, false), false, "the same second, before the command");
  assert.equal(changedSince(at(1000, 400), mark, false), false, "restarted by itself before the command was written");
  assert.equal(changedSince(at(1000, 501), mark, false), true);
  assert.equal(changedSince(at(1001, 0), mark, false), true);
});

test("a restart is seen when the clock was set", () => {
  const at = (seconds: number): StatusBytes => bytes({ since: { seconds, nanoseconds: 0 }, pid: 7, state: "run" });
  const mark: Mark = { sentAt: 1000e6, labelBefore: 900e6 };
  assert.equal(changedSince(at(900), mark, true), false, "set forwards, nothing happened");
  assert.equal(changedSince(at(500), mark, true), true, "set back, and restarted");
  // The service was started before the clock was set back, hence in the future.
  const future: Mark = { sentAt: 1000e6, labelBefore: 5000e6 };
  assert.equal(changedSince(at(5000), future, false), false, "nothing happened");
  assert.equal(changedSince(at(1001), future, false), true);
});

test("the limit is runit's: the first look, every 420 ms, that is beyond", () => {
  assert.equal(limitMs(0), 420);
  assert.equal(limitMs(1), 1260);
  assert.equal(limitMs(7), 7140);
  assert.equal(limitMs(21), 21420, "strictly beyond");
});
