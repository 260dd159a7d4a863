/** Open file descriptions, which descriptors of one or several processes share. */
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, O_RDWR, O_WRONLY } from "../constants.ts";
import type { Inode, PipeBuffer } from "./inode.ts";
import type { Process, SignalSet } from "./process.ts";

export type OpenKind = "file" | "directory" | "pipe" | "epoll" | "signalfd" | "inotify" | "pidfd" | "null";

/** One descriptor that an epoll instance watches. */
export class EpollItem {
  readonly fd: number;
  readonly file: OpenFile;
  readonly key: number;
  events: number;
  constructor(fd: number, file: OpenFile, events: number, key: number) {
    this.fd = fd;
    this.file = file;
    this.events = events;
    this.key = key;
  }
}

/** A watch of inotify(7): sits both with its inode and with its instance. */
export class Watch {
  readonly wd: number;
  readonly inode: Inode;
  readonly instance: OpenFile;
  mask: number;
  constructor(wd: number, inode: Inode, instance: OpenFile, mask: number) {
    this.wd = wd;
    this.inode = inode;
    this.instance = instance;
    this.mask = mask;
  }
}

/** A pipe end's smallest room that counts as writable, and the size written whole (PIPE_BUF). */
export const PIPE_ATOMIC = 4096;

export class OpenFile {
  readonly kind: OpenKind;
  flags: number;
  /** Descriptors and mappings that refer to it; 0: it is closed and gone. */
  references = 0;
  position = 0;
  /** Of a directory: how many reads since the last rewind (0: at the start). */
  listed = false;
  inode: Inode | null = null;
  pipe: PipeBuffer | null = null;
  writersSeen = 0;
  readonly items: EpollItem[] = [];
  signals: SignalSet | null = null;
  readonly watches: Watch[] = [];
  /** Whole inotify_event records to be read. */
  readonly queue: Uint8Array[] = [];
  nextWatch = 1;
  process: Process | null = null;

  constructor(kind: OpenKind, flags: number) {
    this.kind = kind;
    this.flags = flags;
  }

  get reads(): boolean {
    return (this.flags & O_WRONLY) === 0;
  }
  get writes(): boolean {
    return (this.flags & (O_WRONLY | O_RDWR)) !== 0;
  }

  /** EPOLL* bits that hold now, seen by `who`. */
  ready(who: Process): number {
    switch (this.kind) {
      case "pipe":
        return this.#pipeReady();
      case "signalfd":
        return this.signals !== null && who.pending.first(this.signals) > 0 ? EPOLLIN : 0;
      case "inotify":
        return this.queue.length > 0 ? EPOLLIN : 0;
      case "pidfd": {
        const p = this.process;
        if (p === null || p.state === "live") return 0;
        return p.state === "zombie" ? EPOLLIN : EPOLLIN | EPOLLHUP;
      }
      default:
        return 0;
    }
  }

  #pipeReady(): number {
    const p = this.pipe;
    if (p === null) return 0;
    let r = 0;
    if (this.reads) {
      if (p.length > 0) r |= EPOLLIN;
      if (p.writers === 0 && p.writersEver !== this.writersSeen) r |= EPOLLHUP;
    }
    if (this.writes) {
      const enough = p.capacity < PIPE_ATOMIC ? p.capacity : PIPE_ATOMIC;
      if (p.room >= enough) r |= EPOLLOUT;
      if (p.readers === 0) r |= EPOLLERR;
    }
    return r;
  }
}
