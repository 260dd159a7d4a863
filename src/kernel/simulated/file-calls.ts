/** Descriptors of a simulated process, and what they lead to: files, directories, FIFOs, pipes. */
import type { Fd } from "../../base/units.ts";
import * as K from "../constants.ts";
import type { Listing, Pipe, Stat } from "../kernel.ts";
import { Calls } from "./calls.ts";
import type { Inode } from "./inode.ts";
import { type Place, procDescriptor, procFile } from "./lookup.ts";
import { OpenFile, PIPE_ATOMIC } from "./open-file.ts";
import { ProcessEnd } from "./outside.ts";

const NO_NAMES: readonly Uint8Array[] = [];

export abstract class FileCalls extends Calls {
  override open(dir: Fd, path: Uint8Array, flags: number, mode: number): Fd {
    this.enter("open");
    this.me.lastPath = path;
    if (this.noDescriptor()) return -K.EMFILE;
    const other = procDescriptor(this.world, this.me, path);
    if (other !== null) return this.#reopen(other, flags);
    const proc = procFile(this.world, this.me, path);
    if (proc !== null) return this.#openText(proc, flags);
    const place = this.lookup.place(dir, path, (flags & K.O_NOFOLLOW) === 0);
    if (place.errno !== 0) return -place.errno;
    let inode = place.inode;
    if (inode !== null && (flags & K.O_CREAT) !== 0 && (flags & K.O_EXCL) !== 0) return -K.EEXIST;
    if (inode === null) {
      if ((flags & K.O_CREAT) === 0) return -K.ENOENT;
      const made = this.make(place, "file", mode);
      if (made < 0) return made;
      inode = this.lookup.place(dir, path, true).inode;
      if (inode === null) return -K.ENOENT;
    }
    return this.#openInode(inode, flags);
  }

