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

const OPTION = ascii("--recovered=");
const COMMA = 44;

/** `NAME --recovered=3,4,-1 REST…` replaces the process when it traps; the descriptors stay open. */
export function installRecovery(name: string, fds: readonly Fd[], rest: readonly Uint8Array[], program: Uint8Array): void {
  let list = "";
  for (let i = 0; i < fds.length; i++) {
    const fd = fds[i]!;
    list += i === 0 ? `${fd}` : `,${fd}`;
    if (fd >= 0) keepOnCrash(fd, true);
  }
  const argv: Uint8Array[] = [ascii(name), concat([OPTION, ascii(list)])];
  for (let i = 0; i < rest.length; i++) argv.push(rest[i]!);
  recoverWith(argv, program);
}

/** The descriptors a `--recovered=` word hands over (-1: none), or null when the word is another. */
export function recoveredDescriptors(word: Uint8Array): Fd[] | null {
  if (!startsWith(word, OPTION)) return null;
  const fds: Fd[] = [];
  const items = split(word.subarray(indexOf(word, 61, 0) + 1), COMMA);
  for (let i = 0; i < items.length; i++) {
    const d = parseDecimal(items[i]!);
    fds.push(d.digits > 0 ? d.value : -1);
  }
  return fds;
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
