/** runit as process 1 of a machine: stages, signals, the end. On Debian's runit and on ours. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { RUNIT, type Toolchain, UPKEEP, until } from "../support/lab.ts";
import { boot, type Machine, type MachineFiles, type MachineOptions } from "../support/pidns.ts";

const RUN = "/sbin/runit";
/** What Debian's stage 1 does for the stop files, and a line to see. */
const STAGE1 = `#!/bin/sh
: >/run/runit.stopit; : >/run/runit.reboot; chmod 0 /run/runit.stopit /run/runit.reboot
echo one
`;
const STAGES: MachineFiles = {
  "runit/1": STAGE1,
  "runit/2": "#!/bin/sh\necho two\nexec sleep 1000\n",
  "runit/3": "#!/bin/sh\necho three\n",
};
const OFF = ["- runit: leave stage: /etc/runit/3", "- runit: sending KILL signal to all processes...", "- runit: power off..."];

function both(name: string, fn: (tools: Toolchain, t: TestContext) => Promise<void>): void {
  for (const tools of [UPKEEP, RUNIT]) test(`${name} [${tools.name}]`, { timeout: 180_000 }, (t) => fn(tools, t));
}

function bootRunit(t: TestContext, tools: Toolchain, etc: MachineFiles, options: MachineOptions = {}): Promise<Machine> {
  return boot(t, tools, [RUN], { ...options, etc: { ...STAGES, ...etc } });
}

/** Lines of the console, the version masked. */
function lines(m: Machine): string[] {
  const text = m.console().replace(/\$Id: [0-9a-f]{40} \$/, "ID");
  return text.split("\n").slice(0, -1);
}

function shows(m: Machine, line: string): Promise<void> {
  return until(`the console shows "${line}":\n${m.console()}`, () => lines(m).includes(line));
}

async function ends(m: Machine, how: "off" | "reboot", last: string): Promise<void> {
  assert.equal(await m.end, how);
  await shows(m, last);
}

both("stage order, to the last line", async (tools, t) => {
  const m = await bootRunit(t, tools, { "runit/2": "#!/bin/sh\necho two\n" });
  await ends(m, "off", "- runit: power off...");
  assert.deepEqual(lines(m), [
    "- runit: ID: booting.",
    "- runit: enter stage: /etc/runit/1",
    "one",
    "- runit: leave stage: /etc/runit/1",
    "- runit: enter stage: /etc/runit/2",
    "two",
    "- runit: leave stage: /etc/runit/2",
    "- runit: enter stage: /etc/runit/3",
    "three",
    ...OFF,
  ]);
});

both("stage 1: 100 skips stage 2, other codes do not", async (tools, t) => {
  const m = await bootRunit(t, tools, { "runit/1": `${STAGE1}exit 100\n` });
  await ends(m, "off", "- runit: power off...");
  assert.deepEqual(lines(m).slice(3), [
    "- runit: warning: child failed: /etc/runit/1",
    "- runit: leave stage: /etc/runit/1",
    "- runit: warning: skipping stage 2...",
    "- runit: enter stage: /etc/runit/3",
    "three",
    ...OFF,
  ]);
  const other = await bootRunit(t, tools, { "runit/1": `${STAGE1}exit 3\n`, "runit/2": "#!/bin/sh\nexit 4\n" });
  await ends(other, "off", "- runit: power off...");
  assert.deepEqual(lines(other).slice(3, 8), [
    "- runit: warning: child failed: /etc/runit/1",
    "- runit: leave stage: /etc/runit/1",
    "- runit: enter stage: /etc/runit/2",
    "- runit: warning: child failed: /etc/runit/2",
    "- runit: leave stage: /etc/runit/2",
  ]);
});

both("stage files that are missing are stages that ended", async (tools, t) => {
  const m = await boot(t, tools, [RUN], { etc: { "runit/2": "#!/no/such/interpreter\n" } });
  await ends(m, "off", "- runit: power off...");
  const stage = (n: number): string[] => [
    `- runit: enter stage: /etc/runit/${n}`,
    `- runit: fatal: unable to start child: /etc/runit/${n}: file does not exist`,
    `- runit: leave stage: /etc/runit/${n}`,
  ];
  assert.deepEqual(lines(m).slice(1), [...stage(1), ...stage(2), ...stage(3), ...OFF.slice(1)]);
});

