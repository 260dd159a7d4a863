/** The console of a machine (/dev/console), which may be missing, and may not take what is written to it. */
import { ascii } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import {
  AT_FDCWD,
  F_GETFD,
  F_SETFL,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
} from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";

const CONSOLE = ascii("/dev/console");

/** For our own messages: writes to it never block. Descriptor or -errno. */
export function openConsoleForMessages(kernel: Kernel): Fd {
  return kernel.open(AT_FDCWD, CONSOLE, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
}

/** For a program: as it expects it, blocking. The open itself does not wait. Descriptor or -errno. */
export function openConsoleForProgram(kernel: Kernel, writeOnly: boolean): Fd {
  const access = writeOnly ? O_WRONLY : O_RDWR;
  const fd = kernel.open(AT_FDCWD, CONSOLE, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (fd >= 0) kernel.fcntl(fd, F_SETFL, access);
  return fd;
}

/** Makes `fd` (>= 0) the descriptor `to` and closes the original. */
export function moveDescriptor(kernel: Kernel, fd: Fd, to: Fd): void {
  if (fd === to) return;
  kernel.dup3(fd, to, 0);
  kernel.close(fd);
}

/** The console as standard error, if it can be opened; otherwise that stays what it is. */
export function regainStandardError(kernel: Kernel): void {
  const fd = openConsoleForMessages(kernel);
  if (fd >= 0) moveDescriptor(kernel, fd, 2);
}

/**
 * Descriptors 0, 1 and 2 are open afterwards, on something: a file opened later
 * must not become one of them, and take messages. compat: doc/differences.md,
 * closed-descriptors
 */
export function occupyStandardDescriptors(kernel: Kernel): void {
  for (let fd = 0; fd <= 2; fd++) {
    if (kernel.fcntl(fd, F_GETFD, 0) >= 0) continue;
    // The lowest free number is taken, which is fd: those below are open.
    const r = kernel.open(AT_FDCWD, ascii("/dev/null"), fd === 0 ? O_RDONLY : O_WRONLY, 0);
    if (r < 0) kernel.open(AT_FDCWD, ascii("/"), O_PATH, 0);
  }
}
