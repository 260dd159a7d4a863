/** The fuzzing as a compiled program: `FROM COUNT`, a line for each thousand inputs. */
import { ascii, EMPTY, item, parseDecimal } from "../../src/base/bytes.ts";
import { NativeKernel } from "../../src/kernel/native.ts";
import { complain, say } from "../../src/kernel/output.ts";
import { programArguments } from "../../src/kernel/self.ts";
import { BLOCK, fuzzMany, line } from "./fuzz.ts";

const kernel = new NativeKernel();

function main(): number {
  const argv = programArguments();
  const from = parseDecimal(item(argv, 1) ?? ascii("1")).value;
  const count = parseDecimal(item(argv, 2) ?? EMPTY).value;
  for (let at = from; at < from + count; at += BLOCK) say(kernel, `${line(at, fuzzMany(at, BLOCK))}\n`);
  return 0;
}

try {
  kernel.exit(main());
} catch (e) {
  complain(kernel, `error: ${e instanceof Error ? e.message : "unknown"}\n`);
  kernel.exit(111);
}
