/** How the programs of a service directory are started: run, finish, control scripts. */
import { ascii } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd } from "../base/units.ts";
import { finishArguments, type Program } from "../core/service.ts";
import { ADOPT_PID_AT } from "../formats/adopt.ts";
import { ENOENT, O_CLOEXEC, O_NONBLOCK, O_RDONLY, SIGCHLD, SIGPIPE, SIGTERM } from "../kernel/constants.ts";
import {
  type Kernel,
  type Move,
  SPAWN_KEEP_MASK,
  type Spawn,
  type Spawned,
  STEP_CHDIR,
  STEP_SETUP,
  Stat,
} from "../kernel/kernel.ts";

/** Signals runsv blocks. */
export const RUNSV_SIGNALS: readonly number[] = [SIGCHLD, SIGTERM, SIGPIPE];

/** How a process starts the programs of its services. */
export type Starting = {
  /** SPAWN_* bits. */
  readonly flags: number;
  /** Signals whose action is the default one in the program, and which are not blocked there; all others are inherited. */
  readonly defaults: readonly number[];
};

export const RUNSV_STARTING: Starting = { flags: SPAWN_KEEP_MASK, defaults: [SIGCHLD, SIGTERM] };

function spawnIn(dir: Fd, argv: readonly Uint8Array[], moves: readonly Move[], how: Starting, recordFd: Fd): Spawn {
  return {
    dir,
    path: argv[0]!,
    argv,
    env: null,
    moves,
    flags: how.flags,
    blocked: [],
    defaults: how.defaults,
    recordFd,
    recordAt: ADOPT_PID_AT,
  };
}

/** `./run`, or `./finish` with what became of run; its pid goes into the record. */
export function programSpawn(
  dir: Fd,
  program: Program,
  lastStatus: number,
  moves: readonly Move[],
  how: Starting,
  recordFd: Fd,
): Spawn {
  if (program === "run") return spawnIn(dir, [ascii("./run")], moves, how, recordFd);
  const args = finishArguments(lastStatus);
  return spawnIn(dir, [ascii("./finish"), ascii(args.code), ascii(args.signal)], moves, how, recordFd);
}

/** compat: finish counts when it can be opened for reading, not when it may be executed. */
export function hasFinish(kernel: Kernel, service: Fd): boolean {
  const fd = kernel.open(service, ascii("./finish"), O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) return false;
  kernel.close(fd);
  return true;
}

/** Whether there is a control script: 1, 0, or -errno when that cannot be told. */
export function findHook(kernel: Kernel, service: Fd, path: Uint8Array): number {
  const stat = new Stat();
  const found = kernel.stat(service, path, 0, stat);
  if (found < 0) return found === -ENOENT ? 0 : found;
  // compat: the owner's execute bit decides; service.test and blackbox/runsv-hooks
  return stat.ownerMayExecute() ? 1 : 0;
}

/** A control script. */
export function hookSpawn(dir: Fd, path: Uint8Array, moves: readonly Move[], how: Starting): Spawn {
  return spawnIn(dir, [path], moves, how, -1);
}

/** The message of a child that could not become the program. */
export function whyNotStarted(program: Program, isLog: boolean, spawned: Spawned): string {
  const error = errorText(spawned.execErrno);
  if (spawned.step === STEP_SETUP) return `unable to setup filedescriptor for ${isLog ? "./log/run" : `./${program}`}: ${error}`;
  if (spawned.step === STEP_CHDIR) return `unable to change directory to ${isLog ? "./log" : "."}: ${error}`;
  return `unable to start ${isLog ? "log/" : ""}./${program}: ${error}`;
}
