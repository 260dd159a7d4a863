/**
 * supervise/adopt: what a supervisor leaves for its successor, so that a
 * service outlives the death of its runsv without a second copy. Ours alone;
 * no other tool of the family looks at it. 96 bytes, little endian:
 *
 *    0  "UPK1"
 *    4  pid of run or finish, u32; written by the child itself before exec
 *    8  CLOCK_BOOTTIME in ms just before that process was started, u64
 *   16  CLOCK_BOOTTIME in ms of the last transition, u64
 *   24  TAI64N label of the last transition, 12 bytes as in supervise/status
 *   36  state: 0 none, 1 run, 2 finish; 37 want: `u`, `d` or `x`; 38 paused; 39 got TERM
 *   40  wait status of the last run, u32
 *   44  pid of the supervisor, u32
 *   48  boot id, 16 bytes: another one means the record is from before a reboot
 *   64  CLOCK_BOOTTIME in ms when the supervisor wrote this, u64
 *   72  inode of the log pipe, u64; 0: none
 *   80  1: the service was taken over without the pipe it writes into
 *   81  reserved, zero
 */
import { equalAt, le32, le64, putLe32, putLe64 } from "../base/bytes.ts";
import type { StatusBytes } from "./status.ts";
import { TAI64N_BYTES } from "./tai64n.ts";

export const ADOPT_BYTES = 96;
/** Where the child writes its pid. */
export const ADOPT_PID_AT = 4;
export const BOOT_ID_BYTES = 16;
const LABEL_AT = 24;
const BOOT_ID_AT = 48;

const MAGIC = 0x314b5055;

/** The record, read and changed in place. */
export class AdoptRecord {
  readonly raw: Uint8Array = new Uint8Array(ADOPT_BYTES);

  get valid(): boolean {
    return le32(this.raw, 0) === MAGIC;
  }
  /** Forgets everything: a valid record of no process. */
  clear(): void {
    for (let i = 0; i < this.raw.length; i++) this.raw[i] = 0;
    putLe32(this.raw, 0, MAGIC);
  }
  get pid(): number {
    return le32(this.raw, ADOPT_PID_AT);
  }
  set pid(v: number) {
    putLe32(this.raw, ADOPT_PID_AT, v);
  }
  get startedBootMs(): number {
    return le64(this.raw, 8);
  }
  set startedBootMs(v: number) {
    putLe64(this.raw, 8, Math.floor(v));
  }
  get sinceBootMs(): number {
    return le64(this.raw, 16);
  }
  set sinceBootMs(v: number) {
    putLe64(this.raw, 16, Math.floor(v));
  }
  /** The 12 bytes of the label, in place. */
  get label(): Uint8Array {
    return this.raw.subarray(LABEL_AT, LABEL_AT + TAI64N_BYTES);
  }
  /** Whether it is the label of this supervise/status. */
  hasLabelOf(status: StatusBytes): boolean {
    return equalAt(this.raw, LABEL_AT, status.raw, 0, TAI64N_BYTES);
  }
  get state(): number {
    return this.raw[36]!;
  }
  set state(v: number) {
    this.raw[36] = v;
  }
  /** Byte `u`, `d` or `x`. */
  get want(): number {
    return this.raw[37]!;
  }
  set want(v: number) {
    this.raw[37] = v;
  }
  get paused(): boolean {
    return this.raw[38]! !== 0;
  }
  set paused(v: boolean) {
    this.raw[38] = v ? 1 : 0;
  }
  get gotTerm(): boolean {
    return this.raw[39]! !== 0;
  }
  set gotTerm(v: boolean) {
    this.raw[39] = v ? 1 : 0;
  }
  get lastStatus(): number {
    return le32(this.raw, 40);
  }
  set lastStatus(v: number) {
    putLe32(this.raw, 40, v);
  }
  get supervisor(): number {
    return le32(this.raw, 44);
  }
  set supervisor(v: number) {
    putLe32(this.raw, 44, v);
  }
  get bootId(): Uint8Array {
    return this.raw.subarray(BOOT_ID_AT, BOOT_ID_AT + BOOT_ID_BYTES);
  }
  get writtenBootMs(): number {
    return le64(this.raw, 64);
  }
  set writtenBootMs(v: number) {
    putLe64(this.raw, 64, Math.floor(v));
  }
  get pipeInode(): number {
    return le64(this.raw, 72);
  }
  set pipeInode(v: number) {
    putLe64(this.raw, 72, v);
  }

  /** What the service writes does not reach the log services to come. */
  get pipeLost(): boolean {
    return this.raw[80]! !== 0;
  }
  set pipeLost(v: boolean) {
    this.raw[80] = v ? 1 : 0;
  }

  /** Whether the record speaks of this boot of the machine. */
  ofBoot(bootId: Uint8Array): boolean {
    return this.valid && bootId.length === BOOT_ID_BYTES && equalAt(this.raw, BOOT_ID_AT, bootId, 0, BOOT_ID_BYTES);
  }
}

/** 16 bytes from the text of /proc/sys/kernel/random/boot_id; empty when it is no uuid. */
export function parseBootId(text: Uint8Array): Uint8Array {
  const id = new Uint8Array(BOOT_ID_BYTES);
  let digits = 0;
  for (let i = 0; i < text.length && digits < BOOT_ID_BYTES * 2; i++) {
    const c = text[i]!;
    const v = c >= 48 && c <= 57 ? c - 48 : c >= 97 && c <= 102 ? c - 87 : -1;
    if (v < 0) continue;
    const at = digits >> 1;
    id[at] = (id[at]! << 4) | v;
    digits++;
  }
  return digits === BOOT_ID_BYTES * 2 ? id : new Uint8Array(0);
}
