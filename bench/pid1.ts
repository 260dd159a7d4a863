/**
 * npm run bench:pid1 [-- ROUNDS]: process 1 of a container, ours beside others,
 * one after the other in every round, so that a busy moment hits them all.
 *
 *   services   10 services whose run is `exec sleep`, until all run: PSS of
 *              process 1 (smaps_rollup), PSS of everything, and the time from the
 *              stop request to the end of process 1
 *   command    one `sleep`: PSS of process 1, and TERM to end
 *
 * Each process 1 has a PID and a mount namespace; nothing outside is touched.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const SERVICES = 10;
const ROUNDS = Number(process.argv[2] ?? 15);
const BIN = resolve(import.meta.dirname, "../dist/bin");
const work = mkdtempSync(join(tmpdir(), "upkeep-pid1-"));
const services = join(work, "service");

type Peer = {
  readonly kind: "services" | "command";
  readonly name: string;
  /** A shell's words; becomes process 1. */
  readonly start: string;
  /** Asks for the end. */
  readonly stop: (pid: number) => void;
  /** Whether the services were told to end before process 1 did. */
  readonly orderly: boolean;
  readonly needs: string;
};

const term = (pid: number): void => {
  process.kill(pid, "SIGTERM");
};

/** What runit-init 0 does, from outside. */
function stopRunit(pid: number): void {
  const file = `/proc/${pid}/root/run/runit.stopit`;
  writeFileSync(file, "");
  chmodSync(file, 0o100);
  process.kill(pid, "SIGCONT");
}

const RUNIT = `mount --bind ${work}/etc /etc/runit; mount -t tmpfs run /run; : >/run/console; mount --bind /run/console /dev/console; exec /sbin/runit`;

const PEERS: readonly Peer[] = [
  { kind: "services", name: "upkeep init", start: `exec ${BIN}/upkeep init ${services}`, stop: term, orderly: true, needs: BIN },
  {
    kind: "services",
    name: "upkeep init -r",
    start: `exec ${BIN}/upkeep init -r ${services}`,
    stop: term,
    orderly: true,
    needs: BIN,
  },
  { kind: "services", name: "runit (stages, runit-init 0)", start: RUNIT, stop: stopRunit, orderly: true, needs: "/sbin/runit" },
  {
    kind: "services",
    name: "s6-svscan",
    start: `exec s6-svscan ${services}`,
    stop: term,
    orderly: true,
    needs: "/usr/bin/s6-svscan",
  },
  {
    kind: "services",
    name: "tini, runsvdir",
    start: `exec tini -- /usr/bin/runsvdir ${services}`,
    stop: term,
    orderly: false,
    needs: "/usr/bin/tini",
  },
  {
    kind: "services",
    name: "dumb-init, runsvdir",
    start: `exec dumb-init /usr/bin/runsvdir ${services}`,
    stop: term,
    orderly: false,
    needs: "/usr/bin/dumb-init",
  },
  {
    kind: "command",
    name: "upkeep init --",
    start: `exec ${BIN}/upkeep init -- sleep 1000`,
    stop: term,
    orderly: true,
    needs: BIN,
  },
  { kind: "command", name: "tini", start: "exec tini -- sleep 1000", stop: term, orderly: true, needs: "/usr/bin/tini" },
  {
    kind: "command",
    name: "dumb-init",
    start: "exec dumb-init sleep 1000",
    stop: term,
    orderly: true,
    needs: "/usr/bin/dumb-init",
  },
];

function prepare(): void {
  rmSync(services, { recursive: true, force: true });
  for (let i = 0; i < SERVICES; i++) {
    mkdirSync(join(services, `s${i}`), { recursive: true });
    writeFileSync(join(services, `s${i}/run`), "#!/bin/sh\nexec sleep 1000\n", { mode: 0o755 });
  }
  mkdirSync(join(work, "etc"), { recursive: true });
  const stages = {
    "1": ": >/run/runit.stopit; chmod 0 /run/runit.stopit",
    "2": `exec runsvdir -P ${services}`,
    "3": `sv -w 7 force-stop ${services}/* >/dev/null; sv exit ${services}/*`,
  };
  for (const [name, text] of Object.entries(stages))
    writeFileSync(join(work, "etc", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trim();
  } catch {
    return "";
  }
}

/** Proportional set size in kB. */
function pss(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const delay = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

type Sample = { readonly first: number; readonly all: number; readonly ms: number };

async function measure(peer: Peer): Promise<Sample> {
  prepare();
  const child: ChildProcess = spawn(
    "unshare",
    ["--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "sh", "-c", peer.start],
    { stdio: "ignore", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } },
  );
  const outer = child.pid ?? 0;
  const ended = new Promise<number>((done) => {
    child.on("exit", () => done(performance.now()));
  });
  const wanted = peer.kind === "services" ? SERVICES : 1;
  const limit = performance.now() + 30_000;
  while (descendants(outer).filter((p) => nameOf(p) === "sleep").length < wanted) {
    if (performance.now() > limit) throw new Error(`${peer.name}: services do not run`);
    await delay(20);
  }
  // Until it is idle.
  await delay(1500);
  const [first = 0] = childrenOf(outer);
  const inside = descendants(outer).filter((p) => nameOf(p) !== "sleep");
  const sample = { first: pss(first), all: inside.reduce((sum, p) => sum + pss(p), 0) };
  const from = performance.now();
  peer.stop(first);
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const ms = (await ended) - from;
  clearTimeout(timer);
  return { ...sample, ms };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

const peers = PEERS.filter((p) => existsSync(p.needs));
const samples = new Map<Peer, Sample[]>(peers.map((p) => [p, []]));
try {
  for (let round = 0; round < ROUNDS; round++) {
    for (const peer of peers) samples.get(peer)?.push(await measure(peer));
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
const kernel = execFileSync("uname", ["-r"], { encoding: "utf8" }).trim();
console.log(
  `Linux ${kernel}, ${ROUNDS} rounds, interleaved; median (least, most). Memory without that of the services' programs.\n`,
);
console.log("| | process 1 | PSS of process 1, kB | PSS of all, kB | stop to end, ms | services told first |");
console.log("| --- | --- | --- | --- | --- | --- |");
for (const [peer, all] of samples) {
  const times = all.map((s) => s.ms);
  const ms = `${median(times).toFixed(1)} (${Math.min(...times).toFixed(1)}, ${Math.max(...times).toFixed(1)})`;
  const row = [
    peer.kind,
    peer.name,
    median(all.map((s) => s.first)),
    median(all.map((s) => s.all)),
    ms,
    peer.orderly ? "yes" : "no",
  ];
  console.log(`| ${row.join(" | ")} |`);
}
