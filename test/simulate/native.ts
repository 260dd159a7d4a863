/**
 * The simulation as a compiled program: `FROM COUNT [lines]`. A line for each
 * seed, the same that cli.ts prints under Node; with `lines` the trace as well.
 */
import { item, parseDecimal, text } from "../../src/base/bytes.ts";
import { NativeKernel } from "../../src/kernel/native.ts";
import { say } from "../../src/kernel/output.ts";
import { programArguments } from "../../src/kernel/self.ts";
import { line, Machine } from "./machine.ts";

const kernel = new NativeKernel();

function number(argv: readonly Uint8Array[], i: number): number {
  const word = item(argv, i);
  return word === null ? 0 : parseDecimal(word).value;
}

function main(): number {
  const argv = programArguments();
  const from = number(argv, 1);
  const count = number(argv, 2);
  let failures = 0;
  for (let seed = from; seed < from + count; seed++) {
    const machine = new Machine(seed);
    machine.world.verbose = argv.length > 3;
    const outcome = machine.run();
    for (let i = 0; i < machine.world.lines.length; i++) say(kernel, `${machine.world.lines[i]!}\n`);
    say(kernel, `${line(outcome)}\n`);
    if (outcome.failure !== "") failures++;
  }
  return failures === 0 ? 0 : 1;
}

try {
  kernel.exit(main());
} catch (e) {
  say(kernel, `error: ${e instanceof Error ? e.message : text(new Uint8Array(0))}\n`);
  kernel.exit(111);
}
