/** Resource limits: chpst's and softlimit's options, read back from /proc/self/limits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chpst, inspect, inspectPlain, plain } from "../support/chpst.ts";
import { both, UPKEEP } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;
const NEEDS_ROOT = ROOT_USER ? false : "needs root";

/** Options of both programs and the limits they set; the value is far enough from what `cat` needs. */
const MB64 = 64 << 20;
const CHPST: readonly (readonly [string, number, readonly string[]])[] = [
  ["-m", MB64, ["Max data size", "Max stack size", "Max locked memory", "Max address space"]],
  ["-d", MB64, ["Max data size"]],
  ["-o", 77, ["Max open files"]],
  ["-p", 5000, ["Max processes"]],
  ["-f", 123456, ["Max file size"]],
  ["-c", 0, ["Max core file size"]],
  ["-c", 4096, ["Max core file size"]],
  ["-r", MB64, ["Max resident set"]],
  ["-t", 77, ["Max cpu time"]],
];
const SOFTLIMIT: typeof CHPST = [
  ...CHPST,
  ["-a", MB64, ["Max address space"]],
  ["-l", 65536, ["Max locked memory"]],
  ["-s", 1 << 20, ["Max stack size"]],
];

/** A limit above the hard one is the hard one. */
function lower(value: number, hard: string): string {
  return hard !== "unlimited" && Number(hard) < value ? hard : String(value);
}

const ALL = [
  "Max cpu time",
  "Max file size",
  "Max data size",
  "Max stack size",
  "Max core file size",
  "Max resident set",
  "Max processes",
  "Max open files",
  "Max locked memory",
  "Max address space",
  "Max file locks",
  "Max pending signals",
  "Max msgqueue size",
  "Max nice priority",
  "Max realtime priority",
  "Max realtime timeout",
];

for (const [form, table] of [
  ["chpst", CHPST],
  ["softlimit", SOFTLIMIT],
] as const) {
  both(`${form}: each limit, the soft one and no other`, async (tools) => {
    const before = await inspectPlain();
    for (const [option, value, names] of table) {
      const report = await inspect(tools, form, [option, String(value)]);
      assert.deepEqual([report.result.code, report.result.stderr], [0, ""], option);
      for (const name of ALL) {
        const [soft, hard] = before.limit(name);
        assert.deepEqual(report.limit(name), [names.includes(name) ? lower(value, hard) : soft, hard], `${option}: ${name}`);
      }
    }
  });
}

both("chpst: a limit above the hard one is the hard one", async (tools) => {
  const [, hard] = (await inspectPlain()).limit("Max open files");
  for (const value of [String(Number(hard) + 1), "9007199254740993", "18446744073709551615"]) {
    assert.deepEqual((await inspect(tools, "chpst", ["-o", value])).limit("Max open files"), [hard, hard], value);
  }
  assert.deepEqual((await inspect(tools, "softlimit", ["-o", "5", "-o", "="])).limit("Max open files"), [hard, hard]);
  assert.deepEqual((await inspect(tools, "chpst", ["-f", "18446744073709551615"])).limit("Max file size"), [
    "unlimited",
    "unlimited",
  ]);
});

both("chpst: numbers to the last byte", async (tools) => {
  for (const value of ["4294967295", "4294967296", "9007199254740993", "9223372036854775806", "00000000000000000000000000077"]) {
    const [soft] = (await inspect(tools, "chpst", ["-f", value])).limit("Max file size");
    assert.equal(soft, BigInt(value).toString(), value);
  }
});

both("chpst: an empty number is 0", async (tools) => {
  assert.equal((await inspect(tools, "chpst", ["-c", ""])).limit("Max core file size")[0], "0");
});

both("chpst: several limits, the last of one kind counts", async (tools) => {
  const report = await inspect(tools, "chpst", ["-o", "50", "-m", String(MB64), "-d", "50000000", "-o60"]);
  assert.deepEqual(
    ["Max open files", "Max data size", "Max address space"].map((name) => report.limit(name)[0]),
    ["60", "50000000", String(MB64)],
  );
});

