/** runit-init(8): as process 1 it becomes runit, otherwise it tells runit to power off (0) or to reboot (6). */
import { ascii, byteAt, EMPTY, item, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { pid } from "../base/units.ts";
import { isInContainer } from "../host/init-mode.ts";
import { fileExists, stopFiles } from "../host/stop-files.ts";
import {
  AT_FDCWD,
  O_CLOEXEC,
  O_CREAT,
  O_NONBLOCK,
  O_TRUNC,
  O_WRONLY,
  SIGCONT,
  SIGRTMIN_PLUS_4,
  SIGRTMIN_PLUS_5,
} from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { becomeProgram } from "../kernel/self.ts";
import { ID_LINE } from "../version.ts";
import { runit } from "./runit.ts";

const RUNIT = "/sbin/runit";
const HALT = 48;
const REBOOT = 54;

/** 0 when done and for usage, 111 on failure. */
export function runitInit(kernel: Kernel, argv: readonly Uint8Array[]): number {
  if (kernel.getpid() === 1) {
    const r = becomeProgram(ascii(RUNIT), [ascii("runit")]);
    // A container need not have it there.
    if (isInContainer(kernel)) return runit(kernel, [ascii("runit")]);
    complain(kernel, `init: fatal: unable to start runit: ${errorText(-r)}\n`);
    return 111;
  }
  const word = item(argv, 1) ?? EMPTY;
  const what = byteAt(word, 0);
  if (text(word) === "-V") complain(kernel, ID_LINE);
  if (what !== HALT && what !== REBOOT) {
    complain(kernel, `usage: ${text(item(argv, 0) ?? EMPTY)} 0|6\n\n`);
    return 0;
  }
  const files = stopFiles(kernel);
  const problem = setFiles(kernel, files.stopit, files.reboot, what === REBOOT);
  if (problem !== null) {
    // A container's init takes a signal for it, where there is no place for files.
    if (isInContainer(kernel) && kernel.kill(pid(1), what === REBOOT ? SIGRTMIN_PLUS_5 : SIGRTMIN_PLUS_4) >= 0) return 0;
    complain(kernel, `init: fatal: ${problem}\n`);
    return 111;
  }
  kernel.kill(pid(1), SIGCONT);
  return 0;
}

/** The text of the failure, or null. */
function setFiles(kernel: Kernel, stopit: string, reboot: string, again: boolean): string | null {
  const problem = set(kernel, stopit);
  if (problem !== null) return problem;
  if (again) return set(kernel, reboot);
  if (!fileExists(kernel, reboot)) return null;
  return chmod(kernel, reboot, 0);
}

/** Makes the file, with the bit that makes it count. */
function set(kernel: Kernel, path: string): string | null {
  const fd = kernel.open(AT_FDCWD, ascii(path), O_WRONLY | O_NONBLOCK | O_TRUNC | O_CREAT | O_CLOEXEC, 0o644);
  if (fd < 0) return `unable to create ${path}: ${errorText(-fd)}`;
  kernel.close(fd);
  return chmod(kernel, path, 0o100);
}

function chmod(kernel: Kernel, path: string, mode: number): string | null {
  const r = kernel.chmod(AT_FDCWD, ascii(path), mode);
  return r < 0 ? `unable to chmod ${path}: ${errorText(-r)}` : null;
}
