/**
 * The kernel as upkeep sees it: every call a supervisor may make, a line of
 * contract each. `native.ts` is the real one, `simulated.ts` the one the
 * seeded worlds run on.
 *
 * Result of a call that returns a number: >= 0, or -errno (constants.ts). No
 * call throws, no call but `wait` blocks.  Paths are bytes without NUL and are
 * looked up below the directory descriptor `dir` (AT_FDCWD: the working
 * directory).
 */
import { le32, le64, putLe64 } from "../base/bytes.ts";
import type { DurationMs, Fd, Instant, Pid } from "../base/units.ts";
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from "./constants.ts";

/** What stat(2) tells, filled by `Kernel.stat` and `Kernel.fstat`. */
export class Stat {
  readonly raw: Uint8Array = new Uint8Array(72);

  get dev(): number {
    return le64(this.raw, 0);
  }
  get ino(): number {
    return le64(this.raw, 8);
  }
  get mode(): number {
    return le32(this.raw, 16);
  }
  get nlink(): number {
    return le64(this.raw, 24);
  }
  get uid(): number {
    return le64(this.raw, 32);
  }
  get gid(): number {
    return le64(this.raw, 40);
  }
  get size(): number {
    return le64(this.raw, 48);
  }
  get mtimeSeconds(): number {
    return le64(this.raw, 56);
  }
  get mtimeNanoseconds(): number {
    return le64(this.raw, 64);
  }
  isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }
  isFifo(): boolean {
    return (this.mode & S_IFMT) === S_IFIFO;
  }
  isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }
  isRegular(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }
  /** Owner execute bit: how runit asks whether a hook or stop file counts. */
  ownerMayExecute(): boolean {
    return (this.mode & 0o100) !== 0;
  }

  /** For the simulated side. */
  fill(dev: number, ino: number, mode: number, size: number, mtimeSeconds: number): void {
    putLe64(this.raw, 0, dev);
    putLe64(this.raw, 8, ino);
    putLe64(this.raw, 16, mode);
    putLe64(this.raw, 24, 1);
    putLe64(this.raw, 48, size);
    putLe64(this.raw, 56, mtimeSeconds);
  }
}

/** Wall-clock time. Only labels in files are made of it, never an interval. */
export type WallTime = { readonly seconds: number; readonly nanoseconds: number };

/** A child's end: pid (0: nobody has ended; < 0: -errno) and wait status (wait(2)). */
export type Exit = { readonly pid: number; readonly status: number };

/** A descriptor move in the child, in order: `to` becomes a copy of `from`; from < 0 closes `to`. */
export type Move = { readonly from: Fd; readonly to: Fd };
export const NO_MOVES: readonly Move[] = [];

/** A process to start. Carried out by one C function from fork to exec. */
export type Spawn = {
  /** Directory to change to, or < 0 to stay. Relative program paths are looked up there. */
  readonly dir: Fd;
  readonly path: Uint8Array;
  readonly argv: readonly Uint8Array[];
  /** null: our own environment, unchanged. */
  readonly env: readonly Uint8Array[] | null;
  readonly moves: readonly Move[];
  /** SPAWN_* bits. */
  readonly flags: number;
  /** Signals blocked in the program (see SPAWN_KEEP_MASK). */
  readonly blocked: readonly number[];
  /** Signals set to their default action in the program; others are inherited. */
  readonly defaults: readonly number[];
  /** The child writes its pid (u32, little endian) at `recordAt` of `recordFd` before exec; < 0: nowhere. */
  readonly recordFd: Fd;
  readonly recordAt: number;
};

export const SPAWN_SETSID = 1;
export const SPAWN_SETPGID = 2;
/** Descriptor 0 becomes the controlling terminal (with SPAWN_SETSID). */
export const SPAWN_CTTY = 4;
/** Own process group, put in the foreground of the terminal on descriptor 0. */
export const SPAWN_FOREGROUND = 16;
/** Signals that were blocked when this process was started stay blocked, but for `defaults`. */
export const SPAWN_KEEP_MASK = 32;

/**
 * pid < 0: no child, -errno. Otherwise the child exists; when execErrno is not
 * 0 it could not become the program and exits 111.
 */
export type Spawned = { readonly pid: number; readonly execErrno: number; readonly step: number };
/** Spawned.step: the descriptor moves, the change of directory, or exec failed. */
export const STEP_SETUP = 1;
export const STEP_CHDIR = 2;
export const STEP_EXEC = 3;

/** A directory's entries in the order of getdents(2), without . and ..; errno 0 when complete. */
export type Listing = { readonly errno: number; readonly names: readonly Uint8Array[] };

