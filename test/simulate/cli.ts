/**
 * `npm run simulate -- [--seeds N] [--from S] [--lines] [--stop] [--all]`: worlds from
 * seed S on, a line of progress, and each broken promise with its seed. With
 * --lines the trace of every world, with --stop none after the first failure.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { line, Machine } from "./machine.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    lines: { type: "boolean", default: false },
    stop: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const from = Number(values.from);
const count = Number(values.seeds);
const understood = Number.isSafeInteger(from) && Number.isSafeInteger(count) && count > 0;
if (values.help || !understood) {
  const usage = "usage: npm run simulate -- [--seeds NUMBER] [--from SEED] [--lines] [--stop] [--all]\n";
  (values.help ? process.stdout : process.stderr).write(usage);
  process.exit(values.help ? 0 : 2);
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch {
    return "unknown";
  }
}

const began = performance.now();
let shown = began;
let starts = 0;
let calls = 0;
let failures = 0;
process.stdout.write(`commit ${commit()}, seeds ${from} to ${from + count - 1}\n`);
for (let seed = from; seed < from + count; seed++) {
  const machine = new Machine(seed);
  machine.world.verbose = values.lines;
  const outcome = machine.run();
  if (values.lines) process.stdout.write(`${machine.world.lines.join("\n")}\n`);
  starts += outcome.starts;
  calls += outcome.traceLength;
  if (outcome.failure !== "") failures++;
  if (values.all || outcome.failure !== "") process.stdout.write(`${line(outcome)}\n`);
  if (values.stop && failures > 0) break;
  const now = performance.now();
  if (now - shown < 1000 || !process.stdout.isTTY) continue;
  shown = now;
  const done = seed - from + 1;
  process.stdout.write(`\r${done}/${count} seeds, ${Math.round((done * 1000) / (now - began))}/s, ${failures} failed\r`);
}
const seconds = (performance.now() - began) / 1000;
process.stdout.write(`${count} seeds, ${starts} starts, ${calls} events in ${seconds.toFixed(1)} s: ${failures} failed\n`);
process.exitCode = failures === 0 ? 0 : 1;
