/**
 * Items about process 1 of a container, each in a PID and a mount namespace of its own.
 *
 *   process 1 with services   10 services whose run is `exec sleep`, until all run: PSS of process 1, PSS of all but the
 *                             services' programs, and the time from the stop request to the end of process 1
 *   process 1 with a command  one `sleep`: the same
 *   orphans                   processes left to process 1, until all are reaped
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync } from "node:fs";
import {
  existsSync,
  floor,
  fresh,
  measure,
  mkdirSync,
  type Numbers,
  ROOT,
  type Row,
  readFileSync,
  type Subject,
  sleep,
  slurp,
  until,
  writeFileSync,
} from "../harness.ts";

const SERVICES = 10;
const UPKEEP = `${ROOT}/dist/bin/upkeep`;

type Stop = (pid: number) => void;
type Init = { readonly name: string; readonly start: string; readonly needs: string; readonly stop: Stop };

const term: Stop = (pid) => {
  process.kill(pid, "SIGTERM");
};

/** What runit-init 0 does, from outside. */
function stopRunit(pid: number): void {
  const file = `/proc/${pid}/root/run/runit.stopit`;
  writeFileSync(file, "");
  chmodSync(file, 0o100);
  process.kill(pid, "SIGCONT");
}

/** A directory to mount over /etc/runit, with these stages; the words that make runit process 1. */
function runit(base: string, stages: Readonly<Record<string, string>>): string {
  mkdirSync(`${base}/etc`, { recursive: true });
  for (const [name, text] of Object.entries(stages))
    writeFileSync(`${base}/etc/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return `mount --bind ${base}/etc /etc/runit; mount -t tmpfs run /run; : >/run/console; mount --bind /run/console /dev/console; exec /sbin/runit`;
}

const STAGE_1 = ": >/run/runit.stopit; chmod 0 /run/runit.stopit";

function launch(start: string): ChildProcess {
  const unshare = ["--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "sh", "-c", start];
  return spawn("unshare", unshare, { stdio: "ignore", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } });
}

function childrenOf(pid: number): number[] {
  return slurp(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}

function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

/** Proportional set size, kB. */
function pss(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(slurp(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
}

/** Whether the child has ended: node, which waits here itself, has not reaped it yet. */
function ended(pid: number): boolean {
  return !/\) [^ZX] /.test(slurp(`/proc/${pid}/stat`));
}

function life(init: Init, programs: number): Numbers {
  const outer = launch(init.start).pid ?? 0;
  try {
    const sleeps = (p: number): boolean => slurp(`/proc/${p}/comm`) === "sleep\n";
    until(`${init.name}: its programs run`, () => descendants(outer).filter(sleeps).length >= programs);
    // Until it is idle.
    sleep(1500);
    const [first = 0] = childrenOf(outer);
    const inside = descendants(outer).filter((p) => !sleeps(p));
    const memory = { "PSS kB": pss(first), "PSS of all kB": inside.reduce((sum, p) => sum + pss(p), 0) };
    const from = performance.now();
    init.stop(first);
    until(`${init.name} ends`, () => ended(outer), 30_000);
    return { ...memory, "stop ms": performance.now() - from };
  } finally {
    if (!ended(outer)) process.kill(outer, "SIGKILL");
  }
}

function withServices(): Init[] {
  const base = fresh("process1");
  const dir = `${base}/service`;
  for (let i = 0; i < SERVICES; i++) {
    mkdirSync(`${dir}/s${i}`, { recursive: true });
    writeFileSync(`${dir}/s${i}/run`, "#!/bin/sh\nexec sleep 1000\n", { mode: 0o755 });
  }
  const stages = runit(base, {
    "1": STAGE_1,
    "2": `exec runsvdir -P ${dir}`,
    "3": `sv -w 7 force-stop ${dir}/* >/dev/null; sv exit ${dir}/*`,
  });
  return [
    { name: "upkeep", start: `exec ${UPKEEP} init ${dir}`, needs: UPKEEP, stop: term },
    { name: "upkeep init -s", start: `exec ${UPKEEP} init -s ${dir}`, needs: UPKEEP, stop: term },
    { name: "runit", start: stages, needs: "/sbin/runit", stop: stopRunit },
    { name: "s6", start: `exec s6-svscan ${dir}`, needs: "/usr/bin/s6-svscan", stop: term },
    // These two leave the services to be killed.
    { name: "tini, runsvdir", start: `exec tini -- /usr/bin/runsvdir ${dir}`, needs: "/usr/bin/tini", stop: term },
    { name: "dumb-init, runsvdir", start: `exec dumb-init /usr/bin/runsvdir ${dir}`, needs: "/usr/bin/dumb-init", stop: term },
  ];
}

const WITH_COMMAND: readonly Init[] = [
  { name: "upkeep", start: `exec ${UPKEEP} init -- sleep 1000`, needs: UPKEEP, stop: term },
  { name: "tini", start: "exec tini -- sleep 1000", needs: "/usr/bin/tini", stop: term },
  { name: "dumb-init", start: "exec dumb-init sleep 1000", needs: "/usr/bin/dumb-init", stop: term },
];

function orphans(name: string, start: string, file: string): Numbers {
  writeFileSync(file, "");
  const outer = launch(start).pid ?? 0;
  try {
    until(`${name}: every orphan is reaped`, () => slurp(file).endsWith("\n"), 90_000);
  } finally {
    if (!ended(outer)) process.kill(outer, "SIGKILL");
  }
  const [wall, ticks] = readFileSync(file, "latin1").trim().split(" ").map(Number);
  if (!(wall !== undefined && wall > 0)) throw new Error(`orphans: ${slurp(file)}`);
  return { "wall ms": wall / 1e6, "CPU ms of process 1": (ticks ?? 0) * 10 };
}

function orphanSubjects(count: number): Subject[] {
  const base = fresh("orphans");
  const program = `${floor("orphans")} ${count} >${base}/out`;
  const command = `/bin/sh -c 'exec ${program}'`;
  const inits: readonly (readonly [string, string, string])[] = [
    ["upkeep", `exec ${UPKEEP} init -- ${command}`, UPKEEP],
    ["runit", runit(base, { "1": STAGE_1, "2": `exec ${program}`, "3": "exit 0" }), "/sbin/runit"],
    ["tini", `exec tini -- ${command}`, "/usr/bin/tini"],
    ["dumb-init", `exec dumb-init ${command}`, "/usr/bin/dumb-init"],
    ["floor (C)", `exec ${floor("init")} ${command}`, "/"],
  ];
  return inits
    .filter(([, , needs]) => existsSync(needs))
    .map(([name, start]) => ({ name, once: () => orphans(name, start, `${base}/out`) }));
}

export function process1(quick: boolean, wanted: (item: string) => boolean, rounds = quick ? 1 : 7): Row[] {
  const rows: Row[] = [];
  const run = (item: string, inits: () => readonly Init[], programs: number): void => {
    if (!wanted(item)) return;
    const subjects = inits()
      .filter((init) => existsSync(init.needs))
      .map((init) => ({ name: init.name, once: () => life(init, programs) }));
    rows.push(...measure(item, subjects, rounds));
  };
  run("process 1 with services", withServices, SERVICES);
  run("process 1 with a command", () => WITH_COMMAND, 1);
  if (wanted("orphans")) rows.push(...measure("orphans", orphanSubjects(quick ? 1000 : 20_000), quick ? 1 : 3));
  return rows;
}
