/**
 * Items about loggers, all of them on the same input.
 *
 *   input     80-byte lines, 1000-byte lines, and a mixture of 1 to 1500 bytes, through a pipe in pieces of 64 KiB
 *   output    files of 1,000,000 bytes, ten kept, in memory (/dev/shm, where there is one): what a disk adds is the same for all
 *   items     plain; time stamps (svlogd -tt, s6-log T and t, multilog t); 20 patterns that match no line; latency of a lonely
 *             line, from its write to its place in `current`
 *   floors    C programs that do nothing but move the bytes and change the files, by read and write, and by splice
 *
 * Lines per second are those from the first write to the exit of the logger; CPU time and memory are the logger's own
 * (wait4(2)); system calls are counted by strace in a run of their own.
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  existsSync,
  floor,
  measure,
  type Numbers,
  percentile,
  progress,
  ROOT,
  type Row,
  readFileSync,
  type Subject,
  until,
} from "../harness.ts";
import { PEERS_DIR } from "../peers.ts";

const MEMORY = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "upkeep-svlogd-"));
const LOG = join(MEMORY, "log");
process.on("exit", () => rmSync(MEMORY, { recursive: true, force: true }));

// ---- Input ----

/** The same numbers in every run. */
let seed = 20251126;
function below(limit: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * limit);
}

const WORDS = ["svc", "error", "ok", "conn", "GET", "/index", "user", "10.0.0.", "timeout", "level=info", "took", "ms"];

function line(length: number): string {
  let text = "";
  while (text.length < length) text += `${WORDS[below(WORDS.length)] ?? ""}${below(100)} `;
  return `${text.slice(0, length - 1)}\n`;
}

const LENGTHS: Readonly<Record<string, () => number>> = {
  "80-byte lines": () => 80,
  "1 KB lines": () => 1000,
  "mixed lines": () => [1, 20, 40, 80, 80, 80, 120, 200, 400, 1500][below(10)] ?? 80,
};

type Input = { readonly name: string; readonly file: string; readonly meanBytes: number };

function input(name: string, length: () => number): Input {
  const file = join(MEMORY, name.split(" ").join("-"));
  let text = "";
  let lines = 0;
  for (; text.length < 4_000_000; lines++) text += line(length());
  writeFileSync(file, text);
  return { name, file, meanBytes: text.length / lines };
}

// ---- Loggers ----

const NAMES = ["kernel", "sshd", "cron", "dhcpd", "ntpd", "named", "postfix", "sudo", "systemd", "rsyslogd"];
const LEVELS = ["debug1", "trace", "verbose", "spam", "noise", "ping", "probe", "health", "metrics", "static"];
/** Half look at the beginning of a line, half search in it; BusyBox's match only with a star at the end. */
const STARS = [...NAMES.map((name) => `-${name}: *`), ...LEVELS.map((level) => `-*[${level}] *`)];
const EXPRESSIONS = [...NAMES.map((name) => `-^${name}: `), ...LEVELS.map((level) => `-^[^[]*\\[${level}\\] `)];

export type Kind = "plain" | "time stamps" | "20 patterns";
type Logger = {
  readonly name: string;
  readonly needs: string;
  readonly command: Readonly<Partial<Record<Kind, readonly string[]>>>;
};

function svlogd(name: string, path: string): Logger {
  return {
    name,
    needs: path,
    command: { plain: [path, LOG], "time stamps": [path, "-tt", LOG], "20 patterns": [path, LOG] },
  };
}

const ROTATION = ["n10", "s1000000"];
const S6 = "/usr/bin/s6-log";
const MULTILOG = "/usr/bin/multilog";
export const LOGGERS: readonly Logger[] = [
  svlogd("upkeep", `${ROOT}/dist/bin/svlogd`),
  svlogd("runit", "/usr/bin/svlogd"),
  svlogd("BusyBox", `${PEERS_DIR}/busybox/svlogd`),
  {
    name: "s6-log",
    needs: S6,
    command: {
      plain: [S6, ...ROTATION, LOG],
      "time stamps": [S6, ...ROTATION, "T", LOG],
      "20 patterns": [S6, "--", ...EXPRESSIONS, ...ROTATION, LOG],
    },
  },
  { name: "s6-log, TAI64N", needs: S6, command: { "time stamps": [S6, ...ROTATION, "t", LOG] } },
  {
    name: "multilog",
    needs: MULTILOG,
    command: {
      plain: [MULTILOG, ...ROTATION, LOG],
      "time stamps": [MULTILOG, "t", ...ROTATION, LOG],
      "20 patterns": [MULTILOG, ...STARS, ...ROTATION, LOG],
    },
  },
  { name: "floor (C), read and write", needs: "/", command: { plain: ["pass", "read", LOG] } },
  { name: "floor (C), splice", needs: "/", command: { plain: ["pass", "splice", LOG] } },
];

function freshLog(kind: Kind): void {
  rmSync(LOG, { recursive: true, force: true });
  mkdirSync(LOG);
  const patterns = kind === "20 patterns" ? `${STARS.join("\n")}\n` : "";
  writeFileSync(join(LOG, "config"), `s1000000\nn10\n${patterns}`);
}

