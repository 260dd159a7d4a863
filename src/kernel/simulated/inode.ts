/** What lies in the simulated file system: files, directories, FIFOs, symbolic links. */
import { equal } from "../../base/bytes.ts";
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from "../constants.ts";
import type { OpenFile, Watch } from "./open-file.ts";

export type InodeKind = "file" | "directory" | "fifo" | "symlink";

export class Entry {
  readonly name: Uint8Array;
  readonly inode: Inode;
  constructor(name: Uint8Array, inode: Inode) {
    this.name = name;
    this.inode = inode;
  }
}

/** Bytes between two ends, of a pipe or a FIFO. Readers and writers count open descriptions. */
export class PipeBuffer {
  readonly capacity: number;
  readonly #bytes: Uint8Array;
  #start = 0;
  length = 0;
  readers = 0;
  writers = 0;
  /** How many writers there have ever been: a reader that has seen none gets no hang-up (fs/pipe.c, w_counter). */
  writersEver = 0;
  /** Totals, and a running hash of what went in and came out: a torn or reordered stream shows. */
  bytesIn = 0;
  bytesOut = 0;
  hashIn = 0;
  hashOut = 0;
  /** Bytes thrown away because the last reader closed while they were in the buffer. */
  lost = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#bytes = new Uint8Array(capacity);
  }

  get room(): number {
    return this.capacity - this.length;
  }

  /** Puts in as much as there is room for; returns how much. */
  put(from: Uint8Array): number {
    const n = from.length < this.room ? from.length : this.room;
    let at = (this.#start + this.length) % this.capacity;
    let h = this.hashIn;
    for (let i = 0; i < n; i++) {
      const v = from[i]!;
      this.#bytes[at] = v;
      h = Math.imul(h ^ v, 16777619) >>> 0;
      at = at + 1 === this.capacity ? 0 : at + 1;
    }
    this.hashIn = h;
    this.length += n;
    this.bytesIn += n;
    return n;
  }

  take(into: Uint8Array): number {
    const n = into.length < this.length ? into.length : this.length;
    let h = this.hashOut;
    let at = this.#start;
    for (let i = 0; i < n; i++) {
      const v = this.#bytes[at]!;
      into[i] = v;
      h = Math.imul(h ^ v, 16777619) >>> 0;
      at = at + 1 === this.capacity ? 0 : at + 1;
    }
    this.hashOut = h;
    this.#start = at;
    this.length -= n;
    this.bytesOut += n;
    return n;
  }

  /** Nobody has it open any more. */
  drop(): void {
    this.lost += this.length;
    this.length = 0;
  }
}

export class Inode {
  readonly ino: number;
  readonly kind: InodeKind;
  mode: number;
  links = 0;
  mtimeSeconds = 0;
  /** Contents of a file, target of a symbolic link. */
  data: Uint8Array = new Uint8Array(0);
  /** Of a directory, in the order getdents(2) tells them. */
  readonly entries: Entry[] = [];
  /** Directory: the one it lies in; null once it is removed. */
  parent: Inode | null = null;
  /** FIFO: what is between its ends. */
  readonly pipe: PipeBuffer | null;
  /** Who holds flock(2), exclusively. */
  lockedBy: OpenFile | null = null;
  readonly watches: Watch[] = [];

  constructor(ino: number, kind: InodeKind, mode: number, pipeCapacity: number) {
    this.ino = ino;
    this.kind = kind;
    this.mode = mode & 0o7777;
    this.pipe = kind === "fifo" ? new PipeBuffer(pipeCapacity) : null;
  }

  /** st_mode. */
  get fullMode(): number {
    switch (this.kind) {
      case "directory":
        return S_IFDIR | this.mode;
      case "fifo":
        return S_IFIFO | this.mode;
      case "symlink":
        return S_IFLNK | 0o777;
      default:
        return S_IFREG | this.mode;
    }
  }

  indexOf(name: Uint8Array): number {
    for (let i = 0; i < this.entries.length; i++) if (equal(this.entries[i]!.name, name)) return i;
    return -1;
  }

  child(name: Uint8Array): Inode | null {
    const i = this.indexOf(name);
    return i < 0 ? null : this.entries[i]!.inode;
  }

  attach(name: Uint8Array, inode: Inode): void {
    this.entries.push(new Entry(name.slice(), inode));
    inode.links++;
    if (inode.kind === "directory") inode.parent = this;
  }

  detach(index: number): void {
    const inode = this.entries[index]!.inode;
    // ext4 and tmpfs change the order after a removal; moving the last one up does too.
    const last = this.entries.pop();
    if (last !== undefined && index < this.entries.length) this.entries[index] = last;
    inode.links--;
    if (inode.kind === "directory" && inode.links === 0) inode.parent = null;
  }

  /** Tells the watches of this directory. */
  notify(mask: number, name: Uint8Array): void {
    for (let i = 0; i < this.watches.length; i++) {
      const w = this.watches[i]!;
      if ((w.mask & mask) === 0) continue;
      const size = 16 + (name.length === 0 ? 0 : (name.length + 16) & ~15);
      const b = new Uint8Array(size);
      b[0] = w.wd & 255;
      b[4] = mask & 255;
      b[5] = (mask >>> 8) & 255;
      b[6] = (mask >>> 16) & 255;
      b[12] = size - 16;
      b.set(name, 16);
      w.instance.queue.push(b);
    }
  }

  /** Overwrites or extends a file at `at`. */
  store(at: number, from: Uint8Array): void {
    const end = at + from.length;
    if (end > this.data.length) {
      const grown = new Uint8Array(end);
      grown.set(this.data, 0);
      this.data = grown;
    }
    this.data.set(from, at);
  }

  resize(size: number): void {
    const b = new Uint8Array(size);
    b.set(size < this.data.length ? this.data.subarray(0, size) : this.data, 0);
    this.data = b;
  }
}

/** Removes an instance's watch from an inode. */
export function dropWatch(inode: Inode, instance: OpenFile): void {
  for (let i = inode.watches.length - 1; i >= 0; i--) if (inode.watches[i]!.instance === instance) inode.watches.splice(i, 1);
}
