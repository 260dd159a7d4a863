/**
 * Carries out what the machine of one service (core/service.ts) asks for:
 * starts and signals processes, runs hooks, writes the state, reads the
 * control FIFO. A Supervisor owns one for the service and one for its log.
 */
import { ascii } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { after, earlier, type Fd, type Instant, instant, NO_PID, type Pid, pid } from "../base/units.ts";
import { type Command, commandOf, letterOf } from "../core/control.ts";
import { type Program, type Service, type ServiceEvent, STATUS_UNKNOWN, THROTTLE_MS } from "../core/service.ts";
import { EPOLLIN, ESRCH, O_CLOEXEC, O_NONBLOCK, O_RDONLY, SIGKILL } from "../kernel/constants.ts";
import type { Kernel, Move, Spawned } from "../kernel/kernel.ts";
import { Part, type Reactor } from "../reactor.ts";
import { AdoptedProcess, correctStart, NOBODY, OWN_CHILD, openAdopted, STILL_THERE } from "./adopted-process.ts";
import type { InnerProgram } from "./inner-program.ts";
import { findHook, hasFinish, hookSpawn, programSpawn, type Starting, whyNotStarted } from "./service-programs.ts";
import { Sparing } from "./sparing.ts";
import { StateDirectory } from "./state-directory.ts";
import { ToldState } from "./told-state.ts";

/** What an instance needs of its owner. */
export abstract class InstanceOwner extends Sparing {
  /** The service directory. */
  abstract get serviceFd(): Fd;
  /** Descriptor moves for a program of the service or of the log. */
  abstract moves(isLog: boolean): readonly Move[];
  /** How programs are started. */
  abstract get starting(): Starting;
  /** There is a child more. */
  abstract forked(child: Pid): void;
  /** Whether descriptors are scarce, of which `newest` was opened last. */
  abstract isScarce(newest: Fd): boolean;
  abstract warn(text: string): void;
  /** A message of the class runit's children print before they exit 111. */
  abstract fatal(text: string): void;
  /** Something happened: look whether the supervisor itself has to act. */
  abstract settled(now: Instant): void;
}

/** Reads of the control FIFO in one turn of the loop, which others wait for meanwhile. */
const CONTROL_READS = 64;
/** What was taken over and got no descriptor, as these are scarce, is looked for this often. */
const POLL_MS = 1000;

export class Instance extends Part {
  readonly machine: Service;
  readonly files: StateDirectory;
  readonly #told: ToldState;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #owner: InstanceOwner;
  #hookPid: Pid = NO_PID;
  /** Taken over from a predecessor. */
  #adopted: AdoptedProcess = NOBODY;
  /** A predecessor died between deciding to start a process and recording it. */
  #recheckRecord = false;
  #listening = true;
  /** In place of ./run; set before `open`. */
  inner: InnerProgram | null = null;

