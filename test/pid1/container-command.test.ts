/** upkeep init with a command: exit codes, signals passed on, the terminal, and not being process 1. */
import assert from "node:assert/strict";
import { check, contain, must, POLITE } from "../support/container.ts";
import { inTime, UPKEEP, until } from "../support/lab.ts";
import { inside } from "../support/pidns.ts";

const INIT = `${inside(UPKEEP, "upkeep")} init`;

/** Runs one container after the other inside another one, each with process 1 of its own; their exit codes. */
function eachCode(commands: readonly string[], own: boolean): string {
  const isolate = own ? "unshare --fork --pid --mount-proc " : "";
  return commands.map((c) => `${isolate}${INIT} ${c}; echo $?`).join("\n");
}

check("the command's exit code is the container's: 0 to 255, and 128 + n for every signal", async (t) => {
  const m = await contain(t, ["/nothing"]);
  const all = [...Array(256).keys()];
  const plain = await m.sh(
    eachCode(
      all.map((n) => `-- sh -c 'exit ${n}'`),
      true,
    ),
  );
  assert.deepEqual(plain.trim().split("\n").map(Number), all);
  const deadly = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, 34, 40, 64];
  const killed = await m.sh(
    eachCode(
      deadly.map((n) => `-- sh -c 'ulimit -c 0; kill -${n} $$'`),
      true,
    ),
  );
  assert.deepEqual(
    killed.trim().split("\n").map(Number),
    deadly.map((n) => 128 + n),
  );
  const other = await m.sh(
    eachCode(
      [0, 1, 42, 255].map((n) => `-- sh -c 'exit ${n}'`),
      false,
    ),
  );
  assert.deepEqual(other.trim().split("\n").map(Number), [0, 1, 42, 255]);
});

check("a command that is not there is 127, one that cannot be executed 126, misuse 100", async (t) => {
  const m = await contain(t, ["/nothing"]);
  const codes = await m.sh(eachCode(["-- /no/such", "-- nosuch", "-- /etc/passwd", "-x", "-t soon", "a b", "--"], true));
  assert.deepEqual(codes.trim().split("\n").map(Number), [127, 127, 126, 100, 100, 100, 100]);
});

check("every signal but those for us is passed on to the command", async (t) => {
  const heard = ["HUP", "USR1", "USR2", "WINCH", "CONT", "ALRM", "URG", "RTMIN", "RTMAX"];
  const m = await contain(t, [
    "--",
    "bash",
    "-c",
    `${heard.map((s) => `trap 'echo ${s}' ${s}`).join("; ")}; trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done`,
  ]);
  await m.shows("ready");
  for (const name of heard) {
    await must(m, "bash", "-c", `kill -${name} 1`);
    await m.shows(name);
  }
  for (const name of ["TTIN", "TTOU", "PIPE", "SEGV"]) await m.exec("bash", "-c", `kill -${name} 1`);
  m.kill("SIGTERM");
  assert.equal(await m.end, 3);
  assert.deepEqual(m.lines(), ["ready", ...heard, "bye"]);
});

check("INT and QUIT reach the command as they are; PWR and RTMIN+3 as TERM", async (t) => {
  for (const [signal, word] of [
    ["SIGINT", "int"],
    ["SIGQUIT", "quit"],
    ["SIGPWR", "term"],
    [37, "term"],
  ] as const) {
    const m = await contain(t, [
      "--",
      "bash",
      "-c",
      'for s in int quit term; do trap "echo $s; exit 0" $s; done; echo ready; while :; do sleep 0.02; done',
    ]);
    await m.shows("ready");
    m.kill(signal);
    assert.equal(await m.end, 0);
    assert.deepEqual(m.lines(), ["ready", word]);
  }
});

