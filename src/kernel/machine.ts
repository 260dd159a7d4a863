/**
 * Calls only an init makes. Plain functions, since no simulated world needs
 * them; each returns >= 0, or -errno.
 */
import { EMPTY, putLe32 } from "../base/bytes.ts";
import type { DurationMs, Fd } from "../base/units.ts";
import { EPERM, POLLOUT, RB_DISABLE_CAD } from "./constants.ts";
import type { Kernel } from "./kernel.ts";

declare function kReboot(command: number): number;
declare function kSync(): void;
declare function kKill(pid: number, sig: number): number;
declare function kGetsid(pid: number): number;
declare function kPoll(b: Uint8Array, timeout: number): number;
declare function kCtty(fd: number): number;
declare function kIsatty(fd: number): number;

/** From now on ctrl-alt-del is a SIGINT to process 1 (reboot(2)). Fails in a PID namespace, harmlessly. */
export function announceCtrlAltDel(kernel: Kernel): number {
  return kernel.getpid() === 1 ? kReboot(RB_DISABLE_CAD) : -EPERM;
}

/** reboot(2); only for process 1 and the child it forks for this: the caller answers for that. */
export function rebootMachine(command: number): number {
  return kReboot(command);
}

/** sync(2): blocks until the disks have it. */
export function syncDisks(): void {
  kSync();
}

/** A signal to every process but ourselves. Anyone but process 1 would hit the innocent, and is refused. */
export function signalAll(kernel: Kernel, signal: number): number {
  return kernel.getpid() === 1 ? kKill(-1, signal) : -EPERM;
}

/** Session of a process, 0 for one of the kernel's own (and for a leader outside our PID namespace). */
export function sessionOf(pid: number): number {
  return kGetsid(pid);
}

export function isTerminal(fd: Fd): boolean {
  return kIsatty(fd) !== 0;
}

/** Makes the terminal on `fd` the controlling one (TIOCSCTTY). */
export function takeTerminal(fd: number): number {
  return kCtty(fd);
}

/** Whether a write of a few bytes to `fd` would not have to wait (poll(2)). */
export function takesBytes(fd: Fd): boolean {
  const b = new Uint8Array(8);
  putLe32(b, 0, fd);
  b[4] = POLLOUT;
  return kPoll(b, 0) > 0;
}

/** Waits, for what has no loop to wait in: before it, and after the last of it. */
export function idle(ms: DurationMs): void {
  kPoll(EMPTY, ms);
}
