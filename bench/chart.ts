/** The results as a plain SVG bar chart: ratios to Debian's runit, shorter is better. */
import type { Row } from "./harness.ts";
import { ratio } from "./report.ts";

const SHOWN: readonly (readonly [string, string, string])[] = [
  ["services 1000", "PSS kB", "memory of 1000 services"],
  ["services 1000", "up ms", "time until 1000 are up"],
  ["services 1000", "up CPU ms", "CPU until 1000 are up"],
  ["services 1000", "stop ms", "stop 1000"],
  ["restart", "p50 µs", "restart latency"],
  ["restart", "CPU µs", "CPU per restart"],
  ["sv status 1", "wall µs", "sv status"],
  ["chpst", "cost µs", "chpst -u"],
  ["process 1 with services", "PSS kB", "memory of process 1"],
  ["start-up", "wall µs", "start-up of sv"],
];
const COLOURS: Readonly<Record<string, string>> = {
  upkeep: "#2a6f4e",
  "upkeep --dense": "#57a886",
  BusyBox: "#8a8a8a",
  s6: "#b9b9b9",
};

export function chart(rows: readonly Row[]): string {
  const parts: string[] = [];
  let y = 34;
  for (const [item, number, title] of SHOWN) {
    parts.push(`<text x="8" y="${y + 12}">${title}</text>`);
    for (const [name, colour] of Object.entries(COLOURS)) {
      const r = ratio(rows, item, number, name, "runit");
      if (!Number.isFinite(r)) continue;
      parts.push(`<rect x="200" y="${y}" width="${Math.max(1, Math.min(r, 2) * 200).toFixed(1)}" height="12" fill="${colour}"/>`);
      parts.push(`<text x="${205 + Math.min(r, 2) * 200}" y="${y + 10}" font-size="10">${name} ${r.toFixed(2)}</text>`);
      y += 14;
    }
    y += 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${y}" font-family="sans-serif" font-size="12"><title>Ratios to Debian's runit</title><rect width="720" height="${y}" fill="white"/>
<text x="8" y="18" font-weight="bold">Ratio to Debian's runit (line), shorter is better</text>
<line x1="400" x2="400" y1="24" y2="${y - 6}" stroke="#c33"/>
${parts.join("\n")}
</svg>
`;
}
