/**
 * Whole lines out of what arrives in pieces, each with a name in front if
 * wanted. Pure. A line longer than LINE_MAX is passed on in pieces, since
 * nobody can wait for its end in bounded memory.
 */
import { concat, EMPTY, lastIndexOf } from "../base/bytes.ts";

export const LINE_MAX = 65536;
const NEWLINE = 10;

export class LineAssembler {
  readonly #prefix: Uint8Array;
  /** The beginning of a line whose end has not come. */
  #rest: Uint8Array = EMPTY;
  /** Part of the current line is out already. */
  #continuing = false;

  /** `prefix` is put in front of every line; may be empty. */
  constructor(prefix: Uint8Array) {
    this.#prefix = prefix;
  }

  /** Takes what arrived; returns what is complete with it. Neither keeps `piece` nor returns a view of it. */
  push(piece: Uint8Array): Uint8Array {
    const end = lastIndexOf(piece, NEWLINE) + 1;
    if (end === 0) {
      this.#rest = concat([this.#rest, piece]);
      return this.#rest.length > LINE_MAX ? this.#takeRest(false) : EMPTY;
    }
    const lines = this.#named(concat([this.#rest, piece.subarray(0, end)]));
    this.#rest = piece.slice(end, piece.length);
    return lines;
  }

  /** Nothing more comes: the rest as a line. */
  end(): Uint8Array {
    if (this.#rest.length === 0 && !this.#continuing) return EMPTY;
    return this.#takeRest(true);
  }

  #takeRest(last: boolean): Uint8Array {
    const parts: Uint8Array[] = this.#continuing ? [this.#rest] : [this.#prefix, this.#rest];
    if (last) parts.push(newline());
    this.#rest = EMPTY;
    this.#continuing = !last;
    return concat(parts);
  }

  /** `lines` ends with a newline. */
  #named(lines: Uint8Array): Uint8Array {
    const first = this.#continuing;
    this.#continuing = false;
    if (this.#prefix.length === 0) return lines;
    const parts: Uint8Array[] = [];
    let start = 0;
    for (let i = 0; i < lines.length; i++) {
      if (lines[i]! !== NEWLINE) continue;
      if (!first || start > 0) parts.push(this.#prefix);
      parts.push(lines.subarray(start, i + 1));
      start = i + 1;
    }
    return concat(parts);
  }
}

function newline(): Uint8Array {
  const b = new Uint8Array(1);
  b[0] = NEWLINE;
  return b;
}

/** How much of `lines`, from `at` on, to write at once: whole lines of at most `limit` bytes, or else just `limit`. */
export function portion(lines: Uint8Array, at: number, limit: number): number {
  if (lines.length - at <= limit) return lines.length - at;
  const whole = lastIndexOf(lines.subarray(at, at + limit), NEWLINE) + 1;
  return whole > 0 ? whole : limit;
}
