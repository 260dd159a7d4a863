/** Where a container's init has to work: read-only, without root, without /proc, with nobody reading; and its lines. */
import assert from "node:assert/strict";
import { check, contain, DEAF, must, POLITE } from "../support/container.ts";
import { UPKEEP, until } from "../support/lab.ts";
import { inside } from "../support/pidns.ts";

const INIT = `${inside(UPKEEP, "upkeep")} init`;
const LOGGED = { "service/a/run": POLITE, "service/a/log/run": "#!/bin/sh\nexec sed -u 's/^/logged /' >&2\n" };

check("read-only root: the state is in /run/upkeep, sv finds it, log service included", async (t) => {
  const m = await contain(t, [], LOGGED, { readOnly: true });
  await m.complains(/logged a runs/);
  const status = await must(m, "sv", "status", "a");
  assert.match(status.stdout, /^run: a: \(pid \d+\) \d+s; run: log: \(pid \d+\) \d+s\n$/);
  assert.equal((await m.exec("sv", "check", "/etc/service/a")).code, 0);
  await must(m, "sh", "-c", "test -p /run/upkeep/etc/service/a/supervise/control && test ! -e /etc/service/a/supervise");
  await must(m, "sv", "down", "a");
  await m.complains(/logged a stops/);
  await must(m, "sv", "up", "a");
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
});

check("UPKEEP_STATE moves it; a link named supervise goes first", async (t) => {
  const m = await contain(
    t,
    [],
    { ...LOGGED, "service/b/run": POLITE, "service/b/supervise": "-> /tmp/sup.b" },
    { readOnly: true, env: { UPKEEP_STATE: "/tmp/state" } },
  );
  await m.complains(/logged a runs/);
  await m.shows("b runs");
  await must(
    m,
    "sh",
    "-c",
    "test -p /tmp/state/etc/service/a/log/supervise/ok && test -p /tmp/sup.b/ok && test ! -e /run/upkeep",
  );
  await must(m, "sv", "status", "a", "b");
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
});

check("a service directory of somebody else, by an arbitrary user: the state is in the user's runtime directory", async (t) => {
  const m = await contain(t, ["/nothing"], { "service/a/run": POLITE });
  const seen = await m.sh(`mkdir -m 700 /tmp/runtime; chown 4711:0 /tmp/runtime; export XDG_RUNTIME_DIR=/tmp/runtime
as="setpriv --reuid=4711 --regid=0 --clear-groups --no-new-privs --bounding-set=-all"
$as ${INIT} /etc/service & init=$!
until $as sv check a >/dev/null 2>&1; do sleep 0.05; done
$as sv status a | sed 's/[0-9][0-9]*/N/g'
ls /tmp/runtime/upkeep/etc/service/a
kill $init; wait $init; echo $?`);
  // The service may say that it runs a little after its status does.
  const [first, second, ...rest] = seen.split("\n");
  assert.deepEqual([first, second].sort(), ["a runs", "run: a: (pid N) Ns"]);
  assert.deepEqual(rest, ["supervise", "a stops", "0", ""]);
});

check("user namespace: no privilege outside", async (t) => {
  const m = await contain(t, "runit", { "service/a/run": POLITE }, { user: true });
  await m.shows("a runs");
  await must(m, "runit-init", "6");
  assert.equal(await m.end, 129);
  assert.deepEqual(m.lines(), ["a runs", "a stops"]);
});

check("no /proc, /run not executable, standard descriptors closed: it runs and stops all the same", async (t) => {
  const m = await contain(t, ["/nothing"], {
    "service/a/run": "#!/bin/sh\n: >/tmp/up\ntrap ': >/tmp/stopped; exit' TERM\nwhile :; do sleep 0.05; done\n",
  });
  const seen = await m.sh(`mount -o remount,noexec /run
unshare --fork --pid --mount sh -c 'umount -l /proc; exec ${INIT} -t 2 /etc/service <&- >&- 2>&-' & outer=$!
until [ -e /tmp/up ]; do sleep 0.05; done
init=$(cat /proc/$outer/task/$outer/children)
kill $init; wait $outer; echo $?; ls /tmp/stopped`);
  assert.equal(seen, "0\n/tmp/stopped\n");
});

check("nobody reads our output: services wait, the end does not", async (t) => {
  const m = await contain(t, ["/nothing"], {
    "service/a/run": "#!/bin/sh\ntrap 'exit 0' TERM\nyes | head -c 300000 & wait; : >/tmp/written; sleep 100 & wait\n",
    "service/b/run": DEAF,
  });
  const seen = await m.sh(`mkfifo /tmp/out; sleep 1000 </tmp/out & reader=$!
${INIT} -t 3 /etc/service >/tmp/out 2>&1 & init=$!
until sv check b >/dev/null 2>&1; do sleep 0.05; done
kill $init; wait $init; echo $?; kill $reader`);
  assert.equal(seen, "0\n");
});

check("lines come whole, with their service in front if wanted, and none is lost", async (t) => {
  const writer = (word: string): string => `#!/bin/bash
for i in {1..300}; do printf ${word}; printf '%s' ' part '; printf '%s\\n' "$i"; done
printf 'last words'; : >/run/${word}
exec sleep 1000
`;
  for (const options of [[], ["-n"]]) {
    const m = await contain(t, options, {
      "service/x/run": writer("xx"),
      "service/y/run": `${writer("yy")}`.replace("#!/bin/bash", "#!/bin/bash\nexec 2>&1"),
    });
    await m.shows(`${options.length === 0 ? "" : "x: "}xx part 300`);
    await m.shows(`${options.length === 0 ? "" : "y: "}yy part 300`);
    m.kill("SIGTERM");
    assert.equal(await m.end, 0);
    for (const [service, word] of [
      ["x", "xx"],
      ["y", "yy"],
    ] as const) {
      const prefix = options.length === 0 ? "" : `${service}: `;
      const expected = [...Array(300).keys()].map((i) => `${prefix}${word} part ${i + 1}`);
      assert.deepEqual(
        m.lines().filter((l) => l.startsWith(`${prefix}${word}`)),
        expected,
      );
    }
    assert.equal(m.lines().filter((l) => l.endsWith("last words")).length, 2);
  }
});

check("the relay is killed while services write: no line is lost but those it had in hand", async (t) => {
  const m = await contain(t, [], {
    "service/x/run": "#!/bin/bash\nfor ((i = 1; ; i++)); do echo $i; sleep 0.01; done\n",
  });
  await m.shows("20");
  for (let round = 1; round <= 3; round++) {
    const before = m.lines().length;
    const relay = (await m.sh("pgrep -f '^upkeep: lines'")).trim();
    await must(m, "kill", "-9", relay);
    await until("lines go on", () => m.lines().length > before + 100);
  }
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
  const numbers = m.lines().map(Number);
  assert.ok(numbers.every((n, i) => n === i + 1 || i === 0 || n > (numbers[i - 1] ?? 0)));
  assert.ok((numbers.at(-1) ?? 0) - numbers.length <= 3, `${numbers.at(-1)} written, ${numbers.length} seen`);
});

check("lines raw: services write where the container does", async (t) => {
  const m = await contain(t, ["-r"], { "service/a/run": "#!/bin/sh\nprintf partial\nexec sleep 1000\n" });
  await until("partial line", () => m.stdout() === "partial");
  assert.equal((await m.sh("pgrep -cf '^upkeep: lines'")).trim(), "0");
  m.kill("SIGTERM");
  assert.equal(await m.end, 0);
});
