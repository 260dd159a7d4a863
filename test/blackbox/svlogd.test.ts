/** svlogd(8) as runit's does it: each scenario runs on both. What differs on purpose is in svlogd-own.test.ts. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { both, RUNIT, run, tempDir, UPKEEP, until } from "../support/lab.ts";
import { all, closeInput, logDir, mode, read, rotated, startLog } from "../support/logs.ts";

both("options: misuse is a usage message and 111", async (tools, dir) => {
  const usage = "usage: svlogd [-ttv] [-r c] [-R abc] [-l len] [-b buflen] dir ...\n\n";
  for (const [args, before] of [
    [[], ""],
    [["-t"], ""],
    [["-r", "ab", "d"], ""],
    [["-r", "", "d"], ""],
    [["-l", "5", "-b", "5", "d"], ""],
    [["-l", "2000", "d"], ""],
    [["-b", "1000", "d"], ""],
    [["-x", "d"], "svlogd: illegal option -- x\n"],
    [["-l"], "svlogd: option requires an argument -- l\n"],
  ] as const) {
    const r = await run(tools.program("svlogd"), args, { cwd: dir, argv0: "svlogd" });
    assert.deepEqual([r.code, r.stdout, r.stderr], [111, "", before + usage], args.join(" "));
  }
  const version = await run(tools.program("svlogd"), ["-V"], { argv0: "svlogd" });
  assert.equal(version.code, 111);
  assert.match(version.stderr, /^\$Id: [0-9a-f]{40} \$\nusage: svlogd /);
});

both("directories that cannot be used are skipped; without any the end is 111", async (tools, dir) => {
  const svlogd = tools.program("svlogd");
  writeFileSync(join(dir, "file"), "");
  const none = await run(svlogd, ["missing", "file"], { cwd: dir });
  assert.equal(none.code, 111);
  assert.equal(
    none.stderr,
    "svlogd: warning: unable to open log directory: missing: file does not exist\n" +
      "svlogd: warning: unable to change directory: file: not a directory\n" +
      "svlogd: fatal: no functional log directories.\n",
  );
  logDir(join(dir, "good"));
  const one = await run(svlogd, ["missing", "good"], { cwd: dir, input: "line\n" });
  assert.equal(one.code, 0);
  assert.equal(read(dir, "good/current"), "line\n");
});

both("a second svlogd finds the directory locked", async (tools, dir, t) => {
  const first = startLog(t, tools, [logDir(join(dir, "d"))]);
  await until("the lock", () => statSync(join(dir, "d/lock")).isFile() && mode(dir, "d/current") === "644");
  const second = await run(tools.program("svlogd"), ["d"], { cwd: dir });
  assert.equal(second.code, 111);
  assert.match(second.stderr, /^svlogd: warning: unable to lock directory: d: temporary failure\n/);
  assert.equal(await closeInput(first), 0);
});

both("lines go to current, whose mode tells whether it is being written", async (tools, dir, t) => {
  const log = startLog(t, tools, [logDir(join(dir, "d"))]);
  log.write("foo\n\nbar\n");
  await until("the lines", () => read(dir, "d/current") === "foo\n\nbar\n");
  assert.equal(mode(dir, "d/current"), "644");
  assert.equal(mode(dir, "d/lock"), "600");
  assert.equal(await closeInput(log), 0);
  assert.equal(mode(dir, "d/current"), "744");
  assert.equal(mode(dir, "d/lock"), "600");
  assert.equal((await run(tools.program("svlogd"), ["d"], { cwd: dir, input: "more\n" })).code, 0);
  assert.equal(read(dir, "d/current"), "foo\n\nbar\nmore\n");
});

both("several directories get the same lines", async (tools, dir) => {
  for (const name of ["a", "b", "c"]) logDir(join(dir, name), name === "b" ? "pb: \n" : "");
  const input = "x".repeat(3000) + "\ny\n";
  assert.equal((await run(tools.program("svlogd"), ["a", "b", "c"], { cwd: dir, input })).code, 0);
  assert.equal(read(dir, "a/current"), input);
  assert.equal(read(dir, "b/current"), `b: ${"x".repeat(3000)}\nb: y\n`);
  assert.equal(read(dir, "c/current"), input);
});

both("timestamps", async (tools, dir) => {
  for (const [options, pattern] of [
    [["-t"], /^@4[0-9a-f]{23} foo\n@4[0-9a-f]{23} \n$/],
    [["-tt"], /^\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d{5} foo\n\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d{5} \n$/],
    [["-ttt"], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{5} foo\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{5} \n$/],
    [["-tttt"], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{5} foo\n/],
  ] as const) {
    const d = logDir(join(dir, options.join("")));
    await run(tools.program("svlogd"), [...options, d], { cwd: dir, input: "foo\n\n" });
    assert.match(read(d, "current"), pattern);
    if (options[0] === "-t") assert.match(read(d, "current"), /^@40000000[0-9a-f]{16} foo/);
  }
});

both("-r, -R: replaced are the first len bytes of a line", async (tools, dir) => {
  const input = "foo bar baz\n\ttab\xe9\x7f~ \n" + "f".repeat(12) + "\n";
  for (const [options, expected] of [
    [["-r", ":", "-R", "fb"], ":oo :ar :az\n:ta:::~ \n::::::::::::\n"],
    [["-R", "fb"], "_oo _ar _az\n_ta___~ \n____________\n"],
    [["-r", "?"], "foo bar baz\n?tab??~ \nffffffffffff\n"],
    [["-r", ":", "-R", "f", "-l", "5", "-b", "9"], ":oo bar baz\n:tab:\x7f~ \n:::::fffffff\n"],
  ] as const) {
    const d = logDir(join(dir, options.join("")));
    await run(tools.program("svlogd"), [...options, d], { cwd: dir, input: Buffer.from(input, "latin1") });
    assert.equal(read(d, "current"), expected, options.join(" "));
  }
});

both("-l: lines of any length stay one line", async (tools, dir) => {
  const input = ["a".repeat(4), "b".repeat(5), "c".repeat(6), "d".repeat(20000), ""].join("\n");
  const d = logDir(join(dir, "d"), "p> \n");
  await run(tools.program("svlogd"), ["-l", "5", "-b", "8", "d"], { cwd: dir, input });
  assert.equal(read(d, "current"), input.replace(/^(?=.)/gm, "> "));
});

both("patterns: the last that matches counts, on the first len bytes", async (tools, dir) => {
  const input = "foo\nbar\nxfoo\nfooooooooo\n\nhost: kernel: up\naab\n";
  for (const [config, expected] of [
    ["-*\n+foo*\n", "foo\nfooooooooo\n"],
    ["-foo\n", "bar\nxfoo\nfooooooooo\n\nhost: kernel: up\naab\n"],
    ["-*\n+fo+o\n", "foo\nfooooooooo\n"],
    ["-*\n+*: kernel: *\n", "host: kernel: up\n"],
    ["-*\n+\n", "\n"],
    ["-*\n+*r\n+*foo\n", "bar\nfoo\nxfoo\n"],
    ["+foo\n-*\n", ""],
    ["-*\n++ab\n", "aab\n"],
    ["-*\n+fooooooo\n", "fooooooooo\n"],
  ] as const) {
    const d = logDir(join(dir, "d"), config);
    await run(tools.program("svlogd"), ["-l", "8", "-b", "20", "d"], { cwd: dir, input });
    const got = read(d, "current").split("\n").sort().join("\n");
    const want = expected.split("\n").sort().join("\n");
    if (config !== "-*\n+*: kernel: *\n") assert.equal(got, want, config);
    rmSync(d, { recursive: true });
  }
});

both("e, E: copies to standard error, cut at len", async (tools, dir) => {
  logDir(join(dir, "d"), "p> \ne*\nEb*\n-l*\n");
  const r = await run(tools.program("svlogd"), ["-l", "5", "-b", "8", "d"], { cwd: dir, input: "foo\nlonglong\nbar\n12345\n" });
  assert.equal(r.stderr, "> foo\n> longl...\n> 12345...\n");
  assert.equal(read(dir, "d/current"), "> foo\n> bar\n> 12345\n");
});

/** A socket on the loopback interface, and what comes to it. */
async function listen(t: TestContext): Promise<{ readonly port: number; readonly heard: string[] }> {
  const heard: string[] = [];
  const socket = createSocket("udp4", (message) => heard.push(message.toString("latin1")));
  t.after(() => socket.close());
  await new Promise<void>((bound) => socket.bind(0, "127.0.0.1", bound));
  return { port: socket.address().port, heard };
}