  constructor(reactor: Reactor, owner: InstanceOwner, machine: Service) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#owner = owner;
    this.machine = machine;
    this.files = new StateDirectory(reactor.kernel, machine.isLog ? "log/supervise" : "supervise", owner);
    this.#told = new ToldState(reactor.kernel, machine, this.files);
  }

  /** State files could not be written and are tried again. */
  get retriesFiles(): boolean {
    return this.#told.rewriteAt !== null;
  }

  /**
   * Reads the predecessor's record, takes its process over, writes the first
   * status, listens to control. Returns the text of a fatal message, or null.
   */
  open(bootId: Uint8Array, now: Instant): string | null {
    const record = this.files.record;
    const found = bootId.length > 0 && this.files.readRecord(bootId);
    if (this.files.foreignRecord) this.#owner.warn(`${this.files.name}/adopt belongs to another user: not believed`);
    if (!found) {
      record.clear();
      if (bootId.length > 0) record.bootId.set(bootId, 0);
      this.#told.stamp();
    } else {
      const unknown = this.#takeOver(now);
      if (unknown !== 0) return `unable to look for process ${record.pid}: ${errorText(unknown)}`;
    }
    record.supervisor = this.#kernel.getpid();
    this.#told.inner = this.inner !== null;
    this.#write(now);
    const watched = this.#reactor.watch(this.files.controlFd, EPOLLIN, this, false);
    return watched < 0 ? `unable to watch ${this.files.name}/control: ${errorText(-watched)}` : null;
  }

  /** Starts what is to be started. */
  begin(now: Instant): void {
    if (this.#lost) {
      this.#lost = false;
      this.drive({ kind: "ended", status: STATUS_UNKNOWN, hasFinish: this.#hasFinish() }, now);
    } else this.drive({ kind: "begin" }, now);
  }

  /** Whether a reaped child was ours; if so it is dealt with. */
  reaped(child: number, status: number, now: Instant): boolean {
    if (child === this.#hookPid) {
      this.#hookPid = NO_PID;
      this.drive({ kind: "hookEnded", handled: status === 0 }, now);
      return true;
    }
    if (child !== this.machine.pid || child === NO_PID || child === this.#adopted.pid) return false;
    this.#processEnded(status, now);
    return true;
  }

  /** The service is to end by end of file on its pipe, and not to be started again (log service). */
  release(now: Instant): void {
    this.machine.want = "exit";
    this.#write(now);
    this.drive({ kind: "begin" }, now);
  }

  command(command: Command, now: Instant): void {
    this.drive({ kind: "command", command }, now);
  }

  override ready(fd: Fd, _events: number, now: Instant): void {
    if (fd === this.#adopted.fd) this.#adoptedEnded(this.#adopted.end(this.#kernel), now);
    else if (fd === this.files.controlFd) this.#readControl(now);
  }

  override due(now: Instant): void {
    if (this.#adopted.polled) this.#adoptedEnded(this.#adopted.glance(this.#kernel), now);
    if (this.#told.rewriteAt !== null && now >= this.#told.rewriteAt) this.#write(now);
    this.drive({ kind: "due" }, now);
  }

  /** The service that was taken over writes into a pipe that could not be. Returns its pid; 0: there is none, or it is known. */
  losePipe(): number {
    const record = this.files.record;
    if (this.machine.state !== "run" || this.machine.pid === NO_PID || record.pipeLost) return 0;
    record.pipeLost = true;
    this.files.writeRecord();
    return record.pid;
  }

  /**
   * One event through the machine, its actions carried out, their outcomes too.
   * The record tells a successor of each change before the next action; the
   * files, which are for others to read, are written once, when all is done.
   */
  drive(first: ServiceEvent, now: Instant): void {
    const events: ServiceEvent[] = [first];
    for (let i = 0; i < events.length; i++) {
      const actions = this.machine.step(events[i]!, now);
      for (let j = 0; j < actions.length; j++) {
        const action = actions[j]!;
        switch (action.act) {
          case "start":
            if (this.inner === null) this.#start(action.program, events);
            else this.#startInner(this.inner, events, now);
            break;
          case "signal":
            this.#signal(action.signal, now);
            break;
          case "hook":
            this.#startHook(action.command, events, now);
            break;
          case "killHook":
            if (this.#hookPid !== NO_PID) this.#kernel.kill(this.#hookPid, SIGKILL);
            break;
          case "status":
            // The start of run was stamped before there was a process.
            if (action.stamp && this.machine.state !== "run") this.#told.stamp();
            this.#told.record();
            break;
        }
      }
    }
    this.#show(now);
    this.#listen();
    const poll = this.#adopted.polled ? after(now, POLL_MS) : null;
    this.#reactor.wakeAt(this, earlier(poll, earlier(this.machine.deadline(), this.#told.rewriteAt)));
    this.#owner.settled(now);
  }

  /** Ends the supervision. */
  close(): void {
    this.#reactor.wakeAt(this, null);
    this.#reactor.unwatch(this.files.controlFd);
    this.#closeAdopted();
    this.#told.end();
    this.files.close();
  }

  // ---- Taking over ----

  /** The recorded process was gone when it was looked for. */
  #lost = false;

  /** Returns 0, or the errno for which nobody can tell whether the recorded process lives. */
  #takeOver(now: Instant): number {
    const m = this.machine;
    const record = this.files.record;
    // What an operator asked for outlives the supervisor.
    if (record.want === 100 && m.want === "up") m.want = "down";
    else if (record.want === 117 && m.want === "down") m.want = "up";
    const age = this.#kernel.bootTimeMs() - record.startedBootMs;
    m.throttledUntil = instant(now + Math.max(0, THROTTLE_MS - Math.max(0, age)));
    if (record.state === 0 || this.inner !== null) return 0;
    const state = record.state === 1 ? "run" : "finish";
    m.lastStatus = record.lastStatus;
    if (record.pid === 0) {
      // Killed between the decision to start and the child's own mark: look again before starting.
      this.#recheckRecord = true;
      if (state === "finish") m.adopt("finish", NO_PID, false, false);
      return 0;
    }
    m.adopt(state, pid(record.pid), record.paused, record.gotTerm);
    const adopted = this.#adoptProcess(record.pid);
    this.#lost = adopted === -ESRCH;
    return adopted === -ESRCH ? 0 : -adopted;
  }

  /** 0; -ESRCH when the process is gone; another -errno when a second copy must not be risked. */
  #adoptProcess(process: number): number {
    const { startedBootMs } = this.files.record;
    const fd = openAdopted(this.#kernel, pid(process), startedBootMs);
    if (fd === OWN_CHILD) this.#owner.forked(pid(process));
    if (fd < 0 || fd === OWN_CHILD) return Math.min(fd, 0);
    const polled = this.#owner.isScarce(fd);
    const watched = polled ? 0 : this.#reactor.watch(fd, EPOLLIN, this, false);
    if (polled || watched < 0) this.#kernel.close(fd);
    if (watched >= 0) this.#adopted = new AdoptedProcess(pid(process), polled ? -1 : fd, startedBootMs);
    return watched;
  }

  #adoptedEnded(status: number, now: Instant): void {
    if (status !== STILL_THERE) this.#processEnded(status, now);
  }

  #closeAdopted(): void {
    this.#adopted.close(this.#reactor);
    this.#adopted = NOBODY;
  }

  // ---- Processes ----

  #processEnded(status: number, now: Instant): void {
    this.#closeAdopted();
    this.drive({ kind: "ended", status, hasFinish: this.machine.state === "run" && this.#hasFinish() }, now);
  }

  #hasFinish(): boolean {
    return !this.machine.isLog && hasFinish(this.#kernel, this.#owner.serviceFd);
  }

  #signal(signal: number, now: Instant): void {
    if (this.inner !== null) this.inner.signal(signal, now);
    else if (this.#adopted !== NOBODY) this.#adopted.signal(this.#kernel, signal);
    else if (this.machine.pid !== NO_PID) this.#kernel.kill(this.machine.pid, signal);
  }

  #start(program: Program, events: ServiceEvent[]): void {
    if (this.#recheckRecord && this.#foundAfterAll(events)) return;
    const lost = this.files.lost;
    if (lost !== 0) {
      // Nothing is started that a successor would not find; simulate/found: "few descriptors".
      this.#owner.warn(`unable to open ${this.files.name}, sleeping: ${errorText(lost)}`);
      events.push({ kind: "startFailed" });
      return;
    }
    const record = this.files.record;
    record.state = program === "run" ? 1 : 2;
    record.pid = 0;
    record.startedBootMs = this.#kernel.bootTimeMs();
    record.lastStatus = this.machine.lastStatus;
    if (program === "run") this.#told.stamp();
    this.files.writeRecord();
    const spawned = this.#spawn(program);
    if (spawned === null || spawned.pid < 0) {
      record.state = program === "run" ? 0 : 2;
      this.files.writeRecord();
      if (spawned !== null) this.#owner.warn(`unable to fork, sleeping: ${errorText(-spawned.pid)}`);
      events.push({ kind: "startFailed" });
      return;
    }
    record.pid = spawned.pid;
    correctStart(this.#kernel, record);
    this.#owner.forked(pid(spawned.pid));
    if (program === "run") record.pipeLost = false;
    if (spawned.execErrno !== 0) this.#owner.fatal(whyNotStarted(program, this.machine.isLog, spawned));
    // The turn may be long under a flood of commands: the second counts from here; simulate/seeds 97.
    if (program === "run") this.machine.throttledUntil = after(this.#kernel.now(), THROTTLE_MS);
    events.push({ kind: "started", pid: pid(spawned.pid) });
  }

  /** Shown as our own process; a successor finds none in the record. */
  #startInner(inner: InnerProgram, events: ServiceEvent[], now: Instant): void {
    this.#told.stamp();
    if (inner.begin(now)) events.push({ kind: "started", pid: this.#kernel.getpid() });
    else events.push({ kind: "startFailed" });
  }

  innerEnded(now: Instant): void {
    this.drive({ kind: "ended", status: 0, hasFinish: false }, now);
  }

  /** The child of a dead predecessor may have written its pid meanwhile. */
  #foundAfterAll(events: ServiceEvent[]): boolean {
    const id = this.files.record.bootId.slice(0, 16);
    const process = this.files.readRecord(id) ? this.files.record.pid : 0;
    const adopted = process === 0 ? -ESRCH : this.#adoptProcess(process);
    this.#recheckRecord = adopted < 0 && adopted !== -ESRCH;
    if (adopted === -ESRCH) return false;
    if (adopted === 0) events.push({ kind: "started", pid: pid(process) });
    else {
      this.#owner.warn(`unable to look for process ${process}, sleeping: ${errorText(-adopted)}`);
      events.push({ kind: "startFailed" });
    }
    return true;
  }

  #spawn(program: Program): Spawned | null {
    const isLog = this.machine.isLog;
    let dir = this.#owner.serviceFd;
    if (isLog) dir = this.#kernel.open(dir, ascii("log"), O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (dir < 0) {
      this.#owner.fatal(`unable to change directory to ${isLog ? "./log" : "."}: ${errorText(-dir)}`);
      return null;
    }
    const spawned = this.#kernel.spawn(
      programSpawn(dir, program, this.machine.lastStatus, this.#owner.moves(isLog), this.#owner.starting, this.files.recordFd),
    );
    if (isLog) this.#kernel.close(dir);
    return spawned;
  }

  #startHook(command: Command, events: ServiceEvent[], now: Instant): void {
    const path = ascii(`control/${letterOf(command)}`);
    const found = findHook(this.#kernel, this.#owner.serviceFd, path);
    if (found < 0) this.#owner.warn(`unable to stat control/${letterOf(command)}: ${errorText(-found)}`);
    if (found <= 0) {
      events.push({ kind: "hookEnded", handled: false });
      return;
    }
    // It may ask how the service is.
    this.#show(now);
    const spawned = this.#kernel.spawn(hookSpawn(this.#owner.serviceFd, path, this.#owner.moves(false), this.#owner.starting));
    if (spawned.pid < 0) {
      this.#owner.warn(`unable to fork for control/${letterOf(command)}: ${errorText(-spawned.pid)}`);
      events.push({ kind: "hookEnded", handled: false });
      return;
    }
    // compat: the question mark is part of the message.
    if (spawned.execErrno !== 0) this.#owner.fatal(`unable to run control/?: ${errorText(spawned.execErrno)}`);
    this.#hookPid = pid(spawned.pid);
    this.#owner.forked(this.#hookPid);
  }

  // ---- State and control ----

  #write(now: Instant): void {
    this.#told.record();
    this.#show(now);
  }

  #show(now: Instant): void {
    const warning = this.#told.show(now);
    if (warning !== null) this.#owner.warn(warning);
  }

  /** As many bytes as the machine takes in, for the time of a turn: what it cannot take stays in the FIFO. */
  #readControl(now: Instant): void {
    for (let turn = 0; turn < CONTROL_READS && this.machine.room > 0; turn++) {
      const b = new Uint8Array(this.machine.room);
      const n = this.#kernel.read(this.files.controlFd, b);
      if (n <= 0) break;
      const read = b.subarray(0, n);
      for (let i = 0; i < read.length; i++) {
        const command = commandOf(read[i]!);
        if (command !== null) this.drive({ kind: "command", command }, now);
      }
      if (n < b.length) break;
    }
    this.#listen();
  }

  /** Listens to the FIFO only while commands can be taken in, else a full queue would make the loop spin. */
  #listen(): void {
    const takes = this.machine.room > 0;
    if (takes === this.#listening || this.files.controlFd < 0) return;
    this.#listening = takes;
    this.#reactor.rewatch(this.files.controlFd, takes ? EPOLLIN : 0);
  }
}
