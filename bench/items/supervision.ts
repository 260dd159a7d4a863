/** Items about a supervisor with many services: memory, start, stop, idling, restart, crash storm. */
import {
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
import { type Peer, services } from "../peers.ts";

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
  use: (group: Group, root: number, starts: () => { ns: bigint; pid: number }[]) => T,
): T {
  const base = fresh(`${run}${count}`);
  const log = logger
    ? `#!/bin/sh\nexec ${peer.kind === "runit" ? `${peer.bin}/svlogd -tt` : peer.kind === "s6" ? "/usr/bin/s6-log t" : "/usr/bin/multilog t"} ./main\n`
    : null;
  const dir = services(peer.kind, `${base}/service`, count, floor(run), log);
  const group = new Group();
  try {
    const env = { PATH: `${peer.bin}:/usr/bin:/bin`, UPKEEP_BENCH_STARTS: `${base}/starts` };
    return use(group, group.start(peer.start(dir), env), () => startsIn(`${base}/starts`));
  } finally {
    group.end();
  }
}

/** Starts `count`, waits until all run, looks at memory, then stops all and waits for the last process. */
function life(peer: Peer, count: number, logger: boolean): Numbers {
  return withServices(peer, count, "idle", logger, (group, root, starts) => {
    const begin = process.hrtime.bigint();
    until(`${count} services`, () => starts().length >= count);
    const up = Number((starts()[count - 1]?.ns ?? 0n) - begin) / 1e6;
    if (new Set(starts().map((s) => s.pid)).size !== count) throw new Error("services were started twice");
    const perService = peer.kind === "supervisord" || peer.kind === "floor" ? 0 : 1;
    if (logger) until("loggers", () => group.supervisors().length >= count * 2, 60_000);
    else if (perService) until("supervisors", () => group.supervisors().length >= count, 60_000);
    sleep(700);
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
    sleep(2000);
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
  for (const count of [10, 100, 1000])
    run(
      `services ${count}`,
      all.filter((p) => p.most >= count),
      (p) => life(p, count, false),
      quick ? 1 : 3,
    );
  for (const count of quick ? [100] : [100, 1000]) {
    run(
      `services with loggers ${count}`,
      there.filter((p) => p.kind !== "supervisord" && p.kind !== "daemontools" && p.most >= count),
      (p) => life(p, count, true),
      quick ? 1 : 2,
    );
  }
  run("restart", all, (p) => restart(p, 20), quick ? 1 : 5);
  run(
    "crash storm",
    all.filter((p) => p.kind !== "supervisord"),
    (p) => storm(p, quick ? 3 : 6),
    quick ? 1 : 2,
  );
  run("idle", all, (p) => idling(p, quick ? 3 : 10), 1);
  return rows;
}
