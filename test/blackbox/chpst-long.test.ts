/** chpst's long options, which runit has not: each by its effect on the program, its forms, and its failures. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  capabilities,
  chpst,
  environmentOf,
  has,
  inspect,
  inspectPlain,
  plain,
  SelfReport,
  smallRoot,
} from "../support/chpst.ts";
import { both, type Result, run, start, tempDir, UPKEEP, until } from "../support/lab.ts";

const ROOT_USER = process.getuid?.() === 0;
const NEEDS_ROOT = ROOT_USER ? false : "needs root";
const SYS_RESOURCE = 24;

/** What chpst says when it is not the superuser who calls it. */
async function asNobody(...args: readonly string[]): Promise<readonly [number | null, string, string]> {
  const words = ["-u", "nobody", UPKEEP.program("chpst"), ...args, "echo", "started"];
  const { code, stdout, stderr } = await run(UPKEEP.program("chpst"), words, { cwd: "/" });
  return [code, stdout, stderr];
}

function refused(what: string, why: string): readonly [number, string, string] {
  return [111, "", `chpst: fatal: unable to ${what}: ${why}\n`];
}

async function output(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr }: Result = await chpst(UPKEEP, "chpst", args);
  assert.deepEqual([code, stderr], [0, ""], args.join(" "));
  return stdout.trim();
}

test("long options: --name value and --name=value, among the others, in any order", async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, "V"), "v\n");
  for (const args of [
    ["--umask", "027", "-e", dir, "--new-session"],
    ["-e", dir, "--umask=027"],
    ["-P", "--umask=077", "-ve", dir, "--umask=027", "--no-new-privs", "--"],
  ]) {
    const environment = await environmentOf(
      UPKEEP,
      "chpst",
      args.filter((a) => a !== "--new-session"),
    );
    assert.ok(environment.includes("V=v"));
    const report = new SelfReport(
      await run("sh", ["-c", '"$0" "$@"; :', UPKEEP.program("chpst"), ...args, "cat", "/proc/self/status"]),
    );
    assert.equal(report.field("Umask"), "0027", report.result.stderr);
  }
  // Behind -- and in the program's words they are words.
  assert.equal(await output(["-P", "--", "echo", "--umask", "x"]), "--umask x");
  const missing = await chpst(UPKEEP, "chpst", ["--", "--umask", "027", "true"]);
  assert.deepEqual([missing.code, missing.stderr], [111, "chpst: fatal: unable to run: --umask: file does not exist\n"]);
});

// compat: doc/differences.md, chpst-long-options
test("long options: unknown ones, values missing and too many", async () => {
  const usage = "usage: chpst\n\n";
  for (const [args, message] of [
    [["--nosuch", "true"], `chpst: unknown option -- nosuch\n${usage}`],
    [["--nosuch=1", "true"], `chpst: unknown option -- nosuch=1\n${usage}`],
    [["--\xff", "true"], `chpst: unknown option -- \xc3\xbf\n${usage}`],
    [["--no-new-priv", "true"], `chpst: unknown option -- no-new-priv\n${usage}`],
    [["---", "true"], `chpst: unknown option -- -\n${usage}`],
    [["--=", "true"], `chpst: unknown option -- =\n${usage}`],
    [["--umask"], `chpst: option requires an argument -- umask\n${usage}`],
    [["--umask", "027"], usage],
    [["--hard=1", "true"], "chpst: fatal: --hard takes no value\n"],
    [["--new-session=", "true"], "chpst: fatal: --new-session takes no value\n"],
  ] as const) {
    const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", args);
    assert.deepEqual([code, stdout, plain(stderr)], [100, "", message], args.join(" "));
  }
  const limits = await chpst(UPKEEP, "softlimit", ["--nice", "4", "true"]);
  assert.equal(limits.code, 100);
  assert.match(limits.stderr, /^softlimit: unknown option -- nice\nusage: softlimit /);
});

test("long options: values that are none", async () => {
  for (const [name, values] of [
    ["umask", ["", "8", "0x1", "-1", "1000", "00000", "0777x", " 1"]],
    ["nice", ["", "x", "20", "-21", "1.5", "--1", "+", "99999999999999999999"]],
    ["oom-score", ["", "x", "1001", "-1001", "-"]],
    ["ionice", ["", "x", "realtime:8", "realtime:", "best-effort:-1", "idle:1", "idle:", ":1", "3"]],
    ["sched", ["", "x", "fifo", "fifo:", "fifo:0", "fifo:100", "rr:-1", "other:1", "batch:0", "deadline"]],
    ["cpus", ["", "x", "-", "1-", "-1", "1-0", "0,", ",0", "+0", "0-+1", "8192", "0--1", "0 1"]],
    ["pdeathsig", ["", "x", "0", "65", "-1", "SIG", "SIGSIGTERM", "TERM "]],
    ["cap-drop", ["", "x", "net_raw,", ",net_raw", "net_raw,,kill", "64", "-1", "cap_", "all,none"]],
    ["cap-keep", ["", "x", "net-raw", "cap_cap_kill", "net_raw kill"]],
  ] as const) {
    for (const value of values) {
      const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", [`--${name}=${value}`, "echo", "started"]);
      assert.deepEqual([code, stdout, stderr], [100, "", `chpst: fatal: invalid value for --${name}: ${value}\n`]);
    }
  }
});

