/**
 * chpst and its short forms, the second program of the executable
 * (tools/build.ts): what it does before the program it starts is paid at every
 * start of a service, so it has nothing of the others' to set up.
 */
import { chpst } from "./commands/chpst.ts";
import { NativeKernel } from "./kernel/native.ts";
import { complain } from "./kernel/output.ts";
import { programArguments } from "./kernel/self.ts";

const kernel = new NativeKernel();

try {
  kernel.exit(chpst(kernel, programArguments()));
} catch (e) {
  complain(kernel, `upkeep: fatal: internal error: ${e instanceof Error ? e.message : "unknown"}\n`);
  kernel.exit(111);
}
