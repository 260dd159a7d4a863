/** Questions to /proc (proc(5)). Without a mounted /proc the answers are "unknown", never an error. */
import { ascii, EMPTY } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { parseBootId } from "../formats/adopt.ts";
import { type ProcStat, parseProcStat } from "../formats/proc-stat.ts";
import { AT_FDCWD, EINTR, EIO, EMFILE, ENFILE, ENOMEM, O_CLOEXEC, O_RDONLY } from "./constants.ts";
import type { Kernel } from "./kernel.ts";

/** All of /proc/PID/stat (proc(5)): 52 numbers. */
const STAT_BYTES = 1024;

/** Of it what leads to the start of the process: 22 words of 21 bytes at most, most of them far shorter. */
const STAT_START_BYTES = 480;

/** The first bytes of a file, at most `limit`; null when it cannot be read. */
export function readSmallFile(kernel: Kernel, path: Uint8Array, limit: number): Uint8Array | null {
  const fd = kernel.open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  return fd < 0 ? null : readAndClose(kernel, fd, limit);
}

function readAndClose(kernel: Kernel, fd: Fd, limit: number): Uint8Array | null {
  const b = new Uint8Array(limit);
  let n = kernel.read(fd, b);
  while (n === -EINTR) n = kernel.read(fd, b);
  kernel.close(fd);
  return n < 0 ? null : b.subarray(0, n);
}

/** What names this boot, or why that cannot be told. */
export type BootId = { readonly errno: number; readonly id: Uint8Array };

/**
 * 16 bytes that name this boot of the machine, and this life of the container:
 * the start of its process 1 is in them. Empty without /proc. errno other than
 * 0: not to be had now (no descriptor, no memory), which is no reason to forget
 * what a predecessor has written under it.
 */
export function bootId(kernel: Kernel): BootId {
  const text = readUnlessBusy(kernel, ascii("/proc/sys/kernel/random/boot_id"), 64);
  if (text.errno !== 0 || text.id.length === 0) return text;
  const id = parseBootId(text.id);
  const first = readUnlessBusy(kernel, ascii("/proc/1/stat"), STAT_START_BYTES);
  if (first.errno !== 0) return first;
  const seen = parseProcStat(first.id);
  let start = seen === null ? 0 : seen.startBootMs;
  for (let i = 0; i < id.length && start > 0; i++) {
    id[i] = id[i]! ^ (start % 256);
    start = Math.floor(start / 256);
  }
  return { errno: 0, id };
}

/** As readSmallFile, but a file that is not there is empty, and an errno says that a later try may succeed. */
function readUnlessBusy(kernel: Kernel, path: Uint8Array, limit: number): BootId {
  const fd = kernel.open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return { errno: fd === -EMFILE || fd === -ENFILE || fd === -ENOMEM || fd === -EINTR ? -fd : 0, id: EMPTY };
  const read = readAndClose(kernel, fd, limit);
  return read === null ? { errno: EIO, id: EMPTY } : { errno: 0, id: read };
}

/** null when there is no such process, or no /proc. */
export function procStat(kernel: Kernel, pid: number): ProcStat | null {
  const text = readSmallFile(kernel, ascii(`/proc/${pid}/stat`), STAT_BYTES);
  return text === null ? null : parseProcStat(text);
}