both("u, U: a datagram for each line, cut at len", async (tools, dir, t) => {
  const input = "short\nnot this\n0123456789\n012345678901234\n";
  for (const word of ["u", "U"]) {
    const { port, heard } = await listen(t);
    const d = logDir(join(dir, word), `${word}127.0.0.1:${port}\nps: \n-not*\n`);
    assert.equal((await run(tools.program("svlogd"), ["-l", "10", "-b", "20", d], { cwd: dir, input })).code, 0);
    await until("all are heard", () => heard.length >= 3);
    assert.deepEqual(heard, ["s: short\n", "s: 0123456789...\n", "s: 0123456789...\n"]);
    assert.equal(read(d, "current"), word === "U" ? "" : "s: short\ns: 0123456789\ns: 012345678901234\n");
  }
});

both("u: nowhere to send to, and what is no address", async (tools, dir) => {
  for (const config of ["u127.0.0.1:0", "ulocalhost"]) {
    const d = logDir(join(dir, config), `${config}\n`);
    const r = await run(tools.program("svlogd"), [d], { cwd: dir, input: "a\n" });
    assert.match(r.stderr, /warning/, config);
    assert.equal(read(d, "current"), "a\n");
  }
});

both("rotation by size: which bytes are in which file", async (tools, dir) => {
  const lines = Array.from({ length: 400 }, (_, i) => `${i} ${"x".repeat((i * 37) % 90)}`);
  for (const [options, config] of [
    [["-l", "100", "-b", "200"], "s1000\nn0\n"],
    [["-l", "100", "-b", "200"], "s100\nn0\n"],
    [["-l", "100", "-b", "200"], "s90\nn0\n"],
    [["-l", "100", "-b", "200"], "s1k\nn0\npprefix: \n"],
    [["-l", "10", "-b", "20"], "s300\nn0\n"],
    [["-tt", "-l", "100", "-b", "200"], "s1000\nn0\n"],
    [[], "s5000\nn0\n"],
  ] as const) {
    const d = logDir(join(dir, "d"), config);
    const input = [...lines, "y".repeat(2500), "z", ""].join("\n");
    assert.equal((await run(tools.program("svlogd"), [...options, "d"], { cwd: dir, input })).code, 0);
    const sizes = [...rotated(d), "current"].map((f) => statSync(join(d, f)).size);
    const other = logDir(join(dir, "other"), config);
    await run(RUNIT.program("svlogd"), [...options, "other"], { cwd: dir, input });
    const expected = [...rotated(other), "current"].map((f) => statSync(join(other, f)).size);
    assert.deepEqual(sizes, expected, config);
    if (options[0] !== "-tt" && !config.includes("p")) assert.equal(all(d), input);
    rmSync(d, { recursive: true });
    rmSync(other, { recursive: true });
  }
});

