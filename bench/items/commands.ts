/** Items about short-lived commands: start-up, chpst, sv; size. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  floor,
  fresh,
  Group,
  measure,
  type Numbers,
  ROOT,
  type Row,
  readFileSync,
  repeat,
  type Subject,
  sizeOf,
  sleep,
  startsIn,
  until,
  WORK,
} from "../harness.ts";
import { isRunit, type Peer, services } from "../peers.ts";

function systemCalls(argv: readonly string[]): number {
  const file = `${WORK}/strace`;
  spawnSync("strace", ["-f", "-qq", "-o", file, ...argv], { stdio: "ignore" });
  return readFileSync(file, "latin1")
    .split("\n")
    .filter((line) => /^\d+ +\w+\(/.test(line)).length;
}

/** Wall time of one command, µs. */
function trip(argv: readonly string[]): number {
  return repeat(1, 0, argv)["wall µs"] ?? Number.NaN;
}

function status(peer: Peer, count: number, times: number): Subject & { end(): void } {
  const base = fresh("status");
  // Beside one there is another, to be restarted: it is up for more than a second, so that no start is put off.
  const all = Math.max(count, 2);
  const dir = services(peer, `${base}/service`, all, floor("idle"), false);
  const group = new Group();
  group.start(peer.start(dir), { PATH: `${peer.bin}:/usr/bin:/bin`, UPKEEP_BENCH_STARTS: `${base}/starts` });
  until(`${all} services`, () => startsIn(`${base}/starts`).length >= all);
  const name = (i: number): string => `${dir}/s${String(i).padStart(4, "0")}`;
  const names = Array.from({ length: count }, (_, i) => name(i));
  const argv = [`${peer.bin}/sv`, "status", ...names];
  until("every status is run", () => {
    const r = spawnSync(argv[0] ?? "", argv.slice(1), { encoding: "latin1", maxBuffer: 1e8 });
    return r.status === 0 && r.stdout.split("\n").filter((line) => line.startsWith("run: ")).length === count;
  });
  return {
    name: peer.name,
    once: () => {
      const numbers = repeat(times, 0, argv);
      if (count > 1) return { "wall µs": numbers["wall µs"] ?? 0, "CPU µs": numbers["CPU µs"] ?? 0 };
      sleep(1300);
      const down = trip([`${peer.bin}/sv`, "down", name(0)]);
      const up = trip([`${peer.bin}/sv`, "up", name(0)]);
      const restart = trip([`${peer.bin}/sv`, "restart", name(all - 1)]);
      const numbersOfOne = { "wall µs": numbers["wall µs"] ?? 0, "CPU µs": numbers["CPU µs"] ?? 0 };
      return { ...numbersOfOne, "down, up wall µs": down + up, "restart wall µs": restart };
    },
    end: () => group.end(),
  };
}

/** What it costs to have a program run as another user: less what the program takes alone, in the same round. */
function identity(runit: readonly Peer[], times: number): Subject[] {
  const program = floor("nothing");
  let alone = 0;
  const cost = (name: string, words: readonly string[]): Subject => ({
    name,
    once: () => {
      const numbers = repeat(times, 0, [...words, program]);
      return { "cost µs": (numbers["wall µs"] ?? 0) - alone, "page faults": numbers["page faults"] ?? 0 };
    },
  });
  const others: readonly Subject[] = [
    cost("s6-setuidgid", ["/usr/bin/s6-setuidgid", "daemon"]),
    cost("setpriv", ["/usr/bin/setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups"]),
  ];
  return [
    {
      name: "the program alone",
      once: () => {
        const numbers = repeat(times, 0, [program]);
        alone = numbers["wall µs"] ?? 0;
        return { "wall µs": alone };
      },
    },
    ...runit.map((p) => cost(p.name, [`${p.bin}/chpst`, "-u", "daemon"])),
    ...others.filter((s) => existsSync(`/usr/bin/${s.name}`)),
    cost("floor (C)", [floor("exec")]),
  ];
}

export function commands(there: readonly Peer[], quick: boolean, wanted: (item: string) => boolean): Row[] {
  const rows: Row[] = [];
  const runit = there.filter((p) => p.kind === "runit");
  const of = (name: string, once: () => Numbers): Subject => ({ name, once });
  const rounds = quick ? 3 : 9;
  if (wanted("start-up")) {
    const subjects = runit.map((p) => {
      const argv = [`${p.bin}/sv`];
      const code = spawnSync(argv[0] ?? "", [], { stdio: "ignore" }).status ?? 0;
      return of(p.name, () => ({ ...repeat(200, code, argv), "system calls": systemCalls(argv) }));
    });
    rows.push(
      ...measure(
        "start-up",
        [
          ...subjects,
          of("floor (C)", () => ({ ...repeat(200, 0, [floor("nothing")]), "system calls": systemCalls([floor("nothing")]) })),
        ],
        rounds,
      ),
    );
  }
  if (wanted("chpst")) rows.push(...measure("chpst", identity(runit, quick ? 60 : 200), quick ? 3 : 15));
  for (const count of [1, 100, 1000]) {
    if (!wanted(`sv status ${count}`)) continue;
    const subjects = there.filter(isRunit).map((p) => status(p, count, count === 1 ? 200 : count === 100 ? 20 : 3));
    rows.push(...measure(`sv status ${count}`, subjects, quick ? 1 : 5));
    for (const subject of subjects) subject.end();
  }
  if (wanted("size")) {
    const names = ["runsvdir", "runsv", "sv", "svlogd", "chpst"];
    const debian = [
      ...names.map((n) => `/usr/bin/${n}`),
      "/sbin/runit",
      "/sbin/runit-init",
      "/usr/sbin/runsvchdir",
      "/usr/sbin/utmpset",
    ].filter(existsSync);
    const subjects = [
      of("upkeep", () => ({ kB: sizeOf([`${ROOT}/dist/bin/upkeep`]) })),
      of("runit", () => ({ kB: sizeOf(debian) })),
    ];
    if (there.some((p) => p.name === "BusyBox"))
      subjects.push(of("BusyBox", () => ({ kB: sizeOf([`${ROOT}/build/peers/busybox/busybox`]) })));
    rows.push(...measure("size", subjects, 1));
  }
  return rows;
}
