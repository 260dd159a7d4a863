/**
 * From a stream of bytes to the records of a log directory.
 *
 * The input is handed on in blocks. A block begins where the last one ended and
 * ends with a line, except that a line of `lineMax` bytes or more is handed on
 * as it comes: its first block holds at least `lineMax` bytes of it, which are
 * the line as far as replacement and selection are concerned.
 *
 *          |<- lineMax ->|
 *   stamp  line ......... rest ............... newline
 *          replaced,      written as it is
 *          matched
 *
 * `LineCut` finds the end of the next block, `Replacement` changes it, and each
 * directory's `RecordStream` makes its records of it, a batch at a time.
 */
import { JsonText } from "../formats/json-text.ts";
import { copyBytes, findByte, findLastByte, LINE_BYTES } from "../kernel/memory.ts";
import { TO_LOG, TO_STDERR } from "./log-pattern.ts";
import type { Selection } from "./log-selection.ts";

export const NEWLINE = 10;

/** Where the input stands between its lines. */
export class LineCut {
  readonly lineMax: number;
  /** The next byte belongs to a line whose beginning was handed on. */
  inRest = false;

  constructor(lineMax: number) {
    this.lineMax = lineMax;
  }

  /** How many bytes of b, all that came since the last block, make the next block; the others are to be kept. */
  take(b: Uint8Array): number {
    const newline = findLastByte(b, Math.max(0, b.length - this.lineMax), NEWLINE);
    if (newline >= 0) {
      this.inRest = false;
      return newline + 1;
    }
    if (!this.inRest && b.length < this.lineMax) return 0;
    if (b.length > 0) this.inRest = true;
    return b.length;
  }
}

/** -r and -R: a byte for each byte. */
export class Replacement {
  readonly #map: Uint8Array = new Uint8Array(256);

  /** `unprintable`: bytes outside 32-126 are replaced, too, as -r and -R both ask for. */
  constructor(by: number, set: Uint8Array) {
    const map = this.#map;
    for (let i = 0; i < map.length; i++) map[i] = i < 32 || i > 126 ? by : i;
    for (let i = 0; i < set.length; i++) map[set[i]!] = by;
  }

  /** Changes the first `lineMax` bytes of each line; `inRest`: block begins behind them. */
  apply(block: Uint8Array, lineMax: number, inRest: boolean): void {
    let at = inRest ? endOfLine(block, 0) : 0;
    while (at < block.length) {
      const next = endOfLine(block, at);
      const last = next > at && block[next - 1]! === NEWLINE ? next - 1 : next;
      this.#replace(block.subarray(at, Math.min(last, at + lineMax)));
      at = next;
    }
  }

  #replace(line: Uint8Array): void {
    const map = this.#map;
    for (let i = 0; i < line.length; i++) line[i] = map[line[i]!]!;
  }
}

/** Behind the next newline at or after `from`, or the end. */
function endOfLine(b: Uint8Array, from: number): number {
  const at = findByte(b, from, NEWLINE);
  return at < 0 ? b.length : at + 1;
}

/** Lines decided on in one go. */
const LINES = 256;

/** Records on their way to a file. One serves all directories: each empties it before the next one's turn. */
export class Batch {
  room: Uint8Array;
  length = 0;
  /** Where lines end and go, see `Selection.lines`; and the same to read the numbers. */
  readonly lines: Uint8Array = new Uint8Array(LINES * LINE_BYTES);
  readonly view: DataView = new DataView(this.lines.buffer, this.lines.byteOffset, this.lines.byteLength);

  constructor(size: number) {
    this.room = new Uint8Array(size);
  }

  /** A record's head and some of its line must fit. */
  atLeast(size: number): void {
    if (this.length === 0 && size > this.room.length) this.room = new Uint8Array(size);
  }

  /** Appends what fits of b from `from` to `to`; returns how many bytes that were. */
  put(b: Uint8Array, from: number, to: number): number {
    const n = Math.min(to - from, this.room.length - this.length);
    copyBytes(this.room, this.length, b, from, n);
    this.length += n;
    return n;
  }
}

/** Where selected lines go besides the file. */
export abstract class LineCopies {
  /**
   * `line`: at most lineMax bytes; `cut`: it had that many or more; `first`: it
   * begins the block, so that its stamp is the older one.
   */
  abstract toStderr(line: Uint8Array, cut: boolean, first: boolean): void;
  /** Returns a record that tells of a failure, for the file; empty when there was none. */
  abstract toNetwork(line: Uint8Array, cut: boolean, first: boolean): Uint8Array;
}

/** How a directory's records look, and where they go. */
export type RecordFormat = {
  readonly lineMax: number;
  readonly selection: Selection;
  readonly json: boolean;
  readonly network: boolean;
  /** The file gets nothing but what the network failed to take. */
  readonly networkOnly: boolean;
};

const BOTH = TO_LOG + TO_STDERR;
const RECORD_END = new Uint8Array([NEWLINE]);
const JSON_END = new Uint8Array([34, 125, NEWLINE]);
/** Room for a record's head is not enough: some of its line shall fit, too. */
const LINE_ROOM = 256;

/** Records of one directory, made of blocks. */
export class RecordStream {
  format: RecordFormat;
  /** Position in the block. */
  at = 0;
  /** Inside a record: what comes up to the newline belongs to it. */
  open = false;
  /** Whether that record goes to the file. */
  selected = true;
  readonly #copies: LineCopies;
  readonly #json: JsonText = new JsonText();
  /** The newline was taken, but the record's end did not fit any more. */
  #endPending = false;
  /** The open record was begun as JSON: it ends as such, even when the format has changed meanwhile. */
  #asJson = false;

