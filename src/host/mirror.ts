/**
 * Where `supervise` goes when its service directory cannot be written: below a
 * state directory, under the path of the service directory itself. The same
 * rule for those who make it (runsv) and those who look for it (sv, an init):
 *
 *   STATE/PATH/OF/THE/SERVICE/DIRECTORY/supervise
 *
 * The path is the one without symbolic links. STATE is UPKEEP_STATE, or else
 * the first of /run/upkeep, $XDG_RUNTIME_DIR/upkeep, /run/user/UID/upkeep in
 * which it can be made, or is found. Without a mounted /proc a path cannot be
 * had for a directory; it is then STATE/.DEVICE-INODE. What lies on the way from
 * STATE on must be root's or our own: /run may be writable for all.
 */
import { ascii, concat, indexOf } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_DIRECTORY, O_PATH } from "../kernel/constants.ts";
import { userId, variable } from "../kernel/credentials.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";

const PATH_BYTES = 4096;
const SLASH = 47;
const WRITABLE_BY_OTHERS = 0o022;
const SUPERVISE = ascii("supervise");

/** The state directories, in the order in which they are tried. Empty until `find`: no mirror is made or looked for. */
export class StateDirectories {
  #paths: Uint8Array[] = [];
  /** By UPKEEP_STATE. */
  given = false;
  /** The process is done before anybody makes another: which ones are there is looked up once. */
  brief = false;
  #there: Uint8Array[] = [];
  #looked = false;

  /** From the environment of this process. */
  find(): void {
    const own = variable(ascii("UPKEEP_STATE"));
    if (own !== null && own.length > 0) {
      this.#paths = [own];
      this.given = true;
      return;
    }
    const paths: Uint8Array[] = [ascii("/run/upkeep")];
    const runtime = variable(ascii("XDG_RUNTIME_DIR"));
    if (runtime !== null && runtime.length > 0) paths.push(concat([runtime, ascii("/upkeep")]));
    paths.push(ascii(`/run/user/${userId()}/upkeep`));
    this.#paths = paths;
  }

  get paths(): readonly Uint8Array[] {
    return this.#paths;
  }

  /** Those in which a mirror can be found. */
  there(kernel: Kernel): readonly Uint8Array[] {
    if (this.#looked && this.brief) return this.#there;
    const stat = new Stat();
    const there: Uint8Array[] = [];
    for (let i = 0; i < this.#paths.length; i++) {
      if (kernel.stat(AT_FDCWD, this.#paths[i]!, 0, stat) >= 0) there.push(this.#paths[i]!);
    }
    this.#there = there;
    this.#looked = true;
    return there;
  }
}

export const stateDirectories = new StateDirectories();

/** What stands for the service directory `service` below a state directory; starts with a slash. null: it is gone. */
function place(kernel: Kernel, service: Fd): Uint8Array | null {
  const b = new Uint8Array(PATH_BYTES);
  const n = kernel.readlink(AT_FDCWD, ascii(`/proc/self/fd/${service}`), b);
  if (n > 0 && n < b.length && b[0]! === SLASH) return b.slice(0, n);
  const stat = new Stat();
  return kernel.fstat(service, stat) < 0 ? null : ascii(`/.${stat.dev}-${stat.ino}`);
}

/** Whether `path` is a directory of ours or root's, no link, that nobody else may change. */
function isOurs(kernel: Kernel, path: Uint8Array): boolean {
  const stat = new Stat();
  if (kernel.stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, stat) < 0 || !stat.isDirectory()) return false;
  return (stat.uid === 0 || stat.uid === userId()) && (stat.mode & WRITABLE_BY_OTHERS) === 0;
}

/**
 * Makes `path` and what leads to it, with mode `mode`. Whether it is there. From the
 * state directory (`own` bytes) on, a part that another user may have made is
 * not taken: who owns supervise owns the service.
 */
function makePath(kernel: Kernel, path: Uint8Array, own: number, mode: number): boolean {
  for (let at = indexOf(path, SLASH, 1); at >= 0; at = indexOf(path, SLASH, at + 1)) {
    const part = path.slice(0, at);
    kernel.mkdir(AT_FDCWD, part, 0o755);
    if (at > own && !isOurs(kernel, part)) return false;
  }
  kernel.mkdir(AT_FDCWD, path, mode);
  return isOurs(kernel, path);
}

/** Makes the mirror's supervise directory. An O_PATH descriptor, or -1 when no state directory takes it. */
export function makeMirror(kernel: Kernel, service: Fd): Fd {
  const own = stateDirectories.paths.length === 0 ? null : place(kernel, service);
  for (let i = 0; own !== null && i < stateDirectories.paths.length; i++) {
    const state = stateDirectories.paths[i]!;
    const supervise = concat([state, own, ascii("/"), SUPERVISE]);
    // A state directory that was given is as its giver has it: an empty volume is anybody's.
    if (!makePath(kernel, supervise, state.length - (stateDirectories.given ? 0 : 1), 0o700)) continue;
    const fd = kernel.open(AT_FDCWD, supervise, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd >= 0) return fd;
  }
  return -1;
}

/** The mirror of a service directory (ends with a slash; `supervise` is in it), where there is one; else null. */
export function findMirror(kernel: Kernel, base: Fd, service: Uint8Array): Uint8Array | null {
  const states = stateDirectories.there(kernel);
  if (states.length === 0) return null;
  const fd = kernel.open(base, service, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return null;
  const own = place(kernel, fd);
  kernel.close(fd);
  const stat = new Stat();
  for (let i = 0; own !== null && i < states.length; i++) {
    const path = concat([states[i]!, own, ascii("/")]);
    if (kernel.stat(AT_FDCWD, concat([path, SUPERVISE]), 0, stat) >= 0) return path;
  }
  return null;
}
