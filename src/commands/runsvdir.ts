/** runsvdir(8): a runsv for each service directory below a directory. */
import { ascii, block, byteAt, concat, EMPTY, indexOf, item, le64, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd, Instant } from "../base/units.ts";
import { LABEL_BYTES, putLabel } from "../formats/tai64n.ts";
import { stateDirectories } from "../host/mirror.ts";
import { installRecovery, provokeTrap, recoveredNumbers, recoveredWord, trapSignals } from "../host/recovery.ts";
import { findProgram, NativeRunsvStarter } from "../host/runsv-starter.ts";
import { Scanner, ScanOutput } from "../host/scanner.ts";
import { LOG_BYTES_MIN, TitleLog } from "../host/title-log.ts";
import {
  AT_FDCWD,
  EPOLLIN,
  F_SETFD,
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
import { complain } from "../kernel/output.ts";
import { becomeProgram, noteDescriptors, raiseDescriptorLimit, sealHeap, setCommandLine } from "../kernel/self.ts";
import { Part, Reactor } from "../reactor.ts";

/** What the command line says. */
type Arguments = {
  readonly ownSession: boolean;
  readonly dir: Uint8Array;
  readonly log: Uint8Array | null;
};

/**
 * compat: only the very first word is looked at for options: `-P…` is the
 * option, `--…` is skipped, any other word is the directory. null: misuse.
 */
function parse(argv: readonly Uint8Array[]): Arguments | null {
  let at = 1;
  let ownSession = false;
  const first = item(argv, 1) ?? EMPTY;
  if (byteAt(first, 0) === 45 && byteAt(first, 1) === 80) {
    ownSession = true;
    at = 2;
  } else if (byteAt(first, 0) === 45 && byteAt(first, 1) === 45) at = 2;
  const dir = item(argv, at);
  if (dir === null) return null;
  return { ownSession, dir, log: item(argv, at + 1) };
}

class Messages extends ScanOutput {
  readonly #kernel: Kernel;
  readonly #prefix: string;
  title: TitleLog | null = null;

  constructor(kernel: Kernel, dir: Uint8Array) {
    super();
    this.#kernel = kernel;
    this.#prefix = `runsvdir ${text(dir)}: `;
  }

  override warn(message: string): void {
    this.print(`warning: ${message}`);
  }

  print(message: string): void {
    const line = `${this.#prefix}${message}\n`;
    // Written to our own pipe it could fill it, and nobody but us empties it.
    if (this.title !== null) this.title.append(ascii(line));
    else complain(this.#kernel, line);
  }
}

/** Signals of runsvdir; `exitCode` is set once it is to end. */
class RunsvdirSignals extends Part {
  exitCode = -1;
  upgrade = false;
  readonly #kernel: Kernel;
  readonly #scanner: Scanner;
  readonly #dir: Uint8Array;

  constructor(kernel: Kernel, scanner: Scanner, dir: Uint8Array) {
    super();
    this.#kernel = kernel;
    this.#scanner = scanner;
    this.#dir = dir;
  }

  override ready(fd: Fd, _events: number, now: Instant): void {
    for (let signal = this.#kernel.readSignal(fd); signal > 0; signal = this.#kernel.readSignal(fd)) this.#receive(signal, now);
    this.reap(now);
  }

  override due(_now: Instant): void {}

  reap(now: Instant): void {
    for (;;) {
      const exit = this.#kernel.waitpid(-1, WNOHANG);
      if (exit.pid <= 0) return;
      this.#scanner.reaped(exit.pid, now);
    }
  }

  #receive(signal: number, now: Instant): void {
    switch (signal) {
      case SIGTERM:
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

/** Exit code 0 on TERM, 111 on HUP, 1 for misuse, 100 when it cannot start. */
export function runsvdir(kernel: Kernel, given: readonly Uint8Array[]): number {
  const own = item(given, 0) ?? EMPTY;
  stateDirectories.find();
  const numbers = recoveredNumbers(item(given, 1) ?? EMPTY);
  noteDescriptors();
  const argv: Uint8Array[] = [own];
  for (let i = numbers === null ? 1 : 2; i < given.length; i++) argv.push(given[i]!);
  const args = parse(argv);
  if (args === null) {
    complain(kernel, `usage: ${text(own)} [-P] dir\n\n`);
    return 1;
  }
  // Also the copy of the environment that the first change of a title costs: once here, not in each child.
  setCommandLine(block(argv));
  sealHeap();
  const messages = new Messages(kernel, args.dir);
  const signals: number[] = [SIGCHLD, SIGTERM, SIGHUP, SIGALRM, SIGUSR1];
  const trap = trapSignals();
  for (let i = 0; i < trap.length; i++) signals.push(trap[i]!);
  const signalFd = kernel.signalfd(signals);
  const blocked = signals.slice();
  blocked.push(SIGPIPE);
  kernel.blockSignals(blocked);
  const reactor = new Reactor(kernel);
  if (signalFd < 0 || reactor.status < 0) {
    messages.print(`fatal: unable to open current directory: ${errorText(signalFd < 0 ? -signalFd : -reactor.status)}`);
    return 100;
  }
  const now = kernel.now();
  const inheritedLog = numbers !== null && numbers.length === 2 ? numbers[0]! : -1;
  const softLimit = numbers !== null && numbers.length === 2 ? numbers[1]! : -1;
  if (args.log !== null) messages.title = openTitleLog(reactor, argv, args.log, inheritedLog, messages, now);
  return supervise(kernel, reactor, signalFd, args, argv, messages, softLimit);
}

function openTitleLog(
  reactor: Reactor,
  argv: readonly Uint8Array[],
  log: Uint8Array,
  inherited: Fd,
  messages: Messages,
  now: Instant,
): TitleLog | null {
  if (log.length < LOG_BYTES_MIN) {
    messages.warn("log must have at least seven characters.");
    messages.warn("log service disabled.");
    return null;
  }
  const title = new TitleLog(reactor, argv);
  const problem = title.open(inherited, now);
  if (problem === null) return title;
  messages.warn(problem);
  messages.warn("log service disabled.");
  return null;
}

function supervise(
  kernel: Kernel,
  reactor: Reactor,
  signalFd: Fd,
  args: Arguments,
  argv: readonly Uint8Array[],
  messages: Messages,
  softLimit: number,
): number {
  const limits = raiseDescriptorLimit(softLimit);
  const starter = new NativeRunsvStarter(kernel, args.ownSession, limits, (m) => messages.print(`fatal: ${m}`), null);
  const scanner = new Scanner(reactor, args.dir, starter, messages);
  const signals = new RunsvdirSignals(kernel, scanner, args.dir);
  reactor.watch(signalFd, EPOLLIN, signals, true);
  const program = argv[0]!;
  const logFd = messages.title === null ? -1 : messages.title.readFd;
  const again = concatLists([ascii("runsvdir"), recoveredWord([logFd, le64(limits, 0)])], argv.slice(1));
  installRecovery(again, [logFd], program);
  scanner.begin(kernel.now());
  signals.reap(kernel.now());
  while (signals.exitCode < 0) {
    reactor.turn(-1);
    if (signals.upgrade) upgrade(kernel, program, again, logFd, messages);
    signals.upgrade = false;
  }
  return signals.exitCode;
}

/** Replaces this image by the program as it is on disk now; every runsv stays, and is found again. */
function upgrade(kernel: Kernel, program: Uint8Array, argv: readonly Uint8Array[], logFd: Fd, messages: Messages): void {
  const path = indexOf(program, 47, 0) >= 0 ? program : findProgram(kernel, program);
  if (logFd >= 0) kernel.fcntl(logFd, F_SETFD, 0);
  const failed = becomeProgram(path, argv);
  messages.warn(`unable to start ${text(path)}: ${errorText(-failed)}`);
}

function concatLists(a: readonly Uint8Array[], b: readonly Uint8Array[]): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let i = 0; i < a.length; i++) all.push(a[i]!);
  for (let i = 0; i < b.length; i++) all.push(b[i]!);
  return all;
}
