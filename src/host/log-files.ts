/** The files of a log directory, one system call or so a method; log-directory.ts decides when. */
import { ascii, concat, EMPTY } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { Inventory, ROTATED_BYTES, withSuffix } from "../core/log-rotation.ts";
import type { LogPlace } from "../formats/log-progress.ts";
import { putLabel } from "../formats/tai64n.ts";
import {
  AT_FDCWD,
  EINTR,
  ENOENT,
  ENOTDIR,
  F_DUPFD_CLOEXEC,
  LOCK_EX,
  LOCK_NB,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  SEEK_SET,
} from "../kernel/constants.ts";
import { type Kernel, type Listing, Stat, type WallTime } from "../kernel/kernel.ts";

const CURRENT = ascii("current");
const CONFIG = ascii("config");
const LOCK = ascii("lock");
const CONFIG_CHUNK_BYTES = 4096;
const ABOVE = 10;
const CLOSED_MODE = 0o744;
const WRITTEN_MODE = 0o644;

/** What went wrong, as the middle of a message; errno > 0. */
export type Problem = { readonly what: string; readonly errno: number };

/** The content of `config`, empty when there is none. */
export type ConfigFile = { readonly errno: number; readonly bytes: Uint8Array };

/** How `current` was found: an errno other than ENOENT, or whether it exists, and was not closed by its writer. */
export type Found = { readonly errno: number; readonly exists: boolean; readonly unclean: boolean };

function plusMicrosecond(t: WallTime): WallTime {
  const ns = t.nanoseconds + 1000;
  return ns < 1e9 ? { seconds: t.seconds, nanoseconds: ns } : { seconds: t.seconds + 1, nanoseconds: ns - 1e9 };
}

/**
 * Moves a descriptor above those a processor gets: its own (0, 1, 4, 5) are put
 * in place before it changes to the log directory and opens nothing any more.
 * The new descriptor; -errno is passed on.
 */
export function aboveProcessors(kernel: Kernel, fd: Fd): Fd {
  if (fd < 0 || fd >= ABOVE) return fd;
  const moved = kernel.fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
  kernel.close(fd);
  return moved;
}

