/**
 * Timestamps in front of log lines. A kind is chosen by option or config line;
 * the text of each is made once per block of input, not once per line.
 *
 *   tai64n     @4000000069263b9a0c2f4d1c             svlogd -t
 *   utc        2025-11-25_23:26:56.20431             svlogd -tt
 *   utcT       2025-11-25T23:26:56.20431             svlogd -ttt
 *   isoUtc     2025-11-25T23:26:56.204317Z           config `Tutc`
 *   isoLocal   2025-11-26T00:26:56.204317+01:00      config `Tlocal`
 */
import { EMPTY } from "../base/bytes.ts";
import type { WallTime } from "../kernel/kernel.ts";
import { LABEL_BYTES, putLabel } from "./tai64n.ts";

export type StampKind = "none" | "tai64n" | "utc" | "utcT" | "isoUtc" | "isoLocal";

const DAY_SECONDS = 86400;
const DAYS_PER_ERA = 146097;
/** Days from 0000-03-01 to 1970-01-01. */
const EPOCH_DAYS = 719468;

function putDigits(b: Uint8Array, at: number, width: number, value: number): void {
  let left = value;
  for (let i = at + width - 1; i >= at; i--) {
    const rest = Math.floor(left / 10);
    b[i] = 48 + (left - rest * 10);
    left = rest;
  }
}

/** Writes `YYYY-MM-DD` (10 bytes) for a day counted from 1970-01-01 (days.from civil, H. Hinnant). */
function putDate(b: Uint8Array, at: number, day: number): void {
  const z = day + EPOCH_DAYS;
  const era = Math.floor(z / DAYS_PER_ERA);
  const dayOfEra = z - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  putDigits(b, at, 4, yearOfEra + era * 400 + (month <= 2 ? 1 : 0));
  b[at + 4] = 45;
  putDigits(b, at + 5, 2, month);
  b[at + 7] = 45;
  putDigits(b, at + 8, 2, dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1);
}

/** Writes `YYYY-MM-DDxHH:MM:SS.` (20 bytes) with x = separator. */
function putDateTime(b: Uint8Array, at: number, seconds: number, separator: number): void {
  const day = Math.floor(seconds / DAY_SECONDS);
  const inDay = seconds - day * DAY_SECONDS;
  putDate(b, at, day);
  b[at + 10] = separator;
  putDigits(b, at + 11, 2, Math.floor(inDay / 3600));
  b[at + 13] = 58;
  putDigits(b, at + 14, 2, Math.floor(inDay / 60) % 60);
  b[at + 16] = 58;
  putDigits(b, at + 17, 2, inDay % 60);
  b[at + 19] = 46;
}

function humanStamp(t: WallTime, separator: number): Uint8Array {
  const b = new Uint8Array(26);
  putDateTime(b, 0, t.seconds, separator);
  putDigits(b, 20, 5, Math.floor(t.nanoseconds / 10000));
  b[25] = 32;
  return b;
}

function taiStamp(t: WallTime): Uint8Array {
  const b = new Uint8Array(LABEL_BYTES + 1);
  putLabel(b, 0, t);
  b[LABEL_BYTES] = 32;
  return b;
}

/** Six digits and the zone, without a blank behind: what JSON wants too. */
export function isoTime(t: WallTime, offsetSeconds: number, utc: boolean): Uint8Array {
  const b = new Uint8Array(utc ? 27 : 32);
  putDateTime(b, 0, utc ? t.seconds : t.seconds + offsetSeconds, 84);
  putDigits(b, 20, 6, Math.floor(t.nanoseconds / 1000));
  if (utc) {
    b[26] = 90;
    return b;
  }
  const minutes = Math.floor(Math.abs(offsetSeconds) / 60);
  b[26] = offsetSeconds < 0 ? 45 : 43;
  putDigits(b, 27, 2, Math.floor(minutes / 60));
  b[29] = 58;
  putDigits(b, 30, 2, minutes % 60);
  return b;
}

function withBlank(b: Uint8Array): Uint8Array {
  const out = new Uint8Array(b.length + 1);
  out.set(b, 0);
  out[b.length] = 32;
  return out;
}

/** The bytes in front of a line, blank included; empty for "none". `offsetSeconds`: local time ahead of UTC. */
export function stampBytes(kind: StampKind, t: WallTime, offsetSeconds: number): Uint8Array {
  switch (kind) {
    case "none":
      return EMPTY;
    case "tai64n":
      return taiStamp(t);
    case "utc":
      return humanStamp(t, 95);
    case "utcT":
      return humanStamp(t, 84);
    case "isoUtc":
      return withBlank(isoTime(t, offsetSeconds, true));
    case "isoLocal":
      return withBlank(isoTime(t, offsetSeconds, false));
  }
}
