/**
 * supervise/status: 20 bytes, the one format every tool of the family reads.
 * 0–11 TAI64N of the last transition; 12–15 pid, little endian; 16 paused;
 * 17 want, `u` or `d`; 18 got TERM; 19 state (0 down, 1 run, 2 finish).
 * The first 18 bytes are daemontools' format.
 */
import { be32, le32, putLe32 } from "../base/bytes.ts";
import type { WallTime } from "../kernel/kernel.ts";
import { packTai64n, unpackTai64n } from "./tai64n.ts";

export const STATUS_BYTES = 20;

export type StatusState = "down" | "run" | "finish";
/** The file knows no "exit": a supervisor told to exit wants the service down. */
export type StatusWant = "up" | "down";

export type Status = {
  readonly since: WallTime;
  /** Pid of run or finish, 0 for none. */
  readonly pid: number;
  readonly paused: boolean;
  readonly want: StatusWant;
  readonly gotTerm: boolean;
  readonly state: StatusState;
};

export function packStatus(s: Status): Uint8Array {
  const b = new Uint8Array(STATUS_BYTES);
  packTai64n(b, 0, s.since);
  putLe32(b, 12, s.pid);
  b[16] = s.paused ? 1 : 0;
  b[17] = s.want === "up" ? 117 : 100;
  b[18] = s.gotTerm ? 1 : 0;
  b[19] = s.state === "down" ? 0 : s.state === "run" ? 1 : 2;
  return b;
}

/** null when there are fewer than 20 bytes. */
export function unpackStatus(b: Uint8Array): Status | null {
  if (b.length < STATUS_BYTES) return null;
  const state = b[19]!;
  return {
    since: unpackTai64n(b, 0),
    pid: le32(b, 12),
    paused: b[16]! !== 0,
    want: b[17]! === 117 ? "up" : "down",
    gotTerm: b[18]! !== 0,
    state: state === 0 ? "down" : state === 1 ? "run" : "finish",
  };
}

/**
 * The file as it was read, for a reader that must not judge it: sv shows what
 * runit shows even for bytes no supervisor writes. One object is refilled for
 * service after service.
 */
export class StatusBytes {
  readonly raw: Uint8Array = new Uint8Array(STATUS_BYTES);

  /** Unix time of the label, whole seconds. */
  get sinceSeconds(): number {
    const b = this.raw;
    const s = (be32(b, 0) - 0x40000000) * 4294967296 + be32(b, 4) - 10;
    return Math.max(s, 0);
  }
  /** The label in microseconds, its resolution. */
  get sinceMicroseconds(): number {
    return this.sinceSeconds * 1e6 + Math.floor(be32(this.raw, 8) / 1000);
  }
  get pid(): number {
    return le32(this.raw, 12);
  }
  get paused(): boolean {
    return this.raw[16]! !== 0;
  }
  get wantsUp(): boolean {
    return this.raw[17]! === 117;
  }
  get wantsDown(): boolean {
    return this.raw[17]! === 100;
  }
  get gotTerm(): boolean {
    return this.raw[18]! !== 0;
  }
  /** 0 down, 1 run, 2 finish. */
  get state(): number {
    return this.raw[19]!;
  }
}