both("chpst: no number", async (tools) => {
  for (const value of ["x", "1x", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.5", "\t"]) {
    const { code, stdout, stderr } = await chpst(tools, "chpst", ["-o", value, "echo", "started"]);
    assert.deepEqual([code, stdout, plain(stderr)], [100, "", "usage: chpst\n\n"], JSON.stringify(value));
  }
});

// compat: doc/differences.md, chpst-number-overflow
test("chpst: a number that does not fit 64 bits is said so", async () => {
  for (const [form, args, word] of [
    ["chpst", ["-o", "18446744073709551616"], "18446744073709551616"],
    ["chpst", ["-n", "99999999999999999999"], "99999999999999999999"],
    ["chpst", ["-f", "9".repeat(400)], "9".repeat(400)],
    ["softlimit", ["-s", "18446744073709551617"], "18446744073709551617"],
  ] as const) {
    const { code, stdout, stderr } = await chpst(UPKEEP, form, [...args, "echo", "started"]);
    assert.deepEqual([code, stdout, stderr], [100, "", `chpst: fatal: number too large: ${word}\n`]);
  }
});

// compat: doc/differences.md, chpst-number-overflow
test("chpst: from 2^63 on it is a number like any other", async () => {
  for (const value of ["9223372036854775808", "18446744073709551614"]) {
    assert.equal((await inspect(UPKEEP, "chpst", ["-f", value])).limit("Max file size")[0], value);
  }
});

test("softlimit --limit: every limit of the kernel by name", async () => {
  const names = [
    ["cpu", "Max cpu time"],
    ["fsize", "Max file size"],
    ["data", "Max data size"],
    ["stack", "Max stack size"],
    ["core", "Max core file size"],
    ["rss", "Max resident set"],
    ["nproc", "Max processes"],
    ["nofile", "Max open files"],
    ["memlock", "Max locked memory"],
    ["as", "Max address space"],
    ["locks", "Max file locks"],
    ["sigpending", "Max pending signals"],
    ["msgqueue", "Max msgqueue size"],
    ["nice", "Max nice priority"],
    ["rtprio", "Max realtime priority"],
    ["rttime", "Max realtime timeout"],
  ] as const;
  assert.deepEqual(names.map(([, name]) => name).sort(), [...ALL].sort());
  const before = await inspectPlain();
  for (const [short, name] of names) {
    const [, hard] = before.limit(name);
    const value = hard === "0" ? "0" : short === "data" || short === "as" || short === "stack" ? String(MB64) : "1234";
    for (const form of ["chpst", "softlimit"]) {
      const report = await inspect(UPKEEP, form, ["--limit", `${short}=${value}`]);
      assert.deepEqual([report.result.stderr, report.limit(name)], ["", [value, hard]], short);
    }
    for (const word of ["hard", "=", "unlimited"]) {
      const report = await inspect(UPKEEP, "softlimit", [`--limit=${short}=${word}`]);
      assert.deepEqual(report.limit(name), [hard, hard], `${short}=${word}`);
    }
  }
});

test("--limit: bad values", async () => {
  for (const value of ["", "x", "nofile", "nofile=", "nofile=x", "nofile=-1", "NOFILE=1", "nofile=18446744073709551616", "=5"]) {
    const { code, stdout, stderr } = await chpst(UPKEEP, "softlimit", [`--limit=${value}`, "echo", "started"]);
    assert.deepEqual([code, stdout, stderr], [100, "", `chpst: fatal: invalid value for --limit: ${value}\n`]);
  }
});

test("--hard: the hard limits too", { skip: NEEDS_ROOT }, async () => {
  for (const form of ["chpst", "softlimit"]) {
    const report = await inspect(UPKEEP, form, ["--hard", "-o", "99", "-c", "0"]);
    assert.deepEqual(report.limit("Max open files"), ["99", "99"]);
    assert.deepEqual(report.limit("Max core file size"), ["0", "0"]);
  }
  const both = await inspect(UPKEEP, "chpst", ["--hard", "-o", "98", "-u", "nobody"]);
  assert.deepEqual([both.limit("Max open files"), both.uid], [["98", "98"], "65534"]);
});

test("--hard: refused without the right to raise it", { skip: NEEDS_ROOT }, async () => {
  const args = ["-u", "nobody", UPKEEP.program("chpst"), "--hard", "-o", "1000000", "echo", "started"];
  const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", args);
  assert.deepEqual([code, stdout, stderr], [111, "", "chpst: fatal: unable to setrlimit(): permission denied\n"]);
});
