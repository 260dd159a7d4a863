/** The container's init: how it starts, what its signals do, how it ends, and with which exit code. */
import assert from "node:assert/strict";
import { check, contain, DEAF, endOf, must, POLITE } from "../support/container.ts";
import { inTime, UPKEEP } from "../support/lab.ts";
import { inside } from "../support/pidns.ts";

const SERVICES = { "service/a/run": POLITE, "service/b/run": POLITE };

for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT", "SIGPWR", 37, 38] as const) {
  check(`${signal}: services stop, exit 0`, async (t) => {
    const m = await contain(t, "runit", SERVICES);
    await m.shows("a runs");
    await m.shows("b runs");
    m.kill(signal);
    assert.equal(await m.end, 0);
    assert.deepEqual(m.lines().slice(2).sort(), ["a stops", "b stops"]);
    assert.equal(m.stderr(), "");
  });
}

check("finish scripts run, and the log has it all, before the end", async (t) => {
  const m = await contain(t, [], {
    "service/a/run": "#!/bin/sh\necho up\nexec sleep 1000\n",
    "service/a/finish": "#!/bin/sh\nsleep 0.3; echo finish $1 $2\n",
    "service/a/log/run": `#!/bin/sh
trap '' TERM
while read -r line; do sleep 0.1; echo "logged $line" >&2; done
echo log ends >&2
`,
  });
  await m.complains(/logged up/);
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
  assert.equal(m.stderr(), "logged up\nlogged finish -1 15\nlog ends\n");
});

check("HUP: a look at the directory at once", async (t) => {
  const m = await contain(t, [], SERVICES);
  await m.shows("a runs");
  await m.sh("mkdir /etc/service/c; cp -p /etc/service/a/run /etc/service/c/run");
  m.kill("SIGHUP");
  await m.shows("c runs");
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
});

check("stages: in order, with their exit codes, stage 3 stops the services of stage 2", async (t) => {
  const m = await contain(t, "runit", {
    ...SERVICES,
    "runit/1": "#!/bin/sh\necho one\nexit 3\n",
    "runit/2": "#!/bin/sh\necho two\nexec runsvdir -P /etc/service\n",
    "runit/3": "#!/bin/sh\nsv -w 5 force-stop /etc/service/* >/dev/null\necho three\n",
  });
  await m.shows("a runs");
  await m.shows("b runs");
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
  const lines = m.lines();
  assert.deepEqual(lines.slice(0, 2), ["one", "two"]);
  assert.deepEqual(lines.slice(4, 6).sort(), ["a stops", "b stops"]);
  assert.equal(lines.at(-1), "three");
  assert.deepEqual(m.stderr().split("\n").slice(0, -1), [
    "- runit: enter stage: /etc/runit/1",
    "- runit: warning: child failed: /etc/runit/1",
    "- runit: leave stage: /etc/runit/1",
    "- runit: enter stage: /etc/runit/2",
    "- runit: leave stage: /etc/runit/2",
    "- runit: enter stage: /etc/runit/3",
    "- runit: leave stage: /etc/runit/3",
  ]);
});

check("stage 2 without a stage 3: its services are stopped in order all the same", async (t) => {
  const m = await contain(t, "runit", { ...SERVICES, "runit/2": "#!/bin/sh\nrunsvdir /etc/service & wait\n" });
  await m.shows("a runs");
  await m.shows("b runs");
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
  assert.deepEqual(m.lines().slice(2).sort(), ["a stops", "b stops"]);
});

check("stage 2 ends the container with its own code; 111 is a restart; one that cannot run is 127", async (t) => {
  assert.equal(await endOf(t, "runit", { "runit/2": "#!/bin/sh\nexit 5\n" }), 5);
  assert.equal(await endOf(t, "runit", { "runit/1": "#!/bin/sh\nexit 100\n", "runit/2": "#!/bin/sh\nexit 5\n" }), 100);
  assert.equal(await endOf(t, "runit", { "runit/2": "#!/no/such/interpreter\n" }), 127);
  const m = await contain(t, "runit", {
    "runit/2": "#!/bin/sh\n[ ! -e /run/once ] || exit 6\n: >/run/once\nexit 111\n",
  });
  assert.equal(await m.end, 6);
  assert.match(m.stderr(), /killing all processes in stage 2\.\.\.\n- runit: warning: restarting\.\n/);
});

check("runit-init: 0 ends with 0, 6 with 129; by its files, or without a place for them", async (t) => {
  for (const [word, code] of [
    ["0", 0],
    ["6", 129],
  ] as const) {
    const m = await contain(t, "runit", { ...SERVICES, "runit/note": "" });
    await m.shows("a runs");
    await must(m, "runit-init", word);
    assert.equal(await m.end, code);
    assert.ok(m.lines().includes("a stops"));
    const bare = await contain(t, ["/etc/service"], SERVICES, { readOnly: true, env: { UPKEEP_STATE: "/tmp/state" } });
    await bare.shows("a runs");
    await must(bare, "runit-init", word);
    assert.equal(await bare.end, code);
    assert.ok(bare.lines().includes("a stops"));
  }
});

