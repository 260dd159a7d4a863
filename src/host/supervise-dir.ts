/**
 * Where the supervise directory of a service is. Every program that talks to a
 * supervisor from outside asks here, so that a rule other than
 * `SERVICE/supervise` has one place.
 *
 * Nothing changes its working directory: a service is a directory descriptor
 * and a path below it, and each file costs one call with the path made in
 * place.
 */
import { ascii, concat, EMPTY, equal, joined } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { AT_FDCWD, ENOENT, O_CLOEXEC, O_DIRECTORY, O_NONBLOCK, O_PATH } from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { findMirror, stateDirectories } from "./mirror.ts";

/** Longer service names are opened first, so that name and file together stay within PATH_MAX. */
const NAME_BYTES_MAX = 3500;
/** Room for the file part of a path. */
const FILE_BYTES_MAX = 64;
const SLASH = ascii("/");
const SLASH_BYTE = 47;

export const OK = ascii("supervise/ok");
export const STATUS = ascii("supervise/status");
export const CONTROL = ascii("supervise/control");
const SUPERVISE = ascii("supervise");
const LOG = ascii("log/");
const SELF = ascii(".");
const LOG_SELF = ascii("log/.");

/** A service directory: a path below a directory descriptor. */
export class ServicePlace {
  readonly base: Fd;
  /** What leads to `base` for calls that take no descriptor: empty, or ends with a slash. */
  readonly basePath: Uint8Array;
  /** Empty, or ends with a slash. */
  readonly prefix: Uint8Array;
  /** Where `supervise` is instead: a path that ends with a slash (mirror.ts). */
  #mirror: Uint8Array | null = null;
  readonly #path: Uint8Array;

  constructor(base: Fd, basePath: Uint8Array, prefix: Uint8Array) {
    this.base = base;
    this.basePath = basePath;
    this.prefix = prefix;
    this.#path = joined(prefix, EMPTY, FILE_BYTES_MAX);
  }

  /** The path, below `base`, of a file in the service directory; valid until the next call. */
  path(file: Uint8Array): Uint8Array {
    this.#path.set(file, this.prefix.length);
    return this.#path.subarray(0, this.prefix.length + file.length);
  }

  get mirror(): Uint8Array | null {
    return this.#mirror;
  }

  /** Looks for a mirror. Whether there is one, and `supervise` is now looked for in it. */
  turnToMirror(kernel: Kernel): boolean {
    if (stateDirectories.paths.length === 0) return false;
    this.#mirror = findMirror(kernel, this.base, this.path(SELF).slice());
    return this.#mirror !== null;
  }

  /** Back to the service directory. */
  turnBack(): void {
    this.#mirror = null;
  }

  /** The log service's place. */
  log(): ServicePlace {
    return new ServicePlace(this.base, this.basePath, joined(this.prefix, LOG, 0));
  }
}

/** The place of the directory `name`, not empty, below `base`. */
export function servicePlace(kernel: Kernel, base: Fd, basePath: Uint8Array, name: Uint8Array): ServicePlace {
  if (name.length > NAME_BYTES_MAX) {
    const fd = kernel.open(base, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd >= 0) return new ServicePlace(fd, EMPTY, EMPTY);
  }
  const ended = name.length > 0 && name[name.length - 1]! === 47;
  return new ServicePlace(base, basePath, ended ? name : joined(name, SLASH, 0));
}

/** Whether one could change to the directory: 0, or -errno as chdir(2) would say. */
export function enterable(kernel: Kernel, place: ServicePlace, scratch: Stat): number {
  return kernel.stat(place.base, place.path(SELF), 0, scratch);
}

/** Whether there is a log service's directory, which may be one that cannot be entered. */
export function hasLog(kernel: Kernel, place: ServicePlace, scratch: Stat): boolean {
  return kernel.stat(place.base, place.path(LOG_SELF), 0, scratch) !== -ENOENT;
}