/** Ten files and what is left over must be there, or the work was not done. */
function checkLog(name: string): void {
  const kept = readdirSync(LOG)
    .filter((file) => file.startsWith("@") || file === "current")
    .reduce((sum, file) => sum + statSync(join(LOG, file)).size, 0);
  if (kept < 9_000_000) throw new Error(`${name}: ${kept} bytes in the log`);
}

function feed(of: Input, kind: Kind, argv: readonly string[], total: number): Numbers {
  freshLog(kind);
  const r = spawnSync(floor("feed"), [of.file, String(total), ...argv], { encoding: "latin1", env: { PATH: "/usr/bin:/bin" } });
  const [wall = 0, user = 0, system = 0, rss = 0, code = -1, bytes = 0] = r.stdout.trim().split(" ").map(Number);
  if (r.status !== 0 || code !== 0) throw new Error(`exit status ${r.status}, ${code}: ${r.stderr}`);
  checkLog(argv[0] ?? "");
  return {
    "1000 lines/s": bytes / of.meanBytes / 1e3 / (wall / 1e9),
    "CPU s/GB": (user + system) / 1e6 / (bytes / 1e9),
    "user s/GB": user / 1e6 / (bytes / 1e9),
    "peak RSS kB": rss,
  };
}

function systemCalls(of: Input, kind: Kind, argv: readonly string[]): number {
  freshLog(kind);
  const file = join(MEMORY, "strace");
  const bytes = 4_000_000;
  spawnSync(floor("feed"), [of.file, String(bytes), "/usr/bin/strace", "-f", "-c", "-o", file, ...argv], { stdio: "ignore" });
  const total = /^ *100\.00 +\S+ +\S+ +(\d+).* total$/m.exec(existsSync(file) ? readFileSync(file, "latin1") : "");
  return (Number(total?.[1]) / bytes) * 1e9;
}

/** From the write of a line to its place in the log, µs; half of the lines go to a logger that has just been woken. */
function latency(argv: readonly string[], lines: number): Numbers {
  freshLog("plain");
  const fifo = join(MEMORY, "fifo");
  rmSync(fifo, { force: true });
  spawnSync("mkfifo", [fifo]);
  const input = openSync(fifo, "r+");
  const child = spawn(argv[0] ?? "", argv.slice(1), { stdio: [input, "ignore", "ignore"] });
  try {
    const size = (): number => (existsSync(`${LOG}/current`) ? statSync(`${LOG}/current`).size : 0);
    writeSync(input, "first\n");
    until("the first line", () => size() > 0);
    const seen: number[] = [];
    for (let i = 0; i < lines; i++) {
      const before = size();
      const at = process.hrtime.bigint();
      writeSync(input, `line ${i}\n`);
      while (size() === before) if (process.hrtime.bigint() - at > 10_000_000_000n) throw new Error("a line does not arrive");
      seen.push(Number(process.hrtime.bigint() - at) / 1e3);
    }
    return { "p50 µs": percentile(seen, 0.5), "p99 µs": percentile(seen, 0.99) };
  } finally {
    child.kill("SIGKILL");
    closeSync(input);
  }
}

const KINDS: readonly Kind[] = ["plain", "time stamps", "20 patterns"];

function subjects(there: readonly Logger[], kind: Kind, once: (argv: readonly string[]) => Numbers): (Subject & Argv)[] {
  return there.flatMap((l) => {
    const [program = "", ...words] = l.command[kind] ?? [];
    if (program === "") return [];
    const argv = [program === "pass" ? floor("pass") : program, ...words];
    return [{ name: l.name, argv, once: () => once(argv) }];
  });
}

type Argv = { readonly argv: readonly string[] };
/** How much: bytes of each run, rounds, and with which lengths of lines. */
export type Amount = {
  readonly bytes: number;
  readonly rounds: number;
  readonly lengths: readonly string[];
  /** System calls are counted, too, which takes a slow run for each. */
  readonly counted: boolean;
};

export function logging(amount: Amount, wanted: (item: string) => boolean): Row[] {
  const there = LOGGERS.filter((l) => existsSync(l.needs));
  const rows: Row[] = [];
  for (const name of amount.lengths) {
    const length = LENGTHS[name];
    const items = KINDS.filter((kind) => wanted(`log ${kind}, ${name}`));
    if (length === undefined || items.length === 0) continue;
    const of = input(name, length);
    for (const kind of items) rows.push(...throughput(there, of, kind, amount));
    rmSync(of.file);
  }
  const own = there.filter((l) => l.name !== "s6-log, TAI64N" && !l.name.endsWith("splice"));
  if (wanted("log latency"))
    rows.push(
      ...measure(
        "log latency",
        subjects(own, "plain", (argv) => latency(argv, 300)),
        amount.rounds,
      ),
    );
  return rows;
}

function throughput(there: readonly Logger[], of: Input, kind: Kind, amount: Amount): Row[] {
  const item = `log ${kind}, ${of.name}`;
  const all = subjects(there, kind, (argv) => feed(of, kind, argv, amount.bytes));
  const measured = measure(item, all, amount.rounds);
  if (!amount.counted || !existsSync("/usr/bin/strace")) return measured;
  return measured.map((row) => {
    progress(`${item}: system calls, ${row.subject}`);
    const argv = all.find((s) => s.name === row.subject)?.argv ?? [];
    const calls = systemCalls(of, kind, argv);
    return { ...row, numbers: { ...row.numbers, "system calls/GB": { median: calls, min: calls, max: calls, count: 1 } } };
  });
}