check("-g: signals go to the command's process group", async (t) => {
  for (const group of [true, false]) {
    const child = "trap 'echo child; exit' USR1; echo child ready; while :; do sleep 0.02; done";
    const m = await contain(t, [
      ...(group ? ["-g"] : []),
      "--",
      "bash",
      "-c",
      `bash -c "${child}" & trap 'echo parent' USR1; trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done`,
    ]);
    await m.shows("ready");
    await m.shows("child ready");
    m.kill("SIGUSR1");
    await m.shows("parent");
    if (group) await m.shows("child");
    m.kill("SIGTERM");
    assert.equal(await m.end, 0);
    assert.equal(m.lines().includes("child"), group);
  }
});

check("a command that ignores TERM is killed in time: 137", async (t) => {
  await inTime(4000, async () => {
    const m = await contain(t, ["-t", "2", "--", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]);
    await m.shows("ready");
    const from = performance.now();
    m.kill("SIGTERM");
    assert.equal(await m.end, 137);
    const took = performance.now() - from;
    assert.ok(took > 1200, `${took} ms`);
    return took;
  });
});

check("services beside a command: its end ends them, in order", async (t) => {
  const m = await contain(t, ["/etc/service", "--", "sh", "-c", "while [ ! -e /run/go ]; do sleep 0.02; done; exit 6"], {
    "service/a/run": POLITE,
  });
  await m.shows("a runs");
  await m.sh(": >/run/go");
  assert.equal(await m.end, 6);
  assert.deepEqual(m.lines(), ["a runs", "a stops"]);
});

check("standard input is the command's, the environment too, and no signal is blocked or ignored", async (t) => {
  const m = await contain(
    t,
    ["/nothing"],
    {
      look: `#!/bin/sh
read -r x
echo "$x $GREETING"
ls /proc/self/fd | wc -l
grep -E 'Sig(Blk|Ign)' /proc/self/status
`,
    },
    { env: { GREETING: "hello" } },
  );
  const seen = await m.sh(`trap '' HUP USR1; echo input | ${INIT} -- /etc/look`);
  assert.match(seen, /^input hello\n\d\nSigBlk:\t0{16}\nSigIgn:\t0{16}\n$/);
});

check("the terminal is the command's: its own group is in the foreground", async (t) => {
  const m = await contain(t, ["/nothing"], { look: "#!/bin/bash\nps -o pid=,pgid=,tpgid= -p $$\nexit 5\n" });
  const seen = await m.sh(`mkdir /dev/pts; mount -t devpts -o newinstance,ptmxmode=0666 pts /dev/pts
ln -s pts/ptmx /dev/ptmx
script -qec "${INIT} -- /etc/look" /dev/null; echo $?`);
  const [ids = "", code] = seen.trim().split(/\r?\n/);
  const [pid, pgid, tpgid] = ids.trim().split(/\s+/);
  assert.equal(pid, pgid);
  assert.equal(pgid, tpgid);
  assert.equal(code, "5");
});

check("not process 1: orphans come to us, are reaped, and stopped at the end", async (t) => {
  const m = await contain(
    t,
    ["/etc/service"],
    {
      "service/a/run":
        "#!/bin/sh\nsetsid sh -c 'trap \"echo orphan stops; exit\" TERM; echo orphan runs; while :; do sleep 0.1; done' &\ntrap 'echo a stops; exit' TERM\nwhile :; do sleep 0.1; done\n",
    },
    { wrapped: true },
  );
  await m.shows("orphan runs");
  const [init = 0] = m.processes();
  await must(m, "sv", "down", "a");
  await m.shows("a stops");
  process.kill(init, "SIGTERM");
  assert.equal(await m.end, 0);
  assert.equal(m.lines().filter((l) => l === "orphan stops").length, 1);
});

check("runit that is not process 1 of a container: the same", async (t) => {
  const m = await contain(t, "runit", { "service/a/run": POLITE }, { wrapped: true, env: { UPKEEP_CONTAINER: "1" } });
  await m.shows("a runs");
  process.kill(m.processes()[0] ?? 0, "SIGTERM");
  assert.equal(await m.end, 0);
  assert.deepEqual(m.lines(), ["a runs", "a stops"]);
  await until("nobody is left", () => m.processes().length === 0);
});