check("the grace budget: who ignores TERM is named, killed in time, and the others are not", async (t) => {
  await inTime(7500, async () => {
    const m = await contain(t, ["-t", "6"], {
      "service/deaf/run": DEAF,
      "service/deaf/finish": "#!/bin/sh\necho finish $1 $2\n",
      "service/polite/run": POLITE,
    });
    await m.shows("deaf runs");
    await m.shows("polite runs");
    const from = performance.now();
    m.kill("SIGTERM");
    await m.complains(/^upkeep init: still waiting for service deaf \(pid \d+\), [1-3] s left$/m);
    assert.equal(await m.end, 0);
    const took = performance.now() - from;
    assert.ok(took > 4000, `${took} ms`);
    assert.deepEqual(m.lines().slice(2), ["polite stops", "finish -1 9"]);
    assert.match(m.stderr(), /^upkeep init: warning: killing service deaf \(pid \d+\)$/m);
    return took;
  });
});

check("strays get TERM, then KILL, within the budget", async (t) => {
  await inTime(4000, async () => {
    const m = await contain(t, ["-t", "2"], {
      "service/a/run": `#!/bin/sh
setsid sh -c 'trap "echo stray stops; exit" TERM; echo one; while :; do sleep 0.1; done' &
setsid sh -c 'trap "" TERM; echo two; while :; do sleep 0.1; done' &
exec sleep 1000
`,
    });
    await m.shows("one");
    await m.shows("two");
    const from = performance.now();
    m.kill("SIGTERM");
    assert.equal(await m.end, 0);
    assert.deepEqual(m.lines().slice(2), ["stray stops"]);
    return performance.now() - from;
  });
});

check("a second signal is KILL at once", async (t) => {
  const m = await contain(t, ["-t", "100"], { "service/deaf/run": DEAF });
  await m.shows("deaf runs");
  const from = performance.now();
  m.kill("SIGTERM");
  await new Promise((next) => setTimeout(next, 200));
  m.kill("SIGINT");
  assert.equal(await m.end, 137);
  assert.ok(performance.now() - from < 60_000);
});

check("essential: down for good is the end, with the service's exit code", async (t) => {
  const essential = (run: string): Record<string, string> => ({
    "service/other/run": POLITE,
    "service/main/run": `#!/bin/sh\n${run}\n`,
    "service/main/finish": "#!/bin/sh\nexec sv down .\n",
    "service/main/essential": "",
  });
  for (const code of [0, 1, 77, 255]) assert.equal(await endOf(t, [], essential(`exit ${code}`)), code);
  const m = await contain(t, [], essential("kill -SEGV $$"));
  assert.equal(await m.end, 139);
  assert.match(m.stderr(), /^upkeep init: essential service main is down for good, exit code 139$/m);
});

check("essential: every exit code, and signals", async (t) => {
  const m = await contain(t, ["/nothing"]);
  const seen = await m.sh(`one() {
  mkdir -p /tmp/e$1/main; cd /tmp/e$1/main; : >essential
  printf '#!/bin/sh\\n%s\\n' "$2" >run; printf '#!/bin/sh\\nexec sv down .\\n' >finish; chmod +x run finish
  unshare --fork --pid --mount-proc ${inside(UPKEEP, "upkeep")} init /tmp/e$1 2>/dev/null; echo "$1 $?" >>/tmp/ends
}
n=0
while [ $n -lt 256 ]; do
  for i in 0 1 2 3 4 5 6 7; do one $((n + i)) "exit $((n + i))" & done; wait; n=$((n + 8))
done
for s in 1 2 3 6 9 11 13 15 31; do one s$s "ulimit -c 0; kill -$s \\$\\$" & done; wait
sort -n /tmp/ends`);
  const ends = new Map(
    seen
      .trim()
      .split("\n")
      .map((line) => line.split(" ") as [string, string]),
  );
  for (let code = 0; code < 256; code++) assert.equal(ends.get(`${code}`), `${code}`);
  for (const signal of [1, 2, 3, 6, 9, 11, 13, 15, 31]) assert.equal(ends.get(`s${signal}`), `${128 + signal}`);
});

check("essential: a crash that is followed by a restart is not the end, a stop by sv is", async (t) => {
  const m = await contain(t, [], {
    "service/main/run":
      "#!/bin/sh\n[ ! -e /run/seen ] || { echo again; trap 'exit 9' TERM; while :; do sleep 0.1; done; }\n: >/run/seen\nexit 3\n",
    "service/main/essential": "",
    "service/plain/run": POLITE,
  });
  await m.shows("again");
  await must(m, "sv", "down", "plain");
  await m.shows("plain stops");
  await must(m, "sv", "-w", "1", "status", "main");
  await m.exec("sv", "down", "main");
  assert.equal(await m.end, 9);
});
