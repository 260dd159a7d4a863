/**
 * Calls that change what a process is and may: ids, limits, capabilities,
 * scheduling, and exec. Plain functions, since no simulated world needs them.
 * Each returns >= 0, or -errno.
 */
import { EMPTY, le32, putLe32 } from "../base/bytes.ts";
import type { Number64 } from "../base/number64.ts";

declare function kGetenv(name: Uint8Array, b: Uint8Array): number;
declare function kEnviron(b: Uint8Array): number;
declare function kChroot(p: Uint8Array): number;
declare function kUmask(mask: number): number;
declare function kGeteuid(): number;
declare function kSetuid(id: number): number;
declare function kSetgid(id: number): number;
declare function kSetgroups(b: Uint8Array): number;
declare function kGetrlimit(what: number, b: Uint8Array): number;
declare function kSetrlimit(what: number, b: Uint8Array): number;
declare function kNice(inc: number): number;
declare function kSetpriority(value: number): number;
declare function kIoprioSet(value: number): number;
declare function kSchedSetscheduler(policy: number, priority: number): number;
declare function kSchedSetaffinity(b: Uint8Array): number;
declare function kCapget(b: Uint8Array): number;
declare function kCapset(b: Uint8Array): number;
declare function kPrctl(op: number, a: number, b: number, c: number, d: number): number;
declare function kExec(p: Uint8Array, av: Uint8Array, ev: Uint8Array, keep: number): number;

/** Value of an environment variable by the bytes of its name, without a look at the rest; null when it is not set. */
export function variable(name: Uint8Array): Uint8Array | null {
  const size = kGetenv(name, EMPTY);
  if (size < 0) return null;
  const b = new Uint8Array(size);
  kGetenv(name, b);
  return b;
}

/** The environment as one block of NUL-terminated entries. */
export function environmentBlock(): Uint8Array {
  const b = new Uint8Array(kEnviron(EMPTY));
  kEnviron(b);
  return b;
}

/** chroot(2). */
export function changeRoot(path: Uint8Array): number {
  return kChroot(path);
}

/** umask(2). */
export function setUmask(mask: number): void {
  kUmask(mask);
}

/** geteuid(2). */
export function userId(): number {
  return kGeteuid();
}

/** setuid(2), for this process, which has one thread. */
export function setUser(uid: number): number {
  return kSetuid(uid);
}

/** setgid(2). */
export function setGroup(gid: number): number {
  return kSetgid(gid);
}

/** setgroups(2). */
export function setGroups(gids: readonly number[]): number {
  const b = new Uint8Array(gids.length * 4);
  for (let i = 0; i < gids.length; i++) putLe32(b, i * 4, gids[i]!);
  return kSetgroups(b);
}

/** The soft and hard limit of a resource, or errno (> 0). */
export type LimitPair = { readonly errno: number; readonly soft: Number64; readonly hard: Number64 };

function number64(b: Uint8Array, at: number): Number64 {
  return { low: le32(b, at), high: le32(b, at + 4) };
}

/** getrlimit(2). */
export function getLimit(resource: number): LimitPair {
  const b = new Uint8Array(16);
  const r = kGetrlimit(resource, b);
  return { errno: r < 0 ? -r : 0, soft: number64(b, 0), hard: number64(b, 8) };
}

/** setrlimit(2). */
export function setLimit(resource: number, soft: Number64, hard: Number64): number {
  const b = new Uint8Array(16);
  putLe32(b, 0, soft.low);
  putLe32(b, 4, soft.high);
  putLe32(b, 8, hard.low);
  putLe32(b, 12, hard.high);
  return kSetrlimit(resource, b);
}

/** nice(2): adds to the nice value. */
export function addNice(increment: number): number {
  return kNice(increment);
}

/** setpriority(2): the nice value. */
export function setNice(value: number): number {
  return kSetpriority(value);
}

/** ioprio_set(2): class << 13 | level. */
export function setIoPriority(value: number): number {
  return kIoprioSet(value);
}

/** sched_setscheduler(2). */
export function setScheduler(policy: number, priority: number): number {
  return kSchedSetscheduler(policy, priority);
}

/** sched_setaffinity(2): processors as a bit mask. */
export function setProcessors(mask: Uint8Array): number {
  return kSchedSetaffinity(mask);
}

/** The capability sets of this process (capget(2)), to be changed and put back. */
export class Capabilities {
  readonly #b: Uint8Array = new Uint8Array(24);

  read(): number {
    return kCapget(this.#b);
  }
  write(): number {
    return kCapset(this.#b);
  }
  get permitted(): Number64 {
    return number64(this.#b, 8);
  }
  get inheritable(): Number64 {
    return number64(this.#b, 16);
  }
  setEffective(set: Number64): void {
    this.#put(0, set);
  }
  setPermitted(set: Number64): void {
    this.#put(8, set);
  }
  setInheritable(set: Number64): void {
    this.#put(16, set);
  }
  #put(at: number, set: Number64): void {
    putLe32(this.#b, at, set.low);
    putLe32(this.#b, at + 4, set.high);
  }
}

/** prctl(2). */
export function processControl(operation: number, a: number, b: number): number {
  return kPrctl(operation, a, b, 0, 0);
}

/**
 * execve(2): only returns when it failed, with -errno. `argv` is a block of
 * NUL-terminated words; so is `environment`, or null for our own, unchanged
 * and unread.
 */
export function exec(path: Uint8Array, argv: Uint8Array, environment: Uint8Array | null): number {
  return environment === null ? kExec(path, argv, EMPTY, 1) : kExec(path, argv, environment, 0);
}
