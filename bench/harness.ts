/**
 * The harness of the benchmarks. A further item is a function that returns rows, called by
 * bench/run.ts like the others:
 *
 *   export function exec(quick: boolean, wanted: (item: string) => boolean): Row[] {
 *     if (!wanted("exec")) return [];
 *     const bin = (name: string, path: string): Subject => ({ name, once: () => repeat(200, 0, [path, "-P", floor("nothing")]) });
 *     return measure("exec", [bin("upkeep", `${ROOT}/dist/bin/chpst`), bin("runit", "/usr/bin/chpst")], quick ? 3 : 9);
 *   }
 *
 * Alone it is printed by `console.log(table(rows).join("\n"))` of report.ts, with `process.on("exit", cleanUp)`
 * before. What there is:
 *
 *   measure(item, subjects, rounds)  runs every subject once per round, A B C A B C …, so that a
 *       busy moment of the machine hits all of them, prints a progress line, and returns a Row
 *       per subject with median, min and max of every number. A subject's `once()` returns numbers
 *       by name and throws if the work was not really done: then it has no figures, but a reason.
 *       Ratios are to the subject called "runit"; the one called "floor (C)" does only the kernel's part.
 *   Group          a control group: CPU time, processes and memory of everything started in it,
 *                  and its end. Only what was started in it is ever killed.
 *   repeat(…)      a command many times from a small C program, so that node's own cost is not in it
 *   floor(name)    a C program of bench/floor, compiled in this run
 *   fresh(name)    a new directory, removed at the end
 *   until(…)       polls for the moment work is done
 *   machine()      what the figures were measured on
 *
 * Times are in ms or µs, memory in kB, as the name of the number says.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "..");
/** Everything of a run lies here, in memory where it can: what a disk adds is the same for all. Removed by `cleanUp`. */
export const WORK = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "upkeep-bench-"));
chmodSync(WORK, 0o755); // chpst -u must reach the programs in it.

export type Numbers = Readonly<Record<string, number>>;
export type Subject = { readonly name: string; once(round: number): Numbers };
export type Spread = { readonly median: number; readonly min: number; readonly max: number; readonly count: number };
export type Row = {
  readonly item: string;
  readonly subject: string;
  readonly numbers: Readonly<Record<string, Spread>>;
  /** Why there are no figures, or not from every round. */
  readonly failure?: string;
};

export function spread(values: readonly number[]): Spread {
  const v = values.filter(Number.isFinite).sort((a, b) => a - b);
  const at = (i: number): number => v[Math.min(v.length - 1, Math.max(0, i))] ?? Number.NaN;
  const half = Math.floor(v.length / 2);
  const median = v.length % 2 === 1 ? at(half) : (at(half - 1) + at(half)) / 2;
  return { median, min: at(0), max: at(v.length - 1), count: v.length };
}

/** The value below which a share `p` of the values lies. */
export function percentile(values: readonly number[], p: number): number {
  const v = [...values].sort((a, b) => a - b);
  return v[Math.min(v.length - 1, Math.floor(v.length * p))] ?? Number.NaN;
}

export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else process.stderr.write(`${text}\n`);
}

export function measure(item: string, subjects: readonly Subject[], rounds: number): Row[] {
  const all = subjects.map(() => new Map<string, number[]>());
  const failures: (string | undefined)[] = subjects.map(() => undefined);
  for (let round = 0; round < rounds; round++) {
    subjects.forEach((subject, i) => {
      if (failures[i] !== undefined) return;
      progress(`${item}: round ${round + 1} of ${rounds}, ${subject.name}`);
      try {
        for (const [key, value] of Object.entries(subject.once(round))) {
          const seen = all[i]?.get(key);
          if (seen) seen.push(value);
          else all[i]?.set(key, [value]);
        }
      } catch (e) {
        failures[i] = (e instanceof Error ? e.message : String(e)).split("\n")[0] ?? "failed";
        progress(`${item}: ${subject.name}: ${failures[i]}`);
      }
    });
  }
  return subjects.map((subject, i) => {
    const numbers = Object.fromEntries([...(all[i] ?? [])].map(([key, values]) => [key, spread(values)]));
    const failure = failures[i];
    return { item, subject: subject.name, numbers, ...(failure === undefined ? {} : { failure }) };
  });
}

export function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

