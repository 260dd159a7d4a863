/** What a runsv writes to its init when an essential service is down for good: "STATUS NAME\n", in one piece. */
import { ascii, indexOf, parseDecimal, text } from "../base/bytes.ts";

/** PIPE_BUF leaves room for many; names are cut so that a notice is written whole. */
const NAME_BYTES_MAX = 255;
const UNKNOWN = 0xffff;

/** `status`: a wait status, or < 0 when nobody saw the end. */
export function essentialNotice(status: number, name: string): Uint8Array {
  const plain = name.split("\n").join("?");
  return ascii(`${status < 0 ? UNKNOWN : status & UNKNOWN} ${plain.slice(0, NAME_BYTES_MAX)}\n`);
}

/** Wait status (< 0: unknown) and name. */
export type EssentialEnd = { readonly status: number; readonly name: string };

/** The first notice in what was read; null when there is none. */
export function parseEssentialNotice(b: Uint8Array): EssentialEnd | null {
  const end = indexOf(b, 10, 0);
  const blank = indexOf(b, 32, 0);
  const d = parseDecimal(b);
  if (end < 0 || blank < 0 || blank > end || d.digits === 0) return null;
  return { status: d.value === UNKNOWN ? -1 : d.value, name: text(b.slice(blank + 1, end)) };
}
