/**
 * runsvdir's log argument: what services and supervisors write to standard
 * error scrolls through the command line, where ps shows it (runsvdir(8)).
 * The first five bytes stay (customarily "log: "), NULs are dropped.
 */
import { ascii, block } from "../base/bytes.ts";
import { after, type Fd, type Instant } from "../base/units.ts";
import { EPOLLIN, F_SETFL, O_CLOEXEC, O_NONBLOCK, O_RDONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { keepOnCrash, setCommandLine } from "../kernel/self.ts";
import { Part, type Reactor } from "../reactor.ts";

export const LOG_BYTES_MIN = 7;
const FIXED_BYTES = 5;
/** A dot shows that the log is alive. */
const DOT_MS = 900_000;
const READ_BYTES = 4096;

/** Shifts `added` in from the right behind the fixed first bytes; NULs are dropped. */
export function scroll(line: Uint8Array, added: Uint8Array): void {
  const shown: number[] = [];
  for (let i = 0; i < added.length; i++) if (added[i]! !== 0) shown.push(added[i]!);
  const room = line.length - FIXED_BYTES;
  const take = Math.min(shown.length, room);
  for (let i = FIXED_BYTES; i + take < line.length; i++) line[i] = line[i + take]!;
  for (let i = 0; i < take; i++) line[line.length - take + i] = shown[shown.length - take + i]!;
}

export class TitleLog extends Part {
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  /** The whole command line as NUL-terminated words; the log is the last of them. */
  readonly #line: Uint8Array;
  readonly #log: Uint8Array;
  #read: Fd = -1;

  constructor(reactor: Reactor, argv: readonly Uint8Array[]) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#line = block(argv);
    const last = argv[argv.length - 1]!;
    this.#log = this.#line.subarray(this.#line.length - 1 - last.length, this.#line.length - 1);
  }

  get readFd(): Fd {
    return this.#read;
  }

  /**
   * Standard error becomes the pipe. Only the reading side is non-blocking:
   * writers share their end, and must not meet EAGAIN. `inherited`: the reading
   * end from before a trap, or -1. Returns the text of a warning, or null.
   */
  open(inherited: Fd, now: Instant): string | null {
    const k = this.#kernel;
    this.#read = inherited;
    if (inherited < 0) {
      const pipe = k.pipe(O_CLOEXEC);
      if (pipe.errno !== 0) return "unable to create pipe for log.";
      this.#read = pipe.read;
      k.fcntl(pipe.read, F_SETFL, O_RDONLY | O_NONBLOCK);
      const moved = k.dup3(pipe.write, 2, 0);
      k.close(pipe.write);
      if (moved < 0) return "unable to set filedescriptor for log.";
    }
    keepOnCrash(this.#read, true);
    this.#reactor.watch(this.#read, EPOLLIN, this, false);
    this.append(ascii("."));
    this.#reactor.wakeAt(this, after(now, DOT_MS));
    return null;
  }

  append(added: Uint8Array): void {
    scroll(this.#log, added);
    setCommandLine(this.#line.subarray(0, this.#line.length - 1));
  }

  override ready(fd: Fd, _events: number, _now: Instant): void {
    const b = new Uint8Array(READ_BYTES);
    const n = this.#kernel.read(fd, b);
    if (n > 0) this.append(b.subarray(0, n));
  }

  override due(now: Instant): void {
    this.append(ascii("."));
    this.#reactor.wakeAt(this, after(now, DOT_MS));
  }
}
