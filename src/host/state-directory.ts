/**
 * supervise/ of one service or log service, seen from inside: lock, control,
 * ok, and the files that tell the state. All below a directory descriptor, so
 * that they stay the right ones when the service directory is replaced.
 *
 *   lock     flock(2) held for life     control  FIFO of commands
 *   ok       FIFO whose reader says "a supervisor lives"
 *   pid stat status                     written beside and renamed
 *   adopt    the record for a successor (formats/adopt.ts)
 */
import { ascii } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd } from "../base/units.ts";
import type { Service } from "../core/service.ts";
import { ADOPT_BYTES, AdoptRecord } from "../formats/adopt.ts";
import { packStatus } from "../formats/status.ts";
import { unpackTai64n } from "../formats/tai64n.ts";
import {
  EACCES,
  EINTR,
  EINVAL,
  ENOENT,
  ENOSPC,
  EPERM,
  EROFS,
  LOCK_EX,
  LOCK_NB,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
} from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { readAdopt } from "./adopt-file.ts";
import { makeMirror } from "./mirror.ts";
import { holdWithoutDescriptor, isChild, joinFifos, openAround, type Sparing } from "./sparing.ts";

/** Longest target of a `supervise` link that is followed to make the directory. */
const LINK_BYTES_MAX = 255;
const READ_NONBLOCK = O_RDONLY | O_NONBLOCK | O_CLOEXEC;

/** Whether an error says that nothing may be written there, rather than that something went wrong. */
function isRefusal(errno: number): boolean {
  return errno === EROFS || errno === EACCES || errno === EPERM;
}

/** All that stat tells, as a number: state 0 to 2, paused, got TERM, and what is wanted. */
function statCode(s: Service): number {
  const state = s.state === "down" ? 0 : s.state === "run" ? 1 : 2;
  const want = s.want === "up" ? 0 : s.want === "exit" ? 1 : 2;
  return state + (s.paused ? 4 : 0) + (s.gotTerm ? 8 : 0) + want * 16;
}

/** What stat says: state, then paused, got TERM, and what is wanted if it is not the state. */
export function statText(s: Service): string {
  let line: string = s.state;
  if (s.paused) line += ", paused";
  if (s.gotTerm) line += ", got TERM";
  if (s.state !== "down" && s.want !== "up") line += s.want === "exit" ? ", want exit" : ", want down";
  return `${line}\n`;
}

export class StateDirectory {
  readonly record: AdoptRecord = new AdoptRecord();
  lockFd: Fd = -1;
  controlFd: Fd = -1;
  /** The record is another user's, and was not believed. */
  foreignRecord = false;
  readonly #kernel: Kernel;
  readonly #keeper: Sparing;
  /** "supervise" or "log/supervise", for messages. */
  readonly name: string;
  /** -1: it is put away, or not open yet. */
  #dir: Fd = -1;
  /** Why it could not be opened again; 0: it could. */
  #lost = 0;
  /** What holds the lock in place of `lockFd`; 0: nothing. */
  #mapping = 0;
  #okFd: Fd = -1;
  #recordFd: Fd = -1;
  /** What is in the files; -1: nobody knows. */
  #pidWritten = -1;
  #statWritten = -1;
  #statusWritten = -1;
  /** The label is another than the one in status. */
  stamped = true;
  /** The last attempt failed because nothing may be written there. */
  #refused = false;

  /** `keeper`: asked to open the directory again where it was put away. */
  constructor(kernel: Kernel, name: string, keeper: Sparing) {
    this.#kernel = kernel;
    this.#keeper = keeper;
    this.name = name;
  }

  get recordFd(): Fd {
    this.#rouse();
    return this.#recordFd;
  }

