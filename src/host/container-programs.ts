/** The programs a container's init starts itself: stages, and the main command. */
import { ascii, EMPTY, indexOf, item, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { NO_PID, type Pid, pid } from "../base/units.ts";
import { AT_FDCWD, ENOENT } from "../kernel/constants.ts";
import { type Kernel, SPAWN_FOREGROUND, SPAWN_SETPGID, SPAWN_SETSID, Stat } from "../kernel/kernel.ts";
import { isTerminal } from "../kernel/machine.ts";
import { findProgram } from "./runsv-starter.ts";

/** Exit codes of a program that is not there, or cannot be executed (the shells' and docker's). */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const SLASH = 47;

/**
 * A started program: its pid. When it could not become the program, the exit
 * code that stands for that (>= 0) and why. When there is no process at all,
 * pid is NO_PID and `code` < 0.
 */
export type Started = { readonly pid: Pid; readonly code: number; readonly problem: string };

/** Every signal with a default action to restore: what init may have been started with is not the program's business. */
export function everySignal(): number[] {
  const all: number[] = [];
  for (let s = 1; s <= 31; s++) if (s !== 9 && s !== 19) all.push(s);
  return all;
}

function start(kernel: Kernel, path: Uint8Array, argv: readonly Uint8Array[], flags: number): Started {
  const spawned = kernel.spawn({
    dir: -1,
    path,
    argv,
    env: null,
    moves: [],
    flags,
    blocked: [],
    defaults: everySignal(),
    recordFd: -1,
    recordAt: 0,
  });
  if (spawned.pid < 0) return { pid: NO_PID, code: -1, problem: errorText(-spawned.pid) };
  if (spawned.execErrno === 0) return { pid: pid(spawned.pid), code: 0, problem: "" };
  const code = spawned.execErrno === ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
  return { pid: NO_PID, code, problem: errorText(spawned.execErrno) };
}

export function stageExists(kernel: Kernel, path: string): boolean {
  return kernel.stat(AT_FDCWD, ascii(path), 0, new Stat()) >= 0;
}

/** A stage, in a session of its own; descriptors are ours. */
export function startStage(kernel: Kernel, path: string): Started {
  return start(kernel, ascii(path), [ascii(path)], SPAWN_SETSID);
}

/** The main command, in a process group of its own, which has the terminal if there is one. */
export function startCommand(kernel: Kernel, command: readonly Uint8Array[]): Started {
  const name = item(command, 0) ?? EMPTY;
  const path = indexOf(name, SLASH, 0) >= 0 ? name : findProgram(kernel, name);
  if (path.length === 0) return { pid: NO_PID, code: NOT_FOUND, problem: errorText(ENOENT) };
  return start(kernel, path, command, isTerminal(0) ? SPAWN_FOREGROUND : SPAWN_SETPGID);
}

/** `web` or `"a b"`: a command in a message. */
export function commandText(command: readonly Uint8Array[]): string {
  return text(item(command, 0) ?? EMPTY);
}