both("a current that is full, or nearly so, when it is opened: rotated with the next line", async (tools, dir) => {
  // As left by a kill between chmod and rename of a rotation.
  for (const [options, config] of [
    [[], ""],
    [["-tt"], ""],
    [["-tt"], "-b*\n"],
  ] as const) {
    for (const size of [899, 900, 901, 999, 1000, 1001]) {
      const d = logDir(join(dir, "d"), `s1000\nn0\n${config}`);
      writeFileSync(join(d, "current"), `${"x".repeat(size - 1)}\n`, { mode: 0o744 });
      const done = await run(tools.program("svlogd"), ["-l", "100", "-b", "200", ...options, "d"], {
        cwd: dir,
        input: "b\na\nb\na\n",
      });
      assert.equal(done.code, 0);
      assert.equal(rotated(d).length, 1, `${size} bytes, ${options}, ${config}`);
      const lines = config === "" ? 4 : 2;
      assert.equal(all(d).split("\n").length, 1 + lines + 1);
      rmSync(d, { recursive: true });
    }
  }
});

both("rotation: names, modes, verbose messages", async (tools, dir) => {
  logDir(join(dir, "d"), "s100\nn2\n");
  const input = `${"x".repeat(60)}\n`.repeat(5);
  const r = await run(tools.program("svlogd"), ["-v", "-l", "50", "-b", "80", "d"], { cwd: dir, input });
  const masked = r.stderr.replace(/@[0-9a-f]{24}/g, "@L");
  assert.equal(
    masked,
    "svlogd: info: read: d/config\nsvlogd: info: new: d/current\n" +
      "svlogd: info: rename: d/current @L.s 61\n".repeat(2) +
      "svlogd: info: rename: d/current @L.s 61\nsvlogd: info: delete: d/@L.s\n".repeat(3) +
      "svlogd: info: close: d\n",
  );
  const names = rotated(join(dir, "d"));
  assert.equal(names.length, 2);
  for (const name of names) assert.match(name, /^@4[0-9a-f]{23}\.s$/);
  for (const name of names) assert.equal(mode(dir, `d/${name}`), "744");
  const again = await run(tools.program("svlogd"), ["-v", "d"], { cwd: dir });
  assert.equal(again.stderr, "svlogd: info: read: d/config\nsvlogd: info: append: d/current\nsvlogd: info: close: d\n");
});

