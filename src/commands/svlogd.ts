/** svlogd(8): writes what it reads from standard input to log directories. */
import { ascii, byteAt, EMPTY, item, parseDecimal, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { OptionReader } from "../base/options.ts";
import type { Fd } from "../base/units.ts";
import { Replacement } from "../core/log-line.ts";
import type { StampKind } from "../formats/timestamp.ts";
import { occupyStandardDescriptors } from "../host/console.ts";
import { LogDaemon, type LogRequest } from "../host/log-daemon.ts";
import { installRecovery, recoveredNumbers, recoveredWord, trapSignals } from "../host/recovery.ts";
import { SIGALRM, SIGCHLD, SIGHUP, SIGPIPE, SIGTERM } from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { Reactor } from "../reactor.ts";
import { ID_LINE } from "../version.ts";

const EXIT_FATAL = 111;
const LINE_BYTES = 1000;
const BUFFER_BYTES = 1024;
/** Longer first parts of a line than this are refused: they are kept in memory. */
const LINE_BYTES_MAX = 67108864;
const UNDERSCORE = 95;
const STDIN = 0;
const STDERR = 2;

const STAMPS: readonly StampKind[] = ["none", "tai64n", "utc", "utcT"];

function usage(kernel: Kernel, argv: readonly Uint8Array[]): null {
  const own = item(argv, 0) ?? EMPTY;
  complain(kernel, `usage: ${text(own)} [-ttv] [-r c] [-R abc] [-l len] [-b buflen] dir ...\n\n`);
  return null;
}

/** What the options say; null after a usage message. */
function parse(kernel: Kernel, argv: readonly Uint8Array[]): LogRequest | null {
  const options = new OptionReader(argv, ascii("tvVr:R:l:b:"));
  let stamps = 0;
  let verbose = false;
  let by = 0;
  let set: Uint8Array | null = null;
  let lineMax = LINE_BYTES;
  let bufferBytes = BUFFER_BYTES;
  for (;;) {
    const step = options.next();
    if (step.kind === "end") break;
    if (step.kind === "unknown") {
      complain(kernel, `svlogd: illegal option -- ${step.letter}\n`);
      return usage(kernel, argv);
    }
    if (step.kind === "missing") {
      complain(kernel, `svlogd: option requires an argument -- ${step.letter}\n`);
      return usage(kernel, argv);
    }
    const value = step.option.value ?? EMPTY;
    switch (step.option.letter) {
      case "t":
        stamps++;
        break;
      case "v":
        verbose = true;
        break;
      case "r":
        if (value.length !== 1) return usage(kernel, argv);
        by = byteAt(value, 0);
        break;
      case "R":
        set = value;
        if (by === 0) by = UNDERSCORE;
        break;
      case "l":
        lineMax = parseDecimal(value).value;
        if (lineMax === 0) lineMax = LINE_BYTES;
        break;
      case "b":
        bufferBytes = parseDecimal(value).value;
        if (bufferBytes === 0) bufferBytes = BUFFER_BYTES;
        break;
      default:
        complain(kernel, ID_LINE);
        return usage(kernel, argv);
    }
  }
  const paths = argv.slice(options.at);
  if (paths.length === 0 || bufferBytes <= lineMax) return usage(kernel, argv);
  const replacement = by === 0 ? null : new Replacement(by, set ?? EMPTY);
  const stamp = STAMPS[Math.min(stamps, STAMPS.length - 1)]!;
  return { stamp, verbose, lineMax, replacement, paths };
}

/** What the image before this one had of a line, as it says in descriptor `fd` if it is open. */
function takeKept(kernel: Kernel, fd: Fd): Uint8Array {
  const stat = new Stat();
  if (fd <= STDERR || kernel.fstat(fd, stat) < 0) return EMPTY;
  const kept = new Uint8Array(stat.size);
  const n = kernel.read(fd, kept);
  kernel.close(fd);
  return kept.slice(0, Math.max(0, n));
}

/** Exit code 0 at the end of the input or on TERM, 111 for misuse and when no directory can be used. */
export function svlogd(kernel: Kernel, argv: readonly Uint8Array[]): number {
  occupyStandardDescriptors(kernel);
  const first = item(argv, 1);
  const recovered = first === null ? null : recoveredNumbers(first);
  // Before anything is opened that could take its number.
  const kept = recovered !== null && recovered.length === 1 ? takeKept(kernel, recovered[0]!) : EMPTY;
  const own = item(argv, 0) ?? EMPTY;
  const words: Uint8Array[] = [own];
  for (let i = recovered === null ? 1 : 2; i < argv.length; i++) words.push(argv[i]!);
  const request = parse(kernel, words);
  if (request === null) return EXIT_FATAL;
  if (request.lineMax > LINE_BYTES_MAX) {
    complain(kernel, "svlogd: fatal: out of memory.\n");
    return EXIT_FATAL;
  }
  const signals: number[] = [SIGTERM, SIGALRM, SIGHUP, SIGCHLD];
  const trap = trapSignals();
  for (let i = 0; i < trap.length; i++) signals.push(trap[i]!);
  const blocked = signals.slice();
  blocked.push(SIGPIPE);
  kernel.blockSignals(blocked);
  const signalFd = kernel.signalfd(signals);
  const reactor = new Reactor(kernel);
  if (signalFd < 0 || reactor.status < 0) {
    const errno = signalFd < 0 ? -signalFd : -reactor.status;
    complain(kernel, `svlogd: fatal: unable to create selfpipe: ${errorText(errno)}\n`);
    return EXIT_FATAL;
  }
  const again: Uint8Array[] = [ascii("svlogd"), recoveredWord([signalFd])];
  for (let i = 1; i < words.length; i++) again.push(words[i]!);
  installRecovery(again, [], own);
  const daemon = new LogDaemon(reactor, request, STDIN, signalFd, kept);
  if (daemon.open(kernel.now()) && daemon.run()) return 0;
  complain(kernel, "svlogd: fatal: no functional log directories.\n");
  return EXIT_FATAL;
}
