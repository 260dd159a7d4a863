/** Under runc, with the capabilities, the masked paths and the read-only root of a usual container. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { start, until } from "../support/lab.ts";
import { lab, makeRoot, must, needs, report, type Suite, timed } from "./lab.ts";

const CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
];

type Bundle = { readonly uid?: number; readonly writable?: boolean; readonly args: readonly string[]; readonly root: string };

function config(bundle: Bundle): string {
  const caps = CAPABILITIES.map((c) => `CAP_${c}`);
  const sets = bundle.uid ? { bounding: caps } : { bounding: caps, effective: caps, permitted: caps };
  const tmpfs = (destination: string): unknown => ({
    destination,
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "nodev", "noexec", "mode=1777"],
  });
  return JSON.stringify({
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: bundle.uid ?? 0, gid: 0 },
      args: bundle.args,
      cwd: "/",
      env: ["PATH=/bin"],
      capabilities: sets,
      noNewPrivileges: true,
    },
    root: { path: bundle.root, readonly: !bundle.writable },
    hostname: "lab",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
      tmpfs("/run"),
      tmpfs("/tmp"),
    ],
    linux: {
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
    },
  });
}

/** Runs a container in the foreground; its name, and how it ends. */
async function contain(t: TestContext, suite: Suite, bundle: Omit<Bundle, "root">, stages: boolean) {
  const root = makeRoot(t, suite, stages);
  const dir = join(root, "..");
  writeFileSync(join(dir, "config.json"), config({ ...bundle, root }));
  const name = `upkeep-lab-${process.pid}-${Math.floor(Math.random() * 1e6)}`;
  t.after(() => must("runc", ["delete", "-f", name]).catch(() => ""));
  const child = start(t, "runc", ["run", "-b", dir, name]);
  const output = (): string => child.stdout() + child.stderr();
  await until(`the service runs:\n${output()}`, () => /^tick 1$/m.test(output()));
  return { name, output, end: child.exited.then(({ code }) => code), signal: (s: string) => must("runc", ["kill", name, s]) };
}

lab("runc: read-only root, no SYS_BOOT, TERM: exit 0", async (t) => {
  if (!needs(t, "runc")) return;
  for (const stages of [false, true]) {
    const c = await contain(t, "upkeep", { args: ["/bin/runit"] }, stages);
    assert.match(await must("runc", ["exec", c.name, "sv", "status", "tick"]), /^run: tick: \(pid \d+\) \d+s\n$/);
    let code: number | null = -1;
    const took = await timed(async () => {
      await c.signal("TERM");
      code = await c.end;
    });
    assert.equal(code, 0);
    assert.match(c.output(), /^tick stops$/m);
    report(t, `${stages ? "with" : "without"} stages: TERM, exit ${code} after ${took} ms`);
  }
});

lab("runc: an arbitrary user without capabilities; runit-init 6 is 129", async (t) => {
  if (!needs(t, "runc")) return;
  const c = await contain(t, "upkeep", { args: ["/bin/upkeep", "init"], uid: 4711 }, false);
  assert.match(await must("runc", ["exec", "--user", "4711", c.name, "sv", "status", "tick"]), /^run: tick/);
  await must("runc", ["exec", "--user", "4711", c.name, "runit-init", "6"]);
  assert.equal(await c.end, 129);
  assert.match(c.output(), /^tick stops$/m);
});

lab("runc, Debian's runit for comparison: TERM is ignored until KILL comes", async (t) => {
  if (!needs(t, "runc", "runsvdir")) return;
  const c = await contain(t, "runit", { args: ["/bin/runit"], writable: true }, true);
  await c.signal("TERM");
  let ended = false;
  void c.end.then(() => {
    ended = true;
  });
  await new Promise((next) => setTimeout(next, 3000));
  assert.equal(ended, false);
  await c.signal("KILL");
  report(
    t,
    `Debian's runit: alive 3 s after TERM; KILL, exit ${await c.end}; ${/^tick stops$/m.test(c.output()) ? "orderly" : "no service was told"}`,
  );
});