both("ALRM rotates what is not empty", async (tools, dir, t) => {
  for (const name of ["a", "b"]) logDir(join(dir, name), name === "b" ? "-*\n" : "");
  const log = startLog(t, tools, [join(dir, "a"), join(dir, "b")]);
  log.write("one\n");
  await until("the line", () => read(dir, "a/current") === "one\n");
  log.child.kill("SIGALRM");
  await until("a rotation", () => rotated(join(dir, "a")).length === 1 && read(dir, "a/current") === "");
  log.child.kill("SIGALRM");
  log.write("two\n");
  // The alarm and the line are not ordered: the second rotation may find the line there.
  await until("the next line", () => all(join(dir, "a")) === "one\ntwo\n");
  for (const name of rotated(join(dir, "a"))) assert.notEqual(read(dir, `a/${name}`), "", name);
  assert.equal(rotated(join(dir, "b")).length, 0);
  assert.equal(await closeInput(log), 0);
});

both("t: current is rotated at this age", async (tools, dir, t) => {
  logDir(join(dir, "d"), "t1\n");
  const log = startLog(t, tools, [join(dir, "d")]);
  log.write("one\n");
  await until("a rotation", () => rotated(join(dir, "d")).length === 1);
  assert.equal(read(dir, "d/current"), "");
  assert.equal(all(join(dir, "d")), "one\n");
  assert.equal(await closeInput(log), 0);
});