/** Two ends of a pipe, or errno. */
export type Pipe = { readonly errno: number; readonly read: Fd; readonly write: Fd };

export abstract class Kernel {
  /** Wall clock (labels only). */
  abstract wall(): WallTime;
  /** CLOCK_MONOTONIC. */
  abstract now(): Instant;
  /** CLOCK_BOOTTIME in ms: what /proc/PID/stat counts start times in. */
  abstract bootTimeMs(): number;

  abstract open(dir: Fd, path: Uint8Array, flags: number, mode: number): Fd;
  abstract close(fd: Fd): number;
  abstract read(fd: Fd, into: Uint8Array): number;
  abstract write(fd: Fd, from: Uint8Array): number;
  abstract pread(fd: Fd, into: Uint8Array, at: number): number;
  abstract pwrite(fd: Fd, from: Uint8Array, at: number): number;
  abstract splice(from: Fd, to: Fd, length: number, flags: number): number;
  abstract rename(fromDir: Fd, from: Uint8Array, toDir: Fd, to: Uint8Array): number;
  abstract link(fromDir: Fd, from: Uint8Array, toDir: Fd, to: Uint8Array, flags: number): number;
  abstract symlink(target: Uint8Array, dir: Fd, path: Uint8Array): number;
  /** Length of the target, cut to `into`. */
  abstract readlink(dir: Fd, path: Uint8Array, into: Uint8Array): number;
  abstract unlink(dir: Fd, path: Uint8Array, flags: number): number;
  abstract mkdir(dir: Fd, path: Uint8Array, mode: number): number;
  abstract mkfifo(dir: Fd, path: Uint8Array, mode: number): number;
  abstract chmod(dir: Fd, path: Uint8Array, mode: number): number;
  abstract fchmod(fd: Fd, mode: number): number;
  abstract stat(dir: Fd, path: Uint8Array, flags: number, into: Stat): number;
  abstract fstat(fd: Fd, into: Stat): number;
  abstract list(fd: Fd): Listing;
  abstract seek(fd: Fd, at: number, whence: number): number;
  abstract truncate(fd: Fd, size: number): number;
  abstract sync(fd: Fd): number;
  abstract flock(fd: Fd, operation: number): number;
  /**
   * Keeps what `fd`, a regular file open for reading, stands for, and with it its flock(2), also when
   * every descriptor of it is closed: a mapping (mmap(2)), which children do not get. What
   * `letGo` takes, or -errno. Not where mappings are of another file below (overlayfs).
   */
  abstract hold(fd: Fd): number;
  abstract letGo(held: number): number;
  abstract fcntl(fd: Fd, command: number, argument: number): number;
  abstract dup3(from: Fd, to: Fd, flags: number): number;
  /** pipe2(2). */
  abstract pipe(flags: number): Pipe;
  abstract chdir(path: Uint8Array): number;
  abstract fchdir(fd: Fd): number;

  abstract epollCreate(): Fd;
  abstract epollControl(ep: Fd, operation: number, fd: Fd, events: number, key: number): number;
  /** The only call that blocks. Fills key u32, events u32 for each ready descriptor; timeoutMs < 0: no limit. */
  abstract epollWait(ep: Fd, into: Uint8Array, timeoutMs: DurationMs): number;
  abstract inotifyInit(): Fd;
  abstract inotifyAdd(fd: Fd, path: Uint8Array, mask: number): number;
  abstract inotifyRemove(fd: Fd, watch: number): number;

  /** Replaces the set of blocked signals. */
  abstract blockSignals(signals: readonly number[]): number;
  /** Signals that were ignored get their default action, so that they arrive. Block them, too. */
  abstract signalfd(signals: readonly number[]): Fd;
  /** Next signal from a signalfd, or -EAGAIN. */
  abstract readSignal(fd: Fd): number;
  /** Sets the disposition to ignore, or back to default. */
  abstract ignoreSignal(signal: number, ignore: boolean): number;
  abstract kill(pid: Pid, signal: number): number;
  abstract pidfdOpen(pid: Pid): Fd;
  abstract pidfdKill(fd: Fd, signal: number): number;
  /** Wait status of the ended process behind a pidfd, where the kernel can tell (Linux 6.15), or -errno. */
  abstract pidfdStatus(fd: Fd): number;
  /** waitpid(2); pid -1: any child. */
  abstract waitpid(pid: number, options: number): Exit;
  abstract spawn(what: Spawn): Spawned;
  /** fork(2) without exec: 0 in the child. */
  abstract fork(): number;
  abstract getpid(): Pid;
  abstract getppid(): Pid;
  abstract setsid(): number;
  abstract prctl(operation: number, argument: number): number;
  /** _exit(2). Does not return on the native side. */
  abstract exit(code: number): void;
}
