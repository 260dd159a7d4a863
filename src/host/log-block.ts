/** A block of input as the directories get it: its bytes, and when they came. */
import { ascii, concat, EMPTY } from "../base/bytes.ts";
import { JSON_GROWTH, JsonText } from "../formats/json-text.ts";
import { isoTime, type StampKind, stampBytes } from "../formats/timestamp.ts";
import type { WallTime } from "../kernel/kernel.ts";
import { zoneOffset } from "../kernel/zone.ts";

export class LogBlock {
  bytes: Uint8Array = EMPTY;
  /** The bytes lie where others will write when the turn is over. */
  borrowed = false;
  /** Counts blocks: a directory makes its heads once for each. */
  serial = 0;
  /** When the first line began to come, and when the others did. */
  firstAt: WallTime = { seconds: 0, nanoseconds: 0 };
  at: WallTime = { seconds: 0, nanoseconds: 0 };

  set(bytes: Uint8Array, firstAt: WallTime, at: WallTime): void {
    this.bytes = bytes;
    this.firstAt = firstAt;
    this.at = at;
    this.serial++;
  }
}

/** What stands before a line: timestamp and prefix. */
export function textHead(kind: StampKind, prefix: Uint8Array, at: WallTime): Uint8Array {
  const stamp = stampBytes(kind, at, kind === "isoLocal" ? zoneOffset(at.seconds) : 0);
  if (prefix.length === 0) return stamp;
  return concat([stamp, prefix]);
}

/** `{"time":"…","service":"…","text":"PREFIX`: the line and `"}` follow. */
export function jsonHead(kind: StampKind, service: Uint8Array, prefix: Uint8Array, at: WallTime): Uint8Array {
  const local = kind === "isoLocal";
  const time = isoTime(at, local ? zoneOffset(at.seconds) : 0, !local);
  const parts: Uint8Array[] = [
    ascii('{"time":"'),
    time,
    ascii('","service":"'),
    escaped(service),
    ascii('","text":"'),
    escaped(prefix),
  ];
  return concat(parts);
}

function escaped(b: Uint8Array): Uint8Array {
  const out = new Uint8Array((b.length + 1) * JSON_GROWTH);
  const json = new JsonText();
  json.put(b, 0, b.length, out, 0);
  return out.slice(0, json.end);
}
