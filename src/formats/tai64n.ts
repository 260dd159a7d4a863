/**
 * TAI64N labels (cr.yp.to/libtai/tai64.html), as runit makes them: seconds =
 * Unix time + 2^62 + 10 (no leap-second table), nanoseconds = microseconds ×
 * 1000 + 500, so that every label ends in a multiple of 1000 plus 500.
 */
import { be32, putBe32 } from "../base/bytes.ts";
import type { WallTime } from "../kernel/kernel.ts";

export const TAI64N_BYTES = 12;
/** `@` and 24 hex digits. */
export const LABEL_BYTES = 25;
const HIGH = 0x40000000;
const OFFSET_SECONDS = 10;

/** Writes 12 bytes, big endian, at `at`. */
export function packTai64n(b: Uint8Array, at: number, t: WallTime): void {
  const seconds = t.seconds + OFFSET_SECONDS;
  const high = Math.floor(seconds / 4294967296);
  putBe32(b, at, HIGH + high);
  putBe32(b, at + 4, seconds - high * 4294967296);
  putBe32(b, at + 8, Math.floor(t.nanoseconds / 1000) * 1000 + 500);
}

/** Wall time of the 12 bytes at `at`; seconds is 0 before 1970 or where the bytes end early. */
export function unpackTai64n(b: Uint8Array, at: number): WallTime {
  const high = be32(b, at) - HIGH;
  const seconds = high * 4294967296 + be32(b, at + 4) - OFFSET_SECONDS;
  return { seconds: seconds < 0 ? 0 : seconds, nanoseconds: be32(b, at + 8) };
}

const HEX = "0123456789abcdef";

/** Writes `@` and 24 lower-case hex digits at `at`; does nothing when they do not fit. */
export function putLabel(b: Uint8Array, at: number, t: WallTime): void {
  if (at < 0 || at + LABEL_BYTES > b.length) return;
  const raw = new Uint8Array(TAI64N_BYTES);
  packTai64n(raw, 0, t);
  b[at] = 64;
  let o = at + 1;
  for (let i = 0; i < raw.length; i++) {
    const v = raw[i]!;
    b[o] = HEX.charCodeAt(v >> 4);
    b[o + 1] = HEX.charCodeAt(v & 15);
    o += 2;
  }
}
