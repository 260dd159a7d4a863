/** The end of a machine: KILL to everything, the disks written, then reboot(2). */
import { RB_AUTOBOOT, RB_HALT_SYSTEM, RB_POWER_OFF, SIGKILL } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { idle, rebootMachine, signalAll, syncDisks } from "../kernel/machine.ts";
import { complain } from "../kernel/output.ts";
import { fileExists, isSet, stopFiles } from "./stop-files.ts";

/** From power off to halt, where the machine did not go off. */
const HALT_AFTER_MS = 2000;

/**
 * Only process 1 may call this; for anyone else it does nothing. A child does
 * the part that blocks, and that on some kernels ends the caller (reboot(2));
 * where there is none, process 1 has nothing better to do either.
 */
export function endMachine(kernel: Kernel, powerOff: boolean): void {
  if (kernel.getpid() !== 1) return;
  signalAll(kernel, SIGKILL);
  const child = kernel.fork();
  if (child > 0) return;
  goOff(kernel, powerOff);
  if (child === 0) kernel.exit(0);
}

function goOff(kernel: Kernel, powerOff: boolean): void {
  const sync = !fileExists(kernel, "/etc/runit/nosync");
  if (!powerOff && isSet(kernel, stopFiles(kernel).reboot)) {
    complain(kernel, "- runit: system reboot.\n");
    if (sync) syncDisks();
    rebootMachine(RB_AUTOBOOT);
    return;
  }
  complain(kernel, "- runit: power off...\n");
  if (sync) syncDisks();
  rebootMachine(RB_POWER_OFF);
  idle(HALT_AFTER_MS);
  complain(kernel, "- runit: system halt.\n");
  if (sync) syncDisks();
  rebootMachine(RB_HALT_SYSTEM);
}