test("--no-new-privs", async () => {
  const before = await inspectPlain();
  assert.equal(before.field("NoNewPrivs"), "0");
  assert.equal((await inspect(UPKEEP, "chpst", ["--no-new-privs"])).field("NoNewPrivs"), "1");
  if (!ROOT_USER) return;
  const report = await inspect(UPKEEP, "chpst", ["--no-new-privs", "-u", "daemon"]);
  assert.deepEqual([report.field("NoNewPrivs"), report.uid], ["1", "1"]);
});

/** Names and numbers of capabilities stand for each other; the sets of the program, as in /proc/self/status. */
const NET_BIND = 1n << 10n;
const KILL = 1n << 5n;

async function sets(...args: readonly string[]): Promise<Record<string, bigint>> {
  const report = await inspect(UPKEEP, "chpst", args);
  assert.deepEqual([report.result.code, report.result.stderr], [0, ""], args.join(" "));
  return capabilities(report);
}

test("--cap-drop: gone from every set, for ever", { skip: NEEDS_ROOT }, async () => {
  const all = capabilities(await inspectPlain());
  for (const list of ["kill,net_bind_service", "CAP_KILL,Net_Bind_Service", "5,10", "cap_kill,5,10"]) {
    const left = await sets("--cap-drop", list);
    for (const name of ["Prm", "Eff", "Bnd"] as const)
      assert.equal(left[name], (all[name] ?? 0n) & ~(KILL | NET_BIND), `${list} ${name}`);
    assert.deepEqual([left["Inh"], left["Amb"]], [0n, 0n]);
  }
  assert.deepEqual(await sets("--cap-drop=none"), all);
  const none = await sets("--cap-drop=all");
  assert.deepEqual(none, { Inh: 0n, Prm: 0n, Eff: 0n, Bnd: 0n, Amb: 0n });
  // What is inheritable and ambient already goes, too.
  const twice = await sets("--cap-keep", "kill,net_bind_service", "-u", "daemon", UPKEEP.program("chpst"), "--cap-drop=none");
  assert.deepEqual(twice["Amb"], KILL | NET_BIND);
});

test("--cap-keep: these and no others, also through a change of user", { skip: NEEDS_ROOT }, async () => {
  const kept = { Inh: NET_BIND, Prm: NET_BIND, Eff: NET_BIND, Bnd: NET_BIND, Amb: NET_BIND };
  assert.deepEqual(await sets("--cap-keep", "net_bind_service", "-u", "daemon"), kept);
  assert.deepEqual(await sets("-u", ":1:1", "--cap-keep=10"), kept);
  assert.deepEqual(await sets("--cap-keep", "net_bind_service"), kept);
  assert.deepEqual(await sets("--cap-keep", "net_bind_service,kill", "--cap-drop", "kill"), kept);
  assert.deepEqual(await sets("--cap-keep=none"), { Inh: 0n, Prm: 0n, Eff: 0n, Bnd: 0n, Amb: 0n });
  const all = capabilities(await inspectPlain());
  const every = await sets("--cap-keep=all", "-u", "daemon");
  assert.deepEqual([every["Eff"], every["Amb"]], [all["Prm"], all["Prm"]], "all: those of the caller");
});

test("--cap-drop, --cap-keep: refused without the right to", { skip: NEEDS_ROOT }, async () => {
  assert.deepEqual(await asNobody("--cap-drop", "kill"), refused("drop capabilities", "permission denied"));
  assert.deepEqual(await asNobody("--cap-keep", "kill"), refused("drop capabilities", "permission denied"));
  // One that nobody here has: dropped first, then wanted.
  const without = ["--cap-drop", "kill", UPKEEP.program("chpst"), "--cap-keep", "kill", "echo", "started"];
  const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", without);
  assert.deepEqual([code, stdout, stderr], refused("keep capabilities", "permission denied"));
});

