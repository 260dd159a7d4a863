/**
 * Starts a runsv: by fork without exec when the `runsv` that PATH leads to is
 * this same executable (the child shares every page with its parent until it
 * writes), by exec of what PATH leads to otherwise.
 */
import { ascii, concat, EMPTY, split, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd } from "../base/units.ts";
import type { ScanEntry } from "../core/scan.ts";
import { AT_FDCWD, ENOENT, SIGCHLD, SIGHUP, SIGTERM } from "../kernel/constants.ts";
import { type Kernel, type Move, NO_MOVES, SPAWN_KEEP_MASK, SPAWN_SETSID, Stat } from "../kernel/kernel.ts";
import { forkAnew, KEPT_BY_ALL, KEPT_BY_ONE, keepBytes, keptBytes, NativeKernel } from "../kernel/native.ts";
import {
  closeAllBut,
  closePrivate,
  environmentValue,
  raiseDescriptorLimit,
  setDescriptorLimit,
  setTitle,
} from "../kernel/self.ts";
import { findReadEnd, keepLogPipe } from "./log-pipe.ts";
import type { Nursery } from "./nursery.ts";
import { superviseService } from "./runsv-process.ts";
import { RunsvStarter } from "./scanner.ts";

const TITLE = ascii("runsv\0");
const COLON = 58;
const LIMITS_BYTES = 16;

/** Signals whose action is the default one in a runsv; all others are inherited. */
const RESTORED: readonly number[] = [SIGCHLD, SIGHUP, SIGTERM];

/** The first executable `name` on PATH (unset: /bin:/usr/bin); empty when there is none. */
export function findProgram(kernel: Kernel, name: Uint8Array): Uint8Array {
  const path = environmentValue("PATH") ?? ascii("/bin:/usr/bin");
  const stat = new Stat();
  const dirs = split(path, COLON);
  for (let i = 0; i < dirs.length; i++) {
    const file = dirs[i]!.length === 0 ? name : concat([dirs[i]!, ascii("/"), name]);
    if (kernel.stat(AT_FDCWD, file, 0, stat) >= 0 && stat.isRegular() && (stat.mode & 0o111) !== 0) return file;
  }
  return EMPTY;
}

/** The descriptor that is to become `to`; < 0: none. */
function movedTo(moves: readonly Move[], to: Fd): Fd {
  for (let i = 0; i < moves.length; i++) if (moves[i]!.to === to) return moves[i]!.from;
  return -1;
}

/** What all children are told: a byte of these, the limit of open files (16 bytes), and the path of the program. */
const OWN_SESSION = 1;
const LIMITED = 2;
const IN_NURSERY = 4;

function forAll(ownSession: boolean, limits: Uint8Array, nursery: boolean, program: Uint8Array): Uint8Array {
  const bits = (ownSession ? OWN_SESSION : 0) + (limits.length > 0 ? LIMITED : 0) + (nursery ? IN_NURSERY : 0);
  const all = new Uint8Array(1 + LIMITS_BYTES + program.length);
  all[0] = bits;
  all.set(limits, 1);
  all.set(program, 1 + LIMITS_BYTES);
  return all;
}

/**
 * The forked child: a runsv, until it ends. What its parent knows it has as
 * numbers and kept bytes (forkAnew, native.ts); `out` and `err` become its
 * standard output and error, unless < 0.
 */
function live(dir: Fd, pipeRead: Fd, pipeWrite: Fd, out: Fd, err: Fd, notice: Fd): void {
  const k = new NativeKernel();
  const all = keptBytes(KEPT_BY_ALL);
  const title = keptBytes(KEPT_BY_ONE);
  const bits = all[0]!;
  if (out >= 0) k.dup3(out, 1, 0);
  if (err >= 0) k.dup3(err, 2, 0);
  if ((bits & OWN_SESSION) !== 0) k.setsid();
  k.fchdir(dir);
  if ((bits & IN_NURSERY) !== 0) closeAllBut(3, [pipeRead, pipeWrite, notice]);
  else closePrivate(pipeRead, pipeWrite);
  if ((bits & LIMITED) !== 0) setDescriptorLimit(all.slice(1, 1 + LIMITS_BYTES));
  setTitle(title, "runsv");
  const inherited = { lock: -1, logLock: -1, pipeRead, pipeWrite, notice };
  k.exit(superviseService(k, title.slice(TITLE.length), all.slice(1 + LIMITS_BYTES), AT_FDCWD, inherited));
}

