/**
 * Changes to an environment, applied to all of it at once.
 *
 * A change is an entry NAME=VALUE, which sets the variable, or NAME alone,
 * which removes it; of several for one name the last counts. Environments of
 * ten thousand variables and changes of as many stay linear: the changes are
 * kept in a hash table by name, and the environment is copied in one pass.
 */
import { EMPTY } from "../base/bytes.ts";
import { findByte } from "../kernel/memory.ts";

const EQUALS = 61;
const SLOTS_MIN = 16;

/** Length of the name in an entry: up to its first `=`, or all of it. */
function nameLength(entry: Uint8Array): number {
  const at = findByte(entry, 0, EQUALS);
  return at < 0 ? entry.length : at;
}

/** FNV-1a, 32 bits. */
function hash(name: Uint8Array): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name[i]!, 0x01000193);
  return h >>> 0;
}

export class EnvironmentChanges {
  #entries: Uint8Array[] = [];
  #nameLengths: number[] = [];
  /** Index of an entry + 1, or 0; open addressing, a power of two long. */
  #slots: number[] = [];
  /** Which bytes the names begin with: most entries of an environment need no further look. */
  #initials: Uint8Array = EMPTY;

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Sets a variable (NAME=VALUE) or removes one (NAME). */
  set(entry: Uint8Array): void {
    if (this.#entries.length * 2 >= this.#slots.length) this.#grow();
    const length = nameLength(entry);
    const slot = this.#slot(entry.subarray(0, length));
    const at = this.#slots[slot]!;
    if (at > 0) {
      this.#entries[at - 1] = entry;
      return;
    }
    this.#entries.push(entry);
    this.#nameLengths.push(length);
    this.#slots[slot] = this.#entries.length;
    // An entry without a name begins with = or, being empty, with the NUL behind it.
    this.#initials[length > 0 ? entry[0]! : EQUALS] = 1;
    if (length === 0) this.#initials[0] = 1;
  }

  /** The environment (a block of NUL-terminated entries) with the changes made; what is set stands at its end. */
  apply(environment: Uint8Array): Uint8Array {
    let added = 0;
    for (let i = 0; i < this.#entries.length; i++) if (this.#sets(i)) added += this.#entries[i]!.length + 1;
    const out = new Uint8Array(environment.length + added);
    let to = this.#copyUnchanged(environment, out);
    for (let i = 0; i < this.#entries.length; i++) {
      if (!this.#sets(i)) continue;
      const entry = this.#entries[i]!;
      out.set(entry, to);
      to += entry.length + 1;
    }
    return out.subarray(0, to);
  }

  #sets(i: number): boolean {
    return this.#entries[i]!.length > this.#nameLengths[i]!;
  }

  /** Copies the entries that no change names; returns where they end. Neighbours that stay are copied in one piece. */
  #copyUnchanged(environment: Uint8Array, out: Uint8Array): number {
    let to = 0;
    let from = 0;
    let start = 0;
    while (start < environment.length) {
      const nul = findByte(environment, start, 0);
      const end = nul < 0 ? environment.length : nul;
      if (this.#initials[environment[start]!]! > 0 && this.#names(environment.subarray(start, end))) {
        out.set(environment.subarray(from, start), to);
        to += start - from;
        from = end + 1;
      }
      start = end + 1;
    }
    if (from < environment.length) {
      out.set(environment.subarray(from), to);
      to += environment.length - from;
    }
    return to;
  }

  /** Whether there is a change for the entry's name. */
  #names(entry: Uint8Array): boolean {
    return this.#slots[this.#slot(entry.subarray(0, nameLength(entry)))]! > 0;
  }

  /** The slot that holds the change of this name, or the free one where it would be. */
  #slot(name: Uint8Array): number {
    const mask = this.#slots.length - 1;
    let slot = (hash(name) & mask) >>> 0;
    for (;;) {
      const at = this.#slots[slot]!;
      if (at === 0 || this.#isNamed(at - 1, name)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isNamed(i: number, name: Uint8Array): boolean {
    if (this.#nameLengths[i]! !== name.length) return false;
    const entry = this.#entries[i]!;
    for (let j = 0; j < name.length; j++) if (entry[j]! !== name[j]!) return false;
    return true;
  }

  #grow(): void {
    if (this.#initials.length === 0) this.#initials = new Uint8Array(256);
    const size = this.#slots.length === 0 ? SLOTS_MIN : this.#slots.length * 2;
    this.#slots = [];
    for (let i = 0; i < size; i++) this.#slots.push(0);
    for (let i = 0; i < this.#entries.length; i++) {
      const slot = this.#slot(this.#entries[i]!.subarray(0, this.#nameLengths[i]!));
      this.#slots[slot] = i + 1;
    }
  }
}
