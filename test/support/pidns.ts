/**
 * A machine in namespaces: a private root (the system's /usr, everything else
 * its own), a private process table whose process 1 is the program under test,
 * and a console that is read. Nothing of it outlives the test, and nothing in
 * it can reach the machine outside: reboot(2) there ends that process 1,
 * kill(-1) there finds nobody else.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { BIN_DIR, type Child, type Env, type Result, ROOT, run, start, type Toolchain, tempDir, until } from "./lab.ts";

/** Where our programs are inside; on the other toolchain's machine the directory is empty. */
const BIN = "/opt/bin";

/**
 * Run by unshare as process 1 of the new namespace; becomes the program.
 * $1 directory of the machine, $2 programs of ours or "", $3 ro or rw.
 */
const BOOT = `set -e
M=$1 BIN=$2 MODE=$3; shift 3
R=$M/root; mkdir -p "$R"; mount -t tmpfs -o mode=755 root "$R"
mkdir "$R/usr" "$R/proc" "$R/dev" "$R/run" "$R/tmp" "$R/mnt" "$R/etc" "$R/opt" "$R/opt/bin" "$R/sys"
mount --rbind /usr "$R/usr"
for d in bin sbin lib lib64; do ln -s usr/$d "$R/$d"; done
cp -a "$M/etc/." "$R/etc/"
mount -t proc proc "$R/proc"
mount -t tmpfs -o mode=755 run "$R/run"; mount -t tmpfs -o mode=1777 tmp "$R/tmp"; mount -t tmpfs -o mode=755 dev "$R/dev"
for d in null zero full random urandom tty; do : >"$R/dev/$d"; mount --bind /dev/$d "$R/dev/$d"; done
ln -s /proc/self/fd "$R/dev/fd"
if [ -e "$M/console" ]; then : >"$R/dev/console"; mount --bind "$M/console" "$R/dev/console"; fi
if [ -n "$BIN" ]; then
  mount --bind "$BIN" "$R/opt/bin"
  for f in sbin/runit; do mount --bind "$BIN/upkeep" "$R/usr/$f"; done
fi
[ "$MODE" = rw ] || mount -o remount,ro "$R"
cd "$R"; pivot_root . mnt
exec busybox chroot . /bin/sh -c 'umount -l /mnt; unset OLDPWD; exec "$@"' sh "$@" </dev/null
`;

/** Files below /etc; scripts are executable when they start with #!. */
export type MachineFiles = Readonly<Record<string, string>>;

export type MachineOptions = {
  /** What /etc holds, e.g. { "runit/1": "#!/bin/sh\n…" }. */
  readonly etc?: MachineFiles;
  readonly readOnly?: boolean;
  /** A user namespace as well, in which we are root: no capability outside. */
  readonly user?: boolean;
  /** false: there is no /dev/console. */
  readonly console?: boolean;
  readonly env?: Env;
  /** Not process 1: the child of one that only waits for it. */
  readonly wrapped?: boolean;
  /** What executes process 1's program in its own place, e.g. strace -D. */
  readonly before?: readonly string[];
};

/** How the machine ended: by exit code, or by what reboot(2) did to process 1. */
export type MachineEnd = "off" | "reboot" | number;

export type Machine = {
  readonly dir: string;
  /** Process 1 as the world outside numbers it. */
  readonly pid: number;
  /** What was written to the console so far. */
  console(): string;
  stdout(): string;
  stderr(): string;
  /** A program inside, to its end. */
  exec(...words: readonly string[]): Promise<Result>;
  /** A shell inside. */
  sh(script: string): Promise<string>;
  /** A signal from outside, or from inside with `exec("kill", …)`. */
  kill(signal: NodeJS.Signals | number): void;
  readonly end: Promise<MachineEnd>;
  /** Pids, as the world outside numbers them, of processes inside. */
  processes(): number[];
};

/** The path of a program inside the machine. */
export function inside(tools: Toolchain, program: string): string {
  return tools.name === "upkeep" ? join(BIN, program) : tools.program(program);
}

/** A search path inside with this toolchain first. */
export function insidePath(tools: Toolchain): string {
  return tools.name === "upkeep" ? `${BIN}:/usr/sbin:/usr/bin` : "/usr/sbin:/usr/bin";
}

