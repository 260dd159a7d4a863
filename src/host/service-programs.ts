/** How the programs of a service directory are started: run, finish, control scripts. */
import { ascii } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd } from "../base/units.ts";
import { finishArguments, type Program } from "../core/service.ts";
import { ADOPT_PID_AT } from "../formats/adopt.ts";
import { SIGCHLD, SIGPIPE, SIGTERM } from "../kernel/constants.ts";
import { type Move, SPAWN_KEEP_MASK, type Spawn, type Spawned, STEP_CHDIR, STEP_SETUP } from "../kernel/kernel.ts";

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
