/** The real kernel: native/upkeep_sys.c behind the interface of kernel.ts. */
import { block, EMPTY, le32, putLe32 } from "../base/bytes.ts";
import { type DurationMs, type Fd, type Instant, instant, type Pid, pid } from "../base/units.ts";
import { CLOCK_BOOTTIME, CLOCK_MONOTONIC, SIG_SETMASK } from "./constants.ts";
import {
  type Exit,
  Kernel,
  type Listing,
  type Move,
  type Pipe,
  type Spawn,
  type Spawned,
  type Stat,
  type WallTime,
} from "./kernel.ts";

declare function kOpenat(dir: number, p: Uint8Array, flags: number, mode: number): number;
declare function kClose(fd: number): number;
declare function kRead(fd: number, b: Uint8Array): number;
declare function kWrite(fd: number, b: Uint8Array): number;
declare function kPread(fd: number, b: Uint8Array, at: number): number;
declare function kPwrite(fd: number, b: Uint8Array, at: number): number;
declare function kSplice(from: number, to: number, len: number, flags: number): number;
declare function kRenameat(d1: number, p1: Uint8Array, d2: number, p2: Uint8Array): number;
declare function kLinkat(d1: number, p1: Uint8Array, d2: number, p2: Uint8Array, flags: number): number;
declare function kSymlinkat(t: Uint8Array, dir: number, p: Uint8Array): number;
declare function kReadlinkat(dir: number, p: Uint8Array, b: Uint8Array): number;
declare function kUnlinkat(dir: number, p: Uint8Array, flags: number): number;
declare function kMkdirat(dir: number, p: Uint8Array, mode: number): number;
declare function kMkfifoat(dir: number, p: Uint8Array, mode: number): number;
declare function kFchmodat(dir: number, p: Uint8Array, mode: number): number;
declare function kFchmod(fd: number, mode: number): number;
declare function kFstatat(dir: number, p: Uint8Array, flags: number, b: Uint8Array): number;
declare function kFstat(fd: number, b: Uint8Array): number;
declare function kGetdents(fd: number, b: Uint8Array): number;
declare function kLseek(fd: number, at: number, whence: number): number;
declare function kFtruncate(fd: number, size: number): number;
declare function kFsync(fd: number): number;
declare function kFlock(fd: number, op: number): number;
declare function kHold(fd: number): number;
declare function kLetGo(at: number): number;
declare function kFcntl(fd: number, cmd: number, arg: number): number;
declare function kDup3(from: number, to: number, flags: number): number;
declare function kPipe2(flags: number, b: Uint8Array): number;
declare function kChdir(p: Uint8Array): number;
declare function kFchdir(fd: number): number;
declare function kEpollCreate(): number;
declare function kEpollCtl(ep: number, op: number, fd: number, events: number, key: number): number;
declare function kEpollWait(ep: number, b: Uint8Array, timeout: number): number;
declare function kClock(id: number): number;
declare function kWall(b: Uint8Array): number;
declare function kInotifyInit(): number;
declare function kInotifyAdd(fd: number, p: Uint8Array, mask: number): number;
declare function kInotifyRemove(fd: number, watch: number): number;
declare function kSigmask(how: number, lo: number, hi: number): number;
declare function kSignalfd(fd: number, lo: number, hi: number): number;
declare function kSigaction(sig: number, ignore: number): number;
declare function kKill(pid: number, sig: number): number;
declare function kPidfdOpen(pid: number): number;
declare function kPidfdKill(fd: number, sig: number): number;
declare function kPidfdStatus(fd: number): number;
declare function kWaitpid(pid: number, options: number, b: Uint8Array): number;
declare function kForkAnew(): number;
declare function kKeep(slot: number, b: Uint8Array): number;
declare function kKept(slot: number, b: Uint8Array): number;
declare function kFork(): number;
declare function kSpawn(
  dir: number,
  p: Uint8Array,
  av: Uint8Array,
  ev: Uint8Array,
  moves: Uint8Array,
  opt: Uint8Array,
  out: Uint8Array,
): number;
declare function kExit(code: number): void;
declare function kGetpid(): number;
declare function kGetppid(): number;
declare function kSetsid(): number;
declare function kPrctl(op: number, a: number, b: number, c: number, d: number): number;

/** Keep our own environment (SPAWN flag known to C only). */
const SPAWN_KEEP_ENV = 8;
const SIGNALFD_SIGINFO_BYTES = 128;

/** Signals 1..32 as a bit mask. */
function lowBits(signals: readonly number[]): number {
  let bits = 0;
  for (let i = 0; i < signals.length; i++) {
    const s = signals[i]!;
    if (s >= 1 && s <= 32) bits |= 1 << (s - 1);
  }
  return bits >>> 0;
}

