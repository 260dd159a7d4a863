/** Signals to everybody in a container. */
import { type Pid, pid } from "../base/units.ts";
import { SIGCONT, SIGKILL, SIGTERM } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { signalAll } from "../kernel/machine.ts";
import { otherProcesses } from "./processes.ts";

/** Every other process but `spared` (0: nobody is). Where /proc does not tell who there is, process 1 spares nobody. */
export function signalEveryone(kernel: Kernel, signal: number, spared: number): void {
  const others = otherProcesses(kernel, spared);
  if (others === null) {
    signalAll(kernel, signal);
    return;
  }
  for (let i = 0; i < others.length; i++) {
    kernel.kill(pid(others[i]!.pid), signal);
    // A stopped process does not get it otherwise.
    if (signal === SIGTERM) kernel.kill(pid(others[i]!.pid), SIGCONT);
  }
}

/** A process and its group, at once. */
export function killEveryone(kernel: Kernel, leader: Pid): void {
  kernel.kill(pid(-leader), SIGKILL);
  kernel.kill(leader, SIGKILL);
}