export class LogFiles {
  fd: Fd = -1;
  /** Bytes in `current`. */
  size = 0;
  /** Which file `current` is. */
  #device = 0;
  #inode = 0;
  /** The name `current` was last given. */
  rotated: Uint8Array = EMPTY;
  current: Fd = -1;
  #lock: Fd = -1;
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Opens and locks the directory; what failed, or null. */
  open(path: Uint8Array): Problem | null {
    const k = this.#kernel;
    const fd = aboveProcessors(k, k.open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0));
    if (fd < 0) return { what: "unable to open log directory", errno: -fd };
    const stat = new Stat();
    const r = k.fstat(fd, stat);
    if (r < 0 || !stat.isDirectory()) {
      k.close(fd);
      return { what: "unable to change directory", errno: r < 0 ? -r : ENOTDIR };
    }
    const lock = k.open(fd, LOCK, O_WRONLY | O_NONBLOCK | O_APPEND | O_CREAT | O_CLOEXEC, 0o600);
    const locked = lock < 0 ? lock : k.flock(lock, LOCK_EX | LOCK_NB);
    if (locked < 0) {
      if (lock >= 0) k.close(lock);
      k.close(fd);
      return { what: "unable to lock directory", errno: -locked };
    }
    this.fd = fd;
    this.#lock = lock;
    return null;
  }

  /** Whether the path still leads to the open directory. */
  isAt(path: Uint8Array): boolean {
    const here = new Stat();
    const there = new Stat();
    if (this.fd < 0 || this.#kernel.fstat(this.fd, here) < 0) return false;
    return this.#kernel.stat(AT_FDCWD, path, 0, there) >= 0 && here.ino === there.ino && here.dev === there.dev;
  }

  readConfig(): ConfigFile {
    const k = this.#kernel;
    const fd = k.open(this.fd, CONFIG, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0) return { errno: fd === -ENOENT ? 0 : -fd, bytes: EMPTY };
    const parts: Uint8Array[] = [];
    for (;;) {
      const chunk = new Uint8Array(CONFIG_CHUNK_BYTES);
      const n = k.read(fd, chunk);
      if (n === -EINTR) continue;
      if (n <= 0) {
        k.close(fd);
        return { errno: -n, bytes: concat(parts) };
      }
      parts.push(chunk.subarray(0, n));
    }
  }

  look(): Found {
    const stat = new Stat();
    const r = this.#kernel.stat(this.fd, CURRENT, 0, stat);
    if (r < 0) return { errno: r === -ENOENT ? 0 : -r, exists: false, unclean: false };
    return { errno: 0, exists: true, unclean: stat.size > 0 && !stat.ownerMayExecute() };
  }

  /** Opens `current` for appending, creating it if need be, in place of the one open so far. */
  openCurrent(): number {
    const k = this.#kernel;
    const fd = k.open(this.fd, CURRENT, O_WRONLY | O_NONBLOCK | O_APPEND | O_CREAT | O_CLOEXEC, 0o600);
    if (fd < 0) return fd;
    if (this.current >= 0) k.close(this.current);
    this.current = fd;
    const stat = new Stat();
    this.size = k.fstat(fd, stat) < 0 ? 0 : stat.size;
    this.#device = stat.dev;
    this.#inode = stat.ino;
    return 0;
  }

  /** Where the next byte goes. */
  get place(): LogPlace {
    return { device: this.#device, inode: this.#inode, size: this.size };
  }

  /** Cuts `current` down to `place`, if that is in this file. */
  cutCurrent(place: LogPlace): void {
    const k = this.#kernel;
    const fd = k.open(this.fd, CURRENT, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0) return;
    const stat = new Stat();
    const same = k.fstat(fd, stat) >= 0 && stat.dev === place.device && stat.ino === place.inode;
    if (same && stat.size > place.size) k.truncate(fd, place.size);
    k.close(fd);
  }

  sync(): number {
    return this.#kernel.sync(this.current);
  }

  /** Marks `current` as closed cleanly. */
  seal(): number {
    return this.#kernel.fchmod(this.current, CLOSED_MODE);
  }

  unseal(): number {
    return this.#kernel.fchmod(this.current, WRITTEN_MODE);
  }

  /** Picks a name for `current` that no file has. */
  nameCurrent(suffix: number): void {
    const label = new Uint8Array(ROTATED_BYTES);
    const stat = new Stat();
    let t = this.#kernel.wall();
    do {
      putLabel(label, 0, t);
      this.rotated = withSuffix(label, suffix);
      t = plusMicrosecond(t);
    } while (this.#kernel.stat(this.fd, this.rotated, 0, stat) >= 0);
  }

  /** Gives `current` the name chosen. */
  renameCurrent(): number {
    return this.#kernel.rename(this.fd, CURRENT, this.fd, this.rotated);
  }

  list(): Listing {
    const at = this.#kernel.seek(this.fd, 0, SEEK_SET);
    if (at < 0) return { errno: -at, names: [] };
    return this.#kernel.list(this.fd);
  }

  /** See `Inventory`. */
  inventory(kept: readonly Uint8Array[]): Inventory {
    return new Inventory(this.list().names, kept);
  }

  remove(name: Uint8Array): number {
    return this.#kernel.unlink(this.fd, name, 0);
  }

  /** Whether a rotated file was closed by its writer before. */
  isSealed(name: Uint8Array): boolean {
    const stat = new Stat();
    return this.#kernel.stat(this.fd, name, 0, stat) >= 0 && stat.ownerMayExecute();
  }

  closeCurrent(): void {
    if (this.current >= 0) this.#kernel.close(this.current);
    this.current = -1;
  }

  /** Gives up the directory and its lock. */
  close(): void {
    this.closeCurrent();
    if (this.#lock >= 0) this.#kernel.close(this.#lock);
    if (this.fd >= 0) this.#kernel.close(this.fd);
    this.#lock = -1;
    this.fd = -1;
  }
}
