/**
 * What every long-running command does against traps of the compiled program
 * (out-of-range read, stack overflow, out of memory): the process execs itself
 * under the same pid and picks its state up from disk and from the descriptors
 * it kept. And the test-only switch that provokes such a trap.
 */
import { text } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { packRecovered, parseRecovered } from "../formats/recovered-word.ts";
import { SIGUSR2 } from "../kernel/constants.ts";
import { environmentValue, inheritedMask, keepInstead, keepOnCrash, recoverWith } from "../kernel/self.ts";

/** The word that hands numbers, mostly descriptors (-1: none), to the next image of this process. */
export function recoveredWord(numbers: readonly number[]): Uint8Array {
  return packRecovered({ numbers, mask: [inheritedMask(false), inheritedMask(true)] });
}

/** `argv` (with a `recoveredWord`) replaces the process when it traps; the descriptors stay open. */
export function installRecovery(argv: readonly Uint8Array[], kept: readonly Fd[], program: Uint8Array): void {
  for (let i = 0; i < kept.length; i++) if (kept[i]! >= 0) keepOnCrash(kept[i]!, true);
  recoverWith(argv, program);
}

/** The numbers a `--recovered=` word hands over, or null when the word is another. What it says of signals is done. */
export function recoveredNumbers(word: Uint8Array): readonly number[] | null {
  const recovered = parseRecovered(word);
  if (recovered === null) return null;
  const mask = recovered.mask;
  if (mask.length === 2) keepInstead(Math.max(0, mask[0]!), Math.max(0, mask[1]!));
  return recovered.numbers;
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