/** Signals 33..64 as a bit mask. */
function highBits(signals: readonly number[]): number {
  let bits = 0;
  for (let i = 0; i < signals.length; i++) {
    const s = signals[i]!;
    if (s >= 33 && s <= 64) bits |= 1 << (s - 33);
  }
  return bits >>> 0;
}

function packMoves(moves: readonly Move[]): Uint8Array {
  const b = new Uint8Array(moves.length * 8);
  for (let i = 0; i < moves.length; i++) {
    const m = moves[i]!;
    putLe32(b, i * 8, m.from);
    putLe32(b, i * 8 + 4, m.to);
  }
  return b;
}

/** Names in a buffer of getdents64(2) records, without . and .. */
function direntNames(b: Uint8Array, names: Uint8Array[]): void {
  let at = 0;
  while (at + 19 < b.length) {
    const size = b[at + 16]! | (b[at + 17]! << 8);
    if (size < 20 || at + size > b.length) return;
    let end = at + 19;
    while (end < at + size && b[end]! !== 0) end++;
    const name = b.slice(at + 19, end);
    const dots = name.length <= 2 && name.length > 0 && name[0]! === 46 && (name.length === 1 || name[1]! === 46);
    if (!dots) names.push(name);
    at += size;
  }
}

/** Slots of `keepBytes`: what one child is told, up to 264 bytes, and what all are told, a path and up to 32 bytes. */
export const KEPT_BY_ONE = 0;
export const KEPT_BY_ALL = 1;

/** Keeps bytes for children of `forkAnew`. Returns 0 or -errno. */
export function keepBytes(slot: number, bytes: Uint8Array): number {
  return kKeep(slot, bytes);
}

/**
 * fork(2) for a child that has nothing of what its parent allocated after
 * `sealHeap` (self.ts): it does not exist there. The child goes on with numbers in
 * variables and with `keptBytes`, and does not return to where there are objects.
 * 0 in the child, its pid in the parent, or -errno.
 */
export function forkAnew(): number {
  return kForkAnew();
}

/** In such a child: what its parent kept for it. */
export function keptBytes(slot: number): Uint8Array {
  const bytes = new Uint8Array(kKept(slot, EMPTY));
  kKept(slot, bytes);
  return bytes;
}

export class NativeKernel extends Kernel {
  readonly #small: Uint8Array = new Uint8Array(SIGNALFD_SIGINFO_BYTES);

  override wall(): WallTime {
    const b = this.#small;
    kWall(b);
    return { seconds: le32(b, 0) + le32(b, 4) * 4294967296, nanoseconds: le32(b, 8) };
  }
  override now(): Instant {
    return instant(kClock(CLOCK_MONOTONIC));
  }
  override bootTimeMs(): number {
    return kClock(CLOCK_BOOTTIME);
  }

  override open(dir: Fd, path: Uint8Array, flags: number, mode: number): Fd {
    return kOpenat(dir, path, flags, mode);
  }
  override close(fd: Fd): number {
    return kClose(fd);
  }
  override read(fd: Fd, into: Uint8Array): number {
    return kRead(fd, into);
  }
  override write(fd: Fd, from: Uint8Array): number {
    return kWrite(fd, from);
  }
  override pread(fd: Fd, into: Uint8Array, at: number): number {
    return kPread(fd, into, at);
  }
  override pwrite(fd: Fd, from: Uint8Array, at: number): number {
    return kPwrite(fd, from, at);
  }
  override splice(from: Fd, to: Fd, length: number, flags: number): number {
    return kSplice(from, to, length, flags);
  }
  override rename(fromDir: Fd, from: Uint8Array, toDir: Fd, to: Uint8Array): number {
    return kRenameat(fromDir, from, toDir, to);
  }
  override link(fromDir: Fd, from: Uint8Array, toDir: Fd, to: Uint8Array, flags: number): number {
    return kLinkat(fromDir, from, toDir, to, flags);
  }
  override symlink(target: Uint8Array, dir: Fd, path: Uint8Array): number {
    return kSymlinkat(target, dir, path);
  }
  override readlink(dir: Fd, path: Uint8Array, into: Uint8Array): number {
    return kReadlinkat(dir, path, into);
  }
  override unlink(dir: Fd, path: Uint8Array, flags: number): number {
    return kUnlinkat(dir, path, flags);
  }
  override mkdir(dir: Fd, path: Uint8Array, mode: number): number {
    return kMkdirat(dir, path, mode);
  }
  override mkfifo(dir: Fd, path: Uint8Array, mode: number): number {
    return kMkfifoat(dir, path, mode);
  }
  override chmod(dir: Fd, path: Uint8Array, mode: number): number {
    return kFchmodat(dir, path, mode);
  }
  override fchmod(fd: Fd, mode: number): number {
    return kFchmod(fd, mode);
  }
  override stat(dir: Fd, path: Uint8Array, flags: number, into: Stat): number {
    return kFstatat(dir, path, flags, into.raw);
  }
  override fstat(fd: Fd, into: Stat): number {
    return kFstat(fd, into.raw);
  }
  override list(fd: Fd): Listing {
    const names: Uint8Array[] = [];
    const b = new Uint8Array(4000);
    for (;;) {
      const n = kGetdents(fd, b);
      if (n < 0) return { errno: -n, names };
      if (n === 0) return { errno: 0, names };
      direntNames(b.subarray(0, n), names);
    }
  }
  override seek(fd: Fd, at: number, whence: number): number {
    return kLseek(fd, at, whence);
  }
  override truncate(fd: Fd, size: number): number {
    return kFtruncate(fd, size);
  }
  override sync(fd: Fd): number {
    return kFsync(fd);
  }
  override flock(fd: Fd, operation: number): number {
    return kFlock(fd, operation);
  }
  override hold(fd: Fd): number {
    return kHold(fd);
  }
  override letGo(held: number): number {
    return kLetGo(held);
  }
  override fcntl(fd: Fd, command: number, argument: number): number {
    return kFcntl(fd, command, argument);
  }
  override dup3(from: Fd, to: Fd, flags: number): number {
    return kDup3(from, to, flags);
  }
  override pipe(flags: number): Pipe {
    const b = this.#small;
    const r = kPipe2(flags, b);
    if (r < 0) return { errno: -r, read: -1, write: -1 };
    return { errno: 0, read: le32(b, 0), write: le32(b, 4) };
  }
  override chdir(path: Uint8Array): number {
    return kChdir(path);
  }
  override fchdir(fd: Fd): number {
    return kFchdir(fd);
  }

