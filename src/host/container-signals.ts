/** Signals of a container's init, and what each asks for. */
import { ascii } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import {
  AT_FDCWD,
  SIGALRM,
  SIGCHLD,
  SIGCONT,
  SIGHUP,
  SIGINT,
  SIGPIPE,
  SIGPWR,
  SIGQUIT,
  SIGRTMIN_PLUS_3,
  SIGRTMIN_PLUS_4,
  SIGRTMIN_PLUS_5,
  SIGTERM,
  SIGTTIN,
  SIGTTOU,
  SIGUSR2,
} from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { keepInstead } from "../kernel/self.ts";
import { everySignal } from "./container-programs.ts";
import { provokeTrap, trapSignals } from "./recovery.ts";
import { isSet, STOP_FILES } from "./stop-files.ts";

export type ContainerOrder = "stop" | "again" | "rescan" | "look" | "forward" | "nothing";

const SIGNAL_MAX = 64;
const FAULTS: readonly number[] = [4, 5, 6, 7, 8, 11, 31];

/** Every signal that can be waited for; not those by which the kernel tells a fault. */
export function containerSignals(): number[] {
  const all: number[] = [];
  for (let s = 1; s <= SIGNAL_MAX; s++) {
    let usable = s !== 9 && s !== 19 && s !== 32 && s !== 33;
    for (let i = 0; i < FAULTS.length; i++) if (FAULTS[i]! === s) usable = false;
    if (usable) all.push(s);
  }
  return all;
}

/** Blocked from here on; whatever the caller had set to be ignored is no longer. */
export function takeSignals(kernel: Kernel): void {
  kernel.blockSignals(containerSignals());
  keepInstead(0, 0);
  const all = everySignal();
  for (let i = 0; i < all.length; i++) kernel.ignoreSignal(all[i]!, false);
}

/** What a signal asks for. */
export function orderOf(signal: number): ContainerOrder {
  switch (signal) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
    case SIGPWR:
    case SIGRTMIN_PLUS_3:
    case SIGRTMIN_PLUS_4:
      return "stop";
    case SIGRTMIN_PLUS_5:
      return "again";
    case SIGHUP:
    case SIGALRM:
      return "rescan";
    case SIGCONT:
      return "look";
    case SIGCHLD:
    case SIGPIPE:
    case SIGTTIN:
    case SIGTTOU:
      return "nothing";
    default:
      return "forward";
  }
}

/** Everything that came. */
export function readOrders(kernel: Kernel, fd: Fd): number[] {
  const all: number[] = [];
  for (let signal = kernel.readSignal(fd); signal > 0; signal = kernel.readSignal(fd)) {
    if (signal === SIGUSR2 && trapSignals().length > 0) provokeTrap();
    else all.push(signal);
  }
  return all;
}

/** What runit-init left in its files, which are cleared: 0 stop, 1 again; < 0: nothing. */
export function stopOfFiles(kernel: Kernel): number {
  for (let i = 0; i < STOP_FILES.length; i++) {
    const files = STOP_FILES[i]!;
    if (!isSet(kernel, files.stopit)) continue;
    kernel.chmod(AT_FDCWD, ascii(files.stopit), 0);
    return isSet(kernel, files.reboot) ? 1 : 0;
  }
  return -1;
}
