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

/**
 * What upkeep is to reach: `of`: a number of an item; ratios of one runsv each to Debian's runit, of that to the best
 * other supervisor, and of dense mode to Debian's runit. null: none was set.
 */
export type Target = {
  readonly item: string;
  readonly of: string;
  readonly runit: number | null;
  readonly peer: number | null;
  readonly dense: number | null;
  /** More is better. */
  readonly rate?: boolean;
};

function target(item: string, of: string, runit: number | null, peer: number | null, dense: number | null): Target {
  return { item, of, runit, peer, dense };
}

export const TARGETS: readonly Target[] = [
  target("services 1000", "PSS kB", 0.3, 1.6, 0.01),
  target("services with loggers 1000", "PSS kB", 0.3, 1.6, 0.01),
  target("services 1000", "up ms", 0.45, 1, 0.4),
  target("services 1000", "up CPU ms", 0.3, 1, 0.15),
  target("services 1000", "stop ms", 0.6, 1, 0.11),
  target("restart", "p50 µs", 0.6, 1, 0.5),
  target("restart", "p99 µs", 0.6, 1, 0.5),
  target("crash storm", "CPU µs per start", 0.7, 1, 0.5),
  target("sv status 1", "wall µs", 0.25, 1, 0.25),
  target("sv status 100", "wall µs", 0.4, 1, 0.4),
  target("sv status 1000", "wall µs", 0.35, 1, 0.35),
  target("sv status 1", "down, up wall µs", 0.4, 1, 0.4),
  target("start-up", "wall µs", 0.25, 1, null),
  target("start-up", "page faults", 0.3, 1, null),
  target("chpst", "cost µs", 0.2, 1, null),
  target("orphans", "wall ms", 1, 1, null),
  target("process 1 with services", "PSS kB", 0.5, 1, null),
  target("process 1 with services", "stop ms", null, 1, null),
  target("process 1 with a command", "PSS kB", null, 1, null),
  target("process 1 with a command", "stop ms", null, 1, null),
  { ...target("log plain, 80-byte lines", "1000 lines/s", 15, 1, null), rate: true },
  { ...target("log time stamps, 80-byte lines", "1000 lines/s", 5, 1, null), rate: true },
  { ...target("log 20 patterns, 80-byte lines", "1000 lines/s", 5, 1, null), rate: true },
];

const ours = (name: string): boolean => name.startsWith("upkeep") || name.startsWith("floor") || name === "the program alone";

/** The best of the others for a number, or null. */
export function bestPeer(rows: readonly Row[], t: Target): string | null {
  const value = (r: Row): number => r.numbers[t.of]?.median ?? Number.NaN;
  const others = rows.filter((r) => r.item === t.item && !ours(r.subject) && Number.isFinite(value(r)));
  others.sort((a, b) => (t.rate === true ? value(b) - value(a) : value(a) - value(b)));
  return others[0]?.subject ?? null;
}

/** A ratio beside its target: in bold where it is missed. */
function against(r: number, goal: number | null, rate: boolean): string {
  if (!Number.isFinite(r)) return "–";
  const shown = r.toFixed(r < 0.1 ? 3 : 2);
  if (goal === null) return shown;
  const reached = rate ? r >= goal : r <= goal;
  return reached ? `${shown} (${goal})` : `**${shown}** (${goal})`;
}

/** How many targets there are figures for, and how many of them are missed. */
type Count = { targets: number; missed: number };

function targets(rows: readonly Row[]): string[] {
  const count: Count = { targets: 0, missed: 0 };
  const lines: string[] = [];
  for (const t of TARGETS) {
    const peer = bestPeer(rows, t);
    const cells = [
      against(ratio(rows, t.item, t.of, "upkeep", "runit"), t.runit, t.rate === true),
      peer === null ? "–" : `${against(ratio(rows, t.item, t.of, "upkeep", peer), t.peer, t.rate === true)} ${peer}`,
      against(ratio(rows, t.item, t.of, "upkeep --dense", "runit"), t.dense, t.rate === true),
    ];
    for (const cell of cells) {
      if (cell.includes("(")) count.targets += 1;
      if (cell.startsWith("**")) count.missed += 1;
    }
    if (cells.some((cell) => cell !== "–")) lines.push(`| ${t.item} | ${t.of} | ${cells.join(" | ")} |`);
  }
  return [
    "## Against the targets",
    "",
    "Ratios of medians, in brackets the target, in bold where it is missed: upkeep with a `runsv` for each service beside",
    "Debian's runit and beside the best of the others for that number, and `runsvdir --dense` beside Debian's runit. Less is",
    `better but for lines per second. ${count.targets - count.missed} of ${count.targets} targets are reached.`,
    "",
    "| item | number | to runit | to the best other | dense, to runit |",
    "| --- | --- | ---: | ---: | ---: |",
    ...lines,
  ];
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
