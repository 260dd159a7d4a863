import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii, text } from "../base/bytes.ts";
import { type LogConfig, parseConfig } from "./svlogd-config.ts";

function parse(s: string): LogConfig {
  return parseConfig(ascii(s));
}

test("defaults, and what says nothing", () => {
  for (const file of ["", "s", "\n", "# a comment\n\n?unknown\n", "!\np\n"]) {
    const c = parse(file);
    assert.deepEqual([c.sizeMax, c.filesMax, c.filesMin, c.ageMaxSeconds], [1000000, 10, 10, 0], file);
    assert.deepEqual([c.processor, c.udpPort, c.prefix.length, c.patterns.length, c.stamp, c.json], [null, 0, 0, 0, null, null]);
    assert.deepEqual(c.problems, []);
  }
});

test("numbers and their units", () => {
  const rows: readonly (readonly [string, number])[] = [
    ["s5000", 5000],
    ["s5k", 5120],
    ["s2m", 2097152],
    ["s2x", 2],
    ["s0", 0],
    ["sx1", 0],
    ["s-1", 0],
    ["s 1", 0],
  ];
  for (const [line, size] of rows) assert.equal(parse(`${line}\n`).sizeMax, size, line);
  assert.equal(parse("n3\n").filesMax, 3);
  assert.equal(parse("N2").filesMin, 2);
  assert.equal(parse("t90\n").ageMaxSeconds, 90);
  assert.equal(parse("t3m\n").ageMaxSeconds, 180);
  assert.equal(parse("t2h\n").ageMaxSeconds, 7200);
});

test("the last of equal lines counts; patterns add up", () => {
  const c = parse("s1\ns2\n!a\n!b c\np1\np2: \n-*\n+x\neyy\nEz\n");
  assert.equal(c.sizeMax, 2);
  assert.equal(text(c.processor ?? ascii("")), "b c");
  assert.equal(text(c.prefix), "2: ");
  assert.deepEqual(
    c.patterns.map((p) => String.fromCharCode(p.letter) + text(p.pattern)),
    ["-*", "+x", "eyy", "Ez"],
  );
});

test("datagrams", () => {
  const c = parse("u10.0.0.1\n");
  assert.deepEqual([c.udpIp, c.udpPort, c.udpOnly], [0x0a000001, 514, false]);
  assert.deepEqual([parse("U1.2.3.4:99\n").udpPort, parse("U1.2.3.4:99\n").udpOnly], [99, true]);
  // What is not understood is off, and the file gets the lines.
  for (const [line, problem] of [
    ["U10.0.0:5", "unable to scan ip address: 10.0.0:5"],
    ["u1.2.3.256", "unable to scan ip address: 1.2.3.256"],
    ["U1.2.3.4:", "unable to scan port number: "],
    ["u1.2.3.4:x", "unable to scan port number: x"],
    ["u1.2.3.4:0", "unable to scan port number: 0"],
  ] as const) {
    const bad = parse(`${line}\n`);
    assert.deepEqual([bad.udpPort, bad.udpOnly, bad.problems], [0, false, [problem]], line);
  }
});

test("lines of our own", () => {
  assert.equal(text(parse("zgzip\n").processor ?? ascii("")), "exec gzip -c");
  assert.equal(text(parse("zzstd19\n").processor ?? ascii("")), "exec zstd -q -c -19");
  assert.deepEqual(parse("zlzma\n").problems, ["unknown compression: lzma"]);
  assert.equal(parse("Tutc\n").stamp, "isoUtc");
  assert.equal(parse("Tlocal\n").stamp, "isoLocal");
  assert.equal(parse("Ttai64n\n").stamp, "tai64n");
  assert.deepEqual(parse("Tmoon\n").problems, ["unknown time zone: moon"]);
  assert.equal(text(parse("jweb\n").json ?? ascii("x")), "web");
  assert.equal(parse("j\nx\n").json?.length, 0);
});

test("a NUL ends a line", () => {
  assert.equal(text(parse("pab\0cd\n").prefix), "ab");
});
