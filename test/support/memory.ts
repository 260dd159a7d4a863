/** The foreign functions of src/kernel/memory.ts for tests under Node. Import this before what uses them. */
Object.assign(globalThis, {
  kMemchr: (b: Uint8Array, from: number, byte: number): number => (from >= 0 && from < b.length ? b.indexOf(byte, from) : -1),
  kCopy: (to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number, length: number): number => {
    if (toAt < 0 || fromAt < 0 || length < 0 || toAt + length > to.length || fromAt + length > from.length) return -22;
    to.set(from.slice(fromAt, fromAt + length), toAt);
    return 0;
  },
});
