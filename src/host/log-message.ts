/** What svlogd says on standard error, byte for byte as runit does. */
import { errorText } from "../base/error-text.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";

/** `svlogd: warning: TEXT: SUBJECT: ERR`; errno > 0. */
export function warnOf(kernel: Kernel, what: string, subject: string, errno: number): void {
  complain(kernel, `svlogd: warning: ${what}: ${subject}: ${errorText(errno)}\n`);
}

export function warn(kernel: Kernel, what: string): void {
  complain(kernel, `svlogd: warning: ${what}\n`);
}

/** Said each time something is to be tried again in three seconds. */
export function pausing(kernel: Kernel, what: string, subject: string, errno: number): void {
  complain(kernel, `svlogd: pausing: ${what}: ${subject}: ${errorText(errno)}\n`);
}

export function fatalOf(kernel: Kernel, what: string, subject: string, errno: number): void {
  complain(kernel, `svlogd: fatal: ${what}: ${subject}: ${errorText(errno)}\n`);
}

/** -v only. */
export function info(kernel: Kernel, what: string): void {
  complain(kernel, `svlogd: info: ${what}\n`);
}
