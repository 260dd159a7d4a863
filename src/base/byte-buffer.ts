/** Bytes put one behind the other, in room that grows: how a report is made before it is written. */
import { ascii } from "./bytes.ts";

export class ByteBuffer {
  #room: Uint8Array;
  #used = 0;

  constructor(size: number) {
    this.#room = new Uint8Array(Math.max(size, 32));
  }

  get length(): number {
    return this.#used;
  }

  /** What was put so far; valid until the next change. */
  bytes(): Uint8Array {
    return this.#room.subarray(0, this.#used);
  }

  clear(): void {
    this.#used = 0;
  }

  put(b: Uint8Array): void {
    this.#reserve(b.length);
    this.#room.set(b, this.#used);
    this.#used += b.length;
  }

  /** A latin-1 string. */
  putText(s: string): void {
    this.put(ascii(s));
  }

  /** A whole number >= 0 in decimal. */
  putDecimal(n: number): void {
    this.#reserve(24);
    const room = this.#room;
    let digits = 1;
    for (let limit = 10; limit <= n; limit *= 10) digits++;
    let left = n;
    for (let at = this.#used + digits - 1; at >= this.#used; at--) {
      const rest = Math.floor(left / 10);
      room[at] = 48 + (left - rest * 10);
      left = rest;
    }
    this.#used += digits;
  }

  #reserve(more: number): void {
    if (this.#used + more <= this.#room.length) return;
    const room = new Uint8Array(Math.max(this.#room.length * 2, this.#used + more));
    room.set(this.bytes(), 0);
    this.#room = room;
  }
}
