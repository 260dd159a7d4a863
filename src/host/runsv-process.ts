/** The process around one supervisor: its signals, its loop, and what a trap leaves of it. */
import { ascii, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd, Instant } from "../base/units.ts";
import { AT_FDCWD, EPOLLIN, SIGCHLD, SIGTERM, SIGUSR2, WNOHANG } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { Part, Reactor } from "../reactor.ts";

import { installRecovery, provokeTrap, recoveredWord, trapSignals } from "./recovery.ts";
import { RUNSV_SIGNALS } from "./service-programs.ts";
import { openDirectory } from "./state-directory.ts";
import { type Inherited, Supervisor } from "./supervisor.ts";
import { SupervisorHome } from "./supervisor-home.ts";

/** Signals of the one supervisor: children that ended, and TERM, which is the command `x`. */
class RunsvSignals extends Part {
  readonly #kernel: Kernel;
  readonly #supervisor: Supervisor;

  constructor(kernel: Kernel, supervisor: Supervisor) {
    super();
    this.#kernel = kernel;
    this.#supervisor = supervisor;
  }

  override ready(fd: Fd, _events: number, now: Instant): void {
    for (let signal = this.#kernel.readSignal(fd); signal > 0; signal = this.#kernel.readSignal(fd)) {
      if (signal === SIGTERM) this.#supervisor.command("exit", now);
      else if (signal === SIGUSR2) provokeTrap();
    }
    this.reap(now);
  }

  /** Every child that has ended, also those signals were lost for, and those inherited by exec. */
  reap(now: Instant): void {
    for (;;) {
      const exit = this.#kernel.waitpid(-1, WNOHANG);
      if (exit.pid <= 0) return;
      this.#supervisor.reaped(exit.pid, exit.status, now);
    }
  }

  override due(_now: Instant): void {}
}

/** Turn by turn, so that a simulation can run many. */
export class RunsvProcess {
  readonly supervisor: Supervisor;
  readonly #reactor: Reactor;
  readonly #signals: RunsvSignals;

  constructor(reactor: Reactor, supervisor: Supervisor, signals: RunsvSignals) {
    this.#reactor = reactor;
    this.supervisor = supervisor;
    this.#signals = signals;
  }

  /**
   * `directory` is the service directory when it is open already, AT_FDCWD to
   * open `name`; `traps` are further signals to catch. null: it cannot start,
   * and has said why.
   */
  static open(
    kernel: Kernel,
    name: Uint8Array,
    directory: Fd,
    inherited: Inherited,
    traps: readonly number[],
  ): RunsvProcess | null {
    const shown = text(name);
    const service = directory === AT_FDCWD ? openDirectory(kernel, AT_FDCWD, name) : directory;
    const entered = service < 0 ? service : kernel.fchdir(service);
    if (entered < 0) {
      complain(kernel, `runsv ${shown}: fatal: unable to change to directory: ${errorText(-entered)}\n`);
      return null;
    }
    kernel.blockSignals([...RUNSV_SIGNALS, ...traps]);
    const signalFd = kernel.signalfd([SIGCHLD, SIGTERM, ...traps]);
    const reactor = new Reactor(kernel);
    if (signalFd < 0 || reactor.status < 0) {
      const errno = signalFd < 0 ? -signalFd : -reactor.status;
      complain(kernel, `runsv ${shown}: fatal: unable to create selfpipe: ${errorText(errno)}\n`);
      return null;
    }
    const supervisor = new Supervisor(reactor, name, new SupervisorHome());
    supervisor.enter(service);
    const now = kernel.now();
    const problem = supervisor.open(inherited, now);
    if (problem !== null) {
      complain(kernel, `runsv ${shown}: fatal: ${problem}\n`);
      return null;
    }
    const signals = new RunsvSignals(kernel, supervisor);
    const watched = reactor.watch(signalFd, EPOLLIN, signals, true);
    if (watched < 0) {
      complain(kernel, `runsv ${shown}: fatal: unable to create selfpipe: ${errorText(-watched)}\n`);
      return null;
    }
    return new RunsvProcess(reactor, supervisor, signals);
  }

  /** Starts what is wanted. */
  begin(): void {
    const now = this.#reactor.kernel.now();
    this.supervisor.begin(now);
    // Children may have ended before the signal was watched for: after a trap they are still ours.
    this.#signals.reap(now);
  }

  /** Waits once and handles what came; false when all is done and closed. */
  turn(): boolean {
    if (!this.supervisor.finished) this.#reactor.turn(-1);
    if (!this.supervisor.finished) return true;
    this.supervisor.close();
    return false;
  }
}

/**
 * Runs until told to exit; returns the exit code. `directory` is the service
 * directory when it is open already, AT_FDCWD to open `name`. `program` is
 * what to exec after a trap where /proc is missing.
 */
export function superviseService(
  kernel: Kernel,
  name: Uint8Array,
  program: Uint8Array,
  directory: Fd,
  inherited: Inherited,
): number {
  const process = RunsvProcess.open(kernel, name, directory, inherited, trapSignals());
  if (process === null) return 111;
  const supervisor = process.supervisor;
  const log = supervisor.log;
  const kept = [
    supervisor.serviceFd,
    supervisor.main.files.lockFd,
    log === null ? -1 : log.files.lockFd,
    supervisor.pipeRead,
    supervisor.pipeWrite,
    inherited.notice,
  ];
  installRecovery([ascii("runsv"), recoveredWord(kept), name], kept, program);
  process.begin();
  while (process.turn());
  return 0;
}
