/** npm run bench:svlogd [-- --quick] [ITEM…]: the items of items/logging.ts alone. An ITEM is the beginning of an item's name. */
import { cleanUp, existsSync, machine, type Row } from "./harness.ts";
import { type Kind, LOGGERS, logging } from "./items/logging.ts";
import { ratio, table } from "./report.ts";

const args = process.argv.slice(2);
const QUICK = args.includes("--quick");
const ITEMS = args.filter((a) => !a.startsWith("-"));
const AMOUNT = {
  bytes: QUICK ? 30_000_000 : 100_000_000,
  rounds: QUICK ? 3 : 7,
  counted: true,
  lengths: ["80-byte lines", "1 KB lines", "mixed lines"],
};

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
process.on("exit", cleanUp);

/** At least so many times the lines per second of Debian's svlogd. */
const TARGET: Readonly<Record<Kind, number>> = { plain: 15, "time stamps": 5, "20 patterns": 5 };

const figure = (n: number): string => (Number.isFinite(n) ? n.toFixed(1) : "–");

function targets(rows: readonly Row[]): string[] {
  const lines = [
    "| item | target | lines/s, × runit | CPU, runit's × | best of the others | lines/s, × it | CPU, its × |",
    "| --- | ---: | ---: | ---: | --- | ---: | ---: |",
  ];
  for (const item of new Set(rows.map((r) => r.item).filter((name) => name !== "log latency"))) {
    const others = rows.filter((r) => r.item === item && !/^(upkeep|runit|floor)/.test(r.subject));
    const speed = (r: Row): number => r.numbers["1000 lines/s"]?.median ?? 0;
    const best = others.sort((a, b) => speed(b) - speed(a))[0]?.subject ?? "";
    const kind = (Object.keys(TARGET) as Kind[]).find((k) => item.startsWith(`log ${k}`)) ?? "plain";
    const cell = (number: string, than: string): string =>
      figure(number === "CPU s/GB" ? ratio(rows, item, number, than, "upkeep") : ratio(rows, item, number, "upkeep", than));
    lines.push(
      `| ${item} | ${TARGET[kind]} | ${cell("1000 lines/s", "runit")} | ${cell("CPU s/GB", "runit")} | ${best} | ${cell("1000 lines/s", best)} | ${cell("CPU s/GB", best)} |`,
    );
  }
  return lines;
}

const rows = logging(AMOUNT, (item) => ITEMS.length === 0 || ITEMS.some((i) => item.startsWith(i)));

console.log(`${AMOUNT.rounds} interleaved rounds of ${AMOUNT.bytes / 1e6} MB; median (least–most) ×ratio to runit's.\n`);
for (const [key, value] of Object.entries(machine())) console.log(`- ${key}: ${value}`);
const missing = LOGGERS.filter((l) => !existsSync(l.needs)).map((l) => l.name);
console.log(`- not available here: ${missing.join(", ") || "nothing"}\n`);
console.log([...targets(rows), ...table(rows)].join("\n"));
