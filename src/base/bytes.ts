/**
 * Byte strings. Arguments, environment, file names and log lines are bytes from
 * end to end: the kernel promises no encoding, and the compiled `string` reads
 * out of bounds on invalid UTF-8. A name becomes text only as latin-1, which
 * maps each byte to one character and back without loss.
 */

export const EMPTY = new Uint8Array(0);

/** The bytes of a latin-1 string (one byte per character). */
export function ascii(s: string): Uint8Array {
  // The runtime's own loop takes a tenth of the time of one over charCodeAt. The copy makes it a plain Uint8Array under Node, too.
  return new Uint8Array(Buffer.from(s, "latin1"));
}

/** A byte string as latin-1 text: a key, or a part of a message. */
export function text(b: Uint8Array): string {
  return Buffer.from(b).toString("latin1");
}

/** Item i, or null when there is none: reading past the end would end the process. */
export function item(list: readonly Uint8Array[], i: number): Uint8Array | null {
  return i >= 0 && i < list.length ? list[i]! : null;
}

/** Byte i, or -1 past the end. */
export function byteAt(b: Uint8Array, i: number): number {
  return i >= 0 && i < b.length ? b[i]! : -1;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i]! !== b[i]!) return false;
  return true;
}

/** Whether `n` bytes of `a` from `aAt` on are those of `b` from `bAt` on; false where either ends early. */
export function equalAt(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, n: number): boolean {
  if (aAt + n > a.length || bAt + n > b.length) return false;
  for (let i = 0; i < n; i++) if (a[aAt + i]! !== b[bAt + i]!) return false;
  return true;
}

/** Byte order: < 0, 0 or > 0. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const n = a.length < b.length ? a.length : b.length;
  for (let i = 0; i < n; i++) {
    const d = a[i]! - b[i]!;
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

/** First place of `byte` at or after `from`, or -1. */
export function indexOf(b: Uint8Array, byte: number, from: number): number {
  for (let i = from < 0 ? 0 : from; i < b.length; i++) if (b[i]! === byte) return i;
  return -1;
}

/** Last place of `byte`, or -1. */
export function lastIndexOf(b: Uint8Array, byte: number): number {
  for (let i = b.length - 1; i >= 0; i--) if (b[i]! === byte) return i;
  return -1;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (let i = 0; i < parts.length; i++) size += parts[i]!.length;
  const out = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < parts.length; i++) {
    const p = parts[i]!;
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** `a` and `b` in new bytes, and room for `room` more behind them. */
export function joined(a: Uint8Array, b: Uint8Array, room: number): Uint8Array {
  const out = new Uint8Array(a.length + b.length + room);
  out.set(a, 0);
  out.set(b, a.length);
  return out;
}

/** NUL-terminated items one after the other: how argv and environ cross into C. */
export function block(items: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (let i = 0; i < items.length; i++) size += items[i]!.length + 1;
  const out = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < items.length; i++) {
    const p = items[i]!;
    out.set(p, at);
    at += p.length + 1;
  }
  return out;
}

/** The pieces between separators; a final piece without one counts unless it is empty. */
export function split(b: Uint8Array, separator: number): Uint8Array[] {
  const items: Uint8Array[] = [];
  let start = 0;
  for (let i = 0; i < b.length; i++) {
    if (b[i]! === separator) {
      items.push(b.slice(start, i));
      start = i + 1;
    }
  }
  if (start < b.length) items.push(b.slice(start, b.length));
  return items;
}

/** The part behind the last slash; all of it when there is none. */
export function basename(path: Uint8Array): Uint8Array {
  return path.subarray(lastIndexOf(path, 47) + 1);
}

export function startsWith(b: Uint8Array, prefix: Uint8Array): boolean {
  return b.length >= prefix.length && equal(b.subarray(0, prefix.length), prefix);
}

/** Little-endian u32 at `at`; 0 where the bytes end early. */
export function le32(b: Uint8Array, at: number): number {
  if (at < 0 || at + 4 > b.length) return 0;
  // Not by bits: compiled, each of those is a conversion of its own.
  return b[at]! + b[at + 1]! * 256 + b[at + 2]! * 65536 + b[at + 3]! * 16777216;
}

/** Little-endian u64 at `at`, exact to 2^53; 0 where the bytes end early. */
export function le64(b: Uint8Array, at: number): number {
  return le32(b, at) + le32(b, at + 4) * 4294967296;
}

/** Big-endian u32 at `at`; 0 where the bytes end early. */
export function be32(b: Uint8Array, at: number): number {
  if (at < 0 || at + 4 > b.length) return 0;
  return b[at]! * 16777216 + b[at + 1]! * 65536 + b[at + 2]! * 256 + b[at + 3]!;
}

/** Writes a little-endian u32; does nothing when it does not fit. */
export function putLe32(b: Uint8Array, at: number, v: number): void {
  if (at < 0 || at + 4 > b.length) return;
  b[at] = v & 255;
  b[at + 1] = (v >>> 8) & 255;
  b[at + 2] = (v >>> 16) & 255;
  b[at + 3] = (v >>> 24) & 255;
}

/** Writes a little-endian u64 (v exact to 2^53); does nothing when it does not fit. */
export function putLe64(b: Uint8Array, at: number, v: number): void {
  if (at < 0 || at + 8 > b.length) return;
  const high = Math.floor(v / 4294967296);
  putLe32(b, at, v - high * 4294967296);
  putLe32(b, at + 4, high);
}

/** Writes a big-endian u32; does nothing when it does not fit. */
export function putBe32(b: Uint8Array, at: number, v: number): void {
  if (at < 0 || at + 4 > b.length) return;
  b[at] = (v >>> 24) & 255;
  b[at + 1] = (v >>> 16) & 255;
  b[at + 2] = (v >>> 8) & 255;
  b[at + 3] = v & 255;
}

const TWO_TO_64 = 2 ** 64;

/** A decimal number at the start of b: value, and how many digits there were. */
export type Decimal = { readonly value: number; readonly digits: number };

/**
 * Digits only, as runit's scan_ulong reads them: no sign, no blank. Values
 * stay exact to 2^53; beyond, they stop growing at 2^64.
 */
export function parseDecimal(b: Uint8Array): Decimal {
  let value = 0;
  let digits = 0;
  for (let i = 0; i < b.length; i++) {
    const c = b[i]!;
    if (c < 48 || c > 57) break;
    value = value * 10 + (c - 48);
    if (value > TWO_TO_64) value = TWO_TO_64;
    digits++;
  }
  return { value, digits };
}
