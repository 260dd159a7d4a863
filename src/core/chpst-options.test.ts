/** Command lines of chpst's eight names: any words at all give an order or a message, never a fault. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../test/support/random.ts";
import { ascii, text } from "../base/bytes.ts";
import { parseChanges } from "./chpst-options.ts";
import { parseUserSpec } from "./user-spec.ts";

const NAMES = ["chpst", "envdir", "envuidgid", "pgrphack", "setlock", "setuidgid", "softlimit", "dchpst", "d", "", "/x/dsetlock"];
const WORDS = [
  ...[
    "-u",
    "-U",
    "-b",
    "-e",
    "-/",
    "-C",
    "-n",
    "-l",
    "-L",
    "-m",
    "-o77",
    "-t=",
    "-v",
    "-P012",
    "-V",
    "-",
    "--",
    "---",
    "-\xff",
    "-nN",
  ],
  ...[
    "--hard",
    "--nice",
    "--nice=5",
    "--cap-drop",
    "--cap-keep=all",
    "--cpus=0-3,9",
    "--cpus",
    "--limit=nofile=5",
    "--limit",
    "--umask",
  ],
  ...[
    "--pdeathsig=TERM",
    "--sched",
    "fifo:3",
    "--ionice=idle",
    "--oom-score",
    "--user-groups",
    "--no-new-privs=",
    "--=",
    "--new-session",
  ],
  ...["daemon", ":1:2", ":", "", "5", "-5", "18446744073709551616", "077", "net_raw,7", "\xff\xc3", "true", "all", "="],
];

test("chpst: words of every kind in every order", () => {
  let understood = 0;
  for (let seed = 1; seed <= 20_000; seed++) {
    const random = new Random(seed);
    const argv = [random.of(NAMES), ...Array.from({ length: random.below(8) }, () => random.of(WORDS))];
    const parsed = parseChanges(argv.map(ascii));
    if (parsed.kind === "run") {
      understood++;
      // The program's words are the last of the line, unchanged.
      const program = parsed.changes.program.map(text);
      assert.ok(program.length > 0);
      assert.deepEqual(program, argv.slice(-program.length));
    } else {
      assert.match(parsed.message, /^[^\n]+\n/, argv.join(" "));
      assert.ok(parsed.message.startsWith("chpst: fatal: ") || parsed.message.endsWith("\n\n"), parsed.message);
    }
  }
  assert.ok(understood > 1000, String(understood));
});

test("user specifications", () => {
  for (const [spec, expected] of [
    ["amy", { kind: "names", user: "amy", groups: [] }],
    ["amy:a:b", { kind: "names", user: "amy", groups: ["a", "b"] }],
    ["amy:", { kind: "names", user: "amy", groups: [""] }],
    ["", { kind: "names", user: "", groups: [] }],
    [":1:2:3", { kind: "numbers", uid: 1, gids: [2, 3] }],
    [":1", { kind: "invalid" }],
    [":1:", { kind: "invalid" }],
    ["::1", { kind: "invalid" }],
    [":1::2", { kind: "invalid" }],
    [":01:002", { kind: "numbers", uid: 1, gids: [2] }],
    [":4294967295:0", { kind: "invalid" }],
  ] as const) {
    const parsed = parseUserSpec(ascii(spec));
    const shown = parsed.kind === "names" ? { kind: "names", user: text(parsed.user), groups: parsed.groups.map(text) } : parsed;
    assert.deepEqual(shown, expected, spec);
  }
});
