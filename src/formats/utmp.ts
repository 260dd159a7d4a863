/** Records of utmp and wtmp, utmp(5), as the C library has them on x86-64: 384 bytes. */
import { putLe32 } from "../base/bytes.ts";

export const RECORD_BYTES = 384;
export const LINE_BYTES = 32;

const DEAD_PROCESS = 8;
const LINE = 8;
const USER = 44;
const HOST_END = 332;
const SECONDS = 340;

function setDead(record: Uint8Array, seconds: number): void {
  record[0] = DEAD_PROCESS;
  record[1] = 0;
  putLe32(record, SECONDS, seconds >>> 0);
}

/** Whether somebody is logged in on the line; `line` has at most LINE_BYTES bytes and no NUL. */
export function isLogin(record: Uint8Array, line: Uint8Array): boolean {
  if (record.length < RECORD_BYTES || line.length > LINE_BYTES || record[USER]! === 0) return false;
  for (let i = 0; i < line.length; i++) if (record[LINE + i]! !== line[i]!) return false;
  return line.length === LINE_BYTES || record[LINE + line.length]! === 0;
}

/** The record without its user and host, dead since `seconds` of Unix time; the microseconds stay, as with runit. */
export function loggedOut(record: Uint8Array, seconds: number): Uint8Array {
  const out = new Uint8Array(RECORD_BYTES);
  out.set(record.subarray(0, RECORD_BYTES), 0);
  for (let i = USER; i < HOST_END; i++) out[i] = 0;
  setDead(out, seconds);
  return out;
}

/** A record for wtmp: the line, and nothing of who was there. */
export function logoutRecord(line: Uint8Array, seconds: number): Uint8Array {
  const out = new Uint8Array(RECORD_BYTES);
  out.set(line.subarray(0, LINE_BYTES), LINE);
  setDead(out, seconds);
  return out;
}
