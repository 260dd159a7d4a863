/**
 * sv's second phase: wait until what was asked has come true, service by
 * service, without looking all the time.
 *
 * A waiting service is looked at again when its status file was replaced
 * (inotify on supervise), when its runsv ended (the last reader of
 * supervise/ok went away), when its check script ended, and every 420 ms as
 * runit does. Where the system gives no such notice, looks begin 2 ms apart
 * and grow to 420 ms.
 *
 * When the time is up nothing new is started, but a check script that runs is
 * heard (compat: it has no limit of its own in runit, and scripts that take
 * longer than the seven seconds are in use; blackbox/sv-wait).
 */
import { ascii, equal, le32 } from "../base/bytes.ts";
import { after, type DurationMs, type Fd, type Instant } from "../base/units.ts";
import { changedSince, type Mark, verdict } from "../core/sv-wait.ts";
import { EPOLLERR, EPOLLIN, IN_MOVED_TO, IN_ONLYDIR, O_WRONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Part, Reactor } from "../reactor.ts";
import { CheckScript } from "./check-script.ts";
import { ServiceQuery } from "./service-query.ts";
import { OK, openSupervise, type ServicePlace, supervisePath } from "./supervise-dir.ts";
import type { Report } from "./sv-report.ts";

/** Longest time between two looks. */
const LOOK_MS = 420;
const FIRST_LOOK_MS = 2;
/** Holding more descriptors than this could starve the check scripts of them. */
const OK_HELD_MAX = 400;
/** A wall clock that moved this much against the other one was set. */
const STEP_MS = 100;

const STATUS_NAME = ascii("status");
const KILL = ascii("k");

/** A service that is waited for. */
class Waiting extends Part {
  readonly name: Uint8Array;
  readonly place: ServicePlace;
  readonly mark: Mark;
  done = false;
  /** Something may have changed: look in this turn. */
  touched = true;
  /** inotify watch on supervise, or < 0. */
  watch = -1;
  /** Write end of supervise/ok, or < 0. */
  ok: Fd = -1;
  lookMs: DurationMs = FIRST_LOOK_MS;
  readonly check: CheckScript;

  constructor(name: Uint8Array, place: ServicePlace, mark: Mark, reactor: Reactor, report: Report) {
    super();
    this.name = name;
    this.place = place;
    this.mark = mark;
    this.check = new CheckScript(reactor, place, this, (text, errno) => report.complain(text, name, "check", errno));
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {
    this.touched = true;
  }
  override due(_now: Instant): void {
    this.touched = true;
  }
}

/** Passes on which supervise directories got a new status. */
class Watcher extends Part {
  readonly #kernel: Kernel;
  readonly #waiting: readonly Waiting[];
  readonly fd: Fd;
  readonly #events: Uint8Array = new Uint8Array(4096);

  constructor(kernel: Kernel, waiting: readonly Waiting[]) {
    super();
    this.#kernel = kernel;
    this.#waiting = waiting;
    this.fd = kernel.inotifyInit();
  }

  /** A watch, or < 0. */
  add(place: ServicePlace): number {
    const path = supervisePath(place);
    if (this.fd < 0 || path === null) return -1;
    return this.#kernel.inotifyAdd(this.fd, path, IN_MOVED_TO | IN_ONLYDIR);
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {
    for (;;) {
      const n = this.#kernel.read(this.fd, this.#events);
      if (n <= 0) return;
      this.#take(this.#events.subarray(0, n));
    }
  }
  override due(_now: Instant): void {}

  /** struct inotify_event: watch, mask, cookie, length of the name, name padded with NULs. */
  #take(b: Uint8Array): void {
    let at = 0;
    while (at + 16 <= b.length) {
      const end = at + 16 + le32(b, at + 12);
      const nameEnd = at + 16 + STATUS_NAME.length;
      const isStatus = nameEnd < end && end <= b.length && b[nameEnd]! === 0 && equal(b.subarray(at + 16, nameEnd), STATUS_NAME);
      // Without a name the queue overflowed, or the directory went away.
      if (isStatus || end === at + 16) this.#touch(le32(b, at), end === at + 16);
      at = end;
    }
  }

  #touch(watch: number, all: boolean): void {
    for (let i = 0; i < this.#waiting.length; i++) {
      const w = this.#waiting[i]!;
      if (all || w.watch === watch) w.touched = true;
    }
  }
}

export class Waiter {
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #report: Report;
  readonly #acts: string;
  readonly #kill: boolean;
  readonly #waiting: Waiting[] = [];
  readonly #query: ServiceQuery = new ServiceQuery();
  readonly #clockOffsetMs: number;
  #left = 0;
  #okHeld = 0;
  /** The deadline has come: nothing more is started. */
  #late = false;

  /** `kill`: on timeout send `k`. */
  constructor(kernel: Kernel, report: Report, acts: string, kill: boolean) {
    this.#kernel = kernel;
    this.#reactor = new Reactor(kernel);
    this.#report = report;
    this.#acts = acts;
    this.#kill = kill;
    this.#clockOffsetMs = this.#offset();
  }