export function until(what: string, done: () => boolean, limitMs = 60_000): void {
  const end = performance.now() + limitMs;
  while (!done()) {
    if (performance.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    sleep(1);
  }
}

/** A file's content, latin-1; empty when it cannot be read. */
export function slurp(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

// ---- Control groups ----

const V1 = "/sys/fs/cgroup/cpuacct";
const V2 = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((path) => existsSync(join(path, "cgroup.controllers"))) ?? "";
let made = 0;
const groups = new Set<Group>();

export type Memory = { readonly pssKb: number; readonly privateDirtyKb: number; readonly processes: number };

export class Group {
  readonly path: string;
  constructor() {
    made += 1;
    this.path = join(existsSync(V1) ? V1 : V2, `upkeep-bench-${process.pid}-${made}`);
    mkdirSync(this.path);
    groups.add(this);
  }

  /** Starts a program in the group, without terminal or output. Returns its pid. */
  start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): number {
    const child = spawn("/bin/sh", ["-c", `echo $$ >${this.path}/cgroup.procs; exec "$@"`, "sh", ...argv], {
      detached: true,
      stdio: "ignore",
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "", HOME: WORK, ...env },
    });
    child.unref();
    if (child.pid === undefined) throw new Error(`cannot start ${argv[0]}`);
    return child.pid;
  }

  pids(): number[] {
    return slurp(join(this.path, "cgroup.procs")).split("\n").filter(Boolean).map(Number);
  }

  /** CPU time used so far by all processes, also ended ones, in ms. */
  cpuMs(): number {
    if (this.path.startsWith(V1)) return Number(slurp(join(this.path, "cpuacct.usage"))) / 1e6;
    return Number(/usage_usec (\d+)/.exec(slurp(join(this.path, "cpu.stat")))?.[1]) / 1e3;
  }

  /** The pids that are not a service's own process. */
  supervisors(): number[] {
    return this.pids().filter((pid) => {
      try {
        return !/\/(idle|crash)$/.test(readlinkSync(`/proc/${pid}/exe`));
      } catch {
        return false;
      }
    });
  }

  memory(): Memory {
    let pssKb = 0;
    let privateDirtyKb = 0;
    const pids = this.supervisors();
    for (const pid of pids) {
      const rollup = slurp(`/proc/${pid}/smaps_rollup`);
      pssKb += Number(/^Pss: +(\d+)/m.exec(rollup)?.[1] ?? 0);
      privateDirtyKb += Number(/^Private_Dirty: +(\d+)/m.exec(rollup)?.[1] ?? 0);
    }
    return { pssKb, privateDirtyKb, processes: pids.length };
  }

  /** How often the supervisors have left the processor of their own accord. */
  wakeups(): number {
    let sum = 0;
    for (const pid of this.supervisors())
      sum += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(slurp(`/proc/${pid}/status`))?.[1] ?? 0);
    return sum;
  }

  /** Kills what is left, and removes the group. */
  end(): void {
    for (let i = 0; i < 5000; i++) {
      const left = this.pids();
      if (left.length === 0) break;
      for (const pid of left) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It was quicker.
        }
      }
      sleep(2);
    }
    for (let i = 0; i < 100; i++) {
      try {
        rmdirSync(this.path);
        break;
      } catch {
        sleep(10);
      }
    }
    groups.delete(this);
  }
}

export function cleanUp(): void {
  for (const group of [...groups]) group.end();
  rmSync(WORK, { recursive: true, force: true });
}

// ---- C programs ----

const compiled = new Map<string, string>();

/** Compiles bench/floor/NAME.c, statically, and returns its path. */
export function floor(name: string): string {
  let path = compiled.get(name);
  if (path === undefined) {
    path = join(WORK, name);
    execFileSync("musl-gcc", ["-static", "-Os", "-s", "-o", path, join(ROOT, "bench/floor", `${name}.c`)]);
    compiled.set(name, path);
  }
  return path;
}

/** Runs argv `count` times: wall and CPU time in µs and page faults, of one. Throws unless each exited with `status`. */
export function repeat(
  count: number,
  status: number,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Numbers {
  const r = spawnSync(floor("repeat"), [String(count), String(status), ...argv], {
    encoding: "latin1",
    env: { PATH: "/usr/bin:/bin", ...env },
  });
  const [wall, cpu, faults, bad] = r.stdout.trim().split(" ").map(Number);
  if (bad !== 0) throw new Error(`${argv[0]}: ${bad} of ${count} did not exit with ${status}`);
  return { "wall µs": (wall ?? 0) / count / 1e3, "CPU µs": (cpu ?? 0) / count / 1e3, "page faults": (faults ?? 0) / count };
}

export function machine(): Readonly<Record<string, string>> {
  const cpu = cpus()[0];
  return {
    processor: `${cpus().length} × ${cpu?.model ?? "unknown"}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    kernel: release(),
    system: /PRETTY_NAME="(.*)"/.exec(slurp("/etc/os-release"))?.[1] ?? "",
    load: slurp("/proc/loadavg").split(" ").slice(0, 3).join(" "),
    date: new Date().toISOString().slice(0, 16) + "Z",
  };
}

/** Starts a service announced: see bench/floor/mark.h. */
export function startsIn(file: string): { readonly ns: bigint; readonly pid: number }[] {
  if (!existsSync(file)) return [];
  const b = readFileSync(file);
  return Array.from({ length: Math.floor(b.length / 16) }, (_, i) => ({
    ns: b.readBigUInt64LE(i * 16),
    pid: Number(b.readBigUInt64LE(i * 16 + 8)),
  }));
}

export function fresh(name: string): string {
  const path = mkdtempSync(join(WORK, `${name}-`));
  return path;
}

export function sizeOf(paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + readFileSync(path).length, 0) / 1024;
}

export { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync };
