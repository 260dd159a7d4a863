/** svlogd's loop: blocks from the input to every directory, and what the signals ask for. */
import type { Fd, Instant } from "../base/units.ts";
import { Batch, type Replacement } from "../core/log-line.ts";
import type { StampKind } from "../formats/timestamp.ts";
import { EPOLLIN, SIGALRM, SIGCHLD, SIGHUP, SIGTERM, SIGUSR2, WNOHANG } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Reactor } from "../reactor.ts";
import { LogBlock } from "./log-block.ts";
import { LogDirectory, LogOwner } from "./log-directory.ts";
import { LogInput } from "./log-input.ts";
import { info } from "./log-message.ts";
import { provokeTrap } from "./recovery.ts";

/** Records of a block are written in pieces of at most this. */
const BATCH_BYTES = 131072;

/** The command line, understood. */
export type LogRequest = {
  readonly stamp: StampKind;
  readonly verbose: boolean;
  readonly lineMax: number;
  readonly replacement: Replacement | null;
  readonly paths: readonly Uint8Array[];
};

export class LogDaemon extends LogOwner {
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #verbose: boolean;
  readonly #directories: LogDirectory[] = [];
  readonly #block: LogBlock = new LogBlock();
  readonly #input: LogInput;
  readonly #inputFd: Fd;
  readonly #signalFd: Fd;
  /** Epoll waits for the input. */
  #watching = false;
  /** The input cannot be waited for: it is always ready. */
  #pollable = true;
  /** All directories are done with the block. */
  #idle = true;
  #advancing = false;
  #terminated = false;

  /** `kept`: see LogInput.takeOver. */
  constructor(reactor: Reactor, request: LogRequest, inputFd: Fd, signalFd: Fd, kept: Uint8Array) {
    super();
    this.#reactor = reactor;
    this.#kernel = reactor.kernel;
    this.#verbose = request.verbose;
    this.#inputFd = inputFd;
    this.#signalFd = signalFd;
    this.#input = new LogInput(this.#kernel, inputFd, this.#block, request.lineMax, request.replacement, signalFd);
    this.#input.takeOver(kept);
    const batch = new Batch(BATCH_BYTES);
    const { stamp, verbose, lineMax } = request;
    for (let i = 0; i < request.paths.length; i++) {
      const directory = new LogDirectory({ reactor, verbose, lineMax, stamp, batch }, this, request.paths[i]!);
      this.#directories.push(directory);
    }
  }

  /** Opens the directories; false when none can be used. */
  open(now: Instant): boolean {
    this.#advancing = true;
    for (let i = 0; i < this.#directories.length; i++) this.#directories[i]!.open(now);
    this.#advancing = false;
    this.#reactor.watch(this.#signalFd, EPOLLIN, this, true);
    this.moved(now);
    return this.#usable();
  }

  /** Runs to the end of the input or TERM; false when a HUP left no usable directory. */
  run(): boolean {
    while (!this.#input.ended || !this.#idle) {
      const always = this.#idle && !this.#pollable;
      this.#reactor.turn(always ? 0 : -1);
      if (!this.#usable()) return false;
      if (always && this.#idle && !this.#input.ended) this.#read(this.#kernel.now());
    }
    for (let i = 0; i < this.#directories.length; i++) this.#directories[i]!.lastTry();
    while (this.#processing() || !this.#idle) this.#reactor.turn(-1);
    for (let i = 0; i < this.#directories.length; i++) this.#directories[i]!.close();
    return true;
  }

  #usable(): boolean {
    for (let i = 0; i < this.#directories.length; i++) if (this.#directories[i]!.usable) return true;
    return false;
  }

  #processing(): boolean {
    for (let i = 0; i < this.#directories.length; i++) if (this.#directories[i]!.processing) return true;
    return false;
  }

  override ready(fd: Fd, _events: number, now: Instant): void {
    if (fd === this.#signalFd) this.#signals(now);
    else if (fd === this.#inputFd && this.#idle && !this.#input.ended) this.#read(now);
  }

  override due(_now: Instant): void {}

  #read(now: Instant): void {
    if (!this.#input.read()) {
      this.#listen();
      return;
    }
    for (let i = 0; i < this.#directories.length; i++) this.#directories[i]!.give(this.#block);
    this.moved(now);
  }

  override moved(now: Instant): void {
    // A directory that starts a processor reports it from within its own turn.
    if (this.#advancing) return;
    this.#advancing = true;
    let idle = true;
    for (let i = 0; i < this.#directories.length; i++) if (!this.#directories[i]!.advance(now)) idle = false;
    this.#advancing = false;
    this.#idle = idle;
    if (idle && this.#terminated && !this.#input.ended) this.#input.finish();
    this.#listen();
  }

  /** While a directory is not done with its block nothing is read: the service waits. */
  #listen(): void {
    const wanted = this.#pollable && this.#idle && !this.#input.ended;
    if (wanted === this.#watching) return;
    if (!wanted) this.#reactor.unwatch(this.#inputFd);
    else if (this.#reactor.watch(this.#inputFd, EPOLLIN, this, false) < 0) {
      this.#pollable = false;
      return;
    }
    this.#watching = wanted;
  }

  // ---- Signals ----

  #signals(now: Instant): void {
    let rotate = false;
    let reload = false;
    for (let s = this.#kernel.readSignal(this.#signalFd); s > 0; s = this.#kernel.readSignal(this.#signalFd)) {
      if (s === SIGUSR2) provokeTrap();
      else if (s === SIGALRM) rotate = true;
      else if (s === SIGHUP) reload = true;
      else if (s === SIGTERM) this.#terminated = true;
      if (this.#verbose) this.#tell(s);
    }
    this.#advancing = true;
    this.#reap(now);
    if (rotate) for (let i = 0; i < this.#directories.length; i++) this.#directories[i]!.wantRotation();
    if (reload) for (let i = 0; i < this.#directories.length; i++) this.#directories[i]!.reload(now);
    this.#advancing = false;
    this.moved(now);
  }

  #tell(signal: number): void {
    if (signal === SIGTERM) info(this.#kernel, "sigterm received.");
    else if (signal === SIGALRM) info(this.#kernel, "sigalarm received.");
    else if (signal === SIGHUP) info(this.#kernel, "sighangup received.");
    else if (signal === SIGCHLD) info(this.#kernel, "sigchild received.");
  }

  /** Processors that ended, and children a program before us left to this process. */
  #reap(now: Instant): void {
    for (;;) {
      const exit = this.#kernel.waitpid(-1, WNOHANG);
      if (exit.pid <= 0) return;
      for (let i = 0; i < this.#directories.length; i++) {
        if (this.#directories[i]!.reaped(exit.pid, exit.status, now)) break;
      }
    }
  }
}
