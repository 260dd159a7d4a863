/**
 * How far a logger has come that is not a process of its own: what it was
 * writing to `current` when it was killed, and whether it had taken that out of
 * the pipe. Behind the record of formats/adopt.ts in log/supervise/adopt. 32
 * bytes, little endian:
 *
 *    0  device of `current`, u64
 *    8  inode of `current`, u64
 *   16  its size before the bytes were written, u64
 *   24  the last of the bytes
 *   25  another value, in whose place that byte comes when they are taken
 *   26  reserved, zero
 */
import { le64, putLe64 } from "../base/bytes.ts";
import { ADOPT_BYTES } from "./adopt.ts";

export const LOG_PROGRESS_BYTES = 32;
/** Where in the file. */
export const LOG_PROGRESS_AT = ADOPT_BYTES;
const LAST_AT = 24;
const MARK_AT = 25;
export const LOG_LAST_AT: number = LOG_PROGRESS_AT + LAST_AT;
export const LOG_MARK_AT: number = LOG_PROGRESS_AT + MARK_AT;

/** Which file, and how much of it was there before. */
export type LogPlace = { readonly device: number; readonly inode: number; readonly size: number };

/** The record of bytes about to be written behind `place`, the last of which will be `last`. */
export function packLogProgress(place: LogPlace, last: number): Uint8Array {
  const raw = new Uint8Array(LOG_PROGRESS_BYTES);
  putLe64(raw, 0, place.device);
  putLe64(raw, 8, place.inode);
  putLe64(raw, 16, place.size);
  raw.set(packLast(last), LAST_AT);
  return raw;
}

/** The part at LOG_LAST_AT. */
export function packLast(last: number): Uint8Array {
  const raw = new Uint8Array(2);
  raw[0] = last;
  raw[1] = last ^ 0xff;
  return raw;
}

/** Where bytes were written that are still in the pipe; null: there are none, or this is no record. */
export function unpackLogProgress(raw: Uint8Array): LogPlace | null {
  if (raw.length !== LOG_PROGRESS_BYTES || raw[MARK_AT]! !== (raw[LAST_AT]! ^ 0xff)) return null;
  return { device: le64(raw, 0), inode: le64(raw, 8), size: le64(raw, 16) };
}
