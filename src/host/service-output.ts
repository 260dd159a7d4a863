/**
 * What the services of a container write: a pipe for standard output and one
 * for standard error of each, read by a process of their own (line-relay.ts).
 * The read ends are held here too: neither the relay's death nor a runsv's
 * loses a line, and no service ever meets a pipe nobody reads.
 */
import { ascii, concat, EMPTY, indexOf, item, parseDecimal, text } from "../base/bytes.ts";
import { after, type Fd, type Instant, instant, NO_PID, type Pid, pid } from "../base/units.ts";
import type { ScanEntry } from "../core/scan.ts";
import { AT_FDCWD, F_SETFL, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { closeAllBut, endOnCrash, keepOnCrash, setTitle } from "../kernel/self.ts";
import { sendDescriptor, socketPair } from "../kernel/socket.ts";
import { Part, type Reactor } from "../reactor.ts";
import { relayLines } from "./line-relay.ts";

/** At least this long from one relay to the next, and until a message that found no room is sent again. */
const RESTART_MS = 1000;
const RESEND_MS = 50;
const BLANK = 32;

/** The write ends for a child that is about to be made; -1: it keeps ours. */
export type WriteEnds = { readonly out: Fd; readonly err: Fd };

const OURS: WriteEnds = { out: -1, err: -1 };

/** The two pipes of a service. */
class Channel {
  readonly key: string;
  readonly id: number;
  name: Uint8Array;
  out: Fd;
  err: Fd;
  told = false;

  constructor(key: string, id: number, name: Uint8Array, out: Fd, err: Fd) {
    this.key = key;
    this.id = id;
    this.name = name;
    this.out = out;
    this.err = err;
  }
}

export class ServiceOutput extends Part {
  relay: Pid = NO_PID;
  /** Descriptors or channels changed since somebody looked. */
  changed = true;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #named: boolean;
  readonly #channels: Channel[] = [];
  #socket: Fd = -1;
  #startedAt: Instant = instant(-RESTART_MS);
  #nextId = 1;
  #over = false;

  /** `named`: each line gets the name of its service in front. */
  constructor(reactor: Reactor, named: boolean) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#named = named;
  }

  // ---- For a successor after a trap ----

  /** The socket, then two for each channel; -1 for those that cannot be kept. */
  get fds(): Fd[] {
    const all: Fd[] = [this.#socket];
    for (let i = 0; i < this.#channels.length; i++) all.push(this.#channels[i]!.out, this.#channels[i]!.err);
    return all;
  }

  /** One word for each channel, and one before them. */
  get words(): Uint8Array[] {
    const all: Uint8Array[] = [ascii(`${this.#channels.length} ${this.relay} ${this.#nextId}`)];
    for (let i = 0; i < this.#channels.length; i++) {
      const c = this.#channels[i]!;
      all.push(concat([ascii(`${c.id} ${c.key} `), c.name]));
    }
    return all;
  }

  /** Takes up `fds` and `words` of a predecessor; returns how many words were its. */
  restore(fds: readonly Fd[], words: readonly Uint8Array[]): number {
    const head = text(item(words, 0) ?? EMPTY).split(" ");
    if (head.length !== 3) return 0;
    const count = parseDecimal(ascii(head[0]!)).value;
    this.relay = pid(parseDecimal(ascii(head[1]!)).value);
    this.#nextId = parseDecimal(ascii(head[2]!)).value;
    this.#socket = fds.length > 0 ? fds[0]! : -1;
    for (let i = 0; i < count && 1 + i < words.length && 2 + 2 * i < fds.length; i++) {
      const word = words[1 + i]!;
      const first = indexOf(word, BLANK, 0);
      const second = first < 0 ? -1 : indexOf(word, BLANK, first + 1);
      if (second < 0) continue;
      const key = text(word.slice(first + 1, second));
      const name = word.slice(second + 1, word.length);
      const channel = new Channel(key, parseDecimal(word).value, name, fds[1 + 2 * i]!, fds[2 + 2 * i]!);
      channel.told = true;
      this.#channels.push(channel);
    }
    return 1 + count;
  }

  // ---- Services ----

  /** Pipes for the child that is to supervise `entry`; the write ends are the caller's to close. */
  open(entry: ScanEntry, now: Instant): WriteEnds {
    if (this.relay === NO_PID) this.#start(now);
    if (this.relay === NO_PID) return OURS;
    let channel = this.#find(entry.key);
    if (channel === null) {
      channel = new Channel(entry.key, this.#nextId, entry.name, -1, -1);
      this.#nextId++;
      this.#channels.push(channel);
    }
    channel.name = entry.name;
    this.changed = true;
    const out = this.#writeEnd(channel, false);
    const err = this.#writeEnd(channel, true);
    channel.told = false;
    this.#tell(channel, now);
    return { out, err };
  }

  /** The service is gone: what it wrote is still passed on. */
  forget(key: string): void {
    for (let i = 0; i < this.#channels.length; i++) {
      const c = this.#channels[i]!;
      if (c.key !== key) continue;
      this.#drop(c.out);
      this.#drop(c.err);
      this.#channels.splice(i, 1);
      this.changed = true;
      return;
    }
  }

  #find(key: string): Channel | null {
    for (let i = 0; i < this.#channels.length; i++) if (this.#channels[i]!.key === key) return this.#channels[i]!;
    return null;
  }

  #drop(fd: Fd): void {
    if (fd < 0) return;
    keepOnCrash(fd, false);
    this.#kernel.close(fd);
  }

  /** Of the pipe that is there, through /proc (a pipe has no other name), else of a new one. */
  #writeEnd(channel: Channel, isError: boolean): Fd {
    const k = this.#kernel;
    const read = isError ? channel.err : channel.out;
    if (read >= 0) {
      const again = k.open(AT_FDCWD, ascii(`/proc/self/fd/${read}`), O_WRONLY | O_CLOEXEC, 0);
      if (again >= 0) return again;
      this.#drop(read);
    }
    const pipe = k.pipe(O_CLOEXEC);
    const made = pipe.errno === 0;
    if (made) k.fcntl(pipe.read, F_SETFL, O_RDONLY | O_NONBLOCK);
    if (isError) channel.err = made ? pipe.read : -1;
    else channel.out = made ? pipe.read : -1;
    return made ? pipe.write : -1;
  }

  #tell(channel: Channel, now: Instant): void {
    const name = this.#named ? concat([channel.name, ascii(": ")]) : EMPTY;
    const sent =
      this.#send(channel.out, concat([ascii(`1 ${channel.id} `), name])) &&
      this.#send(channel.err, concat([ascii(`2 ${channel.id} `), name]));
    channel.told = sent;
    if (!sent) this.#reactor.wakeAt(this, after(now, RESEND_MS));
  }

  #send(fd: Fd, message: Uint8Array): boolean {
    return fd < 0 || (this.#socket >= 0 && sendDescriptor(this.#socket, fd, message) >= 0);
  }

  // ---- The relay ----

  #start(now: Instant): void {
    this.#startedAt = now;
    this.changed = true;
    this.#drop(this.#socket);
    this.#socket = -1;
    const pair = socketPair();
    if (pair.errno !== 0) return;
    const child = this.#kernel.fork();
    if (child === 0) this.#child(pair.b);
    this.#kernel.close(pair.b);
    if (child < 0) {
      this.#kernel.close(pair.a);
      return;
    }
    this.#socket = pair.a;
    this.relay = pid(child);
    for (let i = 0; i < this.#channels.length; i++) this.#channels[i]!.told = false;
  }

  #child(socket: Fd): void {
    endOnCrash();
    // Nothing but KILL ends it: everybody else's last words pass through it.
    const all: number[] = [];
    for (let signal = 1; signal <= 64; signal++) all.push(signal);
    this.#kernel.blockSignals(all);
    closeAllBut(3, [socket]);
    setTitle(ascii("upkeep: lines of the services"), "upkeep-lines");
    try {
      relayLines(this.#kernel, socket);
    } catch {
      this.#kernel.exit(111);
    }
    this.#kernel.exit(0);
  }

  /** A reaped child was the relay. */
  relayEnded(now: Instant): void {
    this.relay = NO_PID;
    this.changed = true;
    if (this.#over) return;
    if (now >= after(this.#startedAt, RESTART_MS)) this.due(now);
    else this.#reactor.wakeAt(this, after(this.#startedAt, RESTART_MS));
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {}

  override due(now: Instant): void {
    if (this.#over) return;
    if (this.relay === NO_PID) this.#start(now);
    if (this.relay === NO_PID) this.#reactor.wakeAt(this, after(now, RESTART_MS));
    for (let i = 0; i < this.#channels.length; i++) if (!this.#channels[i]!.told) this.#tell(this.#channels[i]!, now);
  }

  /** Everybody has ended: passes on the rest. False when there is nobody to do that, so nothing to wait for. */
  finish(now: Instant): boolean {
    if (this.relay === NO_PID && this.#channels.length > 0) this.due(now);
    this.#over = true;
    this.changed = true;
    if (this.relay === NO_PID) return false;
    this.#drop(this.#socket);
    this.#socket = -1;
    return true;
  }
}
