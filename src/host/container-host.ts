/**
 * The init of a container: carries out what core/boot.ts (how it starts) and
 * core/shutdown.ts (how it stops) ask for. Signals come by signalfd, so nothing
 * happens outside the loop, and nothing but the loop waits.
 */
import { ascii, item } from "../base/bytes.ts";
import { earlier, type Fd, type Instant, NO_PID, type Pid, pid } from "../base/units.ts";
import { Boot, type BootAction, type BootEvent } from "../core/boot.ts";
import { exitCodeOf, type Inhabitants, Shutdown, type ShutdownAction, type ShutdownEvent } from "../core/shutdown.ts";
import { parseEssentialNotice } from "../formats/essential-notice.ts";
import { ECHILD, EPOLLIN, F_SETFL, O_CLOEXEC, O_NONBLOCK, O_RDONLY, WNOHANG } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Reactor } from "../reactor.ts";
import { Part } from "../reactor.ts";
import { commandText, type Started, stageExists, startCommand, startStage } from "./container-programs.ts";
import type { ContainerSettings } from "./container-settings.ts";
import { type ContainerOrder, orderOf, readOrders, stopOfFiles } from "./container-signals.ts";
import { ContainerTree } from "./container-tree.ts";
import { IdleTrim } from "./idle-trim.ts";
import { type Lifeline, parseNumbers } from "./lifeline.ts";
import { otherProcesses } from "./processes.ts";
import { killEveryone, signalEveryone } from "./strays.ts";
import { Successor } from "./successor.ts";

/** Exit code of a fault of our own. */
export const INTERNAL_FAILURE = 111;
/** Exit code that means "again": what an engine sees when a container's process 1 calls reboot(2). */
const AGAIN = 129;
/** Ended children taken in one turn: a flood of them must not keep signals and deadlines waiting. */
const REAPED_PER_TURN = 1000;
const STAGE3 = "/etc/runit/3";
const NOTICE_BYTES = 512;
/** How many numbers there are in the word for a successor, and of whom. */
const BOOT_NUMBERS = 3;
const END_NUMBERS = 5;

export class ContainerHost extends Part {
  /** Set when it is time to go. */
  exitCode = -1;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #lifeline: Lifeline;
  readonly #settings: ContainerSettings;
  readonly #successor: Successor;
  readonly #boot: Boot = new Boot();
  readonly #end: Shutdown;
  readonly #tree: ContainerTree;
  readonly #idle: IdleTrim;
  #endEvents: ShutdownEvent[] = [];
  #ending = false;
  #command: Pid = NO_PID;
  #stage3: Pid = NO_PID;
  #noticeRead: Fd = -1;
  #noticeWrite: Fd = -1;
  #reapMore = false;