both("stage 2: 111 kills its group and starts it again", async (tools, t) => {
  const m = await bootRunit(t, tools, {
    "runit/2": `#!/bin/sh
if [ -e /run/once ]; then echo "again: $(pgrep -c -x sleep)"; exit 0; fi
: >/run/once
sleep 1000 & setsid sleep 1000 &
sleep 0.3; exit 111
`,
  });
  await ends(m, "off", "- runit: power off...");
  assert.deepEqual(lines(m).slice(4, 12), [
    "- runit: enter stage: /etc/runit/2",
    "- runit: warning: child failed: /etc/runit/2",
    "- runit: warning: killing all processes in stage 2...",
    "- runit: warning: restarting.",
    "- runit: enter stage: /etc/runit/2",
    "again: 1",
    "- runit: leave stage: /etc/runit/2",
    "- runit: enter stage: /etc/runit/3",
  ]);
});

both("stopit and CONT: stage 3, and off; the file is cleared", async (tools, t) => {
  const m = await bootRunit(t, tools, { "runit/3": "#!/bin/sh\nstat -c 'stopit %a' /run/runit.stopit\n" });
  await shows(m, "two");
  m.kill("SIGCONT");
  await m.sh("chmod 100 /run/runit.stopit; kill -CONT 1");
  await ends(m, "off", "- runit: power off...");
  assert.deepEqual(lines(m).slice(4), [
    "- runit: enter stage: /etc/runit/2",
    "two",
    "- runit: leave stage: /etc/runit/2",
    "- runit: enter stage: /etc/runit/3",
    "stopit 0",
    ...OFF,
  ]);
});

both("stage 2 that ignores TERM is killed after five seconds", async (tools, t) => {
  const m = await bootRunit(t, tools, { "runit/2": "#!/bin/sh\ntrap '' TERM\necho two\nwhile :; do sleep 1; done\n" });
  await shows(m, "two");
  const from = performance.now();
  await m.sh("chmod 100 /run/runit.stopit; kill -CONT 1");
  await ends(m, "off", "- runit: power off...");
  assert.ok(performance.now() - from > 4500);
  assert.deepEqual(lines(m).slice(6, 8), [
    "- runit: warning: stage 2 not terminated, sending sigkill...",
    "- runit: leave stage: /etc/runit/2",
  ]);
});

both("ctrl-alt-del", async (tools, t) => {
  const m = await bootRunit(t, tools, {
    "runit/ctrlaltdel":
      "#!/bin/sh\necho cad\nfor f in stopit reboot; do : >/run/runit.$f; chmod 100 /run/runit.$f; done\nkill -9 $$\n",
  });
  await shows(m, "two");
  m.kill("SIGINT");
  await ends(m, "reboot", "- runit: system reboot.");
  assert.deepEqual(lines(m).slice(6), [
    "- runit: ctrl-alt-del request...",
    "- runit: enter stage: /etc/runit/ctrlaltdel",
    "cad",
    "- runit: warning: child crashed: /etc/runit/ctrlaltdel",
    "- runit: leave stage: /etc/runit/ctrlaltdel",
    "- runit: leave stage: /etc/runit/2",
    "- runit: enter stage: /etc/runit/3",
    "three",
    ...OFF.slice(0, 2),
    "- runit: system reboot.",
  ]);
});

both("signals outside stage 2 are dropped with a warning", async (tools, t) => {
  const wait = "while [ ! -e /run/go$1 ]; do sleep 0.05; done; rm -f /run/go$1\n";
  const m = await bootRunit(t, tools, {
    "runit/1": `${STAGE1}set 1; ${wait}`,
    "runit/2": "#!/bin/sh\necho two\nset 2;" + wait,
    "runit/3": "#!/bin/sh\necho three\nset 3;" + wait,
  });
  await shows(m, "one");
  await m.sh("chmod 100 /run/runit.stopit; kill -CONT 1");
  await shows(m, "- runit: warning: signals only work in stage 2.");
  await m.sh("chmod 0 /run/runit.stopit; : >/run/go1");
  await shows(m, "two");
  await m.sh("kill -CONT 1; kill -INT 1; : >/run/go2");
  await shows(m, "three");
  m.kill("SIGINT");
  await until("the second warning", () => lines(m).filter((l) => l.includes("only work")).length === 2);
  await m.sh(": >/run/go3");
  await ends(m, "off", "- runit: power off...");
});

