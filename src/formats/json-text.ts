/**
 * Bytes of a log line as the inside of a JSON string (RFC 8259). Valid UTF-8
 * stays as it is. A byte that is not part of valid UTF-8 becomes `\udc80` to
 * `\udcff`, a lone surrogate, as Python's "surrogateescape" has it: the line
 * can be got back byte for byte.
 */
import { byteAt } from "../base/bytes.ts";

const HEX = "0123456789abcdef";
/** Most bytes one input byte becomes. */
export const JSON_GROWTH = 6;

/** Length of the valid UTF-8 sequence at `at`, 0 when there is none (RFC 3629, table of well-formed sequences). */
function sequenceLength(b: Uint8Array, at: number): number {
  const c = byteAt(b, at);
  if (c < 0x80) return 1;
  const d = byteAt(b, at + 1);
  if (c >= 0xc2 && c <= 0xdf) return d >= 0x80 && d <= 0xbf ? 2 : 0;
  if (c < 0xe0 || c > 0xf4) return 0;
  const low = c === 0xe0 ? 0xa0 : c === 0xf0 ? 0x90 : 0x80;
  const high = c === 0xed ? 0x9f : c === 0xf4 ? 0x8f : 0xbf;
  if (d < low || d > high) return 0;
  const e = byteAt(b, at + 2);
  if (e < 0x80 || e > 0xbf) return 0;
  if (c < 0xf0) return 3;
  const f = byteAt(b, at + 3);
  return f >= 0x80 && f <= 0xbf ? 4 : 0;
}

function shortEscape(c: number): number {
  switch (c) {
    case 8:
      return 98;
    case 9:
      return 116;
    case 10:
      return 110;
    case 12:
      return 102;
    case 13:
      return 114;
    case 34:
    case 92:
      return c;
    default:
      return 0;
  }
}

/** Writes text into a JSON string piece by piece. */
export class JsonText {
  /** Bytes of the input the last `put` took, and where its output ended. */
  taken = 0;
  end = 0;

  /**
   * Escapes b from `from` to `to` into `out` from `at` on, as far as there is
   * room. A sequence cut by `to` is escaped byte by byte.
   */
  put(b: Uint8Array, from: number, to: number, out: Uint8Array, at: number): void {
    const v = b.subarray(0, to);
    let i = from;
    let o = at;
    while (i < v.length && o + JSON_GROWTH <= out.length) {
      const c = v[i]!;
      const length = sequenceLength(v, i);
      const short = shortEscape(c);
      if (short !== 0) {
        out[o] = 92;
        out[o + 1] = short;
        o += 2;
        i++;
      } else if (c >= 32 && length > 0) {
        for (let j = 0; j < length; j++) out[o + j] = v[i + j]!;
        o += length;
        i += length;
      } else {
        this.#escape(out, o, c);
        o += 6;
        i++;
      }
    }
    this.taken = i - from;
    this.end = o;
  }

  /** \u00XX for control bytes, \udcXX for what is no UTF-8. */
  #escape(out: Uint8Array, at: number, c: number): void {
    out[at] = 92;
    out[at + 1] = 117;
    out[at + 2] = c < 128 ? 48 : 100;
    out[at + 3] = c < 128 ? 48 : 99;
    out[at + 4] = HEX.charCodeAt(c >> 4);
    out[at + 5] = HEX.charCodeAt(c & 15);
  }
}