both("HUP reads the config again, and every setting starts from its default", async (tools, dir, t) => {
  const d = logDir(join(dir, "d"), "pold: \n-*\n+keep*\n");
  const log = startLog(t, tools, ["d"], { cwd: dir, options: ["-v"] });
  log.write("keep 1\ndrop 2\n");
  await until("the line", () => read(d, "current") === "old: keep 1\n");
  writeFileSync(join(d, "config"), "pnew: \n");
  log.child.kill("SIGHUP");
  await until("the reopening", () => log.child.stderr().split("append: d/current").length === 2);
  log.write("drop 3\n");
  await until("the line", () => read(d, "current") === "old: keep 1\nnew: drop 3\n");
  assert.equal(mode(dir, "d/current"), "644");
  assert.equal(await closeInput(log), 0);
  assert.equal(
    log.child.stderr(),
    "svlogd: info: read: d/config\nsvlogd: info: new: d/current\nsvlogd: info: sighangup received.\n" +
      "svlogd: info: close: d\nsvlogd: info: read: d/config\nsvlogd: info: append: d/current\nsvlogd: info: close: d\n",
  );
});

both("HUP opens by path again: a directory replaced meanwhile", async (tools, dir, t) => {
  logDir(join(dir, "d"));
  const log = startLog(t, tools, ["d"], { cwd: dir, options: ["-v"] });
  log.write("one\n");
  await until("the line", () => read(dir, "d/current") === "one\n");
  renameSync(join(dir, "d"), join(dir, "old"));
  logDir(join(dir, "d"));
  log.child.kill("SIGHUP");
  await until("the reopening", () => mode(dir, "d/current") === "644");
  log.write("two\n");
  await until("the line", () => read(dir, "d/current") === "two\n");
  assert.equal(read(dir, "old/current"), "one\n");
  assert.equal(mode(dir, "old/current"), "744");
  assert.equal(await closeInput(log), 0);
});

both("TERM ends at the end of a line and leaves the rest of the pipe", async (tools, dir, t) => {
  logDir(join(dir, "d"));
  const log = startLog(t, tools, [join(dir, "d")]);
  log.write("one\n");
  await until("the line", () => read(dir, "d/current") === "one\n");
  log.child.kill("SIGTERM");
  assert.deepEqual(await log.child.exited, { code: 0, signal: null });
  assert.equal(mode(dir, "d/current"), "744");
});

both("TERM in the middle of a line: the line is read to its end", async (tools, dir, t) => {
  logDir(join(dir, "d"));
  const log = startLog(t, tools, [join(dir, "d")], { options: ["-t", "-v"] });
  log.write("one\ntwo, not comp");
  await until("the line", () => read(dir, "d/current").endsWith(" one\n"));
  log.child.kill("SIGTERM");
  await until("the message", () => log.child.stderr().includes("sigterm received."));
  log.write("lete\nthree\n");
  assert.deepEqual(await log.child.exited, { code: 0, signal: null });
});

both("current left by a crash is set aside as .u, with its mode", async (tools, dir) => {
  const d = logDir(join(dir, "d"));
  writeFileSync(join(d, "current"), "unclean\n", { mode: 0o644 });
  await run(tools.program("svlogd"), ["d"], { cwd: dir, input: "new\n" });
  const names = rotated(d);
  assert.equal(names.length, 1);
  assert.match(names[0] ?? "", /^@4[0-9a-f]{23}\.u$/);
  assert.equal(read(d, names[0] ?? ""), "unclean\n");
  assert.equal(mode(d, names[0] ?? ""), "644");
  assert.equal(read(d, "current"), "new\n");
  // An empty one is not worth it.
  writeFileSync(join(d, "current"), "", { mode: 0o644 });
  await run(tools.program("svlogd"), ["d"], { cwd: dir, input: "x\n" });
  assert.equal(rotated(d).length, 1);
});

both("pruning: one file per rotation, the smallest name; .t goes in any case", async (tools, dir) => {
  const d = logDir(join(dir, "d"), "n3\ns100\n");
  const old = (n: number, suffix: string): string => `@40000000000000000000000${n}.${suffix}`;
  for (let i = 0; i < 6; i++) writeFileSync(join(d, old(i, "s")), `${i}`);
  writeFileSync(join(d, old(7, "t")), "");
  writeFileSync(join(d, "@not-27-bytes"), "");
  await run(tools.program("svlogd"), ["-l", "50", "-b", "80", "d"], { cwd: dir, input: `${"x".repeat(60)}\n` });
  const names = readdirSync(d).filter((n) => n.startsWith("@40000000000000000"));
  assert.deepEqual(
    names.sort(),
    [1, 2, 3, 4, 5].map((i) => old(i, "s")),
  );
  assert.ok(readdirSync(d).includes("@not-27-bytes"));
});

