/** Everybody else in a container, by /proc. */
import { ascii, equal, parseDecimal, text } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { procStat, readSmallFile } from "../kernel/proc.ts";

const ZOMBIE = 90;
const NAME_BYTES = 64;

export type Process = { readonly pid: number; readonly parent: number };

/** Our own name in /proc says whether it is that of our PID namespace. */
function procIsOurs(kernel: Kernel): boolean {
  const b = new Uint8Array(16);
  const n = kernel.readlink(AT_FDCWD, ascii("/proc/self"), b);
  return n > 0 && equal(b.subarray(0, n), ascii(`${kernel.getpid()}`));
}

/**
 * Every living process but ourselves and `spared`: of the namespace when we are
 * its process 1, our descendants otherwise. null: /proc does not tell.
 */
export function otherProcesses(kernel: Kernel, spared: number): Process[] | null {
  if (!procIsOurs(kernel)) return null;
  const fd: Fd = kernel.open(AT_FDCWD, ascii("/proc"), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return null;
  const names = kernel.list(fd).names;
  kernel.close(fd);
  const self = kernel.getpid();
  const all: Process[] = [];
  for (let i = 0; i < names.length; i++) {
    const d = parseDecimal(names[i]!);
    if (d.digits === 0 || d.digits !== names[i]!.length || d.value === self || d.value === spared) continue;
    const stat = procStat(kernel, d.value);
    if (stat !== null && stat.state !== ZOMBIE) all.push({ pid: d.value, parent: stat.parent });
  }
  return self === 1 ? all : descendants(all, self);
}

function descendants(all: readonly Process[], self: number): Process[] {
  const ours = new Set<number>();
  ours.add(self);
  let before = 0;
  while (before < ours.size) {
    before = ours.size;
    for (let i = 0; i < all.length; i++) if (ours.has(all[i]!.parent)) ours.add(all[i]!.pid);
  }
  const found: Process[] = [];
  for (let i = 0; i < all.length; i++) if (ours.has(all[i]!.pid)) found.push(all[i]!);
  return found;
}

/** What ps calls it: at most 15 bytes. Empty when it is gone. */
export function processName(kernel: Kernel, process: number): string {
  const b = readSmallFile(kernel, ascii(`/proc/${process}/comm`), NAME_BYTES);
  return b === null || b.length === 0 ? "" : text(b.subarray(0, b.length - 1));
}

/** Its working directory as we would reach it, or null. */
export function workingDirectory(kernel: Kernel, process: number): Uint8Array | null {
  const b = new Uint8Array(4096);
  const n = kernel.readlink(AT_FDCWD, ascii(`/proc/${process}/cwd`), b);
  return n <= 0 || n >= b.length ? null : b.slice(0, n);
}