  constructor(format: RecordFormat, copies: LineCopies) {
    this.format = format;
    this.#copies = copies;
  }

  /** Bytes may be written as they are, as far as the record that is open goes. */
  get passesBytes(): boolean {
    return !this.open || (this.selected && !this.#asJson && !this.#endPending);
  }

  /** Nothing of the block is left. */
  finished(block: Uint8Array): boolean {
    return this.at >= block.length && !this.#endPending;
  }

  /**
   * Appends records of `block` to `batch` until the block ends, the batch is
   * full, or a record ends at or behind `stopAt` bytes of batch (0 is as 1, so that
   * it goes on in any case). `first` is what stands before a line that begins at the
   * very start of the block (it may have come earlier), `head` before all others.
   */
  fill(block: Uint8Array, first: Uint8Array, head: Uint8Array, batch: Batch, stopAt: number): void {
    const { json, network, lineMax } = this.format;
    const need = Math.max(first.length, head.length) + LINE_ROOM + (network ? head.length + lineMax : 0);
    batch.atLeast(2 * need);
    const stop = Math.max(stopAt, 1);
    while (!this.finished(block)) {
      if (!this.open) {
        if (this.at > 0 && !json && !network) this.#wholeLines(block, head, batch, stop);
        if (batch.length >= stop || this.at >= block.length) return;
        if (batch.length > 0 && batch.length + need > batch.room.length) return;
        this.#begin(block, this.at === 0 ? first : head, batch);
      }
      if (!this.#continue(block, batch)) return;
      if (!this.open && batch.length >= stop) return;
    }
  }

  /** The fast loop: lines that are there to their end and have the same head, while they fit. */
  #wholeLines(block: Uint8Array, head: Uint8Array, batch: Batch, stopAt: number): void {
    const { selection, lineMax } = this.format;
    let count = 0;
    do count = selection.lines(block, this.at, lineMax, batch.lines);
    while (count > 0 && this.#putLines(count, block, head, batch, stopAt));
  }

  /** The first `count` of batch.lines; false when some of them have to wait. */
  #putLines(count: number, block: Uint8Array, head: Uint8Array, batch: Batch, stopAt: number): boolean {
    const { room, lines, view } = batch;
    const stamp = head.length;
    const last = room.length - stamp;
    let at = this.at;
    let o = batch.length;
    let i = 0;
    for (; i < count * LINE_BYTES && o < stopAt; i += LINE_BYTES) {
      const end = view.getUint32(i, true);
      const to = lines[i + 4]!;
      const n = end - at;
      if (o + n > last) break;
      if (to >= TO_STDERR) this.#toStderr(block.subarray(at, end - 1), false);
      if (to === TO_LOG || to === BOTH) {
        if (stamp > 0) copyBytes(room, o, head, 0, stamp);
        copyBytes(room, o + stamp, block, at, n);
        o += stamp + n;
      }
      at = end;
    }
    this.at = at;
    batch.length = o;
    return i === count * LINE_BYTES;
  }

  /** Selects the line at `at`, and puts its head when it goes to the file. */
  #begin(block: Uint8Array, head: Uint8Array, batch: Batch): void {
    const { selection, lineMax, json, network, networkOnly } = this.format;
    this.open = true;
    this.#asJson = json;
    const to = selection.decide(block, this.at, Math.min(this.at + lineMax, block.length));
    this.selected = (to & TO_LOG) !== 0;
    if ((to & TO_STDERR) !== 0 || network) {
      const newline = findByte(block, this.at, NEWLINE);
      const line = block.subarray(this.at, newline < 0 ? block.length : newline);
      if ((to & TO_STDERR) !== 0) this.#toStderr(line, this.at === 0);
      if (this.selected && network) {
        const failure = this.#copies.toNetwork(line.subarray(0, lineMax), line.length >= lineMax, this.at === 0);
        batch.put(failure, 0, failure.length);
        this.selected = !networkOnly;
      }
    }
    if (this.selected) batch.put(head, 0, head.length);
  }

  #toStderr(line: Uint8Array, first: boolean): void {
    const { lineMax } = this.format;
    const cut = line.length >= lineMax;
    this.#copies.toStderr(cut ? line.subarray(0, lineMax) : line, cut, first);
  }

  /** Takes what the block holds of the open record; false when the batch is full. */
  #continue(block: Uint8Array, batch: Batch): boolean {
    if (this.#endPending) return this.#end(batch);
    const newline = findByte(block, this.at, NEWLINE);
    const end = newline < 0 ? block.length : newline;
    if (!this.selected) {
      this.at = newline < 0 ? end : end + 1;
      this.open = newline < 0;
      return true;
    }
    if (this.#asJson) {
      this.#json.put(block, this.at, end, batch.room, batch.length);
      batch.length = this.#json.end;
      this.at += this.#json.taken;
    } else this.at += batch.put(block, this.at, end);
    if (this.at < end) return false;
    if (newline < 0) return true;
    this.at++;
    this.#endPending = true;
    return this.#end(batch);
  }

  #end(batch: Batch): boolean {
    const end = this.#asJson ? JSON_END : RECORD_END;
    if (batch.length + end.length > batch.room.length) return false;
    batch.put(end, 0, end.length);
    this.#endPending = false;
    this.open = false;
    return true;
  }
}