  /**
   * Makes supervise/ below `service` (a `supervise` link's target when it
   * dangles), or in the mirror where that cannot be written, and takes the
   * lock, or takes over `inheritedLock` (>= 0). Returns the text of a fatal
   * message, or null.
   */
  openAndLock(service: Fd, inheritedLock: Fd): string | null {
    const problem = this.#openHere(service, inheritedLock);
    if (problem === null || !this.#refused) return problem;
    const mirror = makeMirror(this.#kernel, service);
    if (mirror < 0) return problem;
    if (this.#dir >= 0) this.#kernel.close(this.#dir);
    this.#dir = mirror;
    return this.#lock(inheritedLock);
  }

  #openHere(service: Fd, inheritedLock: Fd): string | null {
    const k = this.#kernel;
    const problem = this.#makeDirectory(service);
    if (problem !== null) return problem;
    this.#dir = k.open(service, ascii("supervise"), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (this.#dir < 0) return this.#unable("open", "/lock", -this.#dir);
    return this.#lock(inheritedLock);
  }

  #lock(inherited: Fd): string | null {
    const k = this.#kernel;
    if (inherited >= 0) {
      this.lockFd = inherited;
      return null;
    }
    this.lockFd = k.open(this.#dir, ascii("lock"), O_RDWR | O_NONBLOCK | O_APPEND | O_CREAT | O_CLOEXEC, 0o600);
    this.#refused = this.lockFd < 0 && isRefusal(-this.lockFd);
    if (this.lockFd < 0) return this.#unable("open", "/lock", -this.lockFd);
    const locked = k.flock(this.lockFd, LOCK_EX | LOCK_NB);
    return locked < 0 ? this.#unable("lock", "/lock", -locked) : null;
  }

  /** Opens the FIFOs and the record. Returns the text of a fatal message, or null. */
  openFifos(): string | null {
    const k = this.#kernel;
    k.mkfifo(this.#dir, ascii("control"), 0o600);
    const stat = new Stat();
    const seen = k.stat(this.#dir, ascii("control"), 0, stat);
    if (seen < 0) return this.#unable("stat", "/control", -seen);
    if (!stat.isFifo()) return `${this.name}/control exists but is not a fifo`;
    // One descriptor for reading and for holding the write end, so that the FIFO never reports end of file (fifo(7)).
    this.controlFd = k.open(this.#dir, ascii("control"), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    if (this.controlFd < 0) return this.#unable("open", "/control", -this.controlFd);
    k.mkfifo(this.#dir, ascii("ok"), 0o600);
    this.#okFd = k.open(this.#dir, ascii("ok"), READ_NONBLOCK, 0);
    if (this.#okFd < 0) return this.#unable("read", "/ok", -this.#okFd);
    return this.#openRecord();
  }

  /** The directory was removed: nobody can read what would be written. */
  get removed(): boolean {
    this.#rouse();
    const stat = new Stat();
    return this.#lost === ENOENT || (this.#kernel.fstat(this.#dir, stat) >= 0 && stat.nlink === 0);
  }

  /** The record as the predecessor left it; false when there is none of this boot. */
  readRecord(bootId: Uint8Array): boolean {
    let n = -EINTR;
    this.#rouse();
    while (n === -EINTR) n = this.#recordFd < 0 ? 0 : readAdopt(this.#kernel, this.#recordFd, this.record);
    this.foreignRecord = n === -EPERM;
    return n === ADOPT_BYTES && this.record.ofBoot(bootId);
  }

  /** The record says how the service is; not `ownProcess`: there is no process for a successor to find. */
  fillRecord(s: Service, ownProcess: boolean): void {
    const record = this.record;
    const down = !ownProcess || (s.state === "down" && s.starting === null);
    record.state = down ? 0 : s.state === "finish" ? 2 : 1;
    record.pid = ownProcess ? s.pid : 0;
    record.want = s.want === "up" ? 117 : s.want === "down" ? 100 : 120;
    record.paused = s.paused;
    record.gotTerm = s.gotTerm;
    record.lastStatus = s.lastStatus;
    record.writtenBootMs = this.#kernel.bootTimeMs();
  }

  /** Writes the record where the next supervisor finds it. False: a full disk leaves the old one. */
  writeRecord(): boolean {
    this.#rouse();
    // It could not be made on a full disk; simulate/found.
    if (this.#recordFd < 0) this.#openRecord();
    let at = 0;
    while (this.#recordFd >= 0 && at < ADOPT_BYTES) {
      const n = this.#kernel.pwrite(this.#recordFd, this.record.raw.subarray(at), at);
      if (n === -EINTR) continue;
      if (n <= 0) return false;
      at += n;
    }
    return at === ADOPT_BYTES;
  }

  /** A clean end leaves no record. */
  dropRecord(): void {
    this.#rouse();
    if (this.#recordFd >= 0) this.#kernel.truncate(this.#recordFd, 0);
  }

  /** Writes what changed of pid, stat and status. Returns the text of a warning, or null when all is written. */
  writeFiles(s: Service): string | null {
    const pid = s.pid;
    const code = statCode(s);
    if (pid !== this.#pidWritten) {
      const problem = this.#replace("pid", ascii("pid.new"), ascii("pid"), ascii(pid === 0 ? "" : `${pid}\n`));
      if (problem !== null) return problem;
      this.#pidWritten = pid;
      this.#statusWritten = -1;
    }
    if (code !== this.#statWritten) {
      const problem = this.#replace("stat", ascii("stat.new"), ascii("stat"), ascii(statText(s)));
      if (problem !== null) return problem;
      this.#statWritten = code;
    }
    if (code === this.#statusWritten && !this.stamped) return null;
    const since = unpackTai64n(this.record.label, 0);
    const want = s.want === "up" ? "up" : "down";
    const packed = packStatus({ since, pid, paused: s.paused, want, gotTerm: s.gotTerm, state: s.state });
    const problem = this.#replace("status", ascii("status.new"), ascii("status"), packed);
    if (problem !== null) return problem;
    this.#statusWritten = code;
    this.stamped = false;
    return null;
  }

  // ---- Few descriptors (sparing.ts) ----

  /**
   * Gives up what can be done without but for the directory and the record;
   * whether these can be found again once they are put away: when supervise/ is in
   * `parent` itself, and /proc is there.
   */
  spare(parent: Fd): boolean {
    const k = this.#kernel;
    const holder = holdWithoutDescriptor(k, this.#dir, ascii("lock"), this.lockFd);
    this.lockFd = holder.fd;
    this.#mapping = holder.mapping;
    if (joinFifos(k, this.#dir, ascii("control"), ascii("ok"), ascii("ok.new"))) {
      k.close(this.#okFd);
      this.#okFd = -1;
    }
    const again = openAround(k, this.controlFd, ascii("control"));
    if (again < 0) return false;
    const found = isChild(k, parent, ascii("supervise"), again);
    k.close(again);
    return found;
  }

  putAway(): void {
    if (this.#dir >= 0) this.#kernel.close(this.#dir);
    if (this.#recordFd >= 0) this.#kernel.close(this.#recordFd);
    this.#dir = -1;
    this.#recordFd = -1;
  }

  /** Opens again what was put away. */
  reopen(): void {
    if (this.#dir >= 0) return;
    const dir = openAround(this.#kernel, this.controlFd, ascii("control"));
    this.#lost = Math.max(0, -dir);
    if (dir < 0) return;
    this.#dir = dir;
    if (this.#openRecord() === null) return;
    this.#lost = -this.#recordFd;
    this.putAway();
  }

  /** Why it cannot be opened again, as an errno; 0: it is open. */
  get lost(): number {
    this.#rouse();
    return this.#dir < 0 ? this.#lost : 0;
  }

  /** Opens the directory that supervise/ is in. Descriptor, or -errno. */
  openParent(): Fd {
    return openDirectory(this.#kernel, this.#dir, ascii(".."));
  }

  #rouse(): void {
    if (this.#dir < 0) this.#keeper.rouse();
  }

  close(): void {
    const fds: Fd[] = [this.controlFd, this.#okFd, this.#recordFd, this.lockFd, this.#dir];
    for (let i = 0; i < fds.length; i++) if (fds[i]! >= 0) this.#kernel.close(fds[i]!);
    this.controlFd = -1;
    this.#okFd = -1;
    this.#recordFd = -1;
    this.lockFd = -1;
    this.#dir = -1;
    if (this.#mapping > 0) this.#kernel.letGo(this.#mapping);
    this.#mapping = 0;
  }

  /**
   * A disk that is full or read-only is no reason not to serve; a record that
   * is there and cannot be looked at is, because its process may live.
   */
  #openRecord(): string | null {
    const flags = O_RDWR | O_NONBLOCK | O_CREAT | O_CLOEXEC;
    this.#recordFd = this.#kernel.open(this.#dir, ascii("adopt"), flags, 0o600);
    const errno = -this.#recordFd;
    return errno <= 0 || errno === ENOSPC || errno === EROFS ? null : this.#unable("open", "/adopt", errno);
  }

  #makeDirectory(service: Fd): string | null {
    const k = this.#kernel;
    const made = k.mkdir(service, ascii("supervise"), 0o700);
    this.#refused = made < 0 && isRefusal(-made);
    if (made >= 0) return null;
    const target = new Uint8Array(LINK_BYTES_MAX + 1);
    const n = k.readlink(service, ascii("supervise"), target);
    if (n === -ENOENT || n === -EINVAL) return null;
    if (n < 0) return `unable to readlink ./${this.name}: ${errorText(-n)}`;
    if (n > LINK_BYTES_MAX) return `unable to readlink ./${this.name}: name too long`;
    // compat: the target itself is made, its parents are not; an error shows at the next step.
    const linked = k.mkdir(service, target.slice(0, n), 0o700);
    this.#refused = linked < 0 && isRefusal(-linked);
    return null;
  }

  #unable(verb: string, file: string, errno: number): string {
    return `unable to ${verb} ${this.name}${file}: ${errorText(errno)}`;
  }

  #replace(what: string, temporary: Uint8Array, final: Uint8Array, content: Uint8Array): string | null {
    const k = this.#kernel;
    this.#rouse();
    const fd = k.open(this.#dir, temporary, O_WRONLY | O_NONBLOCK | O_TRUNC | O_CREAT | O_CLOEXEC, 0o644);
    if (fd < 0) return this.#unable("open", `/${what}.new`, -fd);
    const n = content.length === 0 ? 0 : k.write(fd, content);
    k.close(fd);
    if (n < 0) return this.#unable("write", `/${what}.new`, -n);
    if (n < content.length) return `unable to write ${this.name}/${what}.new: partial write.`;
    const renamed = k.rename(this.#dir, temporary, this.#dir, final);
    if (renamed < 0) return `unable to rename ${what}.new to ${this.name}/${what}: ${errorText(-renamed)}`;
    return null;
  }
}

/** Opens a service directory by path (its log directory by "log" below it). Descriptor, or -errno. */
export function openDirectory(kernel: Kernel, base: Fd, path: Uint8Array): Fd {
  return kernel.open(base, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}
