/**
 * Process 1 of a machine: carries out what the stage machine (core/stage.ts)
 * asks for. Signals come by signalfd, so nothing happens outside the loop, and
 * nothing but the loop waits.
 */
import { ascii } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { type Fd, type Instant, NO_PID, pid } from "../base/units.ts";
import { STATUS_LOST, type StageAction, type StageEvent, Stages } from "../core/stage.ts";
import {
  AT_FDCWD,
  ECHILD,
  EPOLLIN,
  SIGALRM,
  SIGCHLD,
  SIGCONT,
  SIGHUP,
  SIGINT,
  SIGPIPE,
  SIGPWR,
  SIGTERM,
  SIGUSR2,
  WNOHANG,
} from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { takeTerminal } from "../kernel/machine.ts";
import { complain } from "../kernel/output.ts";
import { becomeProgram } from "../kernel/self.ts";
import { Part, type Reactor } from "../reactor.ts";
import { moveDescriptor, openConsoleForProgram, regainStandardError } from "./console.ts";
import { joinNumbers, type Lifeline, parseNumbers } from "./lifeline.ts";
import { endMachine } from "./machine-end.ts";
import { provokeTrap, trapSignals } from "./recovery.ts";
import { isSet, stopFiles } from "./stop-files.ts";

/** Blocked in process 1; default and unblocked in everything it starts. */
const BLOCKED: readonly number[] = [SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGPWR];
/** Of these, the ones somebody looks at. The others stay pending, as in runit. */
const HEEDED: readonly number[] = [SIGALRM, SIGCHLD, SIGCONT, SIGINT, SIGPWR];

/** Ended children taken in one turn: a flood of them must not keep signals and deadlines waiting. */
const REAPED_PER_TURN = 1000;

function both(a: readonly number[], b: readonly number[]): number[] {
  const all: number[] = [];
  for (let i = 0; i < a.length; i++) all.push(a[i]!);
  for (let i = 0; i < b.length; i++) all.push(b[i]!);
  return all;
}

/** Blocks the signals of process 1. */
export function blockStageSignals(kernel: Kernel): void {
  kernel.blockSignals(both(BLOCKED, trapSignals()));
}

export class StageHost extends Part {
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #lifeline: Lifeline;
  readonly #stages: Stages = new Stages();
  #signalFd: Fd = -1;
  /** There may be more ended children than one turn took. */
  #reapMore = false;

