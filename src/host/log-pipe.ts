/**
 * The pipe between a service and its log service, found again when whoever
 * held it has been killed: pipes have no name, but the processes at its ends
 * still have it open, and /proc/PID/fd leads to it (proc(5)). That it is the
 * right one is told by its inode, which is written down in log/supervise/adopt.
 */
import { ascii, concat, EMPTY } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd } from "../base/units.ts";
import type { ScanEntry } from "../core/scan.ts";
import { ADOPT_BYTES, AdoptRecord } from "../formats/adopt.ts";
import {
  AT_FDCWD,
  EAGAIN,
  EINTR,
  EIO,
  EMFILE,
  ENFILE,
  ENOENT,
  ENOMEM,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
} from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { readAdopt } from "./adopt-file.ts";
import { openSupervise, type ServicePlace, servicePlace } from "./supervise-dir.ts";

const ADOPT = ascii("supervise/adopt");

/** Whether an error is one that a later try may not meet. */
export function passes(error: number): boolean {
  return error === -EMFILE || error === -ENFILE || error === -ENOMEM || error === -EINTR || error === -EAGAIN;
}

/** Whether a service directory has a log service, and a warning to be told; errno other than 0: nobody can tell. */
export type LogLook = { readonly errno: number; readonly found: boolean; readonly warning: string | null };

export function lookForLog(kernel: Kernel, service: Fd): LogLook {
  const stat = new Stat();
  const r = kernel.stat(service, ascii("log"), 0, stat);
  // compat: doc/differences.md, runsv-log-unknown
  if (r === -EIO || r === -ENOMEM) return { errno: -r, found: false, warning: null };
  if (r === -ENOENT) return { errno: 0, found: false, warning: null };
  // compat: two colons.
  if (r < 0) return { errno: 0, found: false, warning: `unable to stat() ./log: : ${errorText(-r)}` };
  const found = stat.isDirectory();
  return { errno: 0, found, warning: found ? null : "./log: not a directory." };
}

/** The inode of the pipe behind a descriptor; 0: it is none. */
export function pipeInode(kernel: Kernel, fd: Fd): number {
  const stat = new Stat();
  return fd >= 0 && kernel.fstat(fd, stat) >= 0 && stat.isFifo() ? stat.ino : 0;
}

/**
 * A further description of the write end of the pipe behind `fd`, with `both`
 * one of both ends. Descriptor or -errno.
 */
export function openWriteEnd(kernel: Kernel, fd: Fd, both: boolean): Fd {
  return kernel.open(AT_FDCWD, ascii(`/proc/self/fd/${fd}`), (both ? O_RDWR : O_WRONLY) | O_CLOEXEC, 0);
}

/**
 * A read end of the recorded pipe, from the living log service (`reader`,
 * 0: none) or the living service (`writer`): a description of our own, so that
 * it may be blocking without touching those in use. Descriptor or -errno.
 */
export function openReadEnd(kernel: Kernel, reader: number, writer: number, inode: number): Fd {
  if (inode === 0) return -ENOENT;
  const fromLog = reader === 0 ? -ENOENT : openEnd(kernel, `/proc/${reader}/fd/0`, inode);
  if (fromLog >= 0 || passes(fromLog) || writer === 0) return fromLog;
  return openEnd(kernel, `/proc/${writer}/fd/1`, inode);
}

function openEnd(kernel: Kernel, path: string, inode: number): Fd {
  // For reading and writing: opening one end of a pipe would wait for the other.
  const any = kernel.open(AT_FDCWD, ascii(path), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (any < 0) return any;
  const same = pipeInode(kernel, any) === inode;
  const read = same ? kernel.open(AT_FDCWD, ascii(`/proc/self/fd/${any}`), O_RDONLY | O_CLOEXEC, 0) : -ENOENT;
  kernel.close(any);
  return read;
}

/** The same for the service directory `name` below `dir`, from its records. Descriptor or -errno. */
export function findReadEnd(kernel: Kernel, dir: Fd, name: Uint8Array, bootId: Uint8Array): Fd {
  const place = servicePlace(kernel, dir, EMPTY, name);
  const log = new AdoptRecord();
  const read = readRecord(kernel, place.log(), bootId, log);
  if (read < 0) return read;
  const main = new AdoptRecord();
  const writer = readRecord(kernel, place, bootId, main) < 0 ? 0 : main.pid;
  return openReadEnd(kernel, log.pid, writer, log.pipeInode);
}

/**
 * The read end of the log pipe stays with runsvdir as long as the entry does:
 * when runsv and its log service both die, what the service wrote waits in it.
 * Returns the write end of a new pipe, -1 otherwise.
 */
export function keepLogPipe(kernel: Kernel, entry: ScanEntry, dir: Fd, bootId: Uint8Array): Fd {
  if (entry.pipeRead >= 0) return -1;
  const stat = new Stat();
  if (kernel.stat(dir, concat([entry.name, ascii("/log")]), 0, stat) < 0 || !stat.isDirectory()) return -1;
  const found = findReadEnd(kernel, dir, entry.name, bootId);
  if (found >= 0) entry.pipeRead = found;
  if (found >= 0 || passes(found)) return -1;
  const pipe = kernel.pipe(O_CLOEXEC);
  if (pipe.errno !== 0) return -1;
  entry.pipeRead = pipe.read;
  return pipe.write;
}

/** 0, or -errno. */
function readRecord(kernel: Kernel, place: ServicePlace, bootId: Uint8Array, into: AdoptRecord): number {
  const fd = openSupervise(kernel, place, ADOPT, O_RDONLY);
  if (fd < 0) return fd;
  const n = readAdopt(kernel, fd, into);
  kernel.close(fd);
  if (n < 0) return n;
  return n === ADOPT_BYTES && into.ofBoot(bootId) ? 0 : -ENOENT;
}