test("--oom-score: read back, and lowered only with the right to", { skip: NEEDS_ROOT }, async () => {
  assert.equal(await output(["--oom-score", "500", "cat", "/proc/self/oom_score_adj"]), "500");
  assert.equal(await output(["--oom-score=+1000", "-u", "daemon", "cat", "/proc/self/oom_score_adj"]), "1000");
  const lowered = await chpst(UPKEEP, "chpst", ["--oom-score=-900", "cat", "/proc/self/oom_score_adj"]);
  const outcome = [lowered.code, lowered.stdout, lowered.stderr];
  assert.deepEqual(outcome, has(SYS_RESOURCE) ? [0, "-900\n", ""] : refused("set oom score", "access denied"));
  assert.deepEqual(await asNobody("--oom-score=-900"), refused("set oom score", "access denied"));
});

test("--nice, --ionice, --sched: read back", { skip: NEEDS_ROOT }, async () => {
  for (const n of ["0", "5", "+7", "-20", "19"]) assert.equal(Number(await output(["--nice", n, "nice"])), Number(n));
  assert.equal(await output(["--nice=3", "-n", "2", "nice"]), "3", "--nice is the value, whatever -n adds");
  for (const [value, shown] of [
    ["idle", "idle"],
    ["best-effort", "best-effort: prio 4"],
    ["best-effort:0", "best-effort: prio 0"],
    ["realtime:7", "realtime: prio 7"],
  ] as const) {
    assert.equal(await output(["--ionice", value, "ionice"]), shown);
  }
  for (const [value, priority, policy] of [
    ["other", "0", "0"],
    ["fifo:1", "1", "1"],
    ["rr:99", "99", "2"],
    ["batch", "0", "3"],
    ["idle", "0", "5"],
  ] as const) {
    const fields = await output(["--sched", value, "cut", "-d ", "-f40,41", "/proc/self/stat"]);
    assert.equal(fields, `${priority} ${policy}`, value);
  }
});

test("--nice, --ionice, --sched: with the caller's rights, before the user changes", { skip: NEEDS_ROOT }, async () => {
  const args = ["-u", "daemon", "--nice=-5", "--ionice=realtime:1", "--sched=rr:5"];
  assert.equal(await output([...args, "cut", "-d ", "-f40,41", "/proc/self/stat"]), "5 2");
  assert.equal(await output([...args, "nice"]), "-5");
  assert.deepEqual(await asNobody("--nice=-5"), refused("set nice level", "permission denied"));
  assert.deepEqual(await asNobody("--ionice=realtime"), refused("set io priority", "permission denied"));
  assert.deepEqual(await asNobody("--sched=fifo:5"), refused("set scheduling policy", "permission denied"));
});

test("--umask: read back, and in force for the lock file already", async (t) => {
  const dir = tempDir(t);
  for (const [value, shown] of [
    ["0", "0000"],
    ["027", "0027"],
    ["0777", "0777"],
    ["22", "0022"],
  ] as const) {
    assert.equal((await inspect(UPKEEP, "chpst", ["--umask", value])).field("Umask"), shown);
  }
  assert.equal((await inspect(UPKEEP, "chpst", ["-l", join(dir, "lock"), "--umask", "077"])).field("Umask"), "0077");
});

test("--cpus: read back, and refused when there is none of them", async () => {
  const allowed = (await inspectPlain()).field("Cpus_allowed_list");
  const first = /^\d+/.exec(allowed)?.[0] ?? "0";
  for (const list of [first, `${first}-${first}`, `${first},${first}`, `${first},8191`]) {
    assert.equal((await inspect(UPKEEP, "chpst", ["--cpus", list])).field("Cpus_allowed_list"), first, list);
  }
  assert.equal((await inspect(UPKEEP, "chpst", ["--cpus=0-8191"])).field("Cpus_allowed_list"), allowed);
  const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", ["--cpus", "8191", "echo", "started"]);
  assert.deepEqual([code, stdout, stderr], refused("set processors", "invalid argument"));
});

test("--user-groups: the groups that list the user, behind those asked for", { skip: NEEDS_ROOT }, async (t) => {
  const root = smallRoot(tempDir(t));
  writeFileSync(join(root, "etc/passwd"), "amy:x:500:600::/:\nbob:x:501:601::/:\n");
  writeFileSync(
    join(root, "etc/group"),
    "amy:x:600:\none:x:11:bob,amy\ntwo:x:12:amya,aamy\nthree:x:13:amy\nagain:x:11:amy\nbroken:x:y:amy\nown:x:600:amy\nfour:x:14:amy,\n",
  );
  const groupsOf = async (...args: readonly string[]): Promise<string> => {
    const words = ["-/", root, ...args, "/busybox", "id", "-G"];
    const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", words);
    assert.deepEqual([code, stderr], [0, ""]);
    return stdout.trim();
  };
  assert.equal(await groupsOf("-u", "amy"), "600");
  assert.equal(await groupsOf("-u", "amy", "--user-groups"), "600 11 13 14");
  assert.equal(await groupsOf("--user-groups", "-u", "amy:two:three"), "12 11 13 14 600");
  assert.equal(await groupsOf("--user-groups", "-u", "bob"), "601 11");
});

