/** The process a killed supervisor has left: found again by its record, watched through a pidfd. */
import { type Fd, type Pid, pid } from "../base/units.ts";
import { STATUS_UNKNOWN, THROTTLE_MS } from "../core/service.ts";
import type { AdoptRecord } from "../formats/adopt.ts";
import { EAGAIN, ESRCH } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { procStat } from "../kernel/proc.ts";

/** Between reading the clock and the kernel's own start time of the child lies at most this. */
const START_SLACK_BEFORE_MS = 20;
/** State of a zombie in /proc/PID/stat. */
const ZOMBIE = 90;

/** What openAdopted returns for a child of ours (after a trap): its end is told by SIGCHLD. */
export const OWN_CHILD: Fd = 2147483647;

/**
 * A pidfd of the process that was recorded with this start, and of no other of
 * the same number, or OWN_CHILD; -ESRCH when that process is gone; another
 * -errno when there is no telling, so that a second copy must not be risked.
 */
export function openAdopted(kernel: Kernel, process: Pid, startedBootMs: number): Fd {
  const fd = kernel.pidfdOpen(process);
  let result = fd;
  const seen = procStat(kernel, process);
  if (seen === null) result = kernel.kill(process, 0) === -ESRCH ? -ESRCH : -EAGAIN;
  else if (seen.startBootMs < startedBootMs - START_SLACK_BEFORE_MS || seen.startBootMs > startedBootMs + THROTTLE_MS) {
    result = -ESRCH;
  } else if (seen.parent === kernel.getpid()) result = OWN_CHILD;
  if (result !== fd && fd >= 0) kernel.close(fd);
  return result;
}

/** Wait status of an ended process that is no child, as far as the kernel tells; STATUS_UNKNOWN otherwise. */
export function adoptedStatus(kernel: Kernel, fd: Fd, process: Pid): number {
  const seen = procStat(kernel, process);
  const told = kernel.pidfdStatus(fd);
  if (told >= 0) return told;
  return seen !== null && seen.state === ZOMBIE ? seen.waitStatus : STATUS_UNKNOWN;
}

/**
 * If this process stood still just before it started the recorded one
 * (SIGSTOP), the record's moment is too far from the true one to be recognised.
 */
export function correctStart(kernel: Kernel, record: AdoptRecord): void {
  if (kernel.bootTimeMs() - record.startedBootMs < THROTTLE_MS) return;
  const seen = procStat(kernel, pid(record.pid));
  if (seen !== null) record.startedBootMs = seen.startBootMs;
}
