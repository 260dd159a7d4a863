/** runsvdir(8): a runsv for each service directory below a directory. */
import { ascii, block, byteAt, EMPTY, equal, indexOf, item, le64, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd, Instant } from "../base/units.ts";
import { occupyStandardDescriptors } from "../host/console.ts";
import { DenseStarter, prepareHosting } from "../host/dense-host.ts";
import { stateDirectories } from "../host/mirror.ts";
import { Nursery } from "../host/nursery.ts";
import { installRecovery, recoveredNumbers, recoveredWord, trapSignals } from "../host/recovery.ts";
import { findProgram, NativeRunsvStarter } from "../host/runsv-starter.ts";
import { RunsvdirProcess } from "../host/runsvdir-process.ts";
import { type RunsvStarter, ScanOutput } from "../host/scanner.ts";
import { LOG_BYTES_MIN, TitleLog } from "../host/title-log.ts";
import { F_SETFD } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import {
  becomeProgram,
  descriptorLimit,
  descriptorLimits,
  noteDescriptors,
  raiseDescriptorLimit,
  sealHeap,
  setCommandLine,
} from "../kernel/self.ts";
import type { Reactor } from "../reactor.ts";

/** What the command line says. */
type Arguments = {
  readonly dense: boolean;
  readonly ownSession: boolean;
  readonly dir: Uint8Array;
  readonly log: Uint8Array | null;
};

/**
 * compat: only the very first word, or the one behind `--dense`, is looked at
 * for options: `-P…` is the option, `--…` is skipped, any other word is the
 * directory. null: misuse.
 */
function parse(argv: readonly Uint8Array[]): Arguments | null {
  let ownSession = false;
  const dense = equal(item(argv, 1) ?? EMPTY, ascii("--dense"));
  let at = dense ? 2 : 1;
  const first = item(argv, at) ?? EMPTY;
  if (byteAt(first, 0) === 45 && byteAt(first, 1) === 80) {
    ownSession = true;
    at++;
  } else if (byteAt(first, 0) === 45 && byteAt(first, 1) === 45) at++;
  const dir = item(argv, at);
  if (dir === null) return null;
  return { dense, ownSession, dir, log: item(argv, at + 1) };
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
    this.line(`${this.#prefix}${message}\n`);
  }

  line(line: string): void {
    // Written to our own pipe it could fill it, and nobody but us empties it.
    if (this.title !== null) this.title.append(ascii(line));
    else complain(this.#kernel, line);
  }
}

/** Exit code 0 on TERM, 111 on HUP, 1 for misuse, 100 when it cannot start. */
export function runsvdir(kernel: Kernel, given: readonly Uint8Array[]): number {
  const own = item(given, 0) ?? EMPTY;
  occupyStandardDescriptors(kernel);
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
  if (!args.dense) sealHeap();
  const messages = new Messages(kernel, args.dir);
  const process = new RunsvdirProcess(kernel, trapSignals());
  if (process.status < 0) {
    messages.print(`fatal: unable to open current directory: ${errorText(-process.status)}`);
    return 100;
  }
  const now = kernel.now();
  const inheritedLog = numbers !== null && numbers.length === 3 ? numbers[0]! : -1;
  const before = numbers !== null && numbers.length === 3 && numbers[1]! >= 0 ? descriptorLimits(numbers[1]!, numbers[2]!) : null;
  if (args.log !== null) messages.title = openTitleLog(process.reactor, argv, args.log, inheritedLog, messages, now);
  return supervise(kernel, process, args, argv, messages, before);
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

function newStarter(
  kernel: Kernel,
  process: RunsvdirProcess,
  args: Arguments,
  limits: Uint8Array,
  messages: Messages,
): RunsvStarter {
  if (!args.dense) return new NativeRunsvStarter(kernel, args.ownSession, limits, (m) => messages.print(`fatal: ${m}`), null);
  const print = (line: string): void => messages.line(line);
  const { dir, ownSession } = args;
  return new DenseStarter(process.reactor, { dir, ownSession, descriptors: descriptorLimit(), print, nursery: new Nursery() });
}

function supervise(
  kernel: Kernel,
  process: RunsvdirProcess,
  args: Arguments,
  argv: readonly Uint8Array[],
  messages: Messages,
  before: Uint8Array | null,
): number {
  const limits = args.dense ? prepareHosting(kernel, before) : raiseDescriptorLimit(before, false);
  const starter = newStarter(kernel, process, args, limits, messages);
  const failed = process.supervise(args.dir, starter, messages);
  if (failed < 0) {
    messages.print(`fatal: unable to open current directory: ${errorText(-failed)}`);
    return 100;
  }
  const program = argv[0]!;
  const logFd = messages.title === null ? -1 : messages.title.readFd;
  const handed = recoveredWord([logFd, limits.length > 0 ? le64(limits, 0) : -1, limits.length > 0 ? le64(limits, 8) : -1]);
  const again = concatLists([ascii("runsvdir"), handed], argv.slice(1));
  installRecovery(again, [logFd], program);
  process.begin();
  while (process.turn()) {
    if (process.takeUpgrade()) upgrade(kernel, program, again, logFd, messages);
  }
  return process.exitCode;
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
