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
 * A check script runs as a child beside the waiting. It may fail or hang; what
 * ends the wait is the deadline alone, and then the script is killed.
 */
import { ascii, equal, le32 } from "../base/bytes.ts";
import { after, type DurationMs, type Fd, type Instant, pid } from "../base/units.ts";
import { changedSince, type Mark, verdict } from "../core/sv-wait.ts";
import { ENOENT, EPOLLERR, EPOLLIN, IN_MOVED_TO, IN_ONLYDIR, O_WRONLY, SIGKILL, WNOHANG } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Part, Reactor } from "../reactor.ts";
import { ServiceQuery } from "./service-query.ts";
import { OK, openServiceDirectory, openSupervise, type ServicePlace, scratchStat, supervisePath } from "./supervise-dir.ts";
import type { Report } from "./sv-report.ts";

/** Longest time between two looks. */
const LOOK_MS = 420;
const FIRST_LOOK_MS = 2;
const FIRST_RETRY_MS = 50;
/** Holding more descriptors than this could starve the check scripts of them. */
const OK_HELD_MAX = 400;
/** A wall clock that moved this much against the other one was set. */
const STEP_MS = 100;

const CHECK = ascii("check");
const CHECK_ARGV: readonly Uint8Array[] = [ascii("./check")];
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
  /** The check script: pid (0: none), its pidfd (< 0: none). */
  checkPid = 0;
  checkFd: Fd = -1;
  retryMs: DurationMs = FIRST_RETRY_MS;
  retryAt: Instant | null = null;
  complained = false;
  /** Label and pid the check script last agreed with. */
  passedLabel = -1;
  passedPid = 0;
  /** Label and pid the running check script is asked about. */
  askedLabel = -1;
  askedPid = 0;

  constructor(name: Uint8Array, place: ServicePlace, mark: Mark) {
    super();
    this.name = name;
    this.place = place;
    this.mark = mark;
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
  /** The deadline has come: a last look, and nothing more is started. */
  #last = false;

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
    this.#waiting.push(new Waiting(name, place, mark));
    this.#left++;
  }

  /** Waits for all services that were added, up to the deadline, and reports each. */
  run(deadline: Instant): void {
    this.#look(this.#kernel.now());
    if (this.#left === 0) return;
    this.#listen();
    for (;;) {
      const now = this.#kernel.now();
      this.#last = now >= deadline;
      this.#look(now);
      if (this.#left === 0) return;
      if (this.#last) break;
      this.#report.flush();
      this.#reactor.turn(Math.ceil(deadline - now));
      this.#report.refresh();
    }
    for (let i = 0; i < this.#waiting.length; i++) {
      const w = this.#waiting[i]!;
      if (!w.done) this.#giveUp(w);
    }
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

  /** Looks at every touched service, in the order of the command line. */
  #look(now: Instant): void {
    const stepped = Math.abs(this.#offset() - this.#clockOffsetMs) > STEP_MS;
    for (let i = 0; i < this.#waiting.length; i++) {
      const w = this.#waiting[i]!;
      if (w.done || !(w.touched || this.#last)) continue;
      w.touched = false;
      this.#reap(w, now);
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
    if (v === "no" || (v === "check" && !this.#checked(w, now))) return false;
    this.#report.line("ok: ", w.name, w.place, query);
    return true;
  }

  /** When to look again at the latest. */
  #plan(w: Waiting, now: Instant): void {
    const told = w.watch >= 0 && (w.checkPid === 0 || w.checkFd >= 0);
    let at = after(now, told ? LOOK_MS : w.lookMs);
    w.lookMs = Math.min(w.lookMs * 2, LOOK_MS);
    if (w.retryAt !== null && w.checkPid === 0 && w.retryAt < at && w.retryAt > now) at = w.retryAt;
    this.#reactor.wakeAt(w, at);
  }

  #finish(w: Waiting): void {
    w.done = true;
    this.#left--;
    this.#reactor.wakeAt(w, null);
    this.#releaseOk(w);
    this.#endCheck(w);
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

  // ---- The check script ----

  /** Whether the check script agrees with the status just read; starts it when it has not been asked. */
  #checked(w: Waiting, now: Instant): boolean {
    const status = this.#query.status;
    if (w.passedPid === status.pid && w.passedLabel === status.sinceMicroseconds) return true;
    if (this.#last || w.checkPid !== 0 || (w.retryAt !== null && now < w.retryAt)) return false;
    const r = this.#kernel.stat(w.place.base, w.place.path(CHECK), 0, scratchStat);
    if (r === -ENOENT) return true;
    if (r < 0) this.#complain(w, "unable to stat", -r);
    else this.#startCheck(w);
    if (w.checkPid === 0) this.#retryLater(w, now);
    return false;
  }

  /** The script in its service directory, as `./check`, with standard output closed. */
  #startCheck(w: Waiting): void {
    const kernel = this.#kernel;
    this.#report.flush();
    const dir = openServiceDirectory(kernel, w.place);
    if (dir < 0) {
      this.#complain(w, "unable to run", -dir);
      return;
    }
    const child = kernel.spawn({
      dir,
      path: CHECK,
      argv: CHECK_ARGV,
      env: null,
      moves: [{ from: -1, to: 1 }],
      flags: 0,
      blocked: [],
      defaults: [],
      recordFd: -1,
      recordAt: 0,
    });
    kernel.close(dir);
    if (child.pid < 0) {
      this.#complain(w, "unable to fork for", -child.pid);
      return;
    }
    if (child.execErrno !== 0) {
      kernel.waitpid(child.pid, 0);
      this.#complain(w, "unable to run", child.execErrno);
      return;
    }
    w.checkPid = child.pid;
    w.askedPid = this.#query.status.pid;
    w.askedLabel = this.#query.status.sinceMicroseconds;
    w.checkFd = kernel.pidfdOpen(pid(child.pid));
    if (w.checkFd >= 0) this.#reactor.watch(w.checkFd, EPOLLIN, w, true);
    else w.lookMs = FIRST_LOOK_MS;
  }

  /** Takes the end of the check script, if it has ended. Only exit 0 agrees. */
  #reap(w: Waiting, now: Instant): void {
    if (w.checkPid === 0) return;
    const exit = this.#kernel.waitpid(w.checkPid, WNOHANG);
    if (exit.pid === 0) return;
    w.checkPid = 0;
    this.#closeCheck(w);
    if (exit.pid > 0 && exit.status === 0) {
      w.passedPid = w.askedPid;
      w.passedLabel = w.askedLabel;
    } else {
      this.#retryLater(w, now);
    }
  }

  #retryLater(w: Waiting, now: Instant): void {
    w.retryAt = after(now, w.retryMs);
    w.retryMs = Math.min(w.retryMs * 2, LOOK_MS);
  }

  #complain(w: Waiting, text: string, errno: number): void {
    if (!w.complained) this.#report.complain(text, w.name, "check", errno);
    w.complained = true;
  }

  #closeCheck(w: Waiting): void {
    if (w.checkFd < 0) return;
    this.#reactor.unwatch(w.checkFd);
    this.#kernel.close(w.checkFd);
    w.checkFd = -1;
  }

  #endCheck(w: Waiting): void {
    if (w.checkPid === 0) return;
    this.#kernel.kill(pid(w.checkPid), SIGKILL);
    w.checkPid = 0;
    this.#closeCheck(w);
  }
}
