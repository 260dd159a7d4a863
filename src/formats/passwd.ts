/**
 * The user database, passwd(5): name:password:uid:gid:comment:home:shell.
 *
 * The file is whatever an administrator or a broken tool left there. A line
 * that is no entry is skipped, never an error: comments, the `+` and `-` lines
 * of NIS, missing fields, numbers that are none. Blanks before a name are
 * skipped, as the C library does; numbers are digits only and fit 32 bits.
 */
import { byteAt, indexOf } from "../base/bytes.ts";
import { findByte } from "../kernel/memory.ts";

export type User = { readonly name: Uint8Array; readonly uid: number; readonly gid: number };

const COLON = 58;
const NEWLINE = 10;
/** 2^32-1 means "no change" to the kernel, so it is nobody's number. */
const ID_MAX = 4294967294;

/** A user or group number: digits to the end of b; null for anything else, nothing at all included. */
export function parseId(b: Uint8Array): number | null {
  if (b.length === 0) return null;
  let value = 0;
  for (let i = 0; i < b.length; i++) {
    const c = b[i]!;
    if (c < 48 || c > 57) return null;
    value = value * 10 + (c - 48);
    if (value > ID_MAX) return null;
  }
  return value;
}

/** Whether a line of a file like this can bear the name at all: not empty, no separator inside, no mark of NIS. */
export function isEntryName(name: Uint8Array): boolean {
  const first = byteAt(name, 0);
  if (first < 0 || first === 43 || first === 45 || first === 35 || first === 32 || first === 9) return false;
  for (let i = 0; i < name.length; i++) if (name[i]! === COLON || name[i]! === NEWLINE || name[i]! === 0) return false;
  return true;
}

/** Field k of a line, counted from 0; null when the line has fewer. */
export function field(line: Uint8Array, k: number): Uint8Array | null {
  let start = 0;
  for (let i = 0; i < k; i++) {
    const colon = indexOf(line, COLON, start);
    if (colon < 0) return null;
    start = colon + 1;
  }
  const end = indexOf(line, COLON, start);
  return line.subarray(start, end < 0 ? line.length : end);
}

/** Place behind blanks at the start of a line. */
function skipBlanks(file: Uint8Array, start: number): number {
  let at = start;
  while (at < file.length && (file[at]! === 32 || file[at]! === 9)) at++;
  return at;
}

/** Where an entry of this name, and its colon, stand at `at`. */
function isNamed(file: Uint8Array, at: number, name: Uint8Array): boolean {
  if (at + name.length >= file.length || file[at + name.length]! !== COLON) return false;
  for (let i = 0; i < name.length; i++) if (file[at + i]! !== name[i]!) return false;
  return true;
}

/**
 * The lines of a file like this, one after the other. `name` restricts the
 * walk to lines of that name, without a look at the fields of others.
 */
export class Lines {
  readonly #file: Uint8Array;
  readonly #name: Uint8Array | null;
  #at = 0;

  constructor(file: Uint8Array, name: Uint8Array | null) {
    this.#file = file;
    this.#name = name;
  }

  /** The next line without its newline, or null at the end. */
  next(): Uint8Array | null {
    const file = this.#file;
    const name = this.#name;
    const initial = name === null ? -1 : byteAt(name, 0);
    let at = this.#at;
    while (at < file.length) {
      const c = file[at]!;
      const start = c === 32 || c === 9 ? skipBlanks(file, at) : at;
      const newline = findByte(file, start, NEWLINE);
      const end = newline < 0 ? file.length : newline;
      at = end + 1;
      if (name === null || (initial === byteAt(file, start) && isNamed(file, start, name))) {
        this.#at = at;
        return file.subarray(start, end);
      }
    }
    this.#at = at;
    return null;
  }
}

/** `line` bears the name. */
function parseUser(line: Uint8Array, name: Uint8Array): User | null {
  const uidField = field(line, 2);
  const gidField = field(line, 3);
  if (uidField === null || gidField === null) return null;
  const uid = parseId(uidField);
  const gid = parseId(gidField);
  return uid === null || gid === null ? null : { name, uid, gid };
}

/** The first entry of a user, or null. */
export function findUser(file: Uint8Array, name: Uint8Array): User | null {
  if (!isEntryName(name)) return null;
  const lines = new Lines(file, name);
  for (let line = lines.next(); line !== null; line = lines.next()) {
    const user = parseUser(line, name);
    if (user !== null) return user;
  }
  return null;
}
