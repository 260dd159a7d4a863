/**
 * Carries out what the scan machine (core/scan.ts) asks for: looks at the
 * directory, starts and stops supervisors, notices their ends. runsvdir and a
 * container's init own one each; how a supervisor is started is handed in.
 */
import { ascii, EMPTY, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { after, earlier, type Fd, type Instant, instant, pid } from "../base/units.ts";
import { entryKey, type Found, Scan, type ScanAction, type ScanEntry } from "../core/scan.ts";
import { ADOPT_BYTES, AdoptRecord } from "../formats/adopt.ts";
import {
  AT_FDCWD,
  ELOOP,
  EMFILE,
  ENFILE,
  ENOENT,
  ENOTDIR,
  EPERM,
  EPOLLIN,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NONBLOCK,
  O_RDONLY,
  SIGTERM,
} from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { type BootId, bootId, procStat } from "../kernel/proc.ts";
import { Part, type Reactor } from "../reactor.ts";
import { readAdopt } from "./adopt-file.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import { passes } from "./log-pipe.ts";
import { openAlive } from "./service-query.ts";
import { openSupervise, servicePlace } from "./supervise-dir.ts";

/** Where the scanner's messages go. */
export abstract class ScanOutput {
  /** `text` without prefix and newline. */
  abstract warn(text: string): void;
}

/** How a runsv comes into being. */
export abstract class RunsvStarter {
  /** Starts the supervisor of `entry` with the working directory `dir`. Pid, or -errno. */
  abstract start(entry: ScanEntry, dir: Fd, bootId: Uint8Array): number;
  /** A supervisor of `entry` lives already: keep for it what `start` would. */
  abstract found(entry: ScanEntry, dir: Fd, bootId: Uint8Array): void;
  /** The entry is gone: free what `start` keeps for it. */
  abstract forget(entry: ScanEntry): void;

  // What follows is for one that hosts the supervisors itself (dense-host.ts): a number that is
  // no pid then stands for each of them.

  /** How many supervisors this process hosts. */
  get hosted(): number {
    return 0;
  }

  /** Tells the supervisor of `entry` to exit, if it is hosted; whether it is. */
  stop(_entry: ScanEntry): boolean {
    return false;
  }

  /** All are told to exit, and it stays so whatever else the hosted ones are told. */
  end(): void {}

  /** The end of a child: whether it was a hosted supervisor's. */
  reaped(_child: number, _status: number, _now: Instant): boolean {
    return false;
  }

  /** The number of a hosted supervisor that has ended since the last question; 0: there is none. */
  nextEnded(): number {
    return 0;
  }
}

/** Without inotify the directory is looked at this often. */
const POLL_MS = 5000;
/** With it, only in case an event was lost (remote file systems send none). */
const SAFETY_MS = 300_000;
/** While the directory is missing, or when what is seen may be half of a change. */
const AGAIN_MS = 1000;
/** From an event to the look at the directory: a burst of changes is one look. */
const SETTLE_MS = 30;

const DOT = 46;
const ADOPT = ascii("supervise/adopt");

export class Scanner extends Part {
  readonly scan: Scan = new Scan();
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #starter: RunsvStarter;
  readonly #output: ScanOutput;
  readonly #path: Uint8Array;
  readonly #watch: DirectoryWatch;
  /** The last start failed for want of descriptors, which was told. */
  #full = false;
  /** Where it could not be had it is asked for again; simulate/found. */
  #bootId: BootId;
  #lookAt: Instant = instant(0);
  /** Look inside even if the directory seems unchanged. */
  #check = true;
  #seenOnce = false;
  /** Not before this moment is it told again that the directory is missing. */
  #warnAt: Instant = instant(0);
  #dev = 0;
  #ino = 0;
  #mtime = 0;

  /** `path`: the directory of service directories, looked up anew each time. */
  constructor(reactor: Reactor, path: Uint8Array, starter: RunsvStarter, output: ScanOutput) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#path = path;
    this.#starter = starter;
    this.#output = output;
    this.#watch = new DirectoryWatch(reactor, this);
    this.#bootId = bootId(reactor.kernel);
  }

  /** The first look. */
  begin(now: Instant): void {
    this.#look(now);
  }

  /** Looks at once, whether or not anything seems changed (SIGALRM, SIGHUP of an init). */
  rescan(now: Instant): void {
    this.#check = true;
    this.#look(now);
  }

  /** Tells every runsv to exit; none is started any more. */
  stopAll(now: Instant): void {
    this.#starter.end();
    this.#perform(this.scan.stopAll(), now);
  }

  /** Whether a reaped child was a runsv; if so its end is dealt with. */
  reaped(child: number, now: Instant): boolean {
    const entry = this.scan.withPid(child);
    if (entry === null) return false;
    this.#ended(entry, now);
    return true;
  }

  /** Deals with hosted supervisors that have ended; whether there were any. */
  settleHosted(now: Instant): boolean {
    let any = false;
    for (let ended = this.#starter.nextEnded(); ended > 0; ended = this.#starter.nextEnded())
      any = this.reaped(ended, now) || any;
    return any;
  }

  override ready(fd: Fd, _events: number, now: Instant): void {
    if (fd === this.#watch.fd) {
      this.#watch.drain();
      this.#check = true;
      this.#lookAt = earlier(this.#lookAt, after(now, SETTLE_MS)) ?? now;
      this.#schedule();
      return;
    }
    for (let i = 0; i < this.scan.entries.length; i++) {
      const entry = this.scan.entries[i]!;
      if (entry.pidfd === fd) {
        this.#ended(entry, now);
        return;
      }
    }
  }

  override due(now: Instant): void {
    if (now >= this.#lookAt) this.#look(now);
    else {
      this.#perform(this.scan.due(now), now);
      this.#schedule();
    }
  }

  #ended(entry: ScanEntry, now: Instant): void {
    if (entry.pidfd >= 0) {
      this.#reactor.unwatch(entry.pidfd);
      this.#kernel.close(entry.pidfd);
      entry.pidfd = -1;
    }
    this.#perform(this.scan.ended(entry, now), now);
    this.#schedule();
  }

  #schedule(): void {
    this.#reactor.wakeAt(this, earlier(this.#lookAt, this.scan.deadline()));
  }

  // ---- Looking ----

  #look(now: Instant): void {
    const stat = new Stat();
    const r = this.#kernel.stat(AT_FDCWD, this.#path, 0, stat);
    if (r < 0) {
      this.#warnMissing(-r, now);
      this.#watch.close();
      this.#ino = 0;
      this.#lookAt = after(now, AGAIN_MS);
    } else if (this.#check || this.#changed(stat)) this.#scanNow(stat, now);
    else this.#lookAt = after(now, this.#watch.active ? SAFETY_MS : POLL_MS);
    this.#perform(this.scan.due(now), now);
    this.#schedule();
  }

  /** compat: told at every look before the directory was there for the first time, then every 5 s. */
  #warnMissing(errno: number, now: Instant): void {
    if (this.#seenOnce && now < this.#warnAt) return;
    this.#warnAt = after(now, POLL_MS);
    this.#output.warn(`unable to stat ${text(this.#path)}: ${errorText(errno)}`);
  }

  #changed(stat: Stat): boolean {
    return stat.mtimeSeconds !== this.#mtime || stat.ino !== this.#ino || stat.dev !== this.#dev;
  }

  #scanNow(stat: Stat, now: Instant): void {
    if (stat.ino !== this.#ino || stat.dev !== this.#dev || !this.#watch.active) this.#watch.follow(this.#path);
    this.#dev = stat.dev;
    this.#ino = stat.ino;
    this.#mtime = stat.mtimeSeconds;
    this.#check = false;
    this.#lookAt = after(now, this.#watch.active ? SAFETY_MS : POLL_MS);
    const dir = this.#kernel.open(AT_FDCWD, this.#path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, 0);
    if (dir < 0) {
      this.#output.warn(`unable to open directory ${text(this.#path)}: ${errorText(-dir)}`);
      this.#check = true;
      this.#lookAt = after(now, POLL_MS);
      return;
    }
    const before = this.scan.entries.length;
    this.#seenOnce = true;
    this.#readDirectory(dir, now);
    this.#kernel.close(dir);
    // mtime counts whole seconds, and a new entry may not be alone: look once more.
    const wall = this.#kernel.wall().seconds;
    if (this.scan.entries.length > before || wall <= this.#mtime) {
      this.#check = true;
      this.#lookAt = after(now, AGAIN_MS);
    }
  }

  #readDirectory(dir: Fd, now: Instant): void {
    const listing = this.#kernel.list(dir);
    if (listing.errno !== 0) {
      this.#output.warn(`unable to read directory ${text(this.#path)}: ${errorText(listing.errno)}`);
      this.#check = true;
      this.#lookAt = after(now, AGAIN_MS);
    }
    const found: Found[] = [];
    const unsure: Uint8Array[] = [];
    const stat = new Stat();
    for (let i = 0; i < listing.names.length; i++) {
      const name = listing.names[i]!;
      if (name.length === 0 || name[0]! === DOT) continue;
      const r = this.#kernel.stat(dir, name, 0, stat);
      if (r < 0) this.#output.warn(`unable to stat ${text(name)}: ${errorText(-r)}`);
      // compat: doc/differences.md, runsvdir-stat
      if (r < 0 && r !== -ENOENT && r !== -ENOTDIR && r !== -ELOOP) unsure.push(name);
      else if (r >= 0 && stat.isDirectory()) found.push({ name, dev: stat.dev, ino: stat.ino });
    }
    if (unsure.length > 0) {
      this.#check = true;
      this.#lookAt = after(now, POLL_MS);
    }
    this.#performIn(this.scan.listed(found, unsure, listing.errno === 0, now), dir, now);
  }

  // ---- Acting ----

  #perform(actions: readonly ScanAction[], now: Instant): void {
    if (actions.length === 0) return;
    const dir = this.#kernel.open(AT_FDCWD, this.#path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, 0);
    this.#performIn(actions, dir, now);
    if (dir >= 0) this.#kernel.close(dir);
  }

  /** `dir` may be -errno: then nothing can be started, and what was to be is tried again. */
  #performIn(actions: readonly ScanAction[], dir: Fd, now: Instant): void {
    let full = false;
    for (let i = 0; i < actions.length; i++) {
      const action = actions[i]!;
      const entry = action.entry;
      switch (action.act) {
        case "start":
          // Where descriptors are wanted, the first one tries for all.
          if (dir < 0 || full) this.scan.startFailed(entry, now);
          else this.#start(entry, dir, now);
          full = this.#full;
          break;
        case "stop":
          if (this.#starter.stop(entry)) break;
          if (entry.pidfd >= 0) this.#kernel.pidfdKill(entry.pidfd, SIGTERM);
          else this.#kernel.kill(entry.pid, SIGTERM);
          break;
        case "forget":
          this.#starter.forget(entry);
          break;
      }
    }
  }

  #start(entry: ScanEntry, dir: Fd, now: Instant): void {
    if (!this.#isThere(entry, dir)) {
      // It went, or got another name, and the scan that will tell has yet to come.
      this.scan.startFailed(entry, now);
      this.#check = true;
      this.#lookAt = earlier(this.#lookAt, after(now, SETTLE_MS)) ?? now;
      return;
    }
    if (this.#bootId.errno !== 0) this.#bootId = bootId(this.#kernel);
    const { errno, id } = this.#bootId;
    if (errno !== 0) {
      // Nobody can tell whether it has a runsv.
      this.#output.warn(`unable to read the boot id for ${text(entry.name)}: ${errorText(errno)}`);
      this.scan.startFailed(entry, now);
      return;
    }
    const living = this.#livingSupervisor(entry, dir, id);
    if (living > 0) {
      this.scan.started(entry, pid(living), now);
      this.#starter.found(entry, dir, id);
      return;
    }
    if (living < 0) {
      this.#failed(`unable to look for the runsv of ${text(entry.name)}`, -living, entry, now);
      return;
    }
    const r = this.#starter.start(entry, dir, id);
    if (r <= 0) this.#failed(`unable to fork for ${text(entry.name)}`, -r, entry, now);
    else {
      this.#full = false;
      this.scan.started(entry, pid(r), now);
    }
  }

  #failed(what: string, errno: number, entry: ScanEntry, now: Instant): void {
    const full = errno === EMFILE || errno === ENFILE;
    if (!full || !this.#full) this.#output.warn(`${what}: ${errorText(errno)}`);
    this.#full = full;
    this.scan.startFailed(entry, now);
  }

  #isThere(entry: ScanEntry, dir: Fd): boolean {
    const stat = new Stat();
    return this.#kernel.stat(dir, entry.name, 0, stat) >= 0 && entryKey(stat.dev, stat.ino) === entry.key;
  }

  /**
   * The runsv a predecessor of ours left running in this directory. Its record
   * names it, the FIFO `ok` says that it lives and holds the lock. Its pid; 0:
   * there is none; -errno: there is no telling now.
   */
  #livingSupervisor(entry: ScanEntry, dir: Fd, id: Uint8Array): number {
    const k = this.#kernel;
    if (id.length === 0) return 0;
    const place = servicePlace(k, dir, EMPTY, entry.name);
    const ok = openAlive(k, place);
    if (ok < 0) return passes(ok) ? ok : 0;
    k.close(ok);
    const fd = openSupervise(k, place, ADOPT, O_RDONLY);
    if (fd < 0) return passes(fd) ? fd : 0;
    const record = new AdoptRecord();
    const n = readAdopt(k, fd, record);
    k.close(fd);
    if (n < 0) return n === -EPERM ? 0 : n;
    return n === ADOPT_BYTES && record.ofBoot(id) && record.supervisor > 1 ? this.#watchSupervisor(entry, record) : 0;
  }

  #watchSupervisor(entry: ScanEntry, record: AdoptRecord): number {
    const k = this.#kernel;
    const process = pid(record.supervisor);
    if (process === k.getpid()) return 0;
    const fd = k.pidfdOpen(process);
    if (fd < 0) return passes(fd) ? fd : 0;
    const seen = procStat(k, process);
    const other = seen === null || seen.startBootMs > record.writtenBootMs;
    const watched = other ? 0 : this.#reactor.watch(fd, EPOLLIN, this, false);
    if (other || watched < 0) {
      k.close(fd);
      return watched;
    }
    entry.pidfd = fd;
    return process;
  }
}
