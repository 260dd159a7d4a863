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
/** Signals whose action is the default one in its children, and which are not blocked there; all others are inherited. */
const RESTORED: readonly number[] = [SIGCHLD, SIGTERM];

function spawnIn(dir: Fd, argv: readonly Uint8Array[], moves: readonly Move[], recordFd: Fd): Spawn {
  return {
    dir,
    path: argv[0]!,
    argv,
    env: null,
    moves,
    flags: SPAWN_KEEP_MASK,
    blocked: [],
    defaults: RESTORED,
    recordFd,
    recordAt: ADOPT_PID_AT,
  };
}

/** `./run`, or `./finish` with what became of run; its pid goes into the record. */
export function programSpawn(dir: Fd, program: Program, lastStatus: number, moves: readonly Move[], recordFd: Fd): Spawn {
  if (program === "run") return spawnIn(dir, [ascii("./run")], moves, recordFd);
  const args = finishArguments(lastStatus);
  return spawnIn(dir, [ascii("./finish"), ascii(args.code), ascii(args.signal)], moves, recordFd);
}

/** A control script. */
export function hookSpawn(dir: Fd, path: Uint8Array, moves: readonly Move[]): Spawn {
  return spawnIn(dir, [path], moves, -1);
}

/** The message of a child that could not become the program. */
export function whyNotStarted(program: Program, isLog: boolean, spawned: Spawned): string {
  const error = errorText(spawned.execErrno);
  if (spawned.step === STEP_SETUP) return `unable to setup filedescriptor for ${isLog ? "./log/run" : `./${program}`}: ${error}`;
  if (spawned.step === STEP_CHDIR) return `unable to change directory to ${isLog ? "./log" : "."}: ${error}`;
  return `unable to start ${isLog ? "log/" : ""}./${program}: ${error}`;
}
