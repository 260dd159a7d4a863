/** Calls of a simulated process that work on names in directories. */
import { equal } from "../../base/bytes.ts";
import type { Fd } from "../../base/units.ts";
import * as K from "../constants.ts";
import type { Stat } from "../kernel.ts";
import { FileCalls, fill } from "./file-calls.ts";
import { descriptorPath, procDescriptor } from "./lookup.ts";

export abstract class NameCalls extends FileCalls {
  override rename(fromDir: Fd, from: Uint8Array, toDir: Fd, to: Uint8Array): number {
    this.enter("rename");
    const a = this.lookup.place(fromDir, from, false);
    if (a.errno !== 0) return -a.errno;
    const b = this.lookup.place(toDir, to, false);
    if (b.errno !== 0) return -b.errno;
    const moved = a.inode;
    if (moved === null || a.parent === null || b.parent === null || b.parent.links === 0) return -K.ENOENT;
    if (b.inode === moved) return 0;
    if (b.inode !== null) {
      if (b.inode.kind === "directory") return moved.kind === "directory" ? -K.ENOTEMPTY : -K.EISDIR;
      if (moved.kind === "directory") return -K.ENOTDIR;
      b.parent.detach(b.parent.indexOf(b.name));
    }
    b.parent.attach(b.name, moved);
    // The other entry of this inode is the old name.
    for (let i = 0; i < a.parent.entries.length; i++) {
      const e = a.parent.entries[i]!;
      if (e.inode === moved && (a.parent !== b.parent || !equal(e.name, b.name)) && equal(e.name, a.name)) {
        a.parent.detach(i);
        break;
      }
    }
    if (moved.kind === "directory") moved.parent = b.parent;
    a.parent.notify(K.IN_MOVED_FROM, a.name);
    b.parent.notify(K.IN_MOVED_TO, b.name);
    return 0;
  }

  override link(fromDir: Fd, from: Uint8Array, toDir: Fd, to: Uint8Array, flags: number): number {
    this.enter("link");
    const a = this.lookup.place(fromDir, from, (flags & K.AT_SYMLINK_FOLLOW) !== 0);
    if (a.errno !== 0) return -a.errno;
    const b = this.lookup.place(toDir, to, false);
    if (b.errno !== 0) return -b.errno;
    if (a.inode === null || b.parent === null || b.parent.links === 0) return -K.ENOENT;
    if (a.inode.kind === "directory") return -K.EPERM;
    if (b.inode !== null) return -K.EEXIST;
    if (this.noSpace()) return -K.ENOSPC;
    b.parent.attach(b.name, a.inode);
    b.parent.notify(K.IN_CREATE, b.name);
    return 0;
  }

  override symlink(target: Uint8Array, dir: Fd, path: Uint8Array): number {
    this.enter("symlink");
    const place = this.lookup.place(dir, path, false);
    if (place.errno !== 0) return -place.errno;
    if (place.inode !== null) return -K.EEXIST;
    const made = this.make(place, "symlink", 0o777);
    if (made < 0) return made;
    const link = this.lookup.place(dir, path, false).inode;
    if (link !== null) link.data = target.slice();
    return 0;
  }

  override readlink(dir: Fd, path: Uint8Array, into: Uint8Array): number {
    this.enter("readlink");
    const open = procDescriptor(this.world, this.me, path);
    if (open !== null) return this.#copy(descriptorPath(this.world, open), into);
    const place = this.lookup.place(dir, path, false);
    if (place.errno !== 0) return -place.errno;
    const inode = place.inode;
    if (inode === null) return -K.ENOENT;
    if (inode.kind !== "symlink") return -K.EINVAL;
    return this.#copy(inode.data, into);
  }

  /** The length of the part that fits. */
  #copy(from: Uint8Array, into: Uint8Array): number {
    const n = from.length < into.length ? from.length : into.length;
    into.set(from.subarray(0, n), 0);
    return n;
  }

  override unlink(dir: Fd, path: Uint8Array, flags: number): number {
    this.enter("unlink");
    const place = this.lookup.place(dir, path, false);
    if (place.errno !== 0) return -place.errno;
    const inode = place.inode;
    const parent = place.parent;
    if (inode === null || parent === null) return -K.ENOENT;
    const wantsDirectory = (flags & K.AT_REMOVEDIR) !== 0;
    if (wantsDirectory !== (inode.kind === "directory")) return wantsDirectory ? -K.ENOTDIR : -K.EISDIR;
    if (inode.entries.length > 0) return -K.ENOTEMPTY;
    parent.detach(parent.indexOf(place.name));
    parent.notify(K.IN_DELETE, place.name);
    return 0;
  }

  override mkdir(dir: Fd, path: Uint8Array, mode: number): number {
    this.enter("mkdir");
    const place = this.lookup.place(dir, path, false);
    if (place.errno !== 0) return -place.errno;
    return place.inode !== null ? -K.EEXIST : this.make(place, "directory", mode);
  }

  override mkfifo(dir: Fd, path: Uint8Array, mode: number): number {
    this.enter("mkfifo");
    const place = this.lookup.place(dir, path, false);
    if (place.errno !== 0) return -place.errno;
    return place.inode !== null ? -K.EEXIST : this.make(place, "fifo", mode);
  }

  override chmod(dir: Fd, path: Uint8Array, mode: number): number {
    this.enter("chmod");
    const place = this.lookup.place(dir, path, true);
    if (place.errno !== 0) return -place.errno;
    const inode = place.inode;
    if (inode === null) return -K.ENOENT;
    inode.mode = mode & 0o7777;
    if (place.parent !== null) place.parent.notify(K.IN_ATTRIB, place.name);
    return 0;
  }

  override stat(dir: Fd, path: Uint8Array, flags: number, into: Stat): number {
    this.enter("stat");
    const place = this.lookup.place(dir, path, (flags & K.AT_SYMLINK_NOFOLLOW) === 0);
    if (place.errno !== 0) return -place.errno;
    if (place.inode === null) return -K.ENOENT;
    fill(into, place.inode);
    return 0;
  }

  override chdir(path: Uint8Array): number {
    this.enter("chdir");
    const place = this.lookup.place(K.AT_FDCWD, path, true);
    if (place.errno !== 0) return -place.errno;
    if (place.inode === null) return -K.ENOENT;
    if (place.inode.kind !== "directory") return -K.ENOTDIR;
    this.me.cwd = place.inode;
    return 0;
  }
}
