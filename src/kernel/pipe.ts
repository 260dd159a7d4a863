/** What only pipes can. */
import type { Fd } from "../base/units.ts";

declare function kTee(from: number, to: number, length: number): number;
declare function kReadMarked(from: number, into: Uint8Array, file: number, at: number): number;

/** tee(2): copies up to `length` bytes of one pipe to another without taking them out. Bytes or -errno; never waits. */
export function tee(from: Fd, to: Fd, length: number): number {
  return kTee(from, to, length);
}

/**
 * Takes up to `into.length` bytes out of a pipe, the last of which is not put
 * there but at offset `at` (below 4096) of the regular file `file`, which has that
 * offset already: one readv(2) into memory and into a mapping of the file, so that
 * after a kill (though not after a power failure) the file tells whether they were
 * taken. Bytes or -errno.
 */
export function readMarked(from: Fd, into: Uint8Array, file: Fd, at: number): number {
  return kReadMarked(from, into, file, at);
}
