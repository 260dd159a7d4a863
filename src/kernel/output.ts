/** Whole messages to a descriptor, each in one write where the kernel takes it. */
import { ascii } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { EINTR } from "./constants.ts";
import type { Kernel } from "./kernel.ts";
import { takesBytes } from "./machine.ts";

/** Writes all of b; returns 0, or -errno of the write that failed. */
export function writeAll(kernel: Kernel, fd: Fd, b: Uint8Array): number {
  let at = 0;
  while (at < b.length) {
    const n = kernel.write(fd, b.subarray(at));
    if (n === -EINTR) continue;
    if (n <= 0) return n;
    at += n;
  }
  return 0;
}

/** A latin-1 message to standard output. Failures are ignored, as runit does. */
export function say(kernel: Kernel, message: string): void {
  writeAll(kernel, 1, ascii(message));
}

/** Set in a process that must not wait for who reads its messages: what would have to wait is dropped. */
export const output: { mayWait: boolean } = { mayWait: true };

/** A latin-1 message to standard error. */
export function complain(kernel: Kernel, message: string): void {
  if (output.mayWait || takesBytes(2)) writeAll(kernel, 2, ascii(message));
}
