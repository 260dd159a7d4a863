/** Questions to /proc (proc(5)). Without a mounted /proc the answers are "unknown", never an error. */
import { ascii, EMPTY } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { parseBootId } from "../formats/adopt.ts";
import { type ProcStat, parseProcStat } from "../formats/proc-stat.ts";
import { AT_FDCWD, EINTR, EMFILE, ENFILE, ENOMEM, O_CLOEXEC, O_RDONLY } from "./constants.ts";
import type { Kernel } from "./kernel.ts";

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

/**
 * 16 bytes that name this boot of the machine, and this life of the container:
 * the start of its process 1 is in them. Empty without /proc. null: not to be
 * had now (no descriptor, no memory), which is no reason to forget what a
 * predecessor has written under it.
 */
export function bootId(kernel: Kernel): Uint8Array | null {
  const text = readUnlessBusy(kernel, ascii("/proc/sys/kernel/random/boot_id"), 64);
  if (text === null || text.length === 0) return text;
  const id = parseBootId(text);
  const first = readUnlessBusy(kernel, ascii("/proc/1/stat"), 1024);
  if (first === null) return null;
  const seen = parseProcStat(first);
  let start = seen === null ? 0 : seen.startBootMs;
  for (let i = 0; i < id.length && start > 0; i++) {
    id[i] = id[i]! ^ (start % 256);
    start = Math.floor(start / 256);
  }
  return id;
}

/** As readSmallFile, but a file that is not there is empty, and null says that a later try may succeed. */
function readUnlessBusy(kernel: Kernel, path: Uint8Array, limit: number): Uint8Array | null {
  const fd = kernel.open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return fd === -EMFILE || fd === -ENFILE || fd === -ENOMEM || fd === -EINTR ? null : EMPTY;
  return readAndClose(kernel, fd, limit);
}

/** null when there is no such process, or no /proc. */
export function procStat(kernel: Kernel, pid: number): ProcStat | null {
  const text = readSmallFile(kernel, ascii(`/proc/${pid}/stat`), 1024);
  return text === null ? null : parseProcStat(text);
}