test("--user-groups: needs -u and a name", async () => {
  const message = "chpst: fatal: --user-groups needs -u with a user name\n";
  for (const args of [[], ["-U", "daemon"], ["-u", ":1:2"]]) {
    const { code, stdout, stderr } = await chpst(UPKEEP, "chpst", ["--user-groups", ...args, "echo", "started"]);
    assert.deepEqual([code, stdout, stderr], [100, "", message]);
  }
});

const ASK = ["/usr/bin/perl", "-e", '$b = "\\0" x 4; syscall(157, 2, $b, 0, 0, 0); print unpack("i", $b)'];

test("--pdeathsig: set after the change of user, by name and number", async () => {
  for (const [value, signal] of [
    ["TERM", "15"],
    ["sigkill", "9"],
    ["SIGUSR1", "10"],
    ["64", "64"],
    ["1", "1"],
  ] as const) {
    assert.equal(await output(["--pdeathsig", value, ...ASK]), signal, value);
  }
  assert.equal(await output(ASK), "0");
  if (ROOT_USER)
    assert.equal(await output(["--pdeathsig=TERM", "-u", "daemon", "--cap-keep=kill", "--no-new-privs", ...ASK]), "15");
});

test("--pdeathsig: the program ends with its parent", async (t) => {
  const words = ["-c", `"$0" --pdeathsig KILL sleep 1000 & echo $!; wait`, UPKEEP.program("chpst")];
  const parent = start(t, "sh", words);
  await until("the child's number", () => parent.stdout().endsWith("\n"));
  const child = Number(parent.stdout());
  const name = async (): Promise<string> => (await run("cat", [`/proc/${child}/comm`])).stdout;
  await until("the child is sleep", async () => (await name()) === "sleep\n");
  parent.kill("SIGKILL");
  await until("the child is dead", async () => !/\((sleep)\) [^Z]/.test((await run("cat", [`/proc/${child}/stat`])).stdout));
});

test("--new-session: a session of its own, or an error", async () => {
  const program = UPKEEP.program("chpst");
  const ids = ["cut", "-d ", "-f1,5,6", "/proc/self/stat"];
  const forked = await run("sh", ["-c", '"$0" "$@"; :', program, "--new-session", ...ids]);
  const [pid, group, session] = forked.stdout.trim().split(" ");
  assert.deepEqual([group, session], [pid, pid], forked.stderr);
  // Who leads a group cannot: -P lets that pass.
  const leader = await run("sh", ["-c", '"$0" "$@"; :', program, "--new-session", program, "--new-session", "echo", "started"]);
  assert.deepEqual([leader.stdout, leader.stderr], ["", "chpst: fatal: unable to create a new session: permission denied\n"]);
  const leaderP = await run("sh", ["-c", '"$0" "$@"; :', program, "--new-session", program, "-P", "echo", "started"]);
  assert.deepEqual([leaderP.stdout, leaderP.stderr], ["started\n", ""]);
});

test("--hard: raised where there is the right to, else refused", { skip: NEEDS_ROOT }, async () => {
  const [, hard] = (await inspectPlain()).limit("Max realtime priority");
  const more = String(Number(hard) + 5);
  const report = await inspect(UPKEEP, "chpst", ["--hard", "--limit", `rtprio=${more}`, "-u", "nobody"]);
  const { code, stdout, stderr } = report.result;
  if (has(SYS_RESOURCE)) assert.deepEqual(report.limit("Max realtime priority"), [more, more]);
  else assert.deepEqual([code, stdout, stderr], refused("setrlimit()", "permission denied"));
});

// compat: doc/differences.md, chpst-long-options
both("chpst: -- ends the options, and setlock has no long ones", async (tools, dir) => {
  mkdirSync(join(dir, "bin"));
  writeFileSync(join(dir, "bin", "--umask"), "#!/bin/sh\necho ran\n", { mode: 0o755 });
  const own = await chpst(tools, "chpst", ["-P", "--", join(dir, "bin", "--umask")]);
  assert.deepEqual([own.code, own.stdout], [0, "ran\n"]);
  const lock = await chpst(tools, "setlock", ["--umask", join(dir, "lock"), "echo", "ran"]);
  assert.deepEqual([lock.code, lock.stdout], [0, "ran\n"]);
});
