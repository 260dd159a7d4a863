/** Path lookup in the simulated file system, and the few files of /proc that supervisors read. */
import { ascii, equal, startsWith, text } from "../../base/bytes.ts";
import { AT_FDCWD, EBADF, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } from "../constants.ts";
import type { Inode } from "./inode.ts";
import type { OpenFile } from "./open-file.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

/** Where a path leads: the directory, the last name in it, and what has that name (null: nothing). */
export type Place = {
  readonly errno: number;
  readonly parent: Inode | null;
  readonly name: Uint8Array;
  readonly inode: Inode | null;
};

const NAME_MAX = 255;
const PATH_MAX = 4096;
const LINKS_MAX = 40;
const SLASH = 47;
const NO_BYTES = new Uint8Array(0);
const DOT = ascii(".");
const DOT_DOT = ascii("..");

function failed(errno: number): Place {
  return { errno, parent: null, name: NO_BYTES, inode: null };
}

export class Lookup {
  readonly #world: World;
  readonly #process: Process;
  #links = 0;

  constructor(world: World, process: Process) {
    this.#world = world;
    this.#process = process;
  }

  /** `follow`: whether a symbolic link at the end is followed. */
  place(dir: number, path: Uint8Array, follow: boolean): Place {
    this.#process.lastPath = path;
    if (path.length === 0) return failed(ENOENT);
    if (path.length >= PATH_MAX) return failed(ENAMETOOLONG);
    for (let i = 0; i < path.length; i++) if (path[i]! === 0) return failed(EINVAL);
    this.#links = 0;
    let start = this.#process.cwd;
    if (dir !== AT_FDCWD && path[0]! !== SLASH) {
      const d = this.#process.descriptor(dir);
      if (d === null) return failed(EBADF);
      const inode = d.file.inode;
      if (inode === null || inode.kind !== "directory") return failed(ENOTDIR);
      start = inode;
    }
    return this.#walk(start, path, follow);
  }

  #walk(from: Inode, path: Uint8Array, follow: boolean): Place {
    let at = path[0]! === SLASH ? this.#world.root : from;
    let place: Place = { errno: 0, parent: at, name: DOT, inode: at };
    let start = 0;
    while (start < path.length) {
      let end = start;
      while (end < path.length && path[end]! !== SLASH) end++;
      if (end > start) {
        // A directory that is needed on the way.
        const inode = place.inode;
        if (inode === null) return failed(ENOENT);
        if (inode.kind !== "directory") return failed(ENOTDIR);
        at = inode;
        place = this.#one(at, path.subarray(start, end), follow || end < path.length);
        if (place.errno !== 0) return place;
      }
      start = end + 1;
    }
    return place;
  }

  #one(dir: Inode, name: Uint8Array, follow: boolean): Place {
    if (name.length > NAME_MAX) return failed(ENAMETOOLONG);
    if (equal(name, DOT)) return { errno: 0, parent: dir, name, inode: dir };
    if (equal(name, DOT_DOT)) return { errno: 0, parent: dir, name, inode: dir.parent === null ? dir : dir.parent };
    const inode = dir.child(name);
    if (inode !== null && inode.kind === "symlink" && follow) {
      this.#links++;
      if (this.#links > LINKS_MAX || inode.data.length === 0) return failed(ELOOP);
      return this.#walk(dir, inode.data, true);
    }
    return { errno: 0, parent: dir, name, inode };
  }
}

const PROC = ascii("/proc/");
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** Contents of a file of /proc, or null when there is none of that name. */
export function procFile(world: World, self: Process, path: Uint8Array): Uint8Array | null {
  if (!startsWith(path, PROC)) return null;
  const name = text(path);
  if (name === BOOT_ID) return ascii(`00000000-0000-4000-8000-${`${100000000000 + world.bootNumber}`}\n`);
  const words = name.split("/");
  if (words.length !== 4) return null;
  const p = words[2]! === "self" ? self : world.find(parseInt(words[2]!, 10));
  if (p === null) return null;
  switch (words[3]!) {
    case "stat":
      return procStat(p);
    case "cmdline": {
      const parts: string[] = [];
      for (let i = 0; i < p.argv.length; i++) parts.push(`${text(p.argv[i]!)}\0`);
      return ascii(parts.join(""));
    }
    default:
      return null;
  }
}

/** What /proc/PID/fd/N stands for, or null when the path is no such. */
export function procDescriptor(world: World, self: Process, path: Uint8Array): OpenFile | null {
  if (!startsWith(path, PROC)) return null;
  const words = text(path).split("/");
  if (words.length !== 5 || words[3]! !== "fd") return null;
  const p = words[2]! === "self" ? self : world.find(parseInt(words[2]!, 10));
  const d = p === null ? null : p.descriptor(parseInt(words[4]!, 10));
  return d === null ? null : d.file;
}

/** What /proc/self/fd/N reads as (proc(5)): the path of a named file, whichever of its names. */
export function descriptorPath(world: World, file: OpenFile): Uint8Array {
  const inode = file.inode;
  const named = inode === null ? null : pathBelow(world.root, inode);
  return ascii(named ?? "/somewhere (deleted)");
}

/** The path of an inode in what lies below a directory; null: it is not there. */
function pathBelow(directory: Inode, inode: Inode): string | null {
  for (let i = 0; i < directory.entries.length; i++) {
    const entry = directory.entries[i]!;
    const name = `/${text(entry.name)}`;
    if (entry.inode === inode) return name;
    const below = entry.inode.kind === "directory" ? pathBelow(entry.inode, inode) : null;
    if (below !== null) return name + below;
  }
  return null;
}

/** proc_pid_stat(5): the start time in ticks of 10 ms is field 22, the wait status of a zombie field 52. */
const REST = "100000 50 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0";

function procStat(p: Process): Uint8Array {
  const state = p.state === "zombie" ? "Z" : p.stopped ? "T" : "S";
  const parent = p.parent === null ? 0 : p.parent.pid;
  const ticks = Math.floor(p.startedAt / 10);
  const status = p.state === "zombie" ? p.status : 0;
  return ascii(
    `${p.pid} (prog) ${state} ${parent} ${p.session} ${p.session} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 ${ticks} ${REST} ${status}\n`,
  );
}