export class NativeRunsvStarter extends RunsvStarter {
  readonly #kernel: Kernel;
  readonly #ownSession: boolean;
  readonly #limits: Uint8Array;
  readonly #say: (text: string) => void;
  readonly #program: Uint8Array;
  readonly #forks: boolean;
  readonly #nursery: Nursery | null;

  /**
   * `limits`: open-file limits for the children. `fatal` prints the message of a
   * child that could not exec. With a `nursery`, every runsv is forked.
   */
  constructor(kernel: Kernel, ownSession: boolean, limits: Uint8Array, fatal: (text: string) => void, nursery: Nursery | null) {
    super();
    this.#kernel = kernel;
    this.#ownSession = ownSession;
    this.#limits = limits;
    this.#say = fatal;
    this.#program = findProgram(kernel, ascii("runsv"));
    this.#nursery = nursery;
    this.#forks = nursery !== null || this.#program.length === 0 || this.#isThisProgram();
    keepBytes(KEPT_BY_ALL, forAll(ownSession, limits, nursery !== null, this.#program));
  }

  override start(entry: ScanEntry, dir: Fd, bootId: Uint8Array): number {
    return this.#forks ? this.#fork(entry, dir, bootId) : this.#exec(entry, dir);
  }

  override found(entry: ScanEntry, dir: Fd, bootId: Uint8Array): void {
    if (this.#forks && entry.pipeRead < 0) entry.pipeRead = findReadEnd(this.#kernel, dir, entry.name, bootId);
  }

  override forget(entry: ScanEntry): void {
    if (entry.pipeRead >= 0) this.#kernel.close(entry.pipeRead);
    entry.pipeRead = -1;
    this.#nursery?.forget(entry);
  }

  #isThisProgram(): boolean {
    const found = new Stat();
    const self = new Stat();
    if (
      this.#kernel.stat(AT_FDCWD, this.#program, 0, found) < 0 ||
      this.#kernel.stat(AT_FDCWD, ascii("/proc/self/exe"), 0, self) < 0
    )
      return false;
    return found.dev === self.dev && found.ino === self.ino;
  }

  #fork(entry: ScanEntry, dir: Fd, bootId: Uint8Array): number {
    const k = this.#kernel;
    const kept = keepBytes(KEPT_BY_ONE, concat([TITLE, entry.name]));
    if (kept < 0) return kept;
    const write = keepLogPipe(k, entry, dir, bootId);
    const read = entry.pipeRead;
    const outputs: readonly Move[] = this.#nursery?.outputs(entry) ?? NO_MOVES;
    const out = movedTo(outputs, 1);
    const err = movedTo(outputs, 2);
    const notice = this.#nursery?.notice ?? -1;
    const child = forkAnew();
    if (child === 0) live(dir, read, write, out, err, notice);
    if (write >= 0) k.close(write);
    for (let i = 0; i < outputs.length; i++) k.close(outputs[i]!.from);
    return child;
  }

  #exec(entry: ScanEntry, dir: Fd): number {
    // Inherited by exec, and raised again for this process.
    setDescriptorLimit(this.#limits);
    const spawned = this.#kernel.spawn({
      dir,
      path: this.#program,
      argv: [ascii("runsv"), entry.name],
      env: null,
      moves: [],
      flags: SPAWN_KEEP_MASK | (this.#ownSession ? SPAWN_SETSID : 0),
      blocked: [],
      defaults: RESTORED,
      recordFd: -1,
      recordAt: 0,
    });
    raiseDescriptorLimit(null, false);
    if (spawned.pid > 0 && spawned.execErrno !== 0) {
      const errno = this.#program.length === 0 ? ENOENT : spawned.execErrno;
      this.#say(`unable to start runsv ${text(entry.name)}: ${errorText(errno)}`);
    }
    return spawned.pid;
  }
}