  /** `args`: what a successor is to be called with. */
  constructor(reactor: Reactor, settings: ContainerSettings, lifeline: Lifeline, args: readonly Uint8Array[]) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#settings = settings;
    this.#lifeline = lifeline;
    this.#successor = new Successor(lifeline, args);
    this.#end = new Shutdown(settings.graceMs);
    this.#tree = new ContainerTree(reactor, settings);
    this.#idle = new IdleTrim(reactor);
  }

  /** 0, or -errno when there are no descriptors for signals. */
  open(signalFd: Fd): number {
    const fds = this.#lifeline.fds;
    if (fds.length >= 2 && fds[0]! >= 0 && fds[1]! >= 0) {
      this.#noticeRead = fds[0]!;
      this.#noticeWrite = fds[1]!;
    } else {
      const pipe = this.#kernel.pipe(O_CLOEXEC);
      if (pipe.errno === 0) {
        this.#noticeRead = pipe.read;
        this.#noticeWrite = pipe.write;
        this.#kernel.fcntl(pipe.read, F_SETFL, O_RDONLY | O_NONBLOCK);
      }
    }
    this.#tree.notice = this.#noticeWrite;
    if (this.#noticeRead >= 0) this.#reactor.watch(this.#noticeRead, EPOLLIN, this, false);
    return this.#reactor.watch(signalFd, EPOLLIN, this, true);
  }

  /** From the beginning, or from where the predecessor was, by what it left. */
  begin(predecessor: readonly Uint8Array[], now: Instant): void {
    if (this.#lifeline.recovered) this.#restore(predecessor, now);
    else {
      const has = (path: string): boolean => this.#settings.stages && stageExists(this.#kernel, path);
      this.#driveBoot({ kind: "begin", stage1: has("/etc/runit/1"), stage2: has("/etc/runit/2") }, now);
    }
    this.#reap(now);
    this.#settle(now);
  }

  // ---- Across a trap ----

  #restore(words: readonly Uint8Array[], now: Instant): void {
    const numbers = parseNumbers(item(words, 0) ?? ascii(""));
    if (numbers.length < BOOT_NUMBERS + END_NUMBERS + 3) return;
    const at = BOOT_NUMBERS + END_NUMBERS;
    this.#command = pid(numbers[at]!);
    this.#stage3 = pid(numbers[at + 1]!);
    this.#tree.foreign = numbers[at + 2]! !== 0;
    this.#tree.restore(this.#lifeline.fds.slice(2), words.slice(1));
    const boot = this.#boot.restore(numbers.slice(0, BOOT_NUMBERS), now);
    for (let i = 0; i < boot.length; i++) this.#performBoot(boot[i]!, now);
    const end = this.#end.restore(numbers.slice(BOOT_NUMBERS, at), this.#inhabitants(), now);
    this.#tree.foreign = this.#tree.foreign || this.#end.stopping;
    for (let i = 0; i < end.length; i++) this.#performEnd(end[i]!, now);
    this.#missing(this.#boot.pid, now);
    this.#missing(this.#command, now);
    this.#missing(this.#stage3, now);
  }

  /** A process whose end a predecessor reaped that then trapped. */
  #missing(process: Pid, now: Instant): void {
    if (process === NO_PID) return;
    const exit = this.#kernel.waitpid(process, WNOHANG);
    if (exit.pid === process) this.#childEnded(process, exit.status, now);
    else if (exit.pid === -ECHILD) this.#childEnded(process, INTERNAL_FAILURE << 8, now);
  }

  /** What a successor would need is put in order, and the next deadline set. */
  #settle(now: Instant): void {
    const numbers: number[] = [];
    const parts = [this.#boot.memory(), this.#end.memory()];
    for (let i = 0; i < parts.length; i++) for (let j = 0; j < parts[i]!.length; j++) numbers.push(parts[i]![j]!);
    numbers.push(this.#command, this.#stage3, this.#tree.foreign ? 1 : 0);
    this.#successor.tell(numbers, [this.#noticeRead, this.#noticeWrite], this.#tree);
    const next = earlier(earlier(this.#boot.deadline(), this.#end.deadline()), this.#tree.deadline());
    this.#reactor.wakeAt(this, this.#reapMore ? now : next);
    this.#idle.busy(now);
  }

  // ---- Events ----

  override ready(fd: Fd, _events: number, now: Instant): void {
    if (fd === this.#noticeRead) this.#readNotice(now);
    else {
      const signals = readOrders(this.#kernel, fd);
      // Ends first: who has ended is not there to be told anything.
      this.#reap(now);
      for (let i = 0; i < signals.length; i++) this.#signalled(signals[i]!, now);
    }
    this.#settle(now);
  }

  override due(now: Instant): void {
    if (this.#reapMore) this.#reap(now);
    this.#driveBoot({ kind: "due" }, now);
    this.#driveEnd({ kind: "due" }, now);
    this.#lookAtTree(now);
    this.#settle(now);
  }

  /** After each turn of the reactor. */
  turned(): void {
    const now = this.#kernel.now();
    if (!this.#tree.settle(now)) return;
    this.#lookAtTree(now);
    this.#settle(now);
  }

  #signalled(signal: number, now: Instant): void {
    const order: ContainerOrder = orderOf(signal);
    switch (order) {
      case "stop":
        this.#request(signal, 0, now);
        break;
      case "again":
        this.#request(signal, AGAIN, now);
        break;
      case "rescan":
        this.#tree.rescan(now);
        this.#forward(signal);
        break;
      case "look": {
        const asked = stopOfFiles(this.#kernel);
        if (asked < 0) this.#forward(signal);
        else this.#request(0, asked === 0 ? 0 : AGAIN, now);
        break;
      }
      case "forward":
        this.#forward(signal);
        break;
      case "nothing":
        break;
    }
  }

  #forward(signal: number): void {
    if (this.#command === NO_PID) return;
    this.#kernel.kill(this.#settings.group ? pid(-this.#command) : this.#command, signal);
  }

  #readNotice(now: Instant): void {
    const b = new Uint8Array(NOTICE_BYTES);
    const n = this.#kernel.read(this.#noticeRead, b);
    const end = n > 0 ? parseEssentialNotice(b.subarray(0, n)) : null;
    if (end === null || this.#end.stopping) return;
    const code = end.status < 0 ? INTERNAL_FAILURE : exitCodeOf(end.status);
    this.#tree.say(`essential service ${end.name} is down for good, exit code ${code}`);
    this.#request(0, code, now);
  }

  /** The end begins; later ones with a signal hurry it. */
  #request(signal: number, code: number, now: Instant): void {
    const who = this.#inhabitants();
    this.#driveBoot({ kind: "over" }, now);
    this.#driveEnd({ kind: "stop", signal, code, now: who }, now);
  }

  #inhabitants(): Inhabitants {
    return {
      stage2: this.#boot.pid !== NO_PID,
      stage3: this.#settings.stages && this.#stage3 === NO_PID && stageExists(this.#kernel, STAGE3),
      tree: true,
      command: this.#command !== NO_PID,
    };
  }

  // ---- Children ----

  #reap(now: Instant): void {
    this.#reapMore = false;
    let reaped = 0;
    for (; reaped < REAPED_PER_TURN; reaped++) {
      const exit = this.#kernel.waitpid(-1, WNOHANG);
      if (exit.pid <= 0) break;
      this.#childEnded(pid(exit.pid), exit.status, now);
    }
    this.#reapMore = reaped === REAPED_PER_TURN;
    if (reaped === 0 || !this.#end.stopping) return;
    this.#lookAtTree(now);
    if (this.#end.phase === "strays" || this.#end.phase === "kill") this.#count(now);
  }

  #childEnded(child: Pid, status: number, now: Instant): void {
    if (child === this.#boot.pid) {
      this.#driveBoot({ kind: "ended", pid: child, status }, now);
      if (this.#end.phase === "stage2") this.#driveEnd({ kind: "stage2Ended" }, now);
    } else if (child === this.#command) {
      this.#command = NO_PID;
      const code = exitCodeOf(status);
      this.#driveEnd({ kind: "commandEnded", code }, now);
      if (!this.#end.stopping) this.#request(0, code, now);
    } else if (child === this.#stage3) {
      this.#stage3 = NO_PID;
      this.#tree.say(`leave stage: ${STAGE3}`);
      this.#driveEnd({ kind: "stage3Ended" }, now);
    } else if (this.#tree.reaped(child, status, now)) {
      if (this.#end.phase === "drain" && !this.#tree.relaying) this.#driveEnd({ kind: "drained" }, now);
    }
  }

  #lookAtTree(now: Instant): void {
    if (this.#end.phase === "services" && this.#tree.isGone(now)) this.#driveEnd({ kind: "treeEnded" }, now);
  }

  #count(now: Instant): void {
    const others = otherProcesses(this.#kernel, this.#tree.relay);
    this.#driveEnd({ kind: "left", count: others === null ? 1 : others.length }, now);
  }

  // ---- Starting ----

  #driveBoot(first: BootEvent, now: Instant): void {
    const actions = this.#boot.step(first, now);
    for (let i = 0; i < actions.length; i++) this.#performBoot(actions[i]!, now);
  }

  #performBoot(action: BootAction, now: Instant): void {
    switch (action.act) {
      case "say":
        this.#tree.print(action.line);
        break;
      case "start":
        this.#startStage(action.path, now);
        break;
      case "signal":
        this.#kernel.kill(pid(action.pid), action.signal);
        break;
      case "services":
        this.#startServices(now);
        break;
      case "stop":
        this.#request(0, action.code, now);
        break;
    }
  }

  #startStage(path: string, now: Instant): void {
    if (path === "/etc/runit/2") this.#tree.foreign = true;
    this.#tree.say(`enter stage: ${path}`);
    const started = startStage(this.#kernel, path);
    if (started.pid !== NO_PID) this.#driveBoot({ kind: "started", pid: started.pid }, now);
    else if (started.code < 0) this.#driveBoot({ kind: "startFailed", error: started.problem }, now);
    else {
      this.#tree.say(`fatal: unable to start child: ${path}: ${started.problem}`);
      this.#driveBoot({ kind: "notStarted", code: started.code }, now);
    }
  }

  #startServices(now: Instant): void {
    this.#tree.begin(now);
    const command = this.#settings.command;
    if (command.length === 0 || this.#command !== NO_PID) return;
    const started: Started = startCommand(this.#kernel, command);
    this.#command = started.pid;
    if (started.pid !== NO_PID) return;
    this.#tree.say(`fatal: unable to run ${commandText(command)}: ${started.problem}`);
    this.#request(0, started.code < 0 ? INTERNAL_FAILURE : started.code, now);
  }

  // ---- Stopping ----

  /** One event, and those its actions lead to at once. */
  #driveEnd(event: ShutdownEvent, now: Instant): void {
    this.#endEvents.push(event);
    if (this.#ending) return;
    this.#ending = true;
    for (let at = 0; at < this.#endEvents.length; at++) {
      const actions = this.#end.step(this.#endEvents[at]!, now);
      for (let i = 0; i < actions.length; i++) this.#performEnd(actions[i]!, now);
    }
    this.#endEvents = [];
    this.#ending = false;
  }

  #performEnd(action: ShutdownAction, now: Instant): void {
    const k = this.#kernel;
    switch (action.act) {
      case "signalStage2":
        if (this.#boot.pid !== NO_PID) k.kill(this.#boot.pid, action.signal);
        break;
      case "startStage3":
        this.#startStage3(now);
        break;
      case "killStage3":
        this.#tree.say(`warning: killing ${STAGE3} (pid ${this.#stage3})`);
        if (this.#stage3 > 1) killEveryone(k, this.#stage3);
        break;
      case "stopTree":
        this.#tree.stop(now);
        this.#lookAtTree(now);
        break;
      case "killTree":
        this.#tree.killBusy();
        break;
      case "signalCommand":
        this.#forward(action.signal);
        break;
      case "count":
        this.#count(now);
        break;
      case "signalAll":
        signalEveryone(k, action.signal, this.#tree.relay);
        break;
      case "report":
        this.#report(action.leftMs);
        break;
      case "drain":
        if (!this.#tree.drain(now)) this.#driveEnd({ kind: "drained" }, now);
        break;
      case "exit":
        this.exitCode = action.code;
        break;
    }
  }

  #startStage3(now: Instant): void {
    this.#tree.say(`enter stage: ${STAGE3}`);
    const started = startStage(this.#kernel, STAGE3);
    this.#stage3 = started.pid;
    if (started.pid !== NO_PID) return;
    this.#tree.say(`fatal: unable to start child: ${STAGE3}: ${started.problem}`);
    this.#driveEnd({ kind: "stage3Ended" }, now);
  }

  #report(leftMs: number): void {
    const phase = this.#end.phase;
    let who: string[] = [];
    if (phase === "stage2") who = [`${this.#boot.phase === "stage1" ? "/etc/runit/1" : "/etc/runit/2"} (pid ${this.#boot.pid})`];
    else if (phase === "stage3") who = [`${STAGE3} (pid ${this.#stage3})`];
    else {
      who = this.#tree.blockers(phase === "services");
      if (this.#command !== NO_PID) who.unshift(`${commandText(this.#settings.command)} (pid ${this.#command})`);
    }
    this.#tree.sayWaiting(who, leftMs);
  }
}