/** Opens a file of the supervise directory (OK, STATUS, CONTROL…). Returns the descriptor or -errno. */
export function openSupervise(kernel: Kernel, place: ServicePlace, file: Uint8Array, flags: number): Fd {
  const all = flags | O_NONBLOCK | O_CLOEXEC;
  const mirror = place.mirror;
  if (mirror !== null) return kernel.open(AT_FDCWD, concat([mirror, file]), all, 0);
  return kernel.open(place.base, place.path(file), all, 0);
}

/** The supervise directory as inotify(7) is to be told: a path from the working directory, or null when there is none. */
export function supervisePath(place: ServicePlace): Uint8Array | null {
  const mirror = place.mirror;
  if (mirror !== null) return concat([mirror, SUPERVISE]);
  if (place.prefix.length === 0) return null;
  return concat([place.prefix[0]! === 47 ? EMPTY : place.basePath, place.prefix, SUPERVISE]);
}

/** The service directory itself, for a program that is to run in it. Descriptor or -errno. */
export function openServiceDirectory(kernel: Kernel, place: ServicePlace): Fd {
  return kernel.open(place.base, place.path(SELF), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

/** At most so many directories are kept open to find services in. */
const PARENTS_MAX = 16;

/** The directory services are named in: opened once, and the error kept. And those of services named by path. */
export class ServicesDirectory {
  readonly #kernel: Kernel;
  /** Of the last service named by path; ends with a slash. Opened once a second one lies in it. */
  #parent: Uint8Array = EMPTY;
  #parentFd: Fd = -1;
  #parents = 0;
  /** Ends with a slash. */
  readonly path: Uint8Array;
  #fd: Fd = 0;
  #opened = false;

  constructor(kernel: Kernel, path: Uint8Array) {
    this.#kernel = kernel;
    this.path = concat([path, SLASH]);
  }

  /** Descriptor, or -errno. */
  get fd(): Fd {
    if (!this.#opened) {
      this.#opened = true;
      this.#fd = this.#kernel.open(AT_FDCWD, this.path.subarray(0, this.path.length - 1), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    }
    return this.#fd;
  }

  /** A service named by a path from the working directory. Its neighbours are looked up from where they are, not from afar. */
  byPath(path: Uint8Array): ServicePlace {
    const at = lastPart(path);
    const parent = path.subarray(0, at);
    if (at === 0 || !equal(parent, this.#parent)) {
      this.#parent = parent;
      this.#parentFd = -1;
    } else if (this.#parentFd < 0 && this.#parents < PARENTS_MAX) {
      this.#parents++;
      this.#parentFd = this.#kernel.open(AT_FDCWD, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    }
    if (this.#parentFd < 0) return servicePlace(this.#kernel, AT_FDCWD, EMPTY, path);
    return servicePlace(this.#kernel, this.#parentFd, parent, path.subarray(at));
  }
}

/** Where the last part of a path begins; slashes at its end do not count. */
function lastPart(path: Uint8Array): number {
  let at = path.length;
  while (at > 1 && path[at - 1]! === SLASH_BYTE) at--;
  while (at > 0 && path[at - 1]! !== SLASH_BYTE) at--;
  return at;
}

/** errno is 0 when there is a place. */
export type Located = { readonly errno: number; readonly place: ServicePlace };

/**
 * The place of a service named on a command line, or -errno. A name that
 * starts with `/` or `.`, or ends with `/`, is looked up from the working
 * directory, any other in the services directory.
 */
export function locate(kernel: Kernel, services: ServicesDirectory, name: Uint8Array): Located {
  if (name.length === 0) return { errno: ENOENT, place: NOWHERE };
  const first = name[0]!;
  const last = name[name.length - 1]!;
  if (first === 47 || first === 46 || last === 47) {
    return { errno: 0, place: services.byPath(name) };
  }
  const fd = services.fd;
  if (fd < 0) return { errno: -fd, place: NOWHERE };
  return { errno: 0, place: servicePlace(kernel, fd, services.path, name) };
}

export const NOWHERE = new ServicePlace(-1, EMPTY, EMPTY);
export const scratchStat = new Stat();
