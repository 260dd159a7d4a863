/**
 * Tells when a directory that is known by its path may have changed: inotify(7)
 * on the directory, and on the parent of every symbolic link on the way to it
 * (runsvchdir swaps such a link). Where the kernel refuses, `active` is false
 * and the owner looks by the clock.
 */
import { concat, lastIndexOf } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import {
  AT_FDCWD,
  EPOLLIN,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONLYDIR,
} from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Part, Reactor } from "../reactor.ts";

const ENTRIES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
const ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB;
const LINKS_MAX = 8;
const EVENT_BYTES = 4096;
const PATH_BYTES = 4096;

/** The directory a path's last name stands in, with the slash; "./" for a bare name. */
function parent(path: Uint8Array): Uint8Array {
  const slash = lastIndexOf(path, 47);
  if (slash >= 0) return path.slice(0, slash + 1);
  const here = new Uint8Array(2);
  here[0] = 46;
  here[1] = 47;
  return here;
}

function withoutTrailingSlashes(path: Uint8Array): Uint8Array {
  let end = path.length;
  while (end > 1 && path[end - 1]! === 47) end--;
  return path.subarray(0, end);
}

export class DirectoryWatch {
  readonly #reactor: Reactor;
  readonly #kernel: Kernel;
  readonly #part: Part;
  #fd: Fd = -1;

  /** `part` gets `ready` with `fd` when something happened. */
  constructor(reactor: Reactor, part: Part) {
    this.#reactor = reactor;
    this.#kernel = reactor.kernel;
    this.#part = part;
  }

  get fd(): Fd {
    return this.#fd;
  }

  get active(): boolean {
    return this.#fd >= 0;
  }

  /** Watches what `path` leads to now, and nothing else any more. */
  follow(path: Uint8Array): void {
    this.close();
    const fd = this.#kernel.inotifyInit();
    if (fd < 0) return;
    const directory = withoutTrailingSlashes(path);
    const watched = this.#kernel.inotifyAdd(fd, directory, ENTRIES | ITSELF);
    if (watched < 0 || this.#reactor.watch(fd, EPOLLIN, this.#part, false) < 0) {
      this.#kernel.close(fd);
      return;
    }
    this.#fd = fd;
    this.#watchLinks(directory);
  }

  /** Takes the pending events; call from `ready`. */
  drain(): void {
    const b = new Uint8Array(EVENT_BYTES);
    while (this.#fd >= 0 && this.#kernel.read(this.#fd, b) > 0) {}
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#reactor.unwatch(this.#fd);
    this.#kernel.close(this.#fd);
    this.#fd = -1;
  }

  #watchLinks(directory: Uint8Array): void {
    let path = directory;
    const target = new Uint8Array(PATH_BYTES);
    for (let i = 0; i < LINKS_MAX; i++) {
      const n = this.#kernel.readlink(AT_FDCWD, path, target);
      if (n <= 0 || n >= target.length) return;
      const above = parent(path);
      this.#kernel.inotifyAdd(this.#fd, above, ENTRIES);
      const to = target.slice(0, n);
      path = withoutTrailingSlashes(to[0]! === 47 ? to : concat([above, to]));
    }
  }
}