function writeFiles(dir: string, files: MachineFiles): void {
  for (const [path, content] of Object.entries(files)) {
    const full = join(dir, path);
    mkdirSync(join(full, ".."), { recursive: true });
    if (content.startsWith("-> ")) symlinkSync(content.slice(3), full);
    else writeFileSync(full, content, { mode: content.startsWith("#!") ? 0o755 : 0o644 });
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Whether process 1 is past the boot script. */
function isProgram(pid: number, words: readonly string[]): boolean {
  if (pid === 0) return false;
  const title = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
  return words.every((word, i) => i > 2 || title[i] === word) && !existsSync(`/proc/${pid}/root/mnt/usr`);
}

/** Every process below `pid`. */
function descendants(pid: number): number[] {
  const found: number[] = [];
  for (const child of childrenOf(pid)) found.push(child, ...descendants(child));
  return found;
}

function endOf(code: number | null, signal: NodeJS.Signals | null): MachineEnd {
  // reboot(2) in a PID namespace: process 1 dies of INT (halt, power off) or HUP (restart), and unshare does after it.
  if (signal === "SIGINT") return "off";
  if (signal === "SIGHUP") return "reboot";
  return code ?? -1;
}

/** Boots a machine whose process 1 is `words` (paths inside). */
export async function boot(
  t: TestContext,
  tools: Toolchain,
  words: readonly string[],
  options: MachineOptions = {},
): Promise<Machine> {
  const dir = tempDir(t);
  mkdirSync(join(dir, "etc/runit"), { recursive: true });
  writeFiles(join(dir, "etc"), { passwd: "root:x:0:0::/:/bin/sh\n", group: "root:x:0:\n", ...options.etc });
  let reader: Child | null = null;
  if (options.console !== false) {
    execFileSync("mkfifo", [join(dir, "console")]);
    // Opened for writing too, so that it never reads end of file.
    reader = start(t, "/bin/sh", ["-c", `exec cat <>"${dir}/console"`]);
  }
  const namespaces = ["--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc"];
  if (options.user) namespaces.push("--user", "--map-root-user");
  const bin = tools.name === "upkeep" ? BIN_DIR : "";
  const boots = ["sh", "-c", BOOT, "sh", dir, bin, options.readOnly ? "ro" : "rw"];
  const wrapper = options.wrapped ? ["sh", "-c", '"$@" & wait $!', "sh"] : [];
  const child = start(t, "unshare", [...namespaces, ...boots, ...wrapper, ...(options.before ?? []), ...words], {
    env: { PATH: insidePath(tools), UPKEEP_CONTAINER: "0", ...options.env },
  });
  let pid = 0;
  let over = false;
  void child.exited.then(() => {
    over = true;
  });
  await until("process 1 is the program", () => {
    pid = childrenOf(child.pid)[0] ?? 0;
    return over || isProgram(pid, options.wrapped ? wrapper : words);
  }).catch((e: unknown) => {
    throw new Error(`${String(e)}\n${child.stderr()}${reader?.stdout() ?? ""}`);
  });
  const enter = [
    "-t",
    `${pid}`,
    "-p",
    "-m",
    "-u",
    "-i",
    ...(options.user ? ["-U", "--preserve-credentials"] : []),
    "--root",
    "--wd",
  ];
  const exec = (...all: readonly string[]): Promise<Result> =>
    run("nsenter", [...enter, ...all], { env: { PATH: insidePath(tools), ...options.env } });
  return {
    dir,
    pid,
    console: () => reader?.stdout() ?? "",
    stdout: child.stdout,
    stderr: child.stderr,
    exec,
    sh: async (script) => (await exec("/bin/sh", "-c", script)).stdout,
    kill: (signal) => {
      process.kill(pid, signal);
    },
    end: child.exited.then(({ code, signal }) => endOf(code, signal)),
    processes: () => descendants(pid),
  };
}

/** How many zombies are below a process. */
export function zombies(pids: readonly number[]): number {
  let count = 0;
  for (const pid of pids) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      if (stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) count++;
    } catch {
      // Gone meanwhile.
    }
  }
  return count;
}

/**
 * Runs the program `orphans` below a machine's process 1 until it has left that many behind.
 * Returns how many zombies there were at each look, in ascending order.
 */
export async function leaveOrphans(m: Machine, count: number): Promise<number[]> {
  const program = join(m.dir, "etc/orphans");
  execFileSync("musl-gcc", ["-static", "-Os", join(ROOT, "test/fixtures/orphans.c"), "-o", program]);
  const seen: number[] = [];
  const look = setInterval(() => seen.push(zombies(m.processes())), 20);
  try {
    const { code, stderr } = await run("nsenter", ["-t", `${m.pid}`, "-p", program, `${count}`], { timeoutMs: 300_000 });
    if (code !== 0) throw new Error(`orphans: ${code} ${stderr}`);
  } finally {
    clearInterval(look);
  }
  return seen.sort((a, b) => a - b);
}
