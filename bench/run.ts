/** npm run bench [-- --quick] [ITEM…]: an ITEM is the beginning of an item's name. Writes results only when all items ran. */

import { chart } from "./chart.ts";
import { cleanUp, machine, ROOT, writeFileSync } from "./harness.ts";
import { commands } from "./items/commands.ts";
import { logging } from "./items/logging.ts";
import { process1 } from "./items/process1.ts";
import { supervision } from "./items/supervision.ts";
import { peers } from "./peers.ts";
import { markdown } from "./report.ts";

const args = process.argv.slice(2);
const quick = args.includes("--quick");
const items = args.filter((a) => !a.startsWith("-"));
const wanted = (item: string): boolean => items.length === 0 || items.some((i) => item.startsWith(i));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
process.on("exit", cleanUp);

const { there, missing } = peers();
const where = machine();
/** Of bench:svlogd, what a report of everything has room for. */
const logged = { bytes: quick ? 10_000_000 : 60_000_000, rounds: quick ? 1 : 5, lengths: ["80-byte lines"], counted: !quick };
const rows = [
  ...commands(there, quick, wanted),
  ...process1(quick, wanted),
  ...logging(logged, wanted),
  ...supervision(there, quick, wanted),
];
const text = markdown(rows, where, missing, quick);
process.stdout.write(text);
if (items.length === 0) {
  writeFileSync(`${ROOT}/bench/RESULTS.md`, text);
  writeFileSync(`${ROOT}/bench/results.json`, `${JSON.stringify({ machine: where, missing, quick, rows }, null, 1)}\n`);
  writeFileSync(`${ROOT}/doc/bench.svg`, chart(rows));
}
