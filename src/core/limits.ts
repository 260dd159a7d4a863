/** Resource limits as an order: what each shall be, by the numbers of setrlimit(2). */
import { isMax64, type Number64, parseNumber64 } from "../base/number64.ts";

/** A limit asked for: a number, or the hard limit in force. */
export type Limit = { readonly atHard: boolean; readonly value: Number64 };

const RLIMIT_CPU = 0;
const RLIMIT_FSIZE = 1;
const RLIMIT_DATA = 2;
const RLIMIT_STACK = 3;
const RLIMIT_CORE = 4;
const RLIMIT_RSS = 5;
const RLIMIT_NPROC = 6;
const RLIMIT_NOFILE = 7;
const RLIMIT_MEMLOCK = 8;
const RLIMIT_AS = 9;
export const RLIMIT_COUNT = 16;

/** Names as in prlimit(1), each at its number. */
const NAMES = "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime";

/** Number of a limit by its name, or -1. */
export function limitNamed(name: string): number {
  return name === "" ? -1 : NAMES.split(" ").indexOf(name);
}

/** The limits one letter of chpst stands for; none: no such letter. */
export function limitsOfChpst(letter: string): readonly number[] {
  switch (letter) {
    case "m":
      return [RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK, RLIMIT_AS];
    case "d":
      return [RLIMIT_DATA];
    case "o":
      return [RLIMIT_NOFILE];
    case "p":
      return [RLIMIT_NPROC];
    case "f":
      return [RLIMIT_FSIZE];
    case "c":
      return [RLIMIT_CORE];
    case "r":
      return [RLIMIT_RSS];
    case "t":
      return [RLIMIT_CPU];
    default:
      return [];
  }
}

/** The same for softlimit, which has some letters more. */
export function limitsOfSoftlimit(letter: string): readonly number[] {
  switch (letter) {
    case "a":
      return [RLIMIT_AS];
    case "l":
      return [RLIMIT_MEMLOCK];
    case "s":
      return [RLIMIT_STACK];
    default:
      return limitsOfChpst(letter);
  }
}

/** The number of chpst's options; 2^64-1 is the hard limit. null: no such number. */
export function parseLimit(b: Uint8Array): Limit | null {
  const parsed = parseNumber64(b);
  if (parsed.kind !== "number") return null;
  return { atHard: isMax64(parsed.value), value: parsed.value };
}

/** What shall become of the limits. */
export class Limits {
  readonly #wanted: Limit[] = [];
  readonly #resources: number[] = [];

  get isEmpty(): boolean {
    return this.#wanted.length === 0;
  }
  get count(): number {
    return this.#wanted.length;
  }

  set(resource: number, limit: Limit): void {
    const at = this.#resources.indexOf(resource);
    if (at >= 0) {
      this.#wanted[at] = limit;
      return;
    }
    this.#resources.push(resource);
    this.#wanted.push(limit);
  }

  resource(i: number): number {
    return this.#resources[i]!;
  }
  limit(i: number): Limit {
    return this.#wanted[i]!;
  }
}
