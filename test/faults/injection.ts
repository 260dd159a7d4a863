/**
 * Faults of the real kernel, by strace(1): one error in one occurrence of one
 * system call. Which errors: those the manual allows for the call, where no
 * program of ours rules them out by what it passes.
 */
import { existsSync, readFileSync } from "node:fs";

export type Injection = { readonly call: string; readonly errno: string; readonly when: number };

const NO_DESCRIPTOR = ["EMFILE", "ENFILE", "ENOMEM"];

/** What each call may fail with. `close` is left out: Linux closes the descriptor whatever it returns (close(2)). */
export const ERRORS: Readonly<Record<string, readonly string[]>> = {
  openat: [...NO_DESCRIPTOR, "EINTR", "ENOSPC", "EIO"],
  read: ["EIO", "EINTR"],
  readv: ["EIO", "EINTR"],
  write: ["ENOSPC", "EIO", "EINTR", "EDQUOT"],
  pread64: ["EIO", "EINTR"],
  pwrite64: ["ENOSPC", "EIO", "EINTR", "EDQUOT"],
  splice: ["ENOMEM"],
  renameat: ["ENOSPC", "EIO", "EDQUOT"],
  linkat: ["ENOSPC", "EIO"],
  unlinkat: ["EIO", "ENOMEM"],
  mkdirat: ["ENOSPC", "EDQUOT", "ENOMEM"],
  mknodat: ["ENOSPC", "EDQUOT", "ENOMEM"],
  fchmodat: ["EIO", "EROFS"],
  fchmod: ["EIO", "EROFS"],
  newfstatat: ["ENOMEM", "EACCES", "EIO"],
  fstat: ["ENOMEM", "EIO"],
  getdents64: ["EIO", "ENOMEM"],
  flock: ["EINTR", "ENOLCK"],
  fsync: ["EIO", "ENOSPC", "EDQUOT"],
  fdatasync: ["EIO", "ENOSPC"],
  ftruncate: ["EIO", "EINTR"],
  fchdir: ["EACCES", "EIO"],
  chdir: ["EACCES", "EIO", "ENOMEM"],
  pipe2: ["EMFILE", "ENFILE"],
  signalfd4: NO_DESCRIPTOR,
  epoll_create1: NO_DESCRIPTOR,
  epoll_ctl: ["ENOMEM", "ENOSPC"],
  epoll_pwait: ["EINTR"],
  ppoll: ["EINTR", "ENOMEM"],
  poll: ["EINTR", "ENOMEM"],
  inotify_init1: NO_DESCRIPTOR,
  inotify_add_watch: ["ENOSPC", "ENOMEM"],
  vfork: ["EAGAIN", "ENOMEM"],
  fork: ["EAGAIN", "ENOMEM"],
  clone: ["EAGAIN", "ENOMEM"],
  execve: ["ENOMEM", "EIO", "EACCES"],
  kill: ["EPERM"],
  pidfd_open: [...NO_DESCRIPTOR, "ENODEV"],
  mmap: ["ENOMEM"],
  brk: ["ENOMEM"],
  setgroups: ["EPERM", "ENOMEM"],
  setgid: ["EPERM", "EINVAL"],
  setuid: ["EPERM", "EAGAIN"],
  prlimit64: ["EPERM"],
  chroot: ["EPERM", "EIO"],
  setpriority: ["EACCES"],
  nice: ["EPERM"],
  setsid: ["EPERM"],
};

/** strace's own arguments, before the program's. */
export function straceArgs(file: string, injection: Injection | null): string[] {
  if (injection === null) return ["-o", file];
  const { call, errno, when } = injection;
  return ["-o", file, "-e", `trace=${call}`, "-e", `inject=${call}:error=${errno}:when=${when}`];
}

/** Whether the error was given. */
export function wasInjected(file: string): boolean {
  return existsSync(file) && readFileSync(file, "latin1").includes("(INJECTED)");
}

/** How often each call of ERRORS was made, by a trace without injection. */
export function callsMade(file: string): Map<string, number> {
  const made = new Map<string, number>();
  for (const line of readFileSync(file, "latin1").split("\n")) {
    // What follows is no program of ours.
    if (line.startsWith('execve("/bin/sh"')) break;
    const call = /^(\w+)\(/.exec(line)?.[1];
    if (call !== undefined && call in ERRORS) made.set(call, (made.get(call) ?? 0) + 1);
  }
  return made;
}

/** Every error in at most `each` occurrences of each call, spread over the session. */
export function injections(made: ReadonlyMap<string, number>, each: number): Injection[] {
  const all: Injection[] = [];
  for (const [call, count] of made) {
    const n = Math.min(count, each);
    for (const errno of ERRORS[call] ?? []) {
      for (let i = 0; i < n; i++) all.push({ call, errno, when: n === 1 ? 1 : 1 + Math.floor((i * (count - 1)) / (n - 1)) });
    }
  }
  return all;
}
