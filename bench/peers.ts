/** The supervisors compared: where their programs are, how they are started, asked and stopped. Nothing here is invented: absent is absent. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, ROOT, symlinkSync, writeFileSync } from "./harness.ts";

export const PEERS_DIR = `${ROOT}/build/peers`;

/** How service directories are written for it. */
export type Kind = "runit" | "dense" | "s6" | "daemontools" | "supervisord" | "pm2" | "floor";
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

/** Whether services and sv are runit's. */
export function isRunit(peer: Peer): boolean {
  return peer.kind === "runit" || peer.kind === "dense";
}

/** How many processes it supervises `count` services with; with loggers, those included. */
export function processesOf(kind: Kind, count: number, loggers: boolean): number {
  if (kind === "dense" || kind === "supervisord" || kind === "pm2" || kind === "floor") return 1;
  return 1 + count * (loggers ? (kind === "runit" ? 2 : 3) : 1);
}

const BIN = `${ROOT}/dist/bin`;
const BUSYBOX = `${PEERS_DIR}/busybox`;
/** Keeps the processes itself, in the foreground. */
const PM2 = `${PEERS_DIR}/node_modules/pm2/bin/pm2-runtime`;

const ALL: readonly Peer[] = [
  { name: "upkeep", kind: "runit", bin: BIN, start: (d) => [`${BIN}/runsvdir`, d], stop: "SIGHUP", needs: BIN, most: 1000 },
  {
    name: "upkeep --dense",
    kind: "dense",
    bin: BIN,
    start: (d) => [`${BIN}/runsvdir`, "--dense", d],
    stop: "SIGHUP",
    needs: BIN,
    most: 1000,
  },
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
  {
    name: "pm2",
    kind: "pm2",
    bin: "/usr/bin",
    start: (d) => [process.execPath, PM2, "start", `${d}/pm2.json`],
    stop: "SIGTERM",
    needs: PM2,
    most: 100,
  },
];

/** The peers that are there; the others' names go into the results. tini and dumb-init supervise no directories: items/process1.ts. */
export function peers(): { readonly there: readonly Peer[]; readonly missing: readonly string[] } {
  const told = execFileSync("sh", [`${ROOT}/bench/peers.sh`, PEERS_DIR], {
    encoding: "latin1",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const missing = ALL.filter((p) => !existsSync(p.needs)).map((p) => p.name);
  if (told.includes("dinit") || !existsSync("/usr/sbin/dinit")) missing.push("dinit");
  return { there: ALL.filter((p) => existsSync(p.needs)), missing };
}

/** What logs for it, as a run script; dense logs itself, by its config. */
function logScript(peer: Peer): string {
  const program =
    peer.kind === "runit" ? `${peer.bin}/svlogd -tt` : peer.kind === "s6" ? "/usr/bin/s6-log t" : "/usr/bin/multilog t";
  return `#!/bin/sh\nexec ${program} ./main\n`;
}

const SUPERVISORD = `logfile=/dev/null
logfile_maxbytes=0
minfds=8000
minprocs=3000
`;
const SUPERVISORD_PROGRAM = `autorestart=true
startsecs=0
startretries=1000000
stdout_logfile=/dev/null
stderr_logfile=/dev/null
stdout_logfile_maxbytes=0
stderr_logfile_maxbytes=0
`;

/** Writes `count` services whose run is the program `run`, and returns their directory. */
export function services(peer: Peer, dir: string, count: number, run: string, loggers: boolean): string {
  mkdirSync(dir, { recursive: true });
  const names = Array.from({ length: count }, (_, i) => `s${String(i).padStart(4, "0")}`);
  if (peer.kind === "supervisord") {
    const programs = names.map((name) => `[program:${name}]\ncommand=${run}\n${SUPERVISORD_PROGRAM}`);
    writeFileSync(`${dir}/supervisord.conf`, `[supervisord]\n${SUPERVISORD}pidfile=${dir}/pid\n${programs.join("")}`);
  } else if (peer.kind === "pm2") {
    const app = { script: run, interpreter: "none", autorestart: true, out_file: "/dev/null", error_file: "/dev/null" };
    const limits = { min_uptime: 0, max_restarts: 1_000_000 };
    writeFileSync(`${dir}/pm2.json`, JSON.stringify({ apps: names.map((name) => ({ name, ...app, ...limits })) }));
  } else for (const name of names) service(peer, `${dir}/${name}`, run, loggers);
  return dir;
}

function service(peer: Peer, dir: string, run: string, loggers: boolean): void {
  mkdirSync(dir);
  symlinkSync(run, `${dir}/run`);
  if (!loggers) return;
  mkdirSync(`${dir}/log/main`, { recursive: true });
  if (peer.kind === "dense") writeFileSync(`${dir}/log/config`, "Ttai64n\n");
  else writeFileSync(`${dir}/log/run`, logScript(peer), { mode: 0o755 });
}
