/**
 * What every long-running command does against traps of the compiled program
 * (out-of-range read, stack overflow, out of memory): the process execs itself
 * under the same pid and picks its state up from disk and from the descriptors
 * it kept. And the test-only switch that provokes such a trap.
 */
import { ascii, concat, indexOf, parseDecimal, split, startsWith, text } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { SIGUSR2 } from "../kernel/constants.ts";
import { environmentValue, keepOnCrash, recoverWith } from "../kernel/self.ts";

const COMMA = 44;

/** The word that hands numbers, mostly descriptors (-1: none), to the next image of this process. */
export function recoveredWord(numbers: readonly number[]): Uint8Array {
  let list = "";
  for (let i = 0; i < numbers.length; i++) list += i === 0 ? `${numbers[i]!}` : `,${numbers[i]!}`;
  return concat([ascii("--recovered="), ascii(list)]);
}

/** `argv` (with a `recoveredWord`) replaces the process when it traps; the descriptors stay open. */
export function installRecovery(argv: readonly Uint8Array[], kept: readonly Fd[], program: Uint8Array): void {
  for (let i = 0; i < kept.length; i++) if (kept[i]! >= 0) keepOnCrash(kept[i]!, true);
  recoverWith(argv, program);
}

/** The numbers a `--recovered=` word hands over (-1: none), or null when the word is another. */
export function recoveredNumbers(word: Uint8Array): number[] | null {
  if (!startsWith(word, ascii("--recovered="))) return null;
  const numbers: number[] = [];
  const items = split(word.subarray(indexOf(word, 61, 0) + 1), COMMA);
  for (let i = 0; i < items.length; i++) {
    const d = parseDecimal(items[i]!);
    numbers.push(d.digits > 0 ? d.value : -1);
  }
  return numbers;
}

/** Test only: with UPKEEP_TEST_TRAP set, SIGUSR2 provokes the trap it names. Otherwise no signal does. */
export function trapSignals(): readonly number[] {
  return environmentValue("UPKEEP_TEST_TRAP") === null ? [] : [SIGUSR2];
}

/** Test only: an out-of-range read, or with UPKEEP_TEST_TRAP=stack a stack overflow. */
export function provokeTrap(): void {
  const kind = environmentValue("UPKEEP_TEST_TRAP");
  if (kind !== null && text(kind) === "stack") overflow(1);
  else if (kind !== null) readBehind(new Uint8Array(1), 1);
}

function readBehind(b: Uint8Array, i: number): number {
  return b[i]!;
}

function overflow(depth: number): number {
  const b = new Uint8Array(64);
  return depth + overflow(depth + 1) + b.length;
}
