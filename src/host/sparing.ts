/**
 * A supervisor among so many that descriptors are scarce needs one: its control
 * FIFO. The lock is held by a mapping, `ok` is another name of that FIFO, and
 * the directories are opened when they are needed, by the path the kernel knows
 * the FIFO by, which is right also after they were renamed.
 */
import { ascii, lastIndexOf } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  EAGAIN,
  ENAMETOOLONG,
  ENOENT,
  LOCK_EX,
  LOCK_NB,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
} from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { Part } from "../reactor.ts";

const PATH_BYTES = 4096;
const SLASH = 47;

/** Whose directories may be put away. */
export abstract class Sparing extends Part {
  /** They are needed: opens them again, if they were put away. */
  abstract rouse(): void;
  abstract putAway(): void;
}

/** Of those who put them away, the one that has them open now. */
export class OpenOne {
  #who: Sparing | null = null;

  take(who: Sparing): void {
    const before = this.#who;
    this.#who = who;
    if (before !== null && before !== who) before.putAway();
  }
}

function same(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** Opens the directory a FIFO that is open lies in as `name`. Descriptor, or -errno: ENOENT when it is not to be found. */
export function openAround(kernel: Kernel, fifo: Fd, name: Uint8Array): Fd {
  const path = new Uint8Array(PATH_BYTES);
  const n = kernel.readlink(AT_FDCWD, ascii(`/proc/self/fd/${fifo}`), path);
  if (n < 0) return n;
  if (n >= PATH_BYTES) return -ENAMETOOLONG;
  const slash = lastIndexOf(path.subarray(0, n), SLASH);
  if (slash <= 0) return -ENOENT;
  const dir = kernel.open(AT_FDCWD, path.subarray(0, slash), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (dir < 0) return dir;
  const open = new Stat();
  const found = new Stat();
  if (kernel.fstat(fifo, open) >= 0 && kernel.stat(dir, name, 0, found) >= 0 && same(open, found)) return dir;
  kernel.close(dir);
  return -ENOENT;
}

/** Whether `name` below a directory is a directory itself, no link to one, and `fd` is it. */
export function isChild(kernel: Kernel, directory: Fd, name: Uint8Array, fd: Fd): boolean {
  const named = new Stat();
  const open = new Stat();
  if (kernel.stat(directory, name, AT_SYMLINK_NOFOLLOW, named) < 0 || kernel.fstat(fd, open) < 0) return false;
  return named.isDirectory() && same(named, open);
}

/** What holds a lock: a descriptor (< 0: none), a mapping (0: none), or both. */
export type Holder = { readonly fd: Fd; readonly mapping: number };

/** Lets a mapping hold the lock that `fd` has of the file `name`, if the file system goes along with that. */
export function holdWithoutDescriptor(kernel: Kernel, dir: Fd, name: Uint8Array, fd: Fd): Holder {
  const mapping = kernel.hold(fd);
  if (mapping < 0) return { fd, mapping: 0 };
  const other = kernel.open(dir, name, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (other < 0) {
    kernel.letGo(mapping);
    return { fd, mapping: 0 };
  }
  kernel.close(fd);
  // On overlayfs the mapping is of another file, and the lock is free now.
  const taken = kernel.flock(other, LOCK_EX | LOCK_NB);
  if (taken === -EAGAIN) {
    kernel.close(other);
    return { fd: -1, mapping };
  }
  if (taken < 0) return { fd: other, mapping };
  kernel.letGo(mapping);
  return { fd: other, mapping: 0 };
}

/** Makes `other` a second name of the FIFO `fifo`, unless they are not for the same users. Whether it is one now. */
export function joinFifos(kernel: Kernel, dir: Fd, fifo: Uint8Array, other: Uint8Array, temporary: Uint8Array): boolean {
  const a = new Stat();
  const b = new Stat();
  if (kernel.stat(dir, fifo, 0, a) < 0 || kernel.stat(dir, other, 0, b) < 0) return false;
  if (same(a, b)) return true;
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false;
  kernel.unlink(dir, temporary, 0);
  if (kernel.link(dir, fifo, dir, temporary, 0) < 0) return false;
  if (kernel.rename(dir, temporary, dir, other) >= 0) return true;
  kernel.unlink(dir, temporary, 0);
  return false;
}
