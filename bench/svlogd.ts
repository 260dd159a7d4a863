/**
 * npm run bench:svlogd [-- --quick] [ITEM…]: svlogd beside other loggers, all of them on the same input, one after the other in
 * every round. An ITEM is the beginning of an item's name.
 *
 *   input     80-byte lines, 1000-byte lines, and a mixture of 1 to 1500 bytes, through a pipe in pieces of 64 KiB
 *   output    files of 1,000,000 bytes, ten kept, in memory (/dev/shm, where there is one): what a disk adds is the same for all
 *   items     plain; time stamps (svlogd -tt, s6-log T and t, multilog t); 20 patterns that match no line
 *   floors    C programs that do nothing but move the bytes and change the files, by read and write, and by splice
 *
 * Lines per second are those from the first write to the exit of the logger; CPU time and memory are the logger's own
 * (wait4(2)); system calls are counted by strace in a run of their own.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanUp, existsSync, floor, machine, measure, type Numbers, progress, ROOT, type Row, readFileSync } from "./harness.ts";
import { PEERS_DIR } from "./peers.ts";
import { ratio, table } from "./report.ts";

const args = process.argv.slice(2);
const QUICK = args.includes("--quick");
const ITEMS = args.filter((a) => !a.startsWith("-"));
const BYTES = QUICK ? 30_000_000 : 100_000_000;
const ROUNDS = QUICK ? 3 : 7;

const MEMORY = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "upkeep-svlogd-"));
const LOG = join(MEMORY, "log");
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
process.on("exit", () => {
  rmSync(MEMORY, { recursive: true, force: true });
  cleanUp();
});

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

type Kind = "plain" | "time stamps" | "20 patterns";
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
const LOGGERS: readonly Logger[] = [
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
  { name: "floor (C), read and write", needs: "/", command: { plain: [floor("pass"), "read", LOG] } },
  { name: "floor (C), splice", needs: "/", command: { plain: [floor("pass"), "splice", LOG] } },
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

function feed(of: Input, kind: Kind, argv: readonly string[]): Numbers {
  freshLog(kind);
  const r = spawnSync(floor("feed"), [of.file, String(BYTES), ...argv], { encoding: "latin1", env: { PATH: "/usr/bin:/bin" } });
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
  const bytes = 20_000_000;
  spawnSync(floor("feed"), [of.file, String(bytes), "/usr/bin/strace", "-f", "-c", "-o", file, ...argv], { stdio: "ignore" });
  const total = /^ *100\.00 +\S+ +\S+ +(\d+).* total$/m.exec(existsSync(file) ? readFileSync(file, "latin1") : "");
  return (Number(total?.[1]) / bytes) * 1e9;
}

// ---- Report ----

/** At least so many times the lines per second of Debian's svlogd. */
const TARGET: Readonly<Record<Kind, number>> = { plain: 15, "time stamps": 5, "20 patterns": 5 };

const figure = (n: number): string => (Number.isFinite(n) ? n.toFixed(1) : "–");

function targets(rows: readonly Row[]): string[] {
  const lines = [
    "| item | target | lines/s, × runit | CPU, runit's × | best of the others | lines/s, × it | CPU, its × |",
    "| --- | ---: | ---: | ---: | --- | ---: | ---: |",
  ];
  for (const item of new Set(rows.map((r) => r.item))) {
    const others = rows.filter((r) => r.item === item && !/^(upkeep|runit|floor)/.test(r.subject));
    const speed = (r: Row): number => r.numbers["1000 lines/s"]?.median ?? 0;
    const best = others.sort((a, b) => speed(b) - speed(a))[0]?.subject ?? "";
    const kind = (Object.keys(TARGET) as Kind[]).find((k) => item.startsWith(k)) ?? "plain";
    const cell = (number: string, than: string): string =>
      figure(number === "CPU s/GB" ? ratio(rows, item, number, than, "upkeep") : ratio(rows, item, number, "upkeep", than));
    lines.push(
      `| ${item} | ${TARGET[kind]} | ${cell("1000 lines/s", "runit")} | ${cell("CPU s/GB", "runit")} | ${best} | ${cell("1000 lines/s", best)} | ${cell("CPU s/GB", best)} |`,
    );
  }
  return lines;
}

const there = LOGGERS.filter((l) => existsSync(l.needs));
const inputs = Object.entries(LENGTHS).map(([name, length]) => input(name, length));
const rows: Row[] = [];
for (const kind of Object.keys(TARGET) as Kind[]) {
  for (const of of inputs) {
    const item = `${kind}, ${of.name}`;
    if (ITEMS.length > 0 && !ITEMS.some((i) => item.startsWith(i))) continue;
    const subjects = there.flatMap((l) => {
      const argv = l.command[kind];
      return argv === undefined ? [] : [{ name: l.name, argv, once: () => feed(of, kind, argv) }];
    });
    for (const row of measure(item, subjects, ROUNDS)) {
      const argv = subjects.find((s) => s.name === row.subject)?.argv ?? [];
      progress(`${item}: system calls, ${row.subject}`);
      const calls = existsSync("/usr/bin/strace") ? systemCalls(of, kind, argv) : Number.NaN;
      const numbers = { ...row.numbers, "system calls/GB": { median: calls, min: calls, max: calls, count: 1 } };
      rows.push({ ...row, numbers: Number.isFinite(calls) ? numbers : row.numbers });
    }
  }
}

console.log(
  `${ROUNDS} interleaved rounds of ${BYTES / 1e6} MB; median (least–most) ×ratio to runit's; log directory in ${MEMORY}.\n`,
);
for (const [key, value] of Object.entries(machine())) console.log(`- ${key}: ${value}`);
console.log(
  `- not available here: ${
    LOGGERS.filter((l) => !there.includes(l))
      .map((l) => l.name)
      .join(", ") || "nothing"
  }\n`,
);
console.log([...targets(rows), ...table(rows)].join("\n"));
