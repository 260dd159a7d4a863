/**
 * Searching and copying in byte strings with the C library's own loops: the
 * compiled `for` needs 0.3-2.6 ns a byte, these a tenth. No system call, no
 * state: the one part of the kernel layer that core and formats may use.
 */
declare function kMemchr(b: Uint8Array, from: number, byte: number): number;
declare function kCopy(to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number, length: number): number;

/** First place of `byte` at or after `from`, or -1. */
export function findByte(b: Uint8Array, from: number, byte: number): number {
  return kMemchr(b, from, byte);
}

/** Copies `length` bytes; they may overlap. Does nothing when they do not fit on either side. */
export function copyBytes(to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number, length: number): void {
  kCopy(to, toAt, from, fromAt, length);
}
