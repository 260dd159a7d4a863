/** Items about a supervisor with many services: memory, start, stop, idling, restart, crash storm. */
import {
  existsSync,
  floor,
  fresh,
  Group,
  measure,
  type Numbers,
  percentile,
  type Row,
  type Subject,
  sleep,
  startsIn,
  until,
} from "../harness.ts";
import { isRunit, type Peer, processesOf, services } from "../peers.ts";

const FLOOR: Peer = {
  name: "floor (C)",
  kind: "floor",
  bin: "/bin",
  start: (d) => [floor("supervise"), d],
  stop: "SIGTERM",
  needs: "/",
  most: 1000,
};

function withServices<T>(
  peer: Peer,
  count: number,
  run: "idle" | "crash",
  logger: boolean,
  use: (group: Group, root: number, starts: () => { ns: bigint; pid: number }[], base: string) => T,
): T {
  const base = fresh(`${run}${count}`);
  const dir = services(peer, `${base}/service`, count, floor(run), logger);
  const group = new Group();
  try {
    const env = { PATH: `${peer.bin}:/usr/bin:/bin`, UPKEEP_BENCH_STARTS: `${base}/starts`, HOME: base, PM2_HOME: `${base}/pm2` };
    return use(group, group.start(peer.start(dir), env), () => startsIn(`${base}/starts`), base);
  } finally {
    group.end();
  }
}

/** How many services have a log file. */
function logsOf(base: string, count: number): number {
  const name = (i: number): string => `${base}/service/s${String(i).padStart(4, "0")}/log/current`;
  return Array.from({ length: count }, (_, i) => name(i)).filter((file) => existsSync(file)).length;
}

/** Starts `count`, waits until all run, looks at memory, then stops all and waits for the last process. */
function life(peer: Peer, count: number, logger: boolean): Numbers {
  return withServices(peer, count, "idle", logger, (group, root, starts, base) => {
    const begin = process.hrtime.bigint();
    until(`${count} services`, () => starts().length >= count);
    const up = Number((starts()[count - 1]?.ns ?? 0n) - begin) / 1e6;
    if (new Set(starts().map((s) => s.pid)).size !== count) throw new Error("services were started twice");
    const wanted = processesOf(peer.kind, count, logger);
    until(`${wanted} supervising processes`, () => group.supervisors().length >= wanted);
    if (logger && peer.kind === "dense") until("logs", () => logsOf(base, count) === count);
    // Until it is idle: only then is it known what it keeps.
    sleep(1500);
    const cpu = group.cpuMs();
    const m = group.memory();
    const numbers: Record<string, number> = {
      "PSS kB": m.pssKb,
      "private dirty kB": m.privateDirtyKb,
      processes: m.processes,
      "up ms": up,
      "up CPU ms": cpu,
    };
    if (peer.stop !== null && !logger) {
      const stop = performance.now();
      process.kill(root, peer.stop);
      until("all ended", () => group.pids().length === 0);
      numbers["stop ms"] = performance.now() - stop;
      numbers["stop CPU ms"] = group.cpuMs() - cpu;
    }
    return numbers;
  });
}

function idling(peer: Peer, seconds: number): Numbers {
  return withServices(peer, 100, "idle", false, (group, _root, starts) => {
    until("100 services", () => starts().length >= 100);
    // What follows the first second of a service is over, too.
    sleep(1500);
    const before = group.wakeups();
    sleep(seconds * 1000);
    return { "wakeups per s": (group.wakeups() - before) / seconds };
  });
}

/** Kills a service that was up for more than a second, and looks when its next life begins. */
function restart(peer: Peer, times: number): Numbers {
  return withServices(peer, 20, "idle", false, (group, _root, starts) => {
    until("20 services", () => starts().length >= 20);
    sleep(1300);
    const victims = starts().slice(0, times);
    const cpu = group.cpuMs();
    const latencies = victims.map((victim, i) => {
      const at = process.hrtime.bigint();
      process.kill(victim.pid, "SIGKILL");
      until("a restart", () => starts().length >= 21 + i);
      return Number((starts()[20 + i]?.ns ?? 0n) - at) / 1e3;
    });
    sleep(200);
    return {
      "p50 µs": percentile(latencies, 0.5),
      "p99 µs": percentile(latencies, 0.99),
      "CPU µs": ((group.cpuMs() - cpu) * 1e3) / victims.length,
    };
  });
}

function storm(peer: Peer, seconds: number): Numbers {
  return withServices(peer, 100, "crash", false, (group, _root, starts) => {
    until("100 starts", () => starts().length >= 100);
    sleep(1000);
    const before = starts().length;
    const cpu = group.cpuMs();
    sleep(seconds * 1000);
    const count = starts().length - before;
    if (count < 20) throw new Error(`only ${count} starts`);
    return { "CPU µs per start": ((group.cpuMs() - cpu) * 1e3) / count, "starts per s": count / seconds };
  });
}

export function supervision(there: readonly Peer[], quick: boolean, wanted: (item: string) => boolean): Row[] {
  const rows: Row[] = [];
  const all = [...there, FLOOR];
  /** In a quick run only 10 services are given to everybody. */
  const most = quick ? [...there.filter(isRunit), FLOOR] : all;
  const run = (item: string, of: readonly Peer[], once: (p: Peer) => Numbers, rounds: number): void => {
    if (wanted(item))
      rows.push(
        ...measure(
          item,
          of.map((p): Subject => ({ name: p.name, once: () => once(p) })),
          rounds,
        ),
      );
  };
  for (const count of quick ? [10, 1000] : [10, 100, 1000])
    run(
      `services ${count}`,
      (count === 10 ? all : most).filter((p) => p.most >= count),
      (p) => life(p, count, false),
      quick ? 1 : 3,
    );
  for (const count of quick ? [100] : [100, 1000]) {
    run(
      `services with loggers ${count}`,
      there.filter((p) => (isRunit(p) || (p.kind === "s6" && !quick)) && p.most >= count),
      (p) => life(p, count, true),
      quick ? 1 : 2,
    );
  }
  run("restart", most, (p) => restart(p, quick ? 4 : 20), quick ? 1 : 3);
  run(
    "crash storm",
    most.filter((p) => p.kind !== "supervisord" && p.kind !== "pm2"),
    (p) => storm(p, quick ? 1 : 6),
    quick ? 1 : 2,
  );
  run("idle", most, (p) => idling(p, quick ? 1 : 10), 1);
  return rows;
}
