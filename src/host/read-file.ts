/** Whole files in memory, within a bound. */
import { EMPTY } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { EFBIG, EINTR, O_CLOEXEC, O_NONBLOCK, O_RDONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";

/** With the heap's header just 2 kB, enough for the passwd file of most systems. */
const FIRST_BYTES = 2040;

/** A file's bytes; errno (> 0) when it could not be read to its end. */
export type Content = { readonly errno: number; readonly bytes: Uint8Array };

function failed(errno: number): Content {
  return { errno, bytes: EMPTY };
}

/**
 * Reads from fd to the end, or to the first byte `stop` (a number past 255:
 * none) and what came along with it. More than `maxBytes` is EFBIG.
 */
export function readUpTo(kernel: Kernel, fd: Fd, stop: number, maxBytes: number): Content {
  let b = new Uint8Array(FIRST_BYTES);
  let size = 0;
  for (;;) {
    if (size === b.length) {
      if (size >= maxBytes) return failed(EFBIG);
      const larger = new Uint8Array(size * 2);
      larger.set(b, 0);
      b = larger;
    }
    const n = kernel.read(fd, b.subarray(size));
    if (n === -EINTR) continue;
    if (n < 0) return failed(-n);
    if (n === 0) return { errno: 0, bytes: b.subarray(0, size) };
    const came = b.subarray(size, size + n);
    size += n;
    if (stop > 255) continue;
    for (let i = 0; i < came.length; i++) if (came[i]! === stop) return { errno: 0, bytes: b.subarray(0, size) };
  }
}

/** A file looked up below a directory descriptor. It is opened without waiting, like all files runit opens. */
export function readFileAt(kernel: Kernel, dir: Fd, path: Uint8Array, stop: number, maxBytes: number): Content {
  const fd = kernel.open(dir, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) return failed(-fd);
  const content = readUpTo(kernel, fd, stop, maxBytes);
  kernel.close(fd);
  return content;
}
