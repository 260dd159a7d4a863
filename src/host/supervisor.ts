/**
 * One runsv: the service of a service directory, its log service, and the pipe
 * between them. Construction and opening are apart from the loop, so that a
 * process can host one (runsv) or many.
 *
 * The pipe is made once and held open at both ends for as long as the log
 * service is wanted, so that no line is lost when either side restarts. On exit
 * both ends are closed; the log service reads the rest, sees end of file, and
 * ends by itself. Only then is the supervisor `finished`.
 */
import { ascii, concat, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { after, type Fd, type Instant, NO_PID, type Pid } from "../base/units.ts";
import type { Command } from "../core/control.ts";
import { Service } from "../core/service.ts";
import { essentialNotice } from "../formats/essential-notice.ts";
import { F_SETFL, O_CLOEXEC, O_NONBLOCK, O_RDONLY } from "../kernel/constants.ts";
import { type Kernel, type Move, Stat } from "../kernel/kernel.ts";
import { bootId } from "../kernel/proc.ts";
import type { Reactor } from "../reactor.ts";
import type { InnerLog } from "./inner-log.ts";
import { Instance, InstanceOwner } from "./instance.ts";
import { lookForLog, openReadEnd, openWriteEnd, passes, pipeInode } from "./log-pipe.ts";
import { OwnLog } from "./own-log.ts";
import type { Starting } from "./service-programs.ts";
import { openDirectory } from "./state-directory.ts";
import type { SupervisorHome } from "./supervisor-home.ts";

/** No descriptor: what is to be started with it fails and says so. */
const NO_PIPE: Fd = 2147483647;
/** The first word about a log service that does not end comes after this long, then at doubling intervals. */
const LOG_WAIT_MS = 5000;

/** Descriptors a supervisor is born with: from runsvdir, or from itself before a trap. -1: none. */
export type Inherited = {
  readonly lock: Fd;
  readonly logLock: Fd;
  readonly pipeRead: Fd;
  readonly pipeWrite: Fd;
  /** From a container's init: where to say that an essential service is down for good. */
  readonly notice: Fd;
};

export const NOTHING_INHERITED: Inherited = { lock: -1, logLock: -1, pipeRead: -1, pipeWrite: -1, notice: -1 };

export class Supervisor extends InstanceOwner {
  readonly main: Instance;
  log: Instance | null = null;
  /** Told to exit, and everything has ended. */
  finished = false;
  pipeRead: Fd = -1;
  pipeWrite: Fd = -1;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  /** As in messages: the directory as it was given. */
  readonly #name: Uint8Array;
  /** -1: it is put away. */
  #directory: Fd = -1;
  /** Directories are put away when others need theirs. */
  #spares = false;
  readonly #home: SupervisorHome;
  #inner: InnerLog | null = null;
  /** Why the pipe in use could not be taken over; 0: there was no need, or it could. */
  #pipeLost = 0;
  #notice: Fd = -1;
  #noticed = false;
  #logReleased = false;
  #logWaitMs = LOG_WAIT_MS;

  constructor(reactor: Reactor, name: Uint8Array, home: SupervisorHome) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#name = name;
    this.#home = home;
    this.main = new Instance(reactor, this, new Service("up", false));
  }

  /** `directory`: the open service directory, which the supervisor owns from here on. To be called before all else. */
  enter(directory: Fd): void {
    this.#directory = directory;
    if (this.#exists(ascii("down"))) this.main.machine.want = "down";
  }

  override get serviceFd(): Fd {
    if (this.#directory < 0) this.rouse();
    return this.#directory;
  }

  /** Locks, opens, takes over what a predecessor left. Returns the text of a fatal message, or null. */
  open(inherited: Inherited, now: Instant): string | null {
    const k = this.#kernel;
    this.#notice = inherited.notice;
    const looked = lookForLog(k, this.#directory);
    if (looked.errno !== 0) return `unable to stat() ./log: ${errorText(looked.errno)}`;
    if (looked.warning !== null) this.warn(looked.warning);
    if (looked.found) this.#makeLog();
    const main = this.main.files;
    const problem = main.openAndLock(this.#directory, inherited.lock);
    if (problem !== null) return problem;
    const log = this.log;
    let logDirectory: Fd = -1;
    if (log !== null) {
      logDirectory = openDirectory(k, this.#directory, ascii("log"));
      if (logDirectory < 0) return `unable to change directory to ./log: ${errorText(-logDirectory)}`;
      const logProblem = log.files.openAndLock(logDirectory, inherited.logLock);
      if (logProblem !== null) return logProblem;
      k.close(logDirectory);
    }
    const fifos = main.openFifos() ?? (log === null ? null : log.files.openFifos());
    if (fifos !== null) return fifos;
    const boot = bootId(k);
    if (boot.errno !== 0) return `unable to read the boot id: ${errorText(boot.errno)}`;
    const id = boot.id;
    if (log !== null) {
      const pipe = this.#openPipe(log, inherited, id);
      if (pipe !== null) return pipe;
      const opened = log.open(id, now);
      if (opened !== null) return opened;
      this.#recordPipe(log);
    }
    const opened = this.main.open(id, now);
    if (opened !== null) return opened;
    if (this.#pipeLost !== 0) this.#tellPipeLost();
    if (this.#home.isScarce(Math.max(main.controlFd, main.recordFd))) this.#spare();
    return null;
  }

  /** Gives up what descriptors it can. */
  #spare(): void {
    const log = this.log;
    const parent = log === null ? -1 : openDirectory(this.#kernel, this.#directory, ascii("log"));
    const found = log === null || log.files.spare(parent);
    if (parent >= 0) this.#kernel.close(parent);
    // A log done here has files of its own open all the time, and marks what it has read.
    this.#spares = this.main.files.spare(this.#directory) && found && this.#inner === null;
    if (this.#spares) this.#home.rouses(this);
  }

  override rouse(): void {
    if (!this.#spares) return;
    this.#home.rouses(this);
    this.main.files.reopen();
    this.log?.files.reopen();
    if (this.#directory < 0) this.#directory = this.main.files.openParent();
  }

  override putAway(): void {
    if (this.#directory >= 0) this.#kernel.close(this.#directory);
    this.#directory = -1;
    this.main.files.putAway();
    if (this.log !== null) this.log.files.putAway();
  }

  /** Starts what is wanted; the log service first. */
  begin(now: Instant): void {
    if (this.log !== null) this.log.begin(now);
    this.main.begin(now);
  }

  /** Whether the child was one of ours. */
  reaped(child: number, status: number, now: Instant): boolean {
    if (this.main.reaped(child, status, now)) return true;
    return (this.log?.reaped(child, status, now) ?? false) || (this.#inner?.reaped(child, status, now) ?? false);
  }

  command(command: Command, now: Instant): void {
    this.main.command(command, now);
  }

  override moves(isLog: boolean): readonly Move[] {
    const outputs = this.#home.outputs;
    if (this.log === null) return outputs;
    // Told to exit and then, before the log service had ended, to come up again.
    if (this.#logReleased && this.main.machine.want !== "exit") this.#takeLogBack(this.#kernel.now());
    const end = this.pipeRead < 0 ? NO_PIPE : isLog ? this.pipeRead : this.pipeWrite;
    return [...outputs, { from: end, to: isLog ? 0 : 1 }];
  }

  override get starting(): Starting {
    return this.#home.starting;
  }

  override forked(child: Pid): void {
    this.#home.forked(child);
  }

  override isScarce(newest: Fd): boolean {
    return this.#home.isScarce(newest);
  }

  override warn(message: string): void {
    this.#say(`warning: ${message}`);
  }

  override fatal(message: string): void {
    this.#say(`fatal: ${message}`);
  }

  #say(message: string): void {
    this.#home.print(this.#kernel, `runsv ${text(this.#name)}: ${message}\n`);
  }

  override settled(now: Instant): void {
    const log = this.log;
    const machine = this.main.machine;
    if (this.#home.ends && machine.want !== "exit" && machine.hook === null && machine.starting === null) {
      this.command("exit", now);
      return;
    }
    if (this.#notice >= 0) this.#tellEnd();
    // `u` may follow `x` in one read; simulate/found: "u behind x".
    this.finished = false;
    if (!machine.gone) {
      if (this.#logReleased && machine.want !== "exit") this.#takeLogBack(now);
      return;
    }
    if (log === null) this.#finish();
    else if (!this.#logReleased) {
      this.#logReleased = true;
      if (this.#inner === null) this.#closePipe();
      else this.#inner.drain(true, now);
      log.release(now);
      if (!log.machine.gone) this.#reactor.wakeAt(this, after(now, this.#logWaitMs));
    } else {
      // A command to the log service itself does not call it back; simulate/found: "d to a released log".
      if (log.machine.want !== "exit") log.release(now);
      if (log.machine.gone) this.#finish();
    }
  }

  #finish(): void {
    this.finished = true;
    this.#home.finishes();
  }

  /** Once for each time it goes down for good: what an init makes the end of its container. */
  #tellEnd(): void {
    const down = this.main.machine.downForGood;
    if (down && !this.#noticed && this.#exists(ascii("essential"))) {
      this.#kernel.write(this.#notice, essentialNotice(this.main.machine.lastStatus, text(this.#name)));
    }
    this.#noticed = down;
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {}
  override due(now: Instant): void {
    if (!this.#logReleased || this.log === null || this.finished) return;
    this.warn(`still waiting for the log service to read the rest and end: pid ${this.log.machine.pid}`);
    this.#logWaitMs *= 2;
    this.#reactor.wakeAt(this, after(now, this.#logWaitMs));
  }

  /** The end: nothing is left for a successor. Gives back every descriptor. */
  close(): void {
    this.main.files.dropRecord();
    if (this.log !== null) this.log.files.dropRecord();
    this.abandon();
  }

  /** Gives back every descriptor; what is recorded is a successor's. */
  abandon(): void {
    this.#reactor.wakeAt(this, null);
    this.main.close();
    if (this.log !== null) this.log.close();
    if (this.#inner !== null) this.#inner.close();
    this.#closePipe();
    this.#spares = false;
    if (this.#directory >= 0) this.#kernel.close(this.#directory);
    this.#directory = -1;
  }

  #exists(file: Uint8Array): boolean {
    return this.#kernel.stat(this.serviceFd, file, 0, new Stat()) >= 0;
  }

  #makeLog(): void {
    const log = new Instance(this.#reactor, this, new Service(this.#exists(ascii("log/down")) ? "down" : "up", true));
    this.log = log;
    const home = this.#home;
    if (!home.logsItself || this.#exists(ascii("log/run")) || !this.#exists(ascii("log/config"))) return;
    const room = home.logRoom;
    if (room === null) return;
    const inner = new OwnLog(this, room, concat([home.prefix, this.#name, ascii("/log")]), log.files).log;
    this.#inner = inner;
    log.inner = inner.program;
  }

  // ---- The pipe ----

  /** The one the predecessor's processes still hold, else the one inherited, else a new one. */
  #openPipe(log: Instance, inherited: Inherited, id: Uint8Array): string | null {
    const k = this.#kernel;
    const recorded = id.length > 0 && log.files.readRecord(id) ? log.files.record.pipeInode : 0;
    // What is inherited may be another one than what is in use; simulate/found: "runsvdir keeps".
    if (recorded !== 0 && recorded !== pipeInode(k, inherited.pipeRead)) {
      const reader = log.files.record.pid;
      const writer = this.main.files.readRecord(id) ? this.main.files.record.pid : 0;
      const recovered = this.#takePipe(openReadEnd(k, reader, writer, recorded), -1);
      // What cannot be opened for want of room must not be replaced: the service that lives writes into it.
      if (passes(recovered)) return `unable to open log pipe: ${errorText(-recovered)}`;
      if (recovered !== 0) this.#pipeLost = -recovered;
      else {
        if (inherited.pipeRead >= 0) k.close(inherited.pipeRead);
        if (inherited.pipeWrite >= 0) k.close(inherited.pipeWrite);
        this.#inner?.resume();
        return null;
      }
    }
    const taken = this.#takePipe(inherited.pipeRead, inherited.pipeWrite);
    if (passes(taken)) return `unable to open log pipe: ${errorText(-taken)}`;
    if (taken !== 0) return this.#newPipe();
    if (recorded !== 0 && this.#pipeLost === 0) this.#inner?.resume();
    return null;
  }

  /** Visible in sv status, too. */
  #tellPipeLost(): void {
    const writer = this.main.losePipe();
    if (writer === 0) return;
    const which = `unable to open log pipe of pid ${writer}: ${errorText(this.#pipeLost)}`;
    this.warn(`${which}; it ends with the log service that reads it`);
  }

  /** `write` < 0: opened anew. 0, or -errno. */
  #takePipe(read: Fd, write: Fd): number {
    if (read < 0) return read;
    const both = this.#inner !== null;
    const other = write >= 0 ? write : openWriteEnd(this.#kernel, read, both);
    if (other < 0) {
      this.#kernel.close(read);
      return other;
    }
    this.pipeRead = read;
    this.pipeWrite = other;
    if (both) this.#readOurselves();
    return 0;
  }

  #readOurselves(): void {
    this.#kernel.fcntl(this.pipeRead, F_SETFL, O_RDONLY | O_NONBLOCK);
    if (this.#inner !== null) this.#inner.pipe = this.pipeRead;
  }

  #newPipe(): string | null {
    const pipe = this.#kernel.pipe(O_CLOEXEC);
    if (pipe.errno !== 0) return `unable to create log pipe: ${errorText(pipe.errno)}`;
    this.pipeRead = pipe.read;
    this.pipeWrite = pipe.write;
    if (this.#inner === null) return null;
    this.#readOurselves();
    const both = openWriteEnd(this.#kernel, pipe.read, true);
    if (both < 0) return null;
    this.#kernel.close(pipe.write);
    this.pipeWrite = both;
    return null;
  }

  #recordPipe(log: Instance): void {
    const inode = pipeInode(this.#kernel, this.pipeRead);
    if (inode !== 0) log.files.record.pipeInode = inode;
    log.files.writeRecord();
  }

  #closePipe(): void {
    if (this.pipeRead >= 0) this.#kernel.close(this.pipeRead);
    if (this.pipeWrite >= 0) this.#kernel.close(this.pipeWrite);
    this.pipeRead = -1;
    this.pipeWrite = -1;
  }

  /** `u` came while the log service was already on its way out: it gets a new pipe and is wanted again. */
  #takeLogBack(now: Instant): void {
    const log = this.log;
    if (log === null) return;
    if (this.#inner !== null) this.#inner.drain(false, now);
    const problem = this.pipeRead >= 0 ? null : this.#newPipe();
    if (problem !== null) {
      this.warn(problem);
      return;
    }
    this.#logReleased = false;
    this.#reactor.wakeAt(this, null);
    this.#recordPipe(log);
    if (log.machine.pid === NO_PID || log.machine.want === "exit") log.command("up", now);
  }
}
