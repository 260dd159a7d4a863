/** The supervisors compared: where their programs are, how they are started, asked and stopped. Nothing here is invented: absent is absent. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, ROOT, symlinkSync, writeFileSync } from "./harness.ts";

export const PEERS_DIR = `${ROOT}/build/peers`;

/** How service directories are written for it. */
export type Kind = "runit" | "s6" | "daemontools" | "supervisord" | "floor";
export type Peer = {
  readonly name: string;
  readonly kind: Kind;
  /** First on the PATH. */
  readonly bin: string;
  /** The supervisor of a whole directory. */
  readonly start: (dir: string) => readonly string[];
  /** What ends all. */
  readonly stop: NodeJS.Signals | null;
  readonly needs: string;
  /** The most services it is asked to keep. */
  readonly most: number;
};

const BIN = `${ROOT}/dist/bin`;
const BUSYBOX = `${PEERS_DIR}/busybox`;

const ALL: readonly Peer[] = [
  { name: "upkeep", kind: "runit", bin: BIN, start: (d) => [`${BIN}/runsvdir`, d], stop: "SIGHUP", needs: BIN, most: 1000 },
  {
    name: "runit",
    kind: "runit",
    bin: "/usr/bin",
    start: (d) => ["/usr/bin/runsvdir", d],
    stop: "SIGHUP",
    needs: "/usr/bin/runsvdir",
    most: 1000,
  },
  {
    name: "BusyBox",
    kind: "runit",
    bin: BUSYBOX,
    start: (d) => [`${BUSYBOX}/runsvdir`, d],
    stop: "SIGHUP",
    needs: BUSYBOX,
    most: 1000,
  },
  {
    name: "s6",
    kind: "s6",
    bin: "/usr/bin",
    start: (d) => ["/usr/bin/s6-svscan", "-c", "1100", d],
    stop: "SIGTERM",
    needs: "/usr/bin/s6-svscan",
    most: 1000,
  },
  {
    name: "daemontools",
    kind: "daemontools",
    bin: "/usr/bin",
    start: (d) => ["/usr/bin/svscan", d],
    stop: null,
    needs: "/usr/bin/svscan",
    most: 1000,
  },
  {
    name: "supervisord",
    kind: "supervisord",
    bin: "/usr/bin",
    start: (d) => ["/usr/bin/supervisord", "-n", "-c", `${d}/supervisord.conf`],
    stop: "SIGTERM",
    needs: "/usr/bin/supervisord",
    most: 100,
  },
];

/** The peers that are there; the others' names go into the results. pm2, tini, dumb-init supervise no directories. */
export function peers(): { readonly there: readonly Peer[]; readonly missing: readonly string[] } {
  const told = execFileSync("sh", [`${ROOT}/bench/peers.sh`, PEERS_DIR], {
    encoding: "latin1",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const missing = ALL.filter((p) => !existsSync(p.needs)).map((p) => p.name);
  if (told.includes("dinit") || !existsSync("/usr/sbin/dinit")) missing.push("dinit");
  return { there: ALL.filter((p) => existsSync(p.needs)), missing };
}

/** Writes `count` services whose run is the program `run`, and returns their directory. */
export function services(kind: Kind, dir: string, count: number, run: string, log: string | null): string {
  mkdirSync(dir, { recursive: true });
  let conf = `[supervisord]\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=${dir}/pid\nminfds=8000\nminprocs=3000\n`;
  for (let i = 0; i < count; i++) {
    const name = `s${String(i).padStart(4, "0")}`;
    if (kind === "supervisord") {
      conf += `[program:${name}]\ncommand=${run}\nautorestart=true\nstartsecs=0\nstartretries=1000000\nstdout_logfile=/dev/null\nstderr_logfile=/dev/null\nstdout_logfile_maxbytes=0\nstderr_logfile_maxbytes=0\n`;
      continue;
    }
    mkdirSync(`${dir}/${name}`);
    symlinkSync(run, `${dir}/${name}/run`);
    if (log !== null) {
      mkdirSync(`${dir}/${name}/log/main`, { recursive: true });
      writeFileSync(`${dir}/${name}/log/run`, log, { mode: 0o755 });
    }
  }
  if (kind === "supervisord") writeFileSync(`${dir}/supervisord.conf`, conf);
  return dir;
}