  constructor(reactor: Reactor, lifeline: Lifeline) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#lifeline = lifeline;
  }

  /** 0, or -errno when there is no descriptor for signals (then it is tried again). */
  open(): number {
    this.#signalFd = this.#kernel.signalfd(both(HEEDED, trapSignals()));
    if (this.#signalFd < 0) return this.#signalFd;
    return this.#reactor.watch(this.#signalFd, EPOLLIN, this, true);
  }

  /** Stage 1, or where the predecessor was. */
  begin(now: Instant): void {
    const words = this.#lifeline.words;
    if (this.#lifeline.recovered && words.length > 0) {
      this.#stages.restore(parseNumbers(words[0]!), now);
      this.#drive({ kind: "begin" }, now);
      this.#reap(now);
      this.#missing(this.#stages.cadPid, now);
      this.#missing(this.#stages.pid, now);
    } else this.#drive({ kind: "begin" }, now);
  }

  override ready(fd: Fd, _events: number, now: Instant): void {
    let cont = false;
    let int = false;
    let power = false;
    let alarm = false;
    for (let signal = this.#kernel.readSignal(fd); signal > 0; signal = this.#kernel.readSignal(fd)) {
      if (signal === SIGCONT) cont = true;
      else if (signal === SIGINT) int = true;
      else if (signal === SIGPWR) power = true;
      else if (signal === SIGALRM) alarm = true;
      else if (signal === SIGUSR2) provokeTrap();
    }
    regainStandardError(this.#kernel);
    // Ends first: a stage that ended is not there to be stopped.
    this.#reap(now);
    if (power || alarm) {
      const debian = stopFiles(this.#kernel).debian;
      power = power && debian;
      alarm = alarm && debian;
    }
    if (cont || int || power || alarm) this.#drive({ kind: "signals", cont, int, power, alarm }, now);
  }

  override due(now: Instant): void {
    regainStandardError(this.#kernel);
    if (this.#reapMore) this.#reap(now);
    this.#drive({ kind: "due" }, now);
  }

  #reap(now: Instant): void {
    this.#reapMore = false;
    for (let i = 0; i < REAPED_PER_TURN; i++) {
      const exit = this.#kernel.waitpid(-1, WNOHANG);
      if (exit.pid <= 0) return;
      if (exit.pid !== this.#stages.pid && exit.pid !== this.#stages.cadPid) continue;
      this.#drive({ kind: "ended", pid: pid(exit.pid), status: exit.status }, now);
    }
    this.#reapMore = true;
    this.#reactor.wakeAt(this, now);
  }

  /** A process that is not our child (any more): its end was reaped by a predecessor that then trapped. */
  #missing(process: number, now: Instant): void {
    if (process === NO_PID) return;
    const exit = this.#kernel.waitpid(process, WNOHANG);
    if (exit.pid === process) this.#drive({ kind: "ended", pid: pid(process), status: exit.status }, now);
    else if (exit.pid === -ECHILD) this.#drive({ kind: "ended", pid: pid(process), status: STATUS_LOST }, now);
  }

  /** One event through the machine, its actions carried out, their outcomes too. */
  #drive(first: StageEvent, now: Instant): void {
    const events: StageEvent[] = [first];
    for (let i = 0; i < events.length; i++) {
      const actions = this.#stages.step(events[i]!, now);
      for (let j = 0; j < actions.length; j++) this.#perform(actions[j]!, events);
    }
    this.#lifeline.remember([], [joinNumbers(this.#stages.memory())]);
    this.#reactor.wakeAt(this, this.#reapMore ? now : this.#stages.deadline());
  }

  #perform(action: StageAction, events: StageEvent[]): void {
    switch (action.act) {
      case "say":
        complain(this.#kernel, action.line);
        break;
      case "start":
        events.push(this.#start(action.path, action.console));
        break;
      case "look":
        events.push({ kind: "looked", set: isSet(this.#kernel, this.#file(action.file === "stopit")) });
        break;
      case "clearStopit":
        this.#kernel.chmod(AT_FDCWD, ascii(this.#file(true)), 0);
        break;
      case "signal":
        this.#kernel.kill(pid(action.pid), action.signal);
        break;
      case "off":
        endMachine(this.#kernel, action.powerOff);
        break;
    }
  }

  #file(stopit: boolean): string {
    return stopit ? stopFiles(this.#kernel).stopit : "/etc/runit/ctrlaltdel";
  }

  // ---- Starting a stage ----

  /**
   * fork(2), and the child does the rest in the order runit does it, messages
   * included; that it exits 0 when there is nothing to exec is part of runit(8).
   */
  #start(path: string, console: boolean): StageEvent {
    const child = this.#kernel.fork();
    if (child < 0) return { kind: "startFailed", error: errorText(-child) };
    if (child > 0) return { kind: "started", pid: pid(child) };
    try {
      this.#become(path, console);
    } catch (e) {
      complain(this.#kernel, `- runit: warning: internal error: ${e instanceof Error ? e.message : "unknown"}\n`);
    }
    this.#kernel.exit(0);
    return { kind: "startFailed", error: "" };
  }

  /** In the child: returns only when the program cannot be started. */
  #become(path: string, console: boolean): void {
    const k = this.#kernel;
    if (console) this.#takeConsole();
    else k.setsid();
    // Blocking descriptions of their own: ours must never block, theirs are expected to.
    for (let fd = 1; fd <= 2; fd++) {
      const own = openConsoleForProgram(k, true);
      if (own >= 0) moveDescriptor(k, own, fd);
    }
    for (let i = 0; i < BLOCKED.length; i++) k.ignoreSignal(BLOCKED[i]!, false);
    k.blockSignals([]);
    complain(k, `- runit: enter stage: ${path}\n`);
    const program = ascii(path);
    const r = becomeProgram(program, [program]);
    complain(k, `- runit: fatal: unable to start child: ${path}: ${errorText(-r)}\n`);
  }

  #takeConsole(): void {
    const fd = openConsoleForProgram(this.#kernel, false);
    if (fd < 0) {
      complain(this.#kernel, `- runit: warning: unable to open /dev/console: ${errorText(-fd)}\n`);
      return;
    }
    takeTerminal(fd);
    moveDescriptor(this.#kernel, fd, 0);
  }
}
