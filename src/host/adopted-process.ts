/**
 * The process a killed supervisor has left: found again by its record, watched
 * through a pidfd or, where descriptors are scarce, looked for by the clock.
 */
import { type Fd, NO_PID, type Pid, pid } from "../base/units.ts";
import { STATUS_UNKNOWN, THROTTLE_MS } from "../core/service.ts";
import type { AdoptRecord } from "../formats/adopt.ts";
import type { ProcStat } from "../formats/proc-stat.ts";
import { EAGAIN, ESRCH } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { procStat } from "../kernel/proc.ts";
import type { Reactor } from "../reactor.ts";

/** Between reading the clock and the kernel's own start time of the child lies at most this. */
const START_SLACK_BEFORE_MS = 20;
/** Every so many looks at a process by the clock are one at what it is: ten times the work of asking whether there is one. */
const GLANCES = 8;
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
  const seen = procStat(kernel, process);
  const known = recognise(kernel, process, startedBootMs, seen);
  const result = known !== 0 ? known : seen !== null && seen.parent === kernel.getpid() ? OWN_CHILD : fd;
  if (result !== fd && fd >= 0) kernel.close(fd);
  return result;
}

/** 0: it is the one that started then; -ESRCH: that is gone; -EAGAIN: there is no telling. */
function recognise(kernel: Kernel, process: Pid, startedBootMs: number, seen: ProcStat | null): number {
  if (seen === null) return kernel.kill(process, 0) === -ESRCH ? -ESRCH : -EAGAIN;
  const early = seen.startBootMs < startedBootMs - START_SLACK_BEFORE_MS;
  return early || seen.startBootMs > startedBootMs + THROTTLE_MS ? -ESRCH : 0;
}

/** What `end` says of a process that lives, or of which there is no telling. */
export const STILL_THERE = -2;

/** Wait status of a process that is no child and has no pidfd; STILL_THERE while it lives. */
function endOf(kernel: Kernel, process: Pid, startedBootMs: number): number {
  const seen = procStat(kernel, process);
  if (recognise(kernel, process, startedBootMs, seen) === -ESRCH) return STATUS_UNKNOWN;
  return seen !== null && seen.state === ZOMBIE ? seen.waitStatus : STILL_THERE;
}

/** Wait status of an ended process that is no child, as far as the kernel tells; STATUS_UNKNOWN otherwise. */
function statusOf(kernel: Kernel, fd: Fd, process: Pid): number {
  const seen = procStat(kernel, process);
  const told = kernel.pidfdStatus(fd);
  if (told >= 0) return told;
  return seen !== null && seen.state === ZOMBIE ? seen.waitStatus : STATUS_UNKNOWN;
}

/** What was taken over, and is nobody's child: its number may be that of a child of ours one day. */
export class AdoptedProcess {
  readonly pid: Pid;
  /** pidfd; -1: none, and `end` is to be asked by the clock. */
  readonly fd: Fd;
  readonly #startedBootMs: number;
  #looks = 0;

  constructor(process: Pid, fd: Fd, startedBootMs: number) {
    this.pid = process;
    this.fd = fd;
    this.#startedBootMs = startedBootMs;
  }

  get polled(): boolean {
    return this.fd < 0 && this.pid !== NO_PID;
  }

  /** Wait status; STILL_THERE while it lives. */
  end(kernel: Kernel): number {
    return this.fd >= 0 ? statusOf(kernel, this.fd, this.pid) : endOf(kernel, this.pid, this.#startedBootMs);
  }

  /** The same for a polled one, by a glance: a process that has got its number since is told apart some glances later. */
  glance(kernel: Kernel): number {
    this.#looks = (this.#looks + 1) % GLANCES;
    return this.#looks > 0 && kernel.kill(this.pid, 0) !== -ESRCH ? STILL_THERE : this.end(kernel);
  }

  signal(kernel: Kernel, signal: number): void {
    if (this.fd >= 0) kernel.pidfdKill(this.fd, signal);
    else if (this.end(kernel) === STILL_THERE) kernel.kill(this.pid, signal);
  }

  close(reactor: Reactor): void {
    if (this.fd < 0) return;
    reactor.unwatch(this.fd);
    reactor.kernel.close(this.fd);
  }
}

export const NOBODY = new AdoptedProcess(NO_PID, -1, 0);

/**
 * If this process stood still just before it started the recorded one
 * (SIGSTOP), the record's moment is too far from the true one to be recognised.
 */
export function correctStart(kernel: Kernel, record: AdoptRecord): void {
  if (kernel.bootTimeMs() - record.startedBootMs < THROTTLE_MS) return;
  const seen = procStat(kernel, pid(record.pid));
  if (seen !== null) record.startedBootMs = seen.startBootMs;
}
