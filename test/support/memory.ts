/** The foreign functions of src/kernel/memory.ts for tests under Node. Import this before what uses them. */
function entryAt(table: Uint8Array, at: number): number {
  return (table[2 * at] ?? 0) + 256 * (table[2 * at + 1] ?? 0);
}

function walk(table: Uint8Array, classes: Uint8Array, row: number, b: Uint8Array, from: number, to: number): number {
  let at = row;
  let place = from;
  for (; place < to && 2 * (at + 256) <= table.length; place++) {
    const next = entryAt(table, at + (classes[b[place] ?? 0] ?? 0));
    if (next > 32767) break;
    at = next;
  }
  return place * 65536 + at;
}

Object.assign(globalThis, {
  kMemchr: (b: Uint8Array, from: number, byte: number): number => (from >= 0 && from < b.length ? b.indexOf(byte, from) : -1),
  kMemrchr: (b: Uint8Array, from: number, byte: number): number => {
    const at = b.lastIndexOf(byte);
    return from >= 0 && at >= from ? at : -1;
  },
  kCopy: (to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number, length: number): number => {
    if (toAt < 0 || fromAt < 0 || length < 0 || toAt + length > to.length || fromAt + length > from.length) return -22;
    to.set(from.slice(fromAt, fromAt + length), toAt);
    return 0;
  },
  kWalk: walk,
  kWalkLines: (table: Uint8Array, classes: Uint8Array, b: Uint8Array, from: number, most: number, lines: Uint8Array): number => {
    const view = new DataView(lines.buffer, lines.byteOffset, lines.byteLength);
    let at = from;
    let n = 0;
    for (; at < b.length && 8 * n + 8 <= lines.length; n++) {
      const stop = Math.min(b.length, at + most);
      const walked = walk(table, classes, 0, b, at, stop);
      const place = Math.floor(walked / 65536);
      const of = classes[place < stop ? (b[place] ?? 0) : 10] ?? 0;
      const entry = entryAt(table, (walked % 65536) + of);
      const newline = b.indexOf(10, place);
      if (newline < 0 || entry === 65535) break;
      at = newline + 1;
      view.setUint32(8 * n, at, true);
      view.setUint32(8 * n + 4, entry, true);
    }
    return n;
  },
});