both("the processor: descriptors, state, names, modes", async (tools, dir, t) => {
  const d = logDir(join(dir, "d"), '!read n <&4; echo $((n+1)) >&5; echo "run $((n+1)) in $(pwd)"; tr a-z A-Z\n');
  const log = startLog(t, tools, ["d"], { cwd: dir, options: ["-v"] });
  for (const [i, line] of ["one", "two"].entries()) {
    log.write(`${line}\n`);
    await until("the line", () => read(d, "current") === `${line}\n`);
    log.child.kill("SIGALRM");
    await until("the processor", () => log.child.stderr().split("processed: ").length === i + 2);
  }
  assert.equal(await closeInput(log), 0);
  const names = rotated(d);
  assert.equal(names.length, 2);
  for (const name of names) assert.match(name, /\.s$/);
  for (const name of names) assert.equal(mode(d, name), "744");
  assert.equal(all(d), `run 1 in ${d}\nONE\nrun 2 in ${d}\nTWO\n`);
  assert.equal(read(d, "state"), "2\n");
  assert.equal(mode(d, "state"), "644");
  const told = log.child.stderr().replace(/@[0-9a-f]{24}/g, "@L");
  assert.ok(told.includes("rename: d/current @L.u 4\nsvlogd: info: processing: d/@L.u\n"), told);
  assert.ok(told.includes("processed: d/@L.s\n"), told);
});

both("the processor: a failure is told, and tried again", async (tools, dir, t) => {
  const d = logDir(join(dir, "d"), "!if test -e ok; then cat; else : >ok; exit 1; fi\n");
  const log = startLog(t, tools, ["d"], { cwd: dir });
  log.write("one\n");
  await until("the line", () => read(d, "current") === "one\n");
  log.child.kill("SIGALRM");
  await until("the result", () => rotated(d).some((n) => n.endsWith(".s")));
  assert.ok(log.child.stderr().includes("svlogd: warning: processor failed, restart: d\n"));
  assert.equal(all(d), "one\n");
  assert.equal(await closeInput(log), 0);
});

test("a file begun by one is continued by the other, both ways", async (t) => {
  const dir = tempDir(t);
  const d = logDir(join(dir, "d"), "s5000\nn0\n");
  let expected = "";
  for (let i = 0; i < 12; i++) {
    const input = `${i} ${"x".repeat(i * 20)}\n`.repeat(17);
    const tools = i % 2 === 0 ? RUNIT : UPKEEP;
    assert.equal((await run(tools.program("svlogd"), ["d"], { cwd: dir, input })).code, 0);
    expected += input;
  }
  assert.equal(all(d), expected);
  assert.ok(rotated(d).length >= 5);
  for (const name of rotated(d)) assert.match(name, /\.s$/);
});

test("a standard input that somebody else shares stays blocking", async (t) => {
  const dir = tempDir(t);
  const d = logDir(join(dir, "d"));
  const script = `
    { while test ! -e go; do sleep 0.02; done; echo x; } | {
      exec 3<&0
      ${UPKEEP.program("svlogd")} d <&3 &
      while test ! -e d/current; do sleep 0.02; done
      grep flags /proc/self/fdinfo/3; >go; wait
      grep flags /proc/self/fdinfo/3
    }`;
  const r = await run("/bin/sh", ["-c", script], { cwd: dir });
  const flags = [...r.stdout.matchAll(/\d+/g)].map(([digits]) => Number.parseInt(digits, 8) & 0o4000);
  assert.deepEqual(flags, [0, 0], r.stdout + r.stderr);
  assert.equal(read(d, "current"), "x\n");
});
