/** What `runit` is to be here: a machine's process 1, a container's init, or nothing at all. */
import { ascii, text } from "../base/bytes.ts";
import { AT_FDCWD } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { sessionOf } from "../kernel/machine.ts";
import { environmentValue } from "../kernel/self.ts";

export type InitMode = "classic" | "container" | "refused";

/** PROC_PID_INIT_INO (linux/proc_ns.h): the inode of the first PID namespace. */
const INITIAL_PID_NAMESPACE = "pid:[4026531836]";
const KTHREADD = 2;

/**
 * UPKEEP_CONTAINER=0 or 1 decides (on a kernel command line it becomes part of
 * process 1's environment); otherwise being in the first PID namespace does.
 * In a container it need not be process 1, but it must have been started by it
 * or from outside, so that `runit` typed into a shell stays a mistake.
 */
export function initMode(kernel: Kernel): InitMode {
  const value = environmentValue("UPKEEP_CONTAINER");
  const setting = value === null ? "" : text(value);
  const first = kernel.getpid() === 1;
  if (setting === "1") return "container";
  if (setting === "0" || inInitialNamespace(kernel)) return first ? "classic" : "refused";
  return first || kernel.getppid() <= 1 ? "container" : "refused";
}

/** Whether process 1 is the init of a container, as far as somebody else can tell. */
export function isInContainer(kernel: Kernel): boolean {
  const value = environmentValue("UPKEEP_CONTAINER");
  const setting = value === null ? "" : text(value);
  return setting === "1" || (setting !== "0" && !inInitialNamespace(kernel));
}

function inInitialNamespace(kernel: Kernel): boolean {
  const b = new Uint8Array(64);
  const n = kernel.readlink(AT_FDCWD, ascii("/proc/self/ns/pid"), b);
  if (n > 0 && n < b.length) return text(b.subarray(0, n)) === INITIAL_PID_NAMESPACE;
  // No /proc, as when the kernel starts us: process 2 is then the kernel's own, in a new namespace there is none.
  return sessionOf(KTHREADD) === 0;
}