  add(name: Uint8Array, place: ServicePlace, mark: Mark): void {
    this.#waiting.push(new Waiting(name, place, mark, this.#reactor, this.#report));
    this.#left++;
  }

  /** Waits for all services that were added, up to the deadline, and reports each. */
  run(deadline: Instant): void {
    this.#look(this.#kernel.now(), false);
    if (this.#left === 0) return;
    this.#listen();
    for (;;) {
      const now = this.#kernel.now();
      this.#late = now >= deadline;
      const last = this.#late && !this.#anyCheckRuns();
      this.#look(now, last);
      if (this.#left === 0) return;
      if (last) break;
      this.#report.flush();
      this.#reactor.turn(this.#late ? -1 : Math.ceil(deadline - now));
      this.#report.refresh();
    }
    for (let i = 0; i < this.#waiting.length; i++) {
      const w = this.#waiting[i]!;
      if (!w.done) this.#giveUp(w);
    }
  }

  #anyCheckRuns(): boolean {
    for (let i = 0; i < this.#waiting.length; i++) if (this.#waiting[i]!.check.running) return true;
    return false;
  }

  #offset(): number {
    const wall = this.#kernel.wall();
    return wall.seconds * 1000 + wall.nanoseconds / 1e6 - this.#kernel.bootTimeMs();
  }

  /** From here on, changes are told instead of looked for. */
  #listen(): void {
    const watcher = new Watcher(this.#kernel, this.#waiting);
    if (watcher.fd >= 0) this.#reactor.watch(watcher.fd, EPOLLIN, watcher, true);
    for (let i = 0; i < this.#waiting.length; i++) {
      const w = this.#waiting[i]!;
      if (w.done) continue;
      w.watch = watcher.add(w.place);
      this.#holdOk(w);
      w.touched = true;
    }
  }

  /** The write end of supervise/ok reports an error when its last reader, runsv, is gone. */
  #holdOk(w: Waiting): void {
    if (this.#okHeld >= OK_HELD_MAX) return;
    w.ok = openSupervise(this.#kernel, w.place, OK, O_WRONLY);
    if (w.ok < 0) return;
    this.#okHeld++;
    this.#reactor.watch(w.ok, EPOLLERR, w, false);
  }

  #releaseOk(w: Waiting): void {
    if (w.ok < 0) return;
    this.#reactor.unwatch(w.ok);
    this.#kernel.close(w.ok);
    this.#okHeld--;
    w.ok = -1;
  }

  /** Looks at every touched service, or at all of them, in the order of the command line. */
  #look(now: Instant, all: boolean): void {
    const stepped = Math.abs(this.#offset() - this.#clockOffsetMs) > STEP_MS;
    for (let i = 0; i < this.#waiting.length; i++) {
      const w = this.#waiting[i]!;
      if (w.done || !(w.touched || all)) continue;
      w.touched = false;
      w.check.reap(now);
      if (this.#examine(w, now, stepped)) this.#finish(w);
      else this.#plan(w, now);
    }
  }

  /** True when the service is settled, and reported. */
  #examine(w: Waiting, now: Instant, stepped: boolean): boolean {
    const query = this.#query;
    if (query.ask(this.#kernel, w.place) !== "ok") {
      this.#report.problem(w.name, query, this.#acts.charAt(0) === "x");
      return true;
    }
    const v = verdict(this.#acts, query.status, changedSince(query.status, w.mark, stepped));
    if (v === "no" || (v === "check" && !w.check.agrees(query.status, !this.#late, now))) return false;
    this.#report.line("ok: ", w.name, w.place, query);
    return true;
  }

  /** When to look again at the latest. */
  #plan(w: Waiting, now: Instant): void {
    const told = w.watch >= 0 && w.check.isTold;
    let at = after(now, told ? LOOK_MS : w.lookMs);
    w.lookMs = Math.min(w.lookMs * 2, LOOK_MS);
    const retryAt = w.check.retryAt;
    if (retryAt !== null && retryAt < at && retryAt > now) at = retryAt;
    this.#reactor.wakeAt(w, at);
  }

  #finish(w: Waiting): void {
    w.done = true;
    this.#left--;
    this.#reactor.wakeAt(w, null);
    this.#releaseOk(w);
    w.check.close();
  }

  #giveUp(w: Waiting): void {
    const report = this.#report;
    report.out.putText(this.#kill ? "kill: " : "timeout: ");
    if (this.#query.ask(this.#kernel, w.place) === "ok") {
      report.state(w.name, w.name, w.place, this.#query);
      report.endLine();
      report.count();
    } else {
      report.problem(w.name, this.#query, false);
    }
    if (this.#kill) this.#query.send(this.#kernel, w.place, KILL);
    this.#finish(w);
  }
}
