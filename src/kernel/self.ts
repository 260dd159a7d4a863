/** What a process can ask and tell about itself: arguments, environment, title, crash handler. */
import { ascii, block, EMPTY, split } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";

declare function kArgs(b: Uint8Array): number;
declare function kEnviron(b: Uint8Array): number;
declare function kSetTitle(b: Uint8Array): number;
declare function kSetName(b: Uint8Array): number;
declare function kCrashHandler(p: Uint8Array, av: Uint8Array, f: Uint8Array): number;
declare function kCrashKeep(fd: number, keep: number): number;

/** argv, argv[0] first, byte for byte. */
export function programArguments(): Uint8Array[] {
  const b = new Uint8Array(kArgs(EMPTY));
  kArgs(b);
  return split(b, 0);
}

/** The environment, NAME=VALUE each, byte for byte. */
export function environment(): Uint8Array[] {
  const b = new Uint8Array(kEnviron(EMPTY));
  kEnviron(b);
  return split(b, 0);
}

/** The value of an environment variable, or null when it is not set. */
export function environmentValue(name: string): Uint8Array | null {
  const all = environment();
  const key = ascii(`${name}=`);
  for (let i = 0; i < all.length; i++) {
    const e = all[i]!;
    let same = e.length >= key.length;
    for (let j = 0; same && j < key.length; j++) same = e[j]! === key[j]!;
    if (same) return e.subarray(key.length);
  }
  return null;
}

/** What ps shows: the command line (proc(5) cmdline; cut to the room argv and environ had) and the name. */
export function setTitle(commandLine: Uint8Array, name: string): void {
  kSetTitle(commandLine);
  kSetName(ascii(name));
}

/** Scrolling text in the command line (runsvdir's log argument); returns the bytes there was room for. */
export function setCommandLine(commandLine: Uint8Array): number {
  return kSetTitle(commandLine);
}

/**
 * From now on a trap (abort, bad access, stack overflow) execs this program
 * again with `argv` under the same pid (scriptc has no catchable trap).
 * Descriptors named by `keepOnCrash` stay open. `fallback` is the program's
 * path for a system without /proc.
 */
export function recoverWith(argv: readonly Uint8Array[], fallback: Uint8Array): number {
  return kCrashHandler(ascii("/proc/self/exe"), block(argv), fallback);
}

export function keepOnCrash(fd: Fd, keep: boolean): void {
  kCrashKeep(fd, keep ? 1 : 0);
}
