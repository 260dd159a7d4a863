/**
 * When a log directory changes its files, and in which order.
 *
 * Mode bits are the state (runit's): `current` 0644 is being written, 0744 was
 * closed cleanly. `@LABEL.u` waits for the processor or was left unclean,
 * `.t` is a processor's output in progress, `.s` is safe.
 *
 * Opening and rotating are sequences of steps, each one system call that may
 * fail: a full disk then pauses between two of them, and the sequence goes on
 * where it stood. No step is ever taken twice.
 *
 *   open      [setAside prune] open unseal
 *   rotate    wait sync seal rename create unseal prune process
 *
 * `wait` holds while as many files wait for the processor as the directory may
 * keep; only then is the input held up.
 */
import { LABEL_BYTES } from "../formats/tai64n.ts";

export type FileStep = "setAside" | "prune" | "open" | "unseal" | "wait" | "sync" | "seal" | "rename" | "create" | "process";

const OPEN: readonly FileStep[] = ["open", "unseal"];
const OPEN_UNCLEAN: readonly FileStep[] = ["setAside", "prune", "open", "unseal"];
const ROTATE: readonly FileStep[] = ["wait", "sync", "seal", "rename", "create", "unseal", "prune", "process"];

/** Where a directory stands between two states of its files. */
export class FileSequence {
  #steps: readonly FileStep[] = OPEN;
  #at = OPEN.length;

  /** The step to take now; null: there is none, `current` can be written. */
  get step(): FileStep | null {
    return this.#at < this.#steps.length ? this.#steps[this.#at]! : null;
  }

  taken(): void {
    this.#at++;
  }

  /** `unclean`: `current` was not closed by its writer. */
  beginOpening(unclean: boolean): void {
    this.#steps = unclean ? OPEN_UNCLEAN : OPEN;
    this.#at = 0;
  }

  beginRotation(): void {
    this.#steps = ROTATE;
    this.#at = 0;
  }
}

/** What svlogd says while a step fails ("pausing: TEXT: DIR: ERR"). */
export function pauseText(step: FileStep): string {
  switch (step) {
    case "setAside":
    case "rename":
      return "unable to rename current";
    case "open":
      return "unable to open current";
    case "unseal":
    case "seal":
      return "unable to set mode of current";
    case "sync":
      return "unable to fsync current logfile";
    case "create":
      return "unable to create new current";
    case "wait":
    case "prune":
    case "process":
      return "unable to open directory, want rotate";
  }
}

/**
 * Size rules. `current` never exceeds `sizeMax`: a record may be split. To make
 * that rare, it is rotated at the first line end from which a longest line might
 * not fit any more; where not even one fits (sizeMax < lineMax), never there.
 */
export class SizeRule {
  readonly #sizeMax: number;
  readonly #lineEndMin: number;

  constructor(sizeMax: number, lineMax: number) {
    this.#sizeMax = sizeMax;
    this.#lineEndMin = sizeMax >= lineMax ? sizeMax - lineMax : Number.MAX_SAFE_INTEGER;
  }

  /** Bytes that may still be written; 0: rotate first. */
  room(size: number): number {
    if (this.#sizeMax === 0) return Number.MAX_SAFE_INTEGER;
    return size >= this.#sizeMax ? 0 : this.#sizeMax - size;
  }

  /** Bytes after which the next line end rotates; 0: any line end does. */
  untilLineEndCounts(size: number): number {
    if (this.#sizeMax === 0) return Number.MAX_SAFE_INTEGER;
    return Math.max(0, this.#lineEndMin - size);
  }

  /** Whether to rotate after a write that ended in a newline and made the file `size` long. */
  rotatesAtLineEnd(size: number): boolean {
    return this.#sizeMax > 0 && size >= this.#lineEndMin;
  }
}

const AT = 64;
const DOT = 46;
export const SUFFIX_S = 115;
export const SUFFIX_T = 116;
export const SUFFIX_U = 117;
export const ROTATED_BYTES = LABEL_BYTES + 2;

/** The suffix letter of a rotated file's name (27 bytes, `@` first), or 0 for other names. */
export function rotatedSuffix(name: Uint8Array): number {
  if (name.length !== ROTATED_BYTES || name[0]! !== AT) return 0;
  return name[ROTATED_BYTES - 1]!;
}

/** The same label with another suffix. */
export function withSuffix(name: Uint8Array, suffix: number): Uint8Array {
  const b = new Uint8Array(ROTATED_BYTES);
  b.set(name.subarray(0, Math.min(name.length, LABEL_BYTES)), 0);
  b[LABEL_BYTES] = DOT;
  b[LABEL_BYTES + 1] = suffix;
  return b;
}

/** < 0, 0, > 0 as strcmp(3). */
export function compareNames(a: Uint8Array, b: Uint8Array): number {
  const shorter = a.length < b.length ? a.length : b.length;
  for (let i = 0; i < shorter; i++) if (a[i]! !== b[i]!) return a[i]! - b[i]!;
  return a.length - b.length;
}

function isOneOf(name: Uint8Array, list: readonly Uint8Array[]): boolean {
  for (let i = 0; i < list.length; i++) if (compareNames(name, list[i]!) === 0) return true;
  return false;
}

/** What a look into a directory asks for: leftovers of a processor, and how many old files there are, the oldest first to go. */
export class Inventory {
  readonly leftovers: Uint8Array[] = [];
  count = 0;
  oldest: Uint8Array | null = null;

  /** `kept`: files that are not to go whatever their age (rotated just now, or waiting for the processor). */
  constructor(names: readonly Uint8Array[], kept: readonly Uint8Array[]) {
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      const suffix = rotatedSuffix(name);
      if (suffix === 0) continue;
      if (suffix === SUFFIX_T) {
        if (!isOneOf(name, kept)) this.leftovers.push(name);
        continue;
      }
      this.count++;
      if ((this.oldest === null || compareNames(name, this.oldest) < 0) && !isOneOf(name, kept)) this.oldest = name;
    }
  }
}

/** The processor is tried again after 1 s, then 2, 4, ... up to a minute. */
export function retryDelayMs(failures: number): number {
  return Math.min(60000, 1000 * 2 ** Math.min(Math.max(failures - 1, 0), 6));
}
