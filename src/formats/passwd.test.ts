/** passwd(5) and group(5): what is an entry, and that nothing in such a file can break the parser. */
import "../../test/support/memory.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Garbage } from "../../test/support/garbage.ts";
import { ascii, text } from "../base/bytes.ts";
import { findGroup, groupsOf } from "./group.ts";
import { findUser, parseId } from "./passwd.ts";

const SEEDS = Number(process.env["UPKEEP_FUZZ"] ?? 3000);

function user(file: string, name: string): string {
  const found = findUser(ascii(file), ascii(name));
  return found === null ? "none" : `${text(found.name)} ${found.uid} ${found.gid}`;
}

test("passwd: the first whole entry of the name", () => {
  for (const [file, expected] of [
    ["", "none"],
    ["amy", "none"],
    ["amy:", "none"],
    ["amy:x:1", "none"],
    ["amy:x:1:2", "amy 1 2"],
    ["amy:x:1:2:", "amy 1 2"],
    ["amy::1:2:c:h:s:more", "amy 1 2"],
    ["#amy:x:1:2\n \t amy:x:3:4\n", "amy 3 4"],
    ["amyx:x:1:2\nxamy:x:1:2\nam:x:1:2\n", "none"],
    ["amy:x:one:2\namy:x:3:4", "amy 3 4"],
    ["amy:x::2\namy:x:-1:2\namy:x:1:+2\namy:x:1: 2\namy:x: 1:2\n", "none"],
    ["amy:x:4294967294:0", "amy 4294967294 0"],
    ["amy:x:4294967295:0", "none"],
    ["amy:x:99999999999999999999:0\n", "none"],
    ["amy:x:1:2\r\n", "none"],
    ["amy:x:1\n:2:x\n", "none"],
    ["amy:x:1\0:2\n", "none"],
    ["+amy:x:1:2\n-amy:x:1:2\n+::::\n", "none"],
    ["\n\n\namy:x:00001:0002\n", "amy 1 2"],
    [`${":".repeat(10_000)}\namy:x:1:2`, "amy 1 2"],
  ] as const) {
    assert.equal(user(file, "amy"), expected, JSON.stringify(file.slice(0, 80)));
  }
});

test("passwd: names that no line can bear", () => {
  const file = "a:x:1:2\n:x:3:4\n+:x:5:6\n-b:x:7:8\n#c:x:9:10\n a:x:1:2\n";
  for (const name of ["", "+", "-b", "#c", " a", "\ta", "a:x", "a\n", "a\0", "x"]) assert.equal(user(file, name), "none", name);
});

/** The same rules once more, by splitting strings. */
function isNumber(s: string | undefined): boolean {
  return s !== undefined && /^[0-9]+$/.test(s) && BigInt(s) <= 4294967294n;
}
function fieldsOf(file: string): string[][] {
  return file.split("\n").map((line) => line.replace(/^[ \t]+/, "").split(":"));
}
function bearable(name: string): boolean {
  return name !== "" && !/^[+\-# \t]/.test(name) && !/[:\n\0]/.test(name);
}
function userByStrings(file: string, name: string): string {
  if (!bearable(name)) return "none";
  const f = fieldsOf(file).find((f) => f[0] === name && isNumber(f[2]) && isNumber(f[3]));
  return f === undefined ? "none" : `${name} ${Number(f[2])} ${Number(f[3])}`;
}
function groupByStrings(file: string, name: string): number | null {
  const f = bearable(name) ? fieldsOf(file).find((f) => f[0] === name && isNumber(f[2])) : undefined;
  return f === undefined ? null : Number(f[2]);
}
function membershipsByStrings(file: string, name: string): number[] {
  if (!bearable(name) || name.includes(",")) return [];
  const lines = fieldsOf(file).filter((f) => (f[3] ?? "").split(",").includes(name) && f[3] !== undefined);
  return [...new Set(lines.filter((f) => bearable(f[0] ?? "") && isNumber(f[2])).map((f) => Number(f[2])))];
}

const WORDS = [
  "\namy:x:",
  "\nbob:x:7:",
  "5:6:",
  "amy,bob",
  "amy",
  "bob",
  ":x:",
  ":",
  ":",
  "\n",
  "\n",
  ",",
  "0",
  "7",
  "42",
  "4294967294",
  "4294967295",
  "+",
  "-",
  "#",
  " ",
  "\t",
  "\r",
  "\0",
];

test("passwd, group: any bytes, read as the rules say", () => {
  let entries = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const garbage = new Garbage(seed, WORDS);
    const file = garbage.text(60);
    for (const name of ["amy", "bob", garbage.text(3)]) {
      const bytes = ascii(file);
      const found = userByStrings(file, name);
      if (found !== "none" || membershipsByStrings(file, name).length > 0) entries++;
      assert.equal(user(file, name), found, `seed ${seed}`);
      assert.equal(findGroup(bytes, ascii(name)), groupByStrings(file, name), `seed ${seed}`);
      assert.deepEqual(groupsOf(bytes, ascii(name)), membershipsByStrings(file, name), `seed ${seed}`);
    }
  }
  assert.ok(entries > SEEDS / 20, `only ${entries} entries met`);
});

test("parseId: digits alone, to 4294967294", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const word = new Garbage(seed, ["0", "1", "9", "42949672", "94", "95", "99999"]).text(4);
    assert.equal(parseId(ascii(word)), isNumber(word) ? Number(word) : null, JSON.stringify(word));
  }
});
