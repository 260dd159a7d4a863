/** What a process can ask and tell about itself: arguments, environment, title, crash handler. */
import { ascii, block, EMPTY, le64, putLe64, split } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";

declare function kArgs(b: Uint8Array): number;
declare function kGetenv(name: Uint8Array, b: Uint8Array): number;
declare function kEnviron(b: Uint8Array): number;
declare function kSealHeap(): void;
declare function kNoteLayout(): number;
declare function kSetTitle(b: Uint8Array): number;
declare function kMoveTitle(b: Uint8Array): number;
declare function kSetName(b: Uint8Array): number;
declare function kCrashHandler(p: Uint8Array, av: Uint8Array, f: Uint8Array): number;
declare function kCrashKeep(fd: number, keep: number): number;
declare function kCrashSave(b: Uint8Array, fd: number): void;
declare function kNoteDescriptors(): void;
declare function kClosePrivate(a: number, b: number): void;
declare function kKeptMask(high: number): number;
declare function kKeepMask(low: number, high: number): void;
declare function kChpst(av: Uint8Array): number;
declare function kRest(fd: number, timeout: number): number;
declare function kCloseRange(first: number, last: number): number;
declare function kExec(p: Uint8Array, av: Uint8Array, ev: Uint8Array, keep: number): number;
declare function kGetrlimit(what: number, b: Uint8Array): number;
declare function kLimitPrograms(b: Uint8Array): void;
declare function kFewDescriptors(given: number): number;
declare function kSetrlimit(what: number, b: Uint8Array): number;

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
  const key = ascii(name);
  const length = kGetenv(key, EMPTY);
  if (length < 0) return null;
  const value = new Uint8Array(length);
  kGetenv(key, value);
  return value;
}

/**
 * A process that will fork supervisors calls this once it holds what they need
 * of it: what it allocates from here on, a child of `forkAnew` (native.ts) does not have.
 */
export function sealHeap(): void {
  kSealHeap();
  kNoteLayout();
}

/**
 * In a child of a process with a sealed heap: what ps shows, the command line
 * (proc_pid_cmdline(5)) and the name. Where the kernel does not let it be
 * moved (CONFIG_CHECKPOINT_RESTORE), it is cut to the room argv and environ had.
 */
export function setTitle(commandLine: Uint8Array, name: string): void {
  if (kMoveTitle(commandLine) < 0) kSetTitle(commandLine);
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

/**
 * Waits until `fd` is readable, or `timeoutMs` (< 0: no limit); meanwhile what
 * the program needed to start is not counted as this process's memory (madvise(2)).
 */
export function rest(fd: Fd, timeoutMs: number): void {
  kRest(fd, timeoutMs);
}

/** Of the signals blocked when this process was started, 1 to 32 or, `high`, 33 to 64 as a bit mask: what SPAWN_KEEP_MASK keeps. */
export function inheritedMask(high: boolean): number {
  return kKeptMask(high ? 1 : 0);
}

/** SPAWN_KEEP_MASK keeps these instead. */
export function keepInstead(low: number, high: number): void {
  kKeepMask(low, high);
}

/** From now on a trap ends this process, with 111: for a forked child that is not worth more. */
export function endOnCrash(): void {
  kCrashHandler(ascii("/"), EMPTY, EMPTY);
}

export function keepOnCrash(fd: Fd, keep: boolean): void {
  kCrashKeep(fd, keep ? 1 : 0);
}

/**
 * After a trap `fd`, a descriptor of this process's own, holds these bytes as
 * they are then (memfd_create(2)). They must not be freed before the next call.
 */
export function saveOnCrash(bytes: Uint8Array, fd: Fd): void {
  kCrashSave(bytes, fd);
}

/** Remembers the descriptors this process was started with; call before any is opened. */
export function noteDescriptors(): void {
  kNoteDescriptors();
}

/**
 * In a forked child that goes on without exec: closes what exec would have
 * closed, all but what `noteDescriptors` saw, `a` and `b` (either may be -1).
 */
export function closePrivate(a: Fd, b: Fd): void {
  kClosePrivate(a, b);
}

const FD_LAST = 4294967295;

/** Closes every descriptor from `first` on but `kept` (< 0: none): a forked child's way out of its parent's table. */
export function closeAllBut(first: Fd, kept: readonly Fd[]): void {
  let from = first;
  for (;;) {
    let next = -1;
    for (let i = 0; i < kept.length; i++) if (kept[i]! >= from && (next < 0 || kept[i]! < next)) next = kept[i]!;
    if (next < 0) break;
    if (next > from) kCloseRange(from, next - 1);
    from = next + 1;
  }
  kCloseRange(from, FD_LAST);
}

const RLIMIT_NOFILE = 7;
/** fs.nr_open (proc_sys_fs(5)) unless it was changed: no process may have more. */
const NR_OPEN = 1048576;

/** Limits of open files as `raiseDescriptorLimit` returns them. */
export function descriptorLimits(soft: number, hard: number): Uint8Array {
  const limits = new Uint8Array(16);
  putLe64(limits, 0, soft);
  putLe64(limits, 8, hard);
  return limits;
}

/**
 * Raises the soft limit of open files to the hard one, and with `most` both to
 * what the kernel allows, if this process may (CAP_SYS_RESOURCE); returns the
 * limits as they were, for `setDescriptorLimit`; empty: they cannot be told, and
 * stay. `known`: what they were before
 * this process replaced its image, when it had raised them already.
 */
export function raiseDescriptorLimit(known: Uint8Array | null, most: boolean): Uint8Array {
  const before = new Uint8Array(16);
  if (kGetrlimit(RLIMIT_NOFILE, before) < 0) return EMPTY;
  const hard = le64(before, 8);
  if (!most || hard >= NR_OPEN || kSetrlimit(RLIMIT_NOFILE, descriptorLimits(NR_OPEN, NR_OPEN)) < 0) {
    kSetrlimit(RLIMIT_NOFILE, descriptorLimits(hard, hard));
  }
  return known ?? before;
}

/** How many files this process may have open (RLIMIT_NOFILE): its numbers are below that. */
export function descriptorLimit(): number {
  const now = new Uint8Array(16);
  return kGetrlimit(RLIMIT_NOFILE, now) < 0 ? NR_OPEN : le64(now, 0);
}

/**
 * From now on programs are started without a copy of every descriptor of this
 * process; those they inherit are below `given`. It stays as it was, -errno,
 * where the kernel cannot do that (close_range(2), Linux 5.9), and if they are not low.
 */
export function copyFewDescriptors(given: Fd): number {
  return kFewDescriptors(given);
}

/** The limits for every program started from here on. */
export function limitDescriptorsOfPrograms(limits: Uint8Array): void {
  kLimitPrograms(limits);
}

export function setDescriptorLimit(limits: Uint8Array): void {
  if (limits.length > 0) kSetrlimit(RLIMIT_NOFILE, limits);
}

/** execve(2) with our own environment: another image in this process. Returns only on failure, with -errno. */
export function becomeProgram(path: Uint8Array, argv: readonly Uint8Array[]): number {
  return kExec(path, block(argv), EMPTY, 1);
}

/** Goes on as the executable's second program, chpst, with these words; returns only when there is none: -errno. */
export function becomeChpst(argv: readonly Uint8Array[]): number {
  return kChpst(block(argv));
}
