/** The process around one scanner: its signals and its loop, turn by turn, so that a simulation can run it. */
import { ascii, concat } from "../base/bytes.ts";
import type { Fd, Instant } from "../base/units.ts";
import { LABEL_BYTES, putLabel } from "../formats/tai64n.ts";
import {
  AT_FDCWD,
  EPOLLIN,
  O_CLOEXEC,
  O_CREAT,
  O_NONBLOCK,
  O_TRUNC,
  O_WRONLY,
  SIGALRM,
  SIGCHLD,
  SIGHUP,
  SIGPIPE,
  SIGTERM,
  SIGUSR1,
  SIGUSR2,
  WNOHANG,
} from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Part, Reactor } from "../reactor.ts";
import { provokeTrap } from "./recovery.ts";
import { type RunsvStarter, Scanner, type ScanOutput } from "./scanner.ts";

/** Ended children taken in one turn. */
const REAPED_PER_TURN = 200;

/** Signals of runsvdir; `exitCode` is set once it is to end. */
class RunsvdirSignals extends Part {
  exitCode = -1;
  upgrade = false;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #scanner: Scanner;
  readonly #starter: RunsvStarter;
  readonly #dir: Uint8Array;

  constructor(reactor: Reactor, scanner: Scanner, starter: RunsvStarter, dir: Uint8Array) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#scanner = scanner;
    this.#starter = starter;
    this.#dir = dir;
  }

  override ready(fd: Fd, _events: number, now: Instant): void {
    for (let signal = this.#kernel.readSignal(fd); signal > 0; signal = this.#kernel.readSignal(fd)) this.#receive(signal, now);
    this.reap(now);
  }

  override due(now: Instant): void {
    this.reap(now);
  }

  /** A flood of ends must not keep everything else waiting. */
  reap(now: Instant): void {
    for (let reaped = 0; reaped < REAPED_PER_TURN; reaped++) {
      const exit = this.#kernel.waitpid(-1, WNOHANG);
      if (exit.pid <= 0) return;
      if (!this.#scanner.reaped(exit.pid, now)) this.#starter.reaped(exit.pid, exit.status, now);
    }
    this.#reactor.wakeAt(this, now);
  }

  #receive(signal: number, now: Instant): void {
    switch (signal) {
      case SIGTERM:
        if (this.#starter.hosted > 0) this.#scanner.stopAll(now);
        this.exitCode = 0;
        break;
      case SIGHUP:
        this.#scanner.stopAll(now);
        this.exitCode = 111;
        break;
      case SIGALRM:
        this.#scanner.rescan(now);
        this.#noteRescan();
        break;
      case SIGUSR1:
        this.upgrade = true;
        break;
      case SIGUSR2:
        provokeTrap();
        break;
    }
  }

  /** As Debian's runsvdir does: the time of the forced scan, for scripts that wait for it. */
  #noteRescan(): void {
    const path = concat([this.#dir, ascii("/.forced-rescan")]);
    const fd = this.#kernel.open(AT_FDCWD, path, O_WRONLY | O_NONBLOCK | O_TRUNC | O_CREAT | O_CLOEXEC, 0o644);
    if (fd < 0) return;
    const label = new Uint8Array(LABEL_BYTES);
    putLabel(label, 0, this.#kernel.wall());
    this.#kernel.write(fd, label);
    this.#kernel.close(fd);
  }
}

export class RunsvdirProcess {
  readonly reactor: Reactor;
  readonly #kernel: Kernel;
  readonly #signalFd: Fd;
  #signals: RunsvdirSignals | null = null;
  #scanner: Scanner | null = null;
  #starter: RunsvStarter | null = null;

  /** `traps` are further signals to catch. */
  constructor(kernel: Kernel, traps: readonly number[]) {
    this.#kernel = kernel;
    const signals: number[] = [SIGCHLD, SIGTERM, SIGHUP, SIGALRM, SIGUSR1, ...traps];
    this.#signalFd = kernel.signalfd(signals);
    kernel.blockSignals([...signals, SIGPIPE]);
    this.reactor = new Reactor(kernel);
  }

  /** -errno when it cannot work. */
  get status(): number {
    return this.#signalFd < 0 ? this.#signalFd : this.reactor.status;
  }

  /** Once told to end: 0 on TERM, 111 on HUP. */
  get exitCode(): number {
    return this.#signals === null ? 100 : this.#signals.exitCode;
  }

  /** 0, or -errno when it cannot work. */
  supervise(dir: Uint8Array, starter: RunsvStarter, output: ScanOutput): number {
    const scanner = new Scanner(this.reactor, dir, starter, output);
    const signals = new RunsvdirSignals(this.reactor, scanner, starter, dir);
    this.#scanner = scanner;
    this.#starter = starter;
    this.#signals = signals;
    return this.reactor.watch(this.#signalFd, EPOLLIN, signals, true);
  }

  /** The first look at the directory. */
  begin(): void {
    const kernel = this.#kernel;
    if (this.#scanner !== null) this.#scanner.begin(kernel.now());
    if (this.#signals !== null) this.#signals.reap(kernel.now());
  }

  /** Waits once and handles what came; false when it is to end. */
  turn(): boolean {
    this.reactor.turn(-1);
    const scanner = this.#scanner;
    if (scanner !== null) scanner.settleHosted(this.#kernel.now());
    if (this.exitCode < 0) return true;
    return this.#starter !== null && this.#starter.hosted > 0;
  }

  /** Whether USR1 has asked for the program on disk since the last question. */
  takeUpgrade(): boolean {
    const signals = this.#signals;
    if (signals === null || !signals.upgrade || signals.exitCode >= 0) return false;
    signals.upgrade = false;
    return true;
  }
}
