/** What only pipes can. */
import type { Fd } from "../base/units.ts";

declare function kTee(from: number, to: number, length: number): number;

/** tee(2): copies up to `length` bytes of one pipe to another without taking them out. Bytes or -errno; never waits. */
export function tee(from: Fd, to: Fd, length: number): number {
  return kTee(from, to, length);
}