  /** Opening /proc/PID/fd/N makes a description of its own (proc(5)). */
  #reopen(file: OpenFile, flags: number): Fd {
    const pipe = file.pipe;
    if (pipe !== null) return this.install(this.world.end(pipe, file.inode, flags), flags);
    return file.inode === null ? -K.ENXIO : this.#openInode(file.inode, flags);
  }

  #openText(contents: Uint8Array, flags: number): Fd {
    const inode = this.world.inode("file", 0o444);
    inode.data = contents;
    return this.#openInode(inode, flags);
  }

  #openInode(inode: Inode, flags: number): Fd {
    const writes = (flags & (K.O_WRONLY | K.O_RDWR)) !== 0;
    switch (inode.kind) {
      case "symlink":
        return -K.ELOOP;
      case "directory": {
        if (writes) return -K.EISDIR;
        const d = new OpenFile("directory", flags);
        d.inode = inode;
        return this.install(d, flags);
      }
      case "fifo":
        return this.#openFifo(inode, flags);
      case "file": {
        if ((flags & K.O_DIRECTORY) !== 0) return -K.ENOTDIR;
        const f = new OpenFile("file", flags);
        f.inode = inode;
        if (writes && (flags & K.O_TRUNC) !== 0) inode.resize(0);
        return this.install(f, flags);
      }
    }
  }

  #openFifo(inode: Inode, flags: number): Fd {
    const pipe = inode.pipe;
    if (pipe === null || (flags & K.O_DIRECTORY) !== 0) return -K.ENOTDIR;
    const writesOnly = (flags & K.O_WRONLY) !== 0;
    if (writesOnly && pipe.readers === 0) {
      if ((flags & K.O_NONBLOCK) !== 0) return -K.ENXIO;
      throw new Error("simulated: open of a fifo would block");
    }
    if ((flags & (K.O_WRONLY | K.O_RDWR | K.O_NONBLOCK)) === 0 && pipe.writers === 0) {
      throw new Error("simulated: open of a fifo would block");
    }
    return this.install(this.world.end(pipe, inode, flags), flags);
  }

  override close(fd: Fd): number {
    this.enter("close");
    return this.world.closeAt(this.me, fd) ? 0 : -K.EBADF;
  }

  override read(fd: Fd, into: Uint8Array): number {
    this.enter("read");
    const d = this.me.descriptor(fd);
    if (d === null || !d.file.reads) return -K.EBADF;
    if (this.interrupted()) return -K.EINTR;
    const f = d.file;
    switch (f.kind) {
      case "file": {
        const n = this.readAt(f, into, f.position);
        if (n > 0) f.position += n;
        return n;
      }
      case "directory":
        return -K.EISDIR;
      case "pipe": {
        const pipe = f.pipe;
        if (pipe === null || into.length === 0) return 0;
        if (pipe.length > 0) return pipe.take(into);
        if (pipe.writers === 0) return 0;
        return this.wouldBlock(f);
      }
      case "inotify":
        return this.#readInotify(f, into);
      case "null":
        return 0;
      default:
        return -K.EINVAL;
    }
  }

  protected wouldBlock(f: OpenFile): number {
    if ((f.flags & K.O_NONBLOCK) === 0) throw new Error("simulated: a call would block");
    return -K.EAGAIN;
  }

  protected readAt(f: OpenFile, into: Uint8Array, at: number): number {
    const inode = f.inode;
    if (inode === null) return 0;
    if (inode.kind !== "file") return inode.kind === "directory" ? -K.EISDIR : -K.EINVAL;
    const left = inode.data.length - at;
    if (left <= 0) return 0;
    const n = left < into.length ? left : into.length;
    into.set(inode.data.subarray(at, at + n), 0);
    return n;
  }

  #readInotify(f: OpenFile, into: Uint8Array): number {
    if (f.queue.length === 0) return this.wouldBlock(f);
    let n = 0;
    while (f.queue.length > 0) {
      const event = f.queue[0]!;
      if (n + event.length > into.length) return n === 0 ? -K.EINVAL : n;
      into.set(event, n);
      n += event.length;
      f.queue.shift();
    }
    return n;
  }

  override write(fd: Fd, from: Uint8Array): number {
    this.enter("write");
    const d = this.me.descriptor(fd);
    if (d === null || !d.file.writes) return -K.EBADF;
    if (this.interrupted()) return -K.EINTR;
    const f = d.file;
    if (f.kind === "null") return from.length;
    if (f.kind === "pipe") return this.#writePipe(f, from);
    if (f.kind !== "file") return -K.EINVAL;
    const inode = f.inode;
    if ((f.flags & K.O_APPEND) !== 0 && inode !== null) f.position = inode.data.length;
    const n = this.writeAt(f, from, f.position);
    if (n > 0) f.position += n;
    return n;
  }

  #writePipe(f: OpenFile, from: Uint8Array): number {
    const pipe = f.pipe;
    if (pipe === null) return -K.EINVAL;
    if (pipe.readers === 0) {
      // Either SIGPIPE is ignored or blocked, or this ends us.
      this.world.signal(this.me, K.SIGPIPE);
      if (this.me.state !== "live") throw new ProcessEnd("ended");
      return -K.EPIPE;
    }
    if (pipe.room === 0 || (from.length <= PIPE_ATOMIC && pipe.room < from.length)) return this.wouldBlock(f);
    const n = pipe.put(from);
    this.world.touched(pipe);
    return n;
  }

  protected writeAt(f: OpenFile, from: Uint8Array, at: number): number {
    const inode = f.inode;
    if (inode === null || from.length === 0) return 0;
    // Overwriting needs no space.
    if (at + from.length <= inode.data.length) {
      inode.store(at, from);
      return from.length;
    }
    if (this.noSpace()) return -K.ENOSPC;
    const faults = this.world.faults;
    const short = from.length > 1 && this.fault(faults.shortWrite, "short write");
    const n = short ? faults.amount(1, from.length - 1) : from.length;
    inode.store(at, from.subarray(0, n));
    return n;
  }

  override pread(fd: Fd, into: Uint8Array, at: number): number {
    this.enter("pread");
    const d = this.me.descriptor(fd);
    if (d === null || !d.file.reads) return -K.EBADF;
    if (d.file.kind === "pipe") return -K.ESPIPE;
    if (this.interrupted()) return -K.EINTR;
    return this.readAt(d.file, into, at);
  }
  override pwrite(fd: Fd, from: Uint8Array, at: number): number {
    this.enter("pwrite");
    const d = this.me.descriptor(fd);
    if (d === null || !d.file.writes) return -K.EBADF;
    if (d.file.kind === "pipe") return -K.ESPIPE;
    if (this.interrupted()) return -K.EINTR;
    return this.writeAt(d.file, from, at);
  }
  override splice(_from: Fd, _to: Fd, _length: number, _flags: number): number {
    this.enter("splice");
    return -K.EINVAL;
  }

  /** Makes a directory entry with a new inode; 0 or -errno. */
  protected make(place: Place, kind: "file" | "directory" | "fifo" | "symlink", mode: number): number {
    const dir = place.parent;
    if (dir === null || dir.links === 0) return -K.ENOENT;
    if (this.noSpace()) return -K.ENOSPC;
    dir.attach(place.name, this.world.inode(kind, mode));
    dir.notify(K.IN_CREATE, place.name);
    return 0;
  }

  override fstat(fd: Fd, into: Stat): number {
    this.enter("fstat");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    const inode = d.file.inode;
    if (inode !== null) fill(into, inode);
    else into.fill(9, 1, d.file.kind === "pipe" ? K.S_IFIFO | 0o600 : 0o600, 0, 0);
    return 0;
  }

  override fchmod(fd: Fd, mode: number): number {
    this.enter("fchmod");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    if (d.file.inode !== null) d.file.inode.mode = mode & 0o7777;
    return 0;
  }

  override list(fd: Fd): Listing {
    this.enter("list");
    const d = this.me.descriptor(fd);
    if (d === null) return { errno: K.EBADF, names: NO_NAMES };
    const inode = d.file.inode;
    if (inode === null || inode.kind !== "directory") return { errno: K.ENOTDIR, names: NO_NAMES };
    const names: Uint8Array[] = [];
    if (d.file.listed) return { errno: 0, names };
    d.file.listed = true;
    for (let i = 0; i < inode.entries.length; i++) names.push(inode.entries[i]!.name.slice());
    return { errno: 0, names };
  }

  override seek(fd: Fd, at: number, whence: number): number {
    this.enter("seek");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    const f = d.file;
    if (f.kind === "pipe") return -K.ESPIPE;
    f.listed = false;
    const size = f.inode === null ? 0 : f.inode.data.length;
    f.position = whence === K.SEEK_SET ? at : whence === K.SEEK_CUR ? f.position + at : size + at;
    return f.position;
  }

  override truncate(fd: Fd, size: number): number {
    this.enter("truncate");
    const d = this.me.descriptor(fd);
    if (d === null || !d.file.writes) return -K.EBADF;
    if (d.file.kind !== "file" || d.file.inode === null) return -K.EINVAL;
    d.file.inode.resize(size);
    return 0;
  }

  override sync(fd: Fd): number {
    this.enter("sync");
    return this.me.descriptor(fd) === null ? -K.EBADF : 0;
  }

  override flock(fd: Fd, operation: number): number {
    this.enter("flock");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    const inode = d.file.inode;
    if (inode === null) return -K.EINVAL;
    if ((operation & K.LOCK_UN) !== 0) {
      if (inode.lockedBy === d.file) inode.lockedBy = null;
      return 0;
    }
    if (inode.lockedBy !== null && inode.lockedBy !== d.file) {
      if ((operation & K.LOCK_NB) === 0) throw new Error("simulated: flock would block");
      return -K.EAGAIN;
    }
    inode.lockedBy = d.file;
    return 0;
  }

  override hold(fd: Fd): number {
    this.enter("hold");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    if (d.file.kind !== "file" || !d.file.reads) return -K.EACCES;
    // What the file system maps may be another file below, as overlayfs does.
    return this.world.map(this.me, this.world.mapsBelow ? new OpenFile("file", d.file.flags) : d.file);
  }

  override letGo(held: number): number {
    this.enter("letGo");
    return this.world.unmap(this.me, held) ? 0 : -K.EINVAL;
  }

  override fcntl(fd: Fd, command: number, argument: number): number {
    this.enter("fcntl");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    switch (command) {
      case K.F_GETFD:
        return d.closeOnExec ? K.FD_CLOEXEC : 0;
      case K.F_SETFD:
        d.closeOnExec = (argument & K.FD_CLOEXEC) !== 0;
        return 0;
      case K.F_GETFL:
        return d.file.flags;
      case K.F_SETFL:
        d.file.flags = (d.file.flags & ~K.O_NONBLOCK) | (argument & K.O_NONBLOCK);
        return 0;
      case K.F_DUPFD_CLOEXEC:
        if (this.noDescriptor()) return -K.EMFILE;
        return this.world.install(this.me, d.file, argument, true);
      case K.F_SETPIPE_SZ:
      case K.F_GETPIPE_SZ:
        return d.file.pipe === null ? -K.EBADF : d.file.pipe.capacity;
      default:
        return -K.EINVAL;
    }
  }

  override dup3(from: Fd, to: Fd, flags: number): number {
    this.enter("dup3");
    const d = this.me.descriptor(from);
    if (d === null) return -K.EBADF;
    if (from === to) return -K.EINVAL;
    this.world.installAt(this.me, d.file, to, (flags & K.O_CLOEXEC) !== 0);
    return to;
  }

  override pipe(flags: number): Pipe {
    this.enter("pipe");
    if (this.noDescriptor()) return { errno: K.EMFILE, read: -1, write: -1 };
    const inode = this.world.pipe();
    const p = inode.pipe;
    if (p === null) throw new Error("simulated: a pipe without a buffer");
    const more = flags & (K.O_NONBLOCK | K.O_CLOEXEC);
    const read = this.install(this.world.end(p, inode, K.O_RDONLY | more), flags);
    const write = this.install(this.world.end(p, inode, K.O_WRONLY | more), flags);
    return { errno: 0, read, write };
  }

  override fchdir(fd: Fd): number {
    this.enter("fchdir");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    if (d.file.inode === null || d.file.kind !== "directory") return -K.ENOTDIR;
    this.me.cwd = d.file.inode;
    return 0;
  }
}

/** What stat(2) tells of an inode. */
export function fill(into: Stat, inode: Inode): void {
  into.fill(1, inode.ino, inode.fullMode, inode.data.length, inode.mtimeSeconds);
}
