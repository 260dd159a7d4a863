/** Rows into Markdown. */
import type { Row } from "./harness.ts";

export function ratio(rows: readonly Row[], item: string, number: string, a: string, b: string): number {
  const of = (name: string): number =>
    rows.find((r) => r.item === item && r.subject === name)?.numbers[number]?.median ?? Number.NaN;
  return of(a) / of(b);
}

function figure(n: number): string {
  return n >= 100 || Number.isInteger(n) ? n.toFixed(0) : n.toFixed(n >= 10 ? 1 : 2);
}

/** The targets: item, number, at most this ratio to runit. */
export const TARGETS: readonly (readonly [string, string, number])[] = [
  ["services 1000", "PSS kB", 0.3],
  ["services with loggers 1000", "PSS kB", 0.3],
  ["services 1000", "up ms", 0.45],
  ["services 1000", "up CPU ms", 0.3],
  ["services 1000", "stop ms", 0.6],
  ["restart", "p50 µs", 0.6],
  ["restart", "p99 µs", 0.6],
  ["crash storm", "CPU µs per start", 0.7],
  ["sv status 1", "wall µs", 0.25],
  ["sv status 100", "wall µs", 0.4],
  ["sv status 1000", "wall µs", 0.35],
  ["sv status 1", "down, up wall µs", 0.4],
  ["start-up", "wall µs", 0.25],
  ["start-up", "page faults", 0.3],
];

function targets(rows: readonly Row[]): string[] {
  const lines = [
    "## Against the targets",
    "",
    "| item | number | target | upkeep / runit | reached | upkeep / BusyBox |",
    "| --- | --- | ---: | ---: | --- | ---: |",
  ];
  for (const [item, number, target] of TARGETS) {
    const r = ratio(rows, item, number, "upkeep", "runit");
    if (!Number.isFinite(r)) continue;
    const b = ratio(rows, item, number, "upkeep", "BusyBox");
    lines.push(
      `| ${item} | ${number} | ${target} | ${r.toFixed(3)} | ${r <= target ? "yes" : "no"} | ${Number.isFinite(b) ? b.toFixed(2) : "–"} |`,
    );
  }
  return lines;
}

/** The Markdown tables of the rows, one an item. */
export function table(rows: readonly Row[]): string[] {
  const lines: string[] = [];
  for (const item of new Set(rows.map((r) => r.item))) {
    const of = rows.filter((r) => r.item === item);
    const names = [...new Set(of.flatMap((r) => Object.keys(r.numbers)))];
    lines.push("", `## ${item}`, "", `| | ${names.join(" | ")} |`, `| --- |${" ---: |".repeat(names.length)}`);
    for (const row of of) lines.push(`| ${row.subject}${reason(row)} | ${names.map((n) => cell(rows, row, n)).join(" | ")} |`);
  }
  return lines;
}

function reason(row: Row): string {
  return row.failure === undefined ? "" : ` (failed: ${row.failure.split("|").join("/")})`;
}

function cell(rows: readonly Row[], row: Row, name: string): string {
  const s = row.numbers[name];
  if (!s) return "–";
  const r = ratio(rows, row.item, name, row.subject, "runit");
  const range = s.count > 1 ? ` (${figure(s.min)}–${figure(s.max)})` : "";
  return `${figure(s.median)}${range}${Number.isFinite(r) && row.subject !== "runit" ? ` ×${r.toFixed(2)}` : ""}`;
}

export function markdown(
  rows: readonly Row[],
  machine: Readonly<Record<string, string>>,
  missing: readonly string[],
  quick: boolean,
): string {
  const lines = [
    "# Results",
    "",
    `Written by \`npm run bench${quick ? " -- --quick" : ""}\`. Median (min–max) of interleaved rounds; × is the ratio to Debian's runit.`,
    "",
  ];
  for (const [key, value] of Object.entries(machine)) lines.push(`- ${key}: ${value}`);
  lines.push(`- not available here: ${missing.join(", ") || "nothing"}`, "", ...targets(rows));
  lines.push(...table(rows));
  return `${lines.join("\n")}\n`;
}
