/** npm run bench:pid1 [-- ROUNDS]: the items of items/process1.ts alone. */
import { cleanUp, machine } from "./harness.ts";
import { process1 } from "./items/process1.ts";
import { table } from "./report.ts";

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
process.on("exit", cleanUp);
const rows = process1(false, () => true, Number(process.argv[2] ?? 15));
for (const [key, value] of Object.entries(machine())) console.log(`- ${key}: ${value}`);
console.log(table(rows).join("\n"));
