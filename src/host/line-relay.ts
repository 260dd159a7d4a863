/**
 * The process that passes on what services write, whole line by whole line, to
 * the container's standard output and error. It is a process of its own,
 * because those two may block for as long as whoever reads them likes, which
 * process 1 must not. It may be killed at any time: process 1 holds the pipes
 * too and starts another (service-output.ts).
 *
 * Messages to it: "1 ID PREFIX" or "2 ID PREFIX" with the read end of a pipe
 * for standard output or error. When the other side closes the socket, it
 * passes on what is still in the pipes, and exits.
 */
import { byteAt, EMPTY, indexOf, parseDecimal } from "../base/bytes.ts";
import type { Fd, Instant } from "../base/units.ts";
import { LineAssembler, portion } from "../core/lines.ts";
import { EAGAIN, EINTR, EPOLLIN } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { idle } from "../kernel/machine.ts";
import { rest } from "../kernel/self.ts";
import { receiveDescriptor } from "../kernel/socket.ts";
import { Part, Reactor } from "../reactor.ts";

const READ_BYTES = 16384;
/** PIPE_BUF (pipe(7)): so much reaches a pipe in one piece, whoever else writes to it. */
const WRITE_BYTES = 4096;
const MESSAGE_BYTES = 1024;
/** Between tries where somebody made the output non-blocking, and it is full. */
const FULL_MS = 10;
const DIGIT_TWO = 50;
const BLANK = 32;

/** One pipe. */
class Stream {
  readonly id: number;
  readonly fd: Fd;
  readonly output: Fd;
  readonly lines: LineAssembler;

  constructor(id: number, fd: Fd, output: Fd, prefix: Uint8Array) {
    this.id = id;
    this.fd = fd;
    this.output = output;
    this.lines = new LineAssembler(prefix);
  }
}

export class LineRelay extends Part {
  finished = false;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #socket: Fd;
  readonly #streams: Stream[] = [];
  readonly #buffer: Uint8Array = new Uint8Array(READ_BYTES);

  constructor(reactor: Reactor, socket: Fd) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#socket = socket;
  }

  begin(): void {
    this.#reactor.watch(this.#socket, EPOLLIN, this, false);
  }

  override ready(fd: Fd, _events: number, _now: Instant): void {
    if (fd === this.#socket) {
      this.#receive();
      return;
    }
    for (let i = 0; i < this.#streams.length; i++) {
      const stream = this.#streams[i]!;
      if (stream.fd !== fd) continue;
      const n = this.#pass(stream);
      if (n === 0 || (n < 0 && n !== -EAGAIN && n !== -EINTR)) this.#close(i);
      return;
    }
  }

  override due(_now: Instant): void {}

  #receive(): void {
    const message = new Uint8Array(MESSAGE_BYTES);
    for (;;) {
      const r = receiveDescriptor(this.#socket, message);
      if (r.length === -EAGAIN || r.length === -EINTR) return;
      if (r.length <= 0) break;
      this.#add(message.subarray(0, r.length), r.fd);
    }
    for (let i = this.#streams.length - 1; i >= 0; i--) {
      const stream = this.#streams[i]!;
      for (let n = 1; n > 0 || n === -EINTR; ) n = this.#pass(stream);
      this.#close(i);
    }
    this.finished = true;
  }

  #add(message: Uint8Array, fd: Fd): void {
    if (fd < 0) return;
    const id = parseDecimal(message.subarray(2)).value;
    const blank = indexOf(message, BLANK, 2);
    const output = byteAt(message, 0) === DIGIT_TWO ? 2 : 1;
    for (let i = 0; i < this.#streams.length; i++) {
      // Told of it before.
      if (this.#streams[i]!.id !== id || this.#streams[i]!.output !== output) continue;
      this.#kernel.close(fd);
      return;
    }
    const prefix = blank < 0 ? EMPTY : message.slice(blank + 1, message.length);
    this.#streams.push(new Stream(id, fd, output, prefix));
    this.#reactor.watch(fd, EPOLLIN, this, false);
  }

  /** One piece: its length, 0 when none will come any more, or -errno. */
  #pass(stream: Stream): number {
    const n = this.#kernel.read(stream.fd, this.#buffer);
    if (n > 0) this.#write(stream.output, stream.lines.push(this.#buffer.subarray(0, n)));
    return n;
  }

  #close(i: number): void {
    const stream = this.#streams[i]!;
    this.#write(stream.output, stream.lines.end());
    this.#reactor.unwatch(stream.fd);
    this.#kernel.close(stream.fd);
    this.#streams.splice(i, 1);
  }

  /** Waits until all is written. When nobody reads any more, it is lost. */
  #write(fd: Fd, lines: Uint8Array): void {
    let at = 0;
    while (at < lines.length) {
      const n = this.#kernel.write(fd, lines.subarray(at, at + portion(lines, at, WRITE_BYTES)));
      if (n > 0) at += n;
      else if (n === -EAGAIN) idle(FULL_MS);
      else if (n !== -EINTR) return;
    }
  }
}

/** The life of the relay's process. */
export function relayLines(kernel: Kernel, socket: Fd): void {
  const reactor = new Reactor(kernel);
  const relay = new LineRelay(reactor, socket);
  relay.begin();
  reactor.restNext(rest);
  while (!relay.finished) reactor.turn(-1);
}
