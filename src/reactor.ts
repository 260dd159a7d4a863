/**
 * The loop. It alone blocks, in `Kernel.epollWait`, and it alone asks the
 * clock. A part registers descriptors and at most one deadline; a turn hands
 * ready descriptors to their parts, urgent parts (signals, hence exits) first,
 * then deadlines that have come.
 */
import { le32 } from "./base/bytes.ts";
import type { Fd, Instant } from "./base/units.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "./kernel/constants.ts";
import type { Kernel } from "./kernel/kernel.ts";

const EVENTS_PER_TURN = 16;

/** Something that waits for descriptors or for a moment. */
export abstract class Part {
  /** Where the part stands in the reactor's heap; -1: no deadline. Only the reactor writes it. */
  heapIndex = -1;
  heapAt = 0;
  /** `fd` is ready for `events` (EPOLL* bits). May be spurious: read without blocking. */
  abstract ready(fd: Fd, events: number, now: Instant): void;
  /** The deadline set with `Reactor.wakeAt` has come, and is cleared. */
  abstract due(now: Instant): void;
}

/** Whose descriptor it is that nobody watches. */
class Nobody extends Part {
  override ready(_fd: Fd, _events: number, _now: Instant): void {}
  override due(_now: Instant): void {}
}

/** Beside the descriptor in what epoll gives back: it goes before the others. */
const URGENT = 1073741824;

export class Reactor {
  readonly kernel: Kernel;
  readonly #ep: Fd;
  readonly #nobody: Part = new Nobody();
  /** By descriptor. */
  readonly #watchers: Part[] = [];
  readonly #heap: Part[] = [];
  readonly #events: Uint8Array = new Uint8Array(EVENTS_PER_TURN * 8);
  #rest: ((ep: Fd, timeoutMs: number) => void) | null = null;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.#ep = kernel.epollCreate();
  }

  /** -errno when there is no epoll instance: nothing will ever be ready. */
  get status(): number {
    return this.#ep;
  }

  /** Watches fd for EPOLL* events. Returns 0 or -errno. */
  watch(fd: Fd, events: number, part: Part, urgent: boolean): number {
    while (this.#watchers.length <= fd) this.#watchers.push(this.#nobody);
    const r = this.kernel.epollControl(this.#ep, EPOLL_CTL_ADD, fd, events, urgent ? fd + URGENT : fd);
    if (r >= 0) this.#watchers[fd] = part;
    return r;
  }

  /** Changes the events watched of one that is not urgent; 0 keeps only errors and hang-up. */
  rewatch(fd: Fd, events: number): number {
    return this.kernel.epollControl(this.#ep, EPOLL_CTL_MOD, fd, events, fd);
  }

  /** Stops watching; call before closing fd. */
  unwatch(fd: Fd): void {
    if (fd < 0 || fd >= this.#watchers.length) return;
    this.kernel.epollControl(this.#ep, EPOLL_CTL_DEL, fd, 0, 0);
    this.#watchers[fd] = this.#nobody;
  }

  /** Sets, moves or (null) clears a part's deadline. */
  wakeAt(part: Part, at: Instant | null): void {
    if (at === null) {
      if (part.heapIndex >= 0) this.#removeAt(part.heapIndex);
      return;
    }
    part.heapAt = at;
    if (part.heapIndex < 0) {
      part.heapIndex = this.#heap.length;
      this.#heap.push(part);
    }
    this.#siftUp(part.heapIndex);
    this.#siftDown(part.heapIndex);
  }

  /** Waits once and handles what came. `limitMs` bounds the wait (< 0: none). */
  turn(limitMs: number): void {
    const rest = this.#rest;
    if (rest !== null) {
      this.#rest = null;
      rest(this.#ep, this.#timeout(limitMs));
    }
    const n = this.kernel.epollWait(this.#ep, this.#events, rest === null ? this.#timeout(limitMs) : 0);
    const now = this.kernel.now();
    if (n > 0) {
      this.#deliver(n, true, now);
      this.#deliver(n, false, now);
    }
    this.#runDue(now);
  }

  /** The next wait is done by `rest`: until the descriptor is readable, or so many ms (< 0: no limit). */
  restNext(rest: (ep: Fd, timeoutMs: number) => void): void {
    this.#rest = rest;
  }

  /** Closes the epoll instance: for a forked child, which starts its own. */
  close(): void {
    this.kernel.close(this.#ep);
  }

  #timeout(limitMs: number): number {
    if (this.#heap.length === 0) return limitMs;
    // A millisecond is the resolution: round up, so that the moment has come when the wait ends.
    const ms = Math.max(0, Math.ceil(this.#heap[0]!.heapAt - this.kernel.now()));
    return limitMs >= 0 && limitMs < ms ? limitMs : ms;
  }

  #deliver(n: number, urgent: boolean, now: Instant): void {
    for (let i = 0; i < n; i++) {
      const told = le32(this.#events, i * 8);
      if (told >= URGENT !== urgent) continue;
      const fd = urgent ? told - URGENT : told;
      if (fd < this.#watchers.length) this.#watchers[fd]!.ready(fd, le32(this.#events, i * 8 + 4), now);
    }
  }

  #runDue(now: Instant): void {
    let left = this.#heap.length;
    while (left > 0 && this.#heap.length > 0 && this.#heap[0]!.heapAt <= now) {
      const part = this.#heap[0]!;
      this.#removeAt(0);
      part.due(now);
      left--;
    }
  }

  #removeAt(i: number): void {
    const part = this.#heap[i]!;
    part.heapIndex = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === part) return;
    this.#heap[i] = last;
    last.heapIndex = i;
    this.#siftUp(i);
    this.#siftDown(last.heapIndex);
  }

  #swap(i: number, j: number): void {
    const a = this.#heap[i]!;
    const b = this.#heap[j]!;
    this.#heap[i] = b;
    this.#heap[j] = a;
    b.heapIndex = i;
    a.heapIndex = j;
  }

  #siftUp(from: number): void {
    let i = from;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (this.#heap[up]!.heapAt <= this.#heap[i]!.heapAt) return;
      this.#swap(i, up);
      i = up;
    }
  }

  #siftDown(from: number): void {
    let i = from;
    for (;;) {
      let least = i;
      const left = 2 * i + 1;
      if (left < this.#heap.length && this.#heap[left]!.heapAt < this.#heap[least]!.heapAt) least = left;
      if (left + 1 < this.#heap.length && this.#heap[left + 1]!.heapAt < this.#heap[least]!.heapAt) least = left + 1;
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }
}