both("every other signal leaves process 1 and stage 2 as they are", async (tools, t) => {
  const m = await bootRunit(t, tools, {});
  await shows(m, "two");
  const stage2 = m.processes();
  // ALRM goes to stage 2, PWR to stage 3.
  const skipped = [9, 14, 17, 18, 19, 30, 32, 33];
  const signals = Array.from({ length: 64 }, (_, i) => i + 1).filter((n) => !skipped.includes(n));
  for (const n of signals) m.kill(n);
  await m.sh(`for s in ${signals.join(" ")} 9 19; do kill -$s 1; done`);
  await m.sh("sleep 0.2");
  assert.deepEqual(m.processes(), stage2);
  assert.deepEqual(lines(m).slice(4), ["- runit: enter stage: /etc/runit/2", "two"]);
});

both("PWR powers off with Debian's stop files, without stopit, whatever reboot says", async (tools, t) => {
  const m = await bootRunit(t, tools, {});
  await shows(m, "two");
  await m.sh("chmod 100 /run/runit.reboot; kill -PWR 1");
  await ends(m, "off", "- runit: power off...");
});

both("runit-init 0 and 6", async (tools, t) => {
  const program = tools.name === "upkeep" ? "/opt/bin/runit-init" : "/lib/runit/runit-init";
  for (const [what, end, last] of [
    ["0", "off", "- runit: power off..."],
    ["6", "reboot", "- runit: system reboot."],
  ] as const) {
    const m = await bootRunit(t, tools, {});
    await shows(m, "two");
    assert.equal((await m.exec(program, "7")).code, 0);
    const asked = await m.exec(program, what);
    // The end of process 1 may come before that of who asked for it.
    if (asked.signal === null) assert.equal(asked.code, 0);
    assert.equal(asked.stderr, "");
    await ends(m, end, last);
  }
});

both("runit-init as process 1 becomes runit", async (tools, t) => {
  const program = tools.name === "upkeep" ? "/opt/bin/runit-init" : "/lib/runit/runit-init";
  const m = await boot(t, tools, [program, "3"], { etc: { ...STAGES, "runit/2": "#!/bin/sh\necho two\n" } });
  await ends(m, "off", "- runit: power off...");
});

both("in a user namespace, on a read-only root", async (tools, t) => {
  const m = await bootRunit(t, tools, {}, { user: true, readOnly: true });
  await shows(m, "two");
  assert.match(await m.sh(": 2>&1 >/etc/x || true; echo done"), /Read-only|done/);
  await m.exec(tools.name === "upkeep" ? "/opt/bin/runit-init" : "/lib/runit/runit-init", "6");
  await ends(m, "reboot", "- runit: system reboot.");
});

both("without a console stdio stays what it is", async (tools, t) => {
  const m = await bootRunit(t, tools, { "runit/2": "#!/bin/sh\necho two\n" }, { console: false });
  assert.equal(await m.end, "off");
  await until("everything came", () => m.stderr().includes("power off"));
  assert.match(
    m.stderr(),
    /booting\.\n- runit: warning: unable to open \/dev\/console: file does not exist\n- runit: enter stage: \/etc\/runit\/1\n/,
  );
  assert.equal(m.stdout(), "one\ntwo\nthree\n");
});

both("a stage gets the environment, no arguments, clean signals, and stages 2 and 3 a session", async (tools, t) => {
  const show =
    'echo "$# $HELLO $(grep -E "^Sig(Blk|Ign)" /proc/self/status | tr "\\n\\t" "  ") $(ps -o sid= -p $$ | tr -d " ")"; ls -l /proc/self/fd | grep -c socket';
  const m = await bootRunit(
    t,
    tools,
    {
      "runit/1": `${STAGE1}exec >/run/s1; ${show}\n`,
      "runit/2": `#!/bin/sh\nexec >/run/s2; ${show}; echo $$; echo two >/dev/console; exec sleep 1000\n`,
    },
    { env: { HELLO: "world" } },
  );
  await shows(m, "two");
  // SIGCONT is left ignored by 2.1.2, and default from 2.3.0 on; Debian's patch leaves SIGPWR blocked in stage 2.
  const ignored = tools.name === "upkeep" ? "0000000000000000" : "0000000000020000";
  const signals = (blocked: string): string => `SigBlk: 00000000${blocked}0000000 SigIgn: ${ignored} `;
  assert.match(await m.sh("cat /run/s1"), new RegExp(`^0 world ${signals("0")} 1\n0\n$`));
  assert.match(
    await m.sh("cat /run/s2"),
    new RegExp(`^0 world ${signals(tools.name === "upkeep" ? "0" : "2")} (\\d+)\n0\n\\1\n$`),
  );
});
