/** runsv(8): supervises one service directory. */
import { ascii, block, EMPTY, item, text } from "../base/bytes.ts";
import { occupyStandardDescriptors } from "../host/console.ts";
import { stateDirectories } from "../host/mirror.ts";
import { recoveredNumbers } from "../host/recovery.ts";
import { superviseService } from "../host/runsv-process.ts";
import { NOTHING_INHERITED } from "../host/supervisor.ts";
import { AT_FDCWD } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { setCommandLine } from "../kernel/self.ts";

/** Exit code 0 when told to exit, 1 for misuse, 111 when it cannot start. */
export function runsv(kernel: Kernel, argv: readonly Uint8Array[]): number {
  const own = item(argv, 0) ?? EMPTY;
  occupyStandardDescriptors(kernel);
  stateDirectories.find();
  const first = item(argv, 1);
  const fds = first === null ? null : recoveredNumbers(first);
  const name = item(argv, fds === null ? 1 : 2);
  if (name === null || argv.length !== (fds === null ? 2 : 3)) {
    complain(kernel, `usage: ${text(own)} dir\n\n`);
    return 1;
  }
  if (fds === null || fds.length < 5) return superviseService(kernel, name, own, AT_FDCWD, NOTHING_INHERITED);
  setCommandLine(block([ascii("runsv"), name]));
  const inherited = {
    lock: fds[1]!,
    logLock: fds[2]!,
    pipeRead: fds[3]!,
    pipeWrite: fds[4]!,
    notice: fds.length > 5 ? fds[5]! : -1,
  };
  return superviseService(kernel, name, own, fds[0]!, inherited);
}