  override epollCreate(): Fd {
    return kEpollCreate();
  }
  override epollControl(ep: Fd, operation: number, fd: Fd, events: number, key: number): number {
    return kEpollCtl(ep, operation, fd, events, key);
  }
  override epollWait(ep: Fd, into: Uint8Array, timeoutMs: DurationMs): number {
    return kEpollWait(ep, into, timeoutMs);
  }
  override inotifyInit(): Fd {
    return kInotifyInit();
  }
  override inotifyAdd(fd: Fd, path: Uint8Array, mask: number): number {
    return kInotifyAdd(fd, path, mask);
  }
  override inotifyRemove(fd: Fd, watch: number): number {
    return kInotifyRemove(fd, watch);
  }

  override blockSignals(signals: readonly number[]): number {
    return kSigmask(SIG_SETMASK, lowBits(signals), highBits(signals));
  }
  override signalfd(signals: readonly number[]): Fd {
    return kSignalfd(-1, lowBits(signals), highBits(signals));
  }
  override readSignal(fd: Fd): number {
    const n = kRead(fd, this.#small);
    return n < 0 ? n : le32(this.#small, 0);
  }
  override ignoreSignal(signal: number, ignore: boolean): number {
    return kSigaction(signal, ignore ? 1 : 0);
  }
  override kill(process: Pid, signal: number): number {
    return kKill(process, signal);
  }
  override pidfdOpen(process: Pid): Fd {
    return kPidfdOpen(process);
  }
  override pidfdKill(fd: Fd, signal: number): number {
    return kPidfdKill(fd, signal);
  }
  override pidfdStatus(fd: Fd): number {
    return kPidfdStatus(fd);
  }
  override waitpid(process: number, options: number): Exit {
    const r = kWaitpid(process, options, this.#small);
    return { pid: r, status: r > 0 ? le32(this.#small, 0) : 0 };
  }
  override spawn(what: Spawn): Spawned {
    const opt = new Uint8Array(28);
    const env = what.env;
    putLe32(opt, 0, what.flags | (env === null ? SPAWN_KEEP_ENV : 0));
    putLe32(opt, 4, lowBits(what.blocked));
    putLe32(opt, 8, highBits(what.blocked));
    putLe32(opt, 12, lowBits(what.defaults));
    putLe32(opt, 16, highBits(what.defaults));
    putLe32(opt, 20, what.recordFd);
    putLe32(opt, 24, what.recordAt);
    const out = this.#small;
    const envBlock = env === null ? EMPTY : block(env);
    const r = kSpawn(what.dir, what.path, block(what.argv), envBlock, packMoves(what.moves), opt, out);
    return { pid: r, execErrno: r > 0 ? le32(out, 0) : 0, step: r > 0 ? le32(out, 4) : 0 };
  }
  override fork(): number {
    return kFork();
  }
  override getpid(): Pid {
    return pid(kGetpid());
  }
  override getppid(): Pid {
    return pid(kGetppid());
  }
  override setsid(): number {
    return kSetsid();
  }
  override prctl(operation: number, argument: number): number {
    return kPrctl(operation, argument, 0, 0, 0);
  }
  override exit(code: number): void {
    kExit(code);
  }
}
