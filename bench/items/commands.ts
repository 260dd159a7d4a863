/** Items about short-lived commands: start-up, chpst, sv, process 1's orphans, size. */
import { execFileSync, spawnSync } from "node:child_process";
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
  startsIn,
  until,
  WORK,
} from "../harness.ts";
import { type Peer, services } from "../peers.ts";

function systemCalls(argv: readonly string[]): number {
  const file = `${WORK}/strace`;
  spawnSync("strace", ["-f", "-qq", "-o", file, ...argv], { stdio: "ignore" });
  return readFileSync(file, "latin1")
    .split("\n")
    .filter((line) => /^\d+ +\w+\(/.test(line)).length;
}

function status(peer: Peer, count: number, times: number): Subject & { end(): void } {
  const base = fresh("status");
  const dir = services(peer.kind, `${base}/service`, count, floor("idle"), null);
  const group = new Group();
  group.start(peer.start(dir), { PATH: `${peer.bin}:/usr/bin:/bin`, UPKEEP_BENCH_STARTS: `${base}/starts` });
  until(`${count} services`, () => startsIn(`${base}/starts`).length >= count);
  const names = Array.from({ length: count }, (_, i) => `${dir}/s${String(i).padStart(4, "0")}`);
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
      const trip = repeat(5, 0, ["/bin/sh", "-c", `${peer.bin}/sv down ${names[0]} && ${peer.bin}/sv up ${names[0]}`]);
      return { "wall µs": numbers["wall µs"] ?? 0, "CPU µs": numbers["CPU µs"] ?? 0, "down, up wall µs": trip["wall µs"] ?? 0 };
    },
    end: () => group.end(),
  };
}

function orphans(init: readonly string[], count: number): Numbers {
  const out = execFileSync(
    "unshare",
    ["--fork", "--kill-child", "--pid", "--mount", "--mount-proc", ...init, floor("orphans"), String(count)],
    {
      encoding: "latin1",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 90_000,
    },
  );
  const [wall, ticks] = out.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
  if (!(wall !== undefined && wall > 0)) throw new Error(`orphans: ${out}`);
  return { "wall ms": wall / 1e6, "CPU ms of process 1": (ticks ?? 0) * 10 };
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
  if (wanted("chpst")) {
    const last = floor("nothing");
    const subjects = runit.map((p) => of(p.name, () => repeat(200, 0, [`${p.bin}/chpst`, "-u", "daemon", last])));
    rows.push(...measure("chpst", [...subjects, of("floor (C)", () => repeat(200, 0, [floor("exec"), last]))], rounds));
  }
  for (const count of [1, 100, 1000]) {
    if (!wanted(`sv status ${count}`)) continue;
    const subjects = runit.map((p) => status(p, count, count === 1 ? 200 : count === 100 ? 20 : 3));
    rows.push(...measure(`sv status ${count}`, subjects, quick ? 2 : 5));
    for (const subject of subjects) subject.end();
  }
  if (wanted("orphans")) {
    const inits: [string, string[]][] = [
      ["upkeep", [`${ROOT}/dist/bin/upkeep`, "init", "--"]],
      ["tini", ["/usr/bin/tini", "--"]],
      ["dumb-init", ["/usr/bin/dumb-init", "--"]],
      ["floor (C)", [floor("init")]],
    ];
    const here = inits.filter(([, argv]) => existsSync(argv[0] ?? ""));
    rows.push(
      ...measure(
        "orphans",
        here.map(([name, argv]) => of(name, () => orphans(argv, quick ? 3000 : 20_000))),
        quick ? 1 : 3,
      ),
    );
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
