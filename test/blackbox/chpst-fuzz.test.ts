/**
 * The compiled program on files of random bytes: it answers as the rules say
 * (those of the parsers under Node, which have their own tests) or refuses,
 * and never traps. UPKEEP_FUZZ=N makes N rounds instead of a few.
 */
import "../support/memory.ts";
import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ascii } from "../../src/base/bytes.ts";
import { findGroup, groupsOf } from "../../src/formats/group.ts";
import { otherSources } from "../../src/formats/nsswitch.ts";
import { findUser } from "../../src/formats/passwd.ts";
import { chpst, environmentOf, smallRoot } from "../support/chpst.ts";
import { Garbage } from "../support/garbage.ts";
import { RUNIT, tempDir, UPKEEP } from "../support/lab.ts";
import { Random } from "../support/random.ts";

const NEEDS_ROOT = process.getuid?.() === 0 ? false : "needs root";
const ROUNDS = Number(process.env["UPKEEP_FUZZ"] ?? 60);

const LINES = [
  "amy:x:",
  "5:6:",
  "amy",
  "bob",
  ":x:",
  ":",
  "\n",
  "\namy:x:5:6\n",
  ",",
  "7",
  "4294967295",
  "#",
  " ",
  "\0",
  "\r",
  "+",
];
const SOURCES = ["passwd:", "group:", "files", "sss", "[", "]", "#", "\n", " ", "\t", "="];

/** What is to come out of these files. */
function expected(passwd: string, group: string, nsswitch: string, spec: string, all: boolean): string {
  const [name = "", ...names] = spec.split(":");
  const user = findUser(ascii(passwd), ascii(name));
  const gids = names.map((n) => findGroup(ascii(group), ascii(n)));
  if (user === null || gids.includes(null)) {
    const sources = otherSources(ascii(nsswitch));
    const hint =
      sources.length === 0 ? "" : ` (only /etc/passwd and /etc/group are read; nsswitch.conf has ${sources.join(", ")} too)`;
    return `chpst: fatal: unknown user/group: ${spec}${hint}\n`;
  }
  const own = gids.length === 0 ? [user.gid] : gids;
  const groups = all ? [...own, ...groupsOf(ascii(group), ascii(name)).filter((gid) => !own.includes(gid))] : own;
  return `${user.uid} ${own[0]} ${[...new Set(groups)].sort((a, b) => Number(a) - Number(b)).join(" ")}\n`;
}

/** uid, gid and all groups in the order of their numbers, as `expected` has them. */
function readBack(ids: string): string {
  const [uid = "", gid = "", groups = ""] = ids.split("\n");
  const numbers = [...new Set(groups.split(" "))].sort((a, b) => Number(a) - Number(b));
  return `${uid} ${gid} ${numbers.join(" ")}\n`;
}

test("chpst -u: random passwd, group and nsswitch.conf in the new root", { skip: NEEDS_ROOT }, async (t) => {
  const root = smallRoot(tempDir(t));
  let found = 0;
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const lines = new Garbage(seed, LINES);
    const [passwd, group] = [lines.text(40), lines.text(60)];
    const nsswitch = new Garbage(seed, SOURCES).text(30);
    writeFileSync(join(root, "etc/passwd"), ascii(passwd));
    writeFileSync(join(root, "etc/group"), ascii(group));
    writeFileSync(join(root, "etc/nsswitch.conf"), ascii(nsswitch));
    for (const [spec, all] of [
      ["amy", false],
      ["amy:bob", seed % 2 === 0],
      ["amy", true],
    ] as const) {
      const ids = ["/busybox", "sh", "-c", "/busybox id -u; /busybox id -g; /busybox id -G"];
      const args = ["-/", root, ...(all ? ["--user-groups"] : []), "-u", spec, ...ids];
      const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", args);
      const wanted = expected(passwd, group, nsswitch, spec, all);
      if (code === 111) assert.equal(stderr, wanted, `seed ${seed} ${spec}`);
      else {
        found++;
        assert.deepEqual([code, readBack(stdout)], [0, wanted], `seed ${seed} ${spec}`);
      }
    }
  }
  assert.ok(found > 10, String(found));
});

/** A name for a file: any bytes but a slash and NUL, not a dot in front. */
function fileName(random: Random): string {
  const bytes = Array.from({ length: 1 + random.below(6) }, () => 1 + random.below(255)).map((c) => (c === 47 ? 46 : c));
  const name = String.fromCharCode(...bytes);
  return name.startsWith(".") ? `_${name}` : name;
}

test("chpst -e: random files, as runit reads them", async (t) => {
  const dir = tempDir(t);
  for (let seed = 1; seed <= Math.max(4, ROUNDS / 10); seed++) {
    const random = new Random(seed);
    const content = new Garbage(seed, ["\n", "\0", " ", "\t", "\r", "=", "value", "\xff\xfe", "x".repeat(4090)]);
    const e = join(dir, String(seed));
    mkdirSync(e);
    for (let i = 0; i < 60; i++) writeFileSync(Buffer.from(`${e}/${fileName(random)}`, "latin1"), content.bytes(8));
    const env = { A: "a", PATH: "/bin" };
    const [ours, theirs] = [
      await environmentOf(UPKEEP, "chpst", ["-e", e], { env }),
      await environmentOf(RUNIT, "chpst", ["-e", e], { env }),
    ];
    assert.deepEqual(settings(ours), settings(theirs), `seed ${seed}`);
    rmSync(e, { recursive: true });
  }
});

/** Of several for one variable (files A and A=B), either program has the last one read, and directories have no order. */
function settings(environment: readonly string[]): string[] {
  return environment.filter((entry) => !/^[^=]*=.*=/s.test(entry) && !entry.startsWith("UPKEEP_TEST_ID=")).sort();
}

test("chpst: files in the place of passwd that are none", { skip: NEEDS_ROOT }, async (t) => {
  const root = smallRoot(tempDir(t));
  const ask = async (): Promise<string> => (await chpst(UPKEEP, "chpst", ["-/", root, "-u", "amy", "/busybox", "true"])).stderr;
  const passwd = join(root, "etc/passwd");
  mkdirSync(passwd);
  assert.equal(await ask(), "chpst: fatal: unable to get password/group file entry: is a directory\n");
  rmSync(passwd, { recursive: true });
  symlinkSync("passwd", passwd);
  assert.equal(await ask(), "chpst: fatal: unable to get password/group file entry: symbolic link loop\n");
  rmSync(passwd);
  // One line of 8 MB without end, then an entry: found.
  writeFileSync(passwd, `${"amy:x:".repeat(1_400_000)}\namy:x:5:6::/:\n`);
  assert.equal(await ask(), "");
  writeFileSync(passwd, "amy:x:5:6::/:\n");
  const missing = "chpst: fatal: unable to get password/group file entry: file does not exist\n";
  const grouped = await chpst(UPKEEP, "chpst", ["-/", root, "-u", "amy:amy", "/busybox", "true"]);
  assert.equal(grouped.stderr, missing);
  mkdirSync(join(root, "etc/nsswitch.conf"));
  const unknown = await chpst(UPKEEP, "chpst", ["-/", root, "-u", "bob", "/busybox", "true"]);
  assert.equal(unknown.stderr, "chpst: fatal: unknown user/group: bob\n");
});
