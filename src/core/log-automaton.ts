/**
 * All patterns of a config at once, as a table that is walked over the bytes of
 * a line: one look-up a byte, however many patterns there are.
 *
 * Bytes that patterns ask for are of a class each, all others of one; the
 * newline is of the class that ends a line. A row is a set of places in the
 * patterns (log-places.ts):
 *
 *             other   end        a      b    ...
 *   row       next    decision   next   next
 *
 * An entry says where the next row begins, or DECIDED and a decision, when
 * further bytes cannot change it, or UNKNOWN. Rows and entries are made when a
 * line first leads to them, so that only what occurs costs time and memory. A
 * full table begins anew; one that is full after few lines is given up.
 */
import { copyBytes, walkLines, walkTable } from "../kernel/memory.ts";
import type { Rule } from "./log-pattern.ts";
import { Places } from "./log-places.ts";

const DECIDED = 0x8000;
const UNKNOWN = 0xffff;
const ENTRY_BYTES = 2;
/** `walkTable` wants so much behind the beginning of a row. */
const ROW_BYTES_MAX = 256 * ENTRY_BYTES;
const FIRST_BYTES = 1024;
/** A table that lasts for fewer lines costs more than it saves. */
const LINES_MIN = 10000;

const OTHER = 0;
const END = 1;
const NEWLINE = 10;

export class LogAutomaton {
  /** Match the next line in another way. */
  givenUp = false;
  readonly #places: Places;
  readonly #classes: Uint8Array = new Uint8Array(256);
  /** A byte of each class: 256 at most, as no line of a config has a newline or a NUL. */
  readonly #byteOf: number[] = [-1, NEWLINE];
  readonly #rowsMax: number;
  #table: Uint8Array = new Uint8Array(FIRST_BYTES);
  /** The places of each row, and the beginning of the row with these places. */
  #sets: (readonly number[])[] = [];
  #rows: Map<string, number> = new Map<string, number>();
  /** Lines since the table was empty. */
  #lines = 0;

  /** Rules of more weight first. */
  constructor(rules: readonly Rule[]) {
    this.#places = new Places(rules);
    this.#classes[NEWLINE] = END;
    for (let p = 0; p < this.#places.count; p++) {
      const byte = this.#places.byteAt(p);
      if (byte < 0 || this.#classes[byte]! !== OTHER) continue;
      this.#classes[byte] = this.#byteOf.length;
      this.#byteOf.push(byte);
    }
    this.#rowsMax = Math.floor(DECIDED / this.#byteOf.length);
    this.#row(this.#places.start());
  }

  /** `Selection.lines`. */
  lines(b: Uint8Array, from: number, lineMax: number, lines: Uint8Array): number {
    if (this.givenUp) return 0;
    const count = walkLines(this.#table, this.#classes, b, from, lineMax, lines);
    this.#lines += count;
    return count;
  }

  /** The decisions for the line that begins at `from` and ends before the next newline, or `to`. */
  decide(b: Uint8Array, from: number, to: number): number {
    this.#lines++;
    let row = 0;
    let at = from;
    for (;;) {
      const walked = walkTable(this.#table, this.#classes, row, b, at, to);
      at = Math.floor(walked / 65536);
      row = walked - at * 65536;
      const of = at < to ? this.#classes[b[at]!]! : END;
      const entry = this.#entry(row + of);
      if (entry === UNKNOWN) row = this.#learn(row, of);
      else if (entry >= DECIDED) return entry - DECIDED;
    }
  }

  #entry(at: number): number {
    return this.#table[at * ENTRY_BYTES]! + 256 * this.#table[at * ENTRY_BYTES + 1]!;
  }

  #setEntry(at: number, value: number): void {
    this.#table[at * ENTRY_BYTES] = value & 255;
    this.#table[at * ENTRY_BYTES + 1] = value >> 8;
  }

  /** Fills an entry that was unknown. Where the row is then: a full table begins anew. */
  #learn(row: number, of: number): number {
    const set = this.#sets[row / this.#byteOf.length]!;
    if (this.#sets.length >= this.#rowsMax) return this.#beginAnew(set);
    const places = this.#places;
    const next = of === END ? set : places.after(set, this.#byteOf[of]!);
    const decided = of === END || places.final(next);
    this.#setEntry(row + of, decided ? DECIDED + places.decision(next) : this.#row(next));
    return row;
  }

  #beginAnew(set: readonly number[]): number {
    if (this.#lines < LINES_MIN) this.givenUp = true;
    this.#lines = 0;
    this.#sets = [];
    this.#rows = new Map<string, number>();
    this.#row(this.#places.start());
    return this.#row(set);
  }

  /** Where the row of these places begins. */
  #row(set: readonly number[]): number {
    const key = set.join(",");
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    const width = this.#byteOf.length;
    const begin = this.#sets.length * width;
    if (begin * ENTRY_BYTES + ROW_BYTES_MAX > this.#table.length) this.#grow();
    const entry = this.#places.final(set) ? DECIDED + this.#places.decision(set) : UNKNOWN;
    for (let of = 0; of < width; of++) this.#setEntry(begin + of, entry);
    this.#sets.push(set);
    this.#rows.set(key, begin);
    return begin;
  }

  #grow(): void {
    const table = new Uint8Array(2 * this.#table.length);
    copyBytes(table, 0, this.#table, 0, this.#table.length);
    this.#table = table;
  }
}
