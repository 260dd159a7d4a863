/**
 * How an init outlives its own faults. A trap or a thrown error makes the
 * process exec itself under the same pid; what it must remember travels in
 * argv: `NAME --recovered=FDS COUNT,STARTED WORDS…`. When that happens too often in
 * a row, `exhausted` says that going on is useless.
 */
import { ascii, item, parseDecimal, split } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { F_SETFD, FD_CLOEXEC } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { becomeProgram } from "../kernel/self.ts";
import { installRecovery, recoveredNumbers, recoveredWord } from "./recovery.ts";

/** So many traps, each within this time of the start before, are enough. */
const TRAPS_MAX = 5;
const CALM_MS = 60_000;
const COMMA = 44;
const SELF = ascii("/proc/self/exe");

/** Decimal numbers separated by commas. */
export function parseNumbers(b: Uint8Array): number[] {
  const numbers: number[] = [];
  const words = split(b, COMMA);
  for (let i = 0; i < words.length; i++) numbers.push(parseDecimal(words[i]!).value);
  return numbers;
}

export function joinNumbers(numbers: readonly number[]): Uint8Array {
  let s = "";
  for (let i = 0; i < numbers.length; i++) s += i === 0 ? `${numbers[i]!}` : `,${numbers[i]!}`;
  return ascii(s);
}

export class Lifeline {
  /** Started by a predecessor's trap. */
  readonly recovered: boolean;
  /** Descriptors the predecessor kept open, and the words it left. */
  readonly fds: readonly Fd[];
  readonly words: readonly Uint8Array[];
  readonly #kernel: Kernel;
  readonly #name: string;
  readonly #program: Uint8Array;
  readonly #startedMs: number;
  #count = 0;
  #argv: Uint8Array[] = [];
  #kept: readonly Fd[] = [];

  /** `name` and `argv`: what the program was called with; `program` is exec'd where /proc is missing. */
  constructor(kernel: Kernel, name: string, argv: readonly Uint8Array[], program: Uint8Array) {
    this.#kernel = kernel;
    this.#name = name;
    this.#program = program;
    this.#startedMs = Math.floor(kernel.now());
    const first = item(argv, 1);
    const fds = first === null ? null : recoveredNumbers(first);
    this.recovered = fds !== null;
    this.fds = fds ?? [];
    this.words = fds === null ? argv.slice(1) : argv.slice(3);
    for (let i = 0; i < this.fds.length; i++) if (this.fds[i]! >= 0) kernel.fcntl(this.fds[i]!, F_SETFD, FD_CLOEXEC);
    const counted = item(argv, 2);
    if (fds === null || counted === null) return;
    const numbers = parseNumbers(counted);
    const recent = numbers.length === 2 && this.#startedMs - numbers[1]! < CALM_MS;
    this.#count = recent ? numbers[0]! + 1 : 1;
  }

  get exhausted(): boolean {
    return this.#count > TRAPS_MAX;
  }

  /** From now on a trap starts the program again with these words and these descriptors open. */
  remember(fds: readonly Fd[], words: readonly Uint8Array[]): void {
    const argv: Uint8Array[] = [ascii(this.#name), recoveredWord(fds), joinNumbers([this.#count, this.#startedMs])];
    for (let i = 0; i < words.length; i++) argv.push(words[i]!);
    this.#kept = fds;
    this.#argv = argv;
    installRecovery(argv, fds, this.#program);
  }

  /** The same for an error that was caught. Returns only when there is nothing to exec. */
  restart(): void {
    if (this.#argv.length === 0) return;
    for (let i = 0; i < this.#kept.length; i++) if (this.#kept[i]! >= 0) this.#kernel.fcntl(this.#kept[i]!, F_SETFD, 0);
    becomeProgram(SELF, this.#argv);
    becomeProgram(this.#program, this.#argv);
  }
}
