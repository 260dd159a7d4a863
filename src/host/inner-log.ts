/**
 * The log service of a hosted supervisor, done in this process: `log/config`
 * without `log/run` means that svlogd's work is done here, into `log/`.
 *
 * Nothing is taken out of the pipe before it is written: it is copied (tee(2)),
 * written, and only then read. So when this process is killed, what was not
 * written is still in the pipe, unfinished lines too; and what was written and
 * not yet read is cut off the file again (log-progress.ts).
 *
 * The service's standard output is a description of the pipe for reading and
 * writing, so the pipe is never without a reader while the service lives: after
 * a kill what the service writes waits in it, and the service waits when it is
 * full; it never gets SIGPIPE. The pipe has no end of file then, so the end is
 * when the service has ended and the pipe is empty.
 *
 * Many loggers share one buffer: what a directory has not finished with at the
 * end of its turn is copied.
 */
import { EMPTY } from "../base/bytes.ts";
import { SIGALRM, SIGCONT, SIGHUP, SIGSTOP } from "../base/signals.ts";
import type { Fd, Instant, Pid } from "../base/units.ts";
import { Batch, LineCut, NEWLINE } from "../core/log-line.ts";
import { EPOLLET, EPOLLIN, F_SETFL, O_CLOEXEC, O_NONBLOCK, O_RDONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { tee } from "../kernel/pipe.ts";
import type { Reactor } from "../reactor.ts";
import { InnerProgram } from "./inner-program.ts";
import { LogBlock } from "./log-block.ts";
import { LogDirectory, LogOwner, type LogSetting } from "./log-directory.ts";
import type { LogFiles } from "./log-files.ts";
import { LogProgress } from "./log-progress.ts";
import type { StateDirectory } from "./state-directory.ts";

const LINE_BYTES = 1000;
/** As much as a pipe holds. */
const READ_BYTES = 65536;
const BATCH_BYTES = 65536;

/** What the loggers of a process have in common. */
export class LogRoom {
  readonly setting: LogSetting;
  /** One byte more than can be read, for the newline of a last line. */
  readonly buffer: Uint8Array = new Uint8Array(READ_BYTES + 1);
  readonly #kernel: Kernel;
  #read: Fd = -1;
  #write: Fd = -1;

  constructor(reactor: Reactor) {
    this.#kernel = reactor.kernel;
    const batch = new Batch(BATCH_BYTES);
    this.setting = { reactor, verbose: false, lineMax: LINE_BYTES, stamp: "none", batch };
  }

  /** Copies what is in the pipe `from`, and stays there, to the buffer: how many bytes, or -errno. */
  look(from: Fd): number {
    const k = this.#kernel;
    if (this.#read < 0) {
      const pipe = k.pipe(O_CLOEXEC);
      if (pipe.errno !== 0) return -pipe.errno;
      this.#read = pipe.read;
      this.#write = pipe.write;
      k.fcntl(pipe.read, F_SETFL, O_RDONLY | O_NONBLOCK);
    }
    const copied = tee(from, this.#write, READ_BYTES);
    let at = 0;
    while (at < copied) {
      const n = k.read(this.#read, this.buffer.subarray(at, copied));
      if (n <= 0) break;
      at += n;
    }
    return copied < 0 ? copied : at;
  }
}

/** Who owns a logger. */
export abstract class InnerLogOwner {
  abstract logForked(child: Pid): void;
  abstract logEnded(now: Instant): void;
}

/** One logger: it serves from `begin` to its end, and can begin again. */
export class InnerLog extends LogOwner {
  readonly program: InnerProgram;
  /** The service's pipe, of which reads must not block. */
  pipe: Fd = -1;
  readonly #reactor: Reactor;
  readonly #owner: InnerLogOwner;
  readonly #room: LogRoom;
  readonly #path: Uint8Array;
  readonly #block: LogBlock = new LogBlock();
  readonly #cut: LineCut;
  #directory: LogDirectory | null = null;
  readonly #progress: LogProgress;
  /** So many bytes of the block the directory has came from the pipe, and so many of them are out of it. */
  #given = 0;
  #taken = 0;
  #advancing = false;
  #watched: Fd = -1;
  #paused = false;
  /** TERM: the directory is to be closed. */
  #leaving = false;
  /** The service has ended: what is in the pipe is to be written, and then nothing more. */
  #draining = false;

  /** `path`: the log directory; `state`: where what was done is recorded. */
  constructor(room: LogRoom, owner: InnerLogOwner, path: Uint8Array, state: StateDirectory) {
    super();
    this.#reactor = room.setting.reactor;
    this.#owner = owner;
    this.#room = room;
    this.#path = path;
    this.#cut = new LineCut(room.setting.lineMax);
    this.#progress = new LogProgress(this.#reactor.kernel, state);
    this.program = new LogProgram(this);
  }

  /** The pipe is the one a predecessor's record speaks of. */
  resume(): void {
    this.#progress.trusted = true;
  }

  begin(now: Instant): boolean {
    const directory = new LogDirectory(this.#room.setting, this, this.#path);
    this.#advancing = true;
    directory.open(now);
    this.#advancing = false;
    if (!directory.usable) return false;
    this.#directory = directory;
    this.#leaving = false;
    this.#paused = false;
    this.#goOn(now);
    return true;
  }

  signal(signal: number, now: Instant): void {
    const directory = this.#directory;
    if (directory === null) return;
    if (signal === SIGALRM) directory.wantRotation();
    else if (signal === SIGHUP) this.#reload(directory, now);
    else if (signal === SIGSTOP) this.#paused = true;
    else if (signal === SIGCONT) this.#paused = false;
    else this.#leaving = true;
    this.#goOn(now);
  }

  /** `false` when the service is wanted again. */
  drain(wanted: boolean, now: Instant): void {
    this.#draining = wanted;
    this.#paused = false;
    if (this.#directory !== null) this.#goOn(now);
  }

  /** Whether the child was a processor of ours. */
  reaped(child: number, status: number, now: Instant): boolean {
    this.#advancing = true;
    const ours = this.#directory?.reaped(child, status, now) ?? false;
    this.#advancing = false;
    if (ours) this.moved(now);
    return ours;
  }

  /** Nothing is watched any more. */
  close(): void {
    this.#reactor.wakeAt(this, null);
    this.#watch(false);
  }

  override ready(_fd: Fd, _events: number, now: Instant): void {
    this.moved(now);
  }

  override due(now: Instant): void {
    this.moved(now);
  }

  override forked(child: Pid): void {
    this.#owner.logForked(child);
  }

  /** In a turn of its own: who has called does not expect an end. */
  #goOn(now: Instant): void {
    this.#reactor.wakeAt(this, now);
  }

  /** Does what can be done now: the rest of a block, then one block more, then the end. */
  override moved(now: Instant): void {
    const directory = this.#directory;
    // A directory reports from within its own turn, too.
    if (directory === null || this.#advancing) return;
    let done = this.#advance(directory, now);
    const reads = !this.#paused && !this.#leaving;
    if (done && reads && this.#look()) {
      directory.give(this.#block);
      done = this.#advance(directory, now);
      // There may be more.
      if (done) this.#goOn(now);
    }
    if (!done) this.#keepBlock();
    if (!directory.usable) this.#end(now);
    else if (done && this.#leaving) this.#leave(directory, now);
    else this.#watch(done && reads);
  }

  #advance(directory: LogDirectory, now: Instant): boolean {
    this.#advancing = true;
    const done = directory.advance(now);
    this.#advancing = false;
    if (!done) return false;
    this.filed(this.#given);
    this.#given = 0;
    this.#taken = 0;
    return true;
  }

  override opened(files: LogFiles): void {
    this.#progress.undo(files);
  }

  override writing(files: LogFiles): void {
    this.#progress.begin(files);
  }

  /** Read to where they were copied to: what follows there may not be written yet. */
  override filed(length: number): void {
    const end = Math.min(length, this.#given);
    if (end <= this.#taken) return;
    this.#progress.take(this.pipe, this.#room.buffer.subarray(this.#taken, end), this.#block.bytes[end - 1]!);
    this.#taken = end;
  }

  /** Whether there is a block to give. */
  #look(): boolean {
    const buffer = this.#room.buffer;
    const n = this.#room.look(this.pipe);
    let length = n <= 0 ? 0 : this.#cut.take(buffer.subarray(0, n));
    this.#given = length;
    if (length === 0 && this.#draining) {
      // The end. A last line without a newline gets one.
      this.#leaving = true;
      if (n > 0 || this.#cut.inRest) {
        this.#given = Math.max(n, 0);
        length = this.#given + 1;
        buffer[this.#given] = NEWLINE;
        this.#cut.inRest = false;
      }
    }
    if (length === 0) return false;
    const at = this.#reactor.kernel.wall();
    this.#block.set(buffer.subarray(0, length), at, at);
    this.#block.borrowed = true;
    return true;
  }

  /** What is not done with must not stay in the buffer of all. */
  #keepBlock(): void {
    if (this.#block.borrowed) this.#block.bytes = this.#block.bytes.slice();
    this.#block.borrowed = false;
  }

  #leave(directory: LogDirectory, now: Instant): void {
    this.#watch(false);
    this.#advancing = true;
    directory.lastTry();
    this.#advancing = false;
    if (directory.processing) return;
    directory.close();
    this.#end(now);
  }

  #reload(directory: LogDirectory, now: Instant): void {
    this.#advancing = true;
    directory.reload(now);
    this.#advancing = false;
  }

  #end(now: Instant): void {
    this.#directory = null;
    this.#block.bytes = EMPTY;
    this.#given = 0;
    this.#taken = 0;
    this.#watch(false);
    this.#reactor.wakeAt(this, null);
    this.#owner.logEnded(now);
  }

  /** Told once for each write: what is only the beginning of a line stays in the pipe. */
  #watch(wanted: boolean): void {
    if (this.#watched >= 0 && (!wanted || this.#watched !== this.pipe)) {
      this.#reactor.unwatch(this.#watched);
      this.#watched = -1;
    }
    if (!wanted || this.#watched >= 0) return;
    if (this.#reactor.watch(this.pipe, EPOLLIN | EPOLLET, this, false) >= 0) this.#watched = this.pipe;
  }
}

/** The logger as the instance of the log service knows it. */
class LogProgram extends InnerProgram {
  readonly #log: InnerLog;

  constructor(log: InnerLog) {
    super();
    this.#log = log;
  }

  override begin(now: Instant): boolean {
    return this.#log.begin(now);
  }

  override signal(signal: number, now: Instant): void {
    this.#log.signal(signal, now);
  }
}
