/**
 * Brings bytes into `current` and, when it is time, changes the files of the
 * log directory. At any time it is
 *
 *   empty       everything is written, `current` is open
 *   changing    in a sequence of steps between two states of the files
 *               (core/log-rotation.ts)
 *   paused      a step or a write failed: it is tried again in three seconds
 *   waiting     too many files wait for the processor to rotate once more
 *
 * In all but the first the bytes not yet written stay where they are, and the
 * input is held up. Nothing is dropped, and the process's working directory is
 * never changed.
 */
import { EMPTY, text } from "../base/bytes.ts";
import { after, type Fd, type Instant } from "../base/units.ts";
import { NEWLINE } from "../core/log-line.ts";
import { FileSequence, type FileStep, pauseText, rotatedSuffix, SizeRule, SUFFIX_S, SUFFIX_U } from "../core/log-rotation.ts";
import { LogConfig } from "../formats/svlogd-config.ts";
import { EINTR, ENOENT, ENOSPC } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Part, type Reactor } from "../reactor.ts";
import { LogFiles } from "./log-files.ts";
import type { LogHome } from "./log-home.ts";
import { info, pausing, warn, warnOf } from "./log-message.ts";

const PAUSE_MS = 3000;

export class LogWriter extends Part {
  readonly files: LogFiles;
  rule: SizeRule = new SizeRule(0, 0);
  config: LogConfig = new LogConfig();
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #home: LogHome;
  readonly #name: string;
  readonly #verbose: boolean;
  readonly #sequence: FileSequence = new FileSequence();
  #pending: Uint8Array = EMPTY;
  #written = 0;
  /** `pending` lies where others will write, too. */
  #borrowed = false;
  #paused = false;
  /** `current` was there before, and is continued. */
  #continued = false;

  constructor(reactor: Reactor, home: LogHome, name: string, verbose: boolean) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#home = home;
    this.#name = name;
    this.#verbose = verbose;
    this.files = new LogFiles(this.#kernel);
  }

  /** Bytes for the file; only when all before are written. `borrowed`: they must not be looked at once `advance` was false. */
  put(bytes: Uint8Array, borrowed: boolean): void {
    this.#pending = bytes;
    this.#written = 0;
    this.#borrowed = borrowed;
  }

  /** All that was put is written. */
  get empty(): boolean {
    return this.#written >= this.#pending.length;
  }

  /** Writes and changes files as far as it goes; true when empty. */
  advance(now: Instant): boolean {
    while (!this.#paused) {
      const step = this.#sequence.step;
      if (step !== null) {
        if (!this.#take(step, now)) break;
      } else if (this.#written < this.#pending.length) this.#write(now);
      else return true;
    }
    if (this.#borrowed) this.put(this.#pending.slice(this.#written), false);
    return false;
  }

  /** What was paused is tried at once. */
  unpause(): void {
    this.#paused = false;
    this.#reactor.wakeAt(this, null);
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {}

  override due(now: Instant): void {
    this.#paused = false;
    this.#home.moved(now);
  }

  #pause(what: string, errno: number, now: Instant): void {
    pausing(this.#kernel, what, this.#name, errno);
    this.#paused = true;
    this.#reactor.wakeAt(this, after(now, PAUSE_MS));
  }

  // ---- Opening and closing ----

  /** Looks at `current` and begins to open it; false when it cannot even be looked at. */
  beginCurrent(): boolean {
    const found = this.files.look();
    if (found.errno !== 0) {
      warnOf(this.#kernel, "unable to stat current", this.#name, found.errno);
      return false;
    }
    this.#continued = found.exists && !found.unclean;
    if (found.unclean) this.files.nameCurrent(SUFFIX_U);
    this.#sequence.beginOpening(found.unclean);
    return true;
  }

  /** Marks `current` as closed cleanly and opens it again, by name; false when that is impossible. */
  reopenCurrent(): boolean {
    if (this.#sequence.step !== null) return true;
    this.sealCurrent();
    return this.beginCurrent();
  }

  sealCurrent(): void {
    if (this.#sequence.step !== null) return;
    const r = this.files.sync();
    if (r < 0) warnOf(this.#kernel, "unable to fsync current logfile", this.#name, -r);
    const s = this.files.seal();
    if (s < 0) warnOf(this.#kernel, "unable to set mode of current", this.#name, -s);
  }

  /** What is still to be written, for another writer. */
  rest(): Uint8Array {
    return this.#pending.slice(this.#written);
  }

  /** Everything is written, or will be to another directory. */
  close(): void {
    this.unpause();
    this.sealCurrent();
    this.files.close();
  }

  #write(now: Instant): void {
    const files = this.files;
    const room = this.rule.room(files.size);
    if (room === 0) {
      this.#beginRotation(now);
      return;
    }
    const end = Math.min(this.#pending.length, this.#written + room);
    const n = this.#kernel.write(files.current, this.#pending.subarray(this.#written, end));
    if (n === -EINTR) return;
    if (n < 0) {
      this.#writeFailed(-n, now);
      return;
    }
    files.size += n;
    this.#written += n;
    const atLineEnd = this.#written > 0 && this.#pending[this.#written - 1]! === NEWLINE;
    if (atLineEnd && this.rule.rotatesAtLineEnd(files.size)) this.#beginRotation(now);
  }

  /** A full disk: the oldest file may go if the config says so; otherwise wait. */
  #writeFailed(errno: number, now: Instant): void {
    const { filesMin, filesMax } = this.config;
    if (errno === ENOSPC && filesMin < filesMax) {
      const inventory = this.files.inventory(this.#home.processor.files());
      const oldest = inventory.oldest;
      if (inventory.count > filesMin && oldest !== null) {
        warn(this.#kernel, `out of disk space, delete: ${this.#name}/${text(oldest)}`);
        const r = this.files.remove(oldest);
        if (r >= 0) return;
        warnOf(this.#kernel, "unable to unlink oldest logfile", this.#name, -r);
      }
    }
    this.#pause("unable to write to current", errno, now);
  }

  // ---- Changing files ----

  /** Rotates unless `current` is empty; only when empty itself. Call `advance` then. */
  rotate(now: Instant): void {
    this.#beginRotation(now);
  }

  #beginRotation(now: Instant): void {
    this.#home.rotating(now);
    if (this.files.size > 0) this.#sequence.beginRotation();
  }

  /** One step between two states of the files; false when it has to wait. */
  #take(step: FileStep, now: Instant): boolean {
    if (step === "wait") {
      if (this.config.filesMax > 0 && this.#home.processor.waiting >= this.config.filesMax) return false;
      this.#sequence.taken();
      return true;
    }
    const r = this.#perform(step, now);
    if (r < 0) {
      this.#pause(pauseText(step), -r, now);
      return false;
    }
    this.#sequence.taken();
    if (this.#sequence.step === null && step === "unseal" && this.#verbose) {
      info(this.#kernel, `${this.#continued ? "append" : "new"}: ${this.#name}/current`);
    }
    return true;
  }

  /** The result of the step's system call. */
  #perform(step: FileStep, now: Instant): number {
    const files = this.files;
    switch (step) {
      case "setAside":
        return files.renameCurrent();
      case "sync":
        return files.sync();
      case "seal":
        files.nameCurrent(this.config.processor === null ? SUFFIX_S : SUFFIX_U);
        return files.seal();
      case "rename":
        return this.#rename();
      case "open":
      case "create":
        return files.openCurrent();
      case "unseal":
        return files.unseal();
      case "prune":
        this.#prune();
        return 0;
      case "process":
        if (rotatedSuffix(files.rotated) === SUFFIX_U) this.#home.processor.add(files.rotated, now);
        return 0;
      case "wait":
        return 0;
    }
  }

  #rename(): number {
    const files = this.files;
    const r = files.renameCurrent();
    // Somebody removed `current`: what was in it is gone, but the service need not wait for ever.
    if (r === -ENOENT) warnOf(this.#kernel, "unable to rename current", this.#name, ENOENT);
    else if (r >= 0 && this.#verbose) {
      info(this.#kernel, `rename: ${this.#name}/current ${text(files.rotated)} ${files.size}`);
    }
    return r === -ENOENT ? 0 : r;
  }

  /** Removes leftovers of a processor and, when there are too many old files, the oldest of them. */
  #prune(): void {
    const { filesMax } = this.config;
    if (filesMax === 0 && this.config.processor === null) return;
    const k = this.#kernel;
    const kept = this.#home.processor.files();
    kept.push(this.files.rotated);
    const inventory = this.files.inventory(kept);
    for (let i = 0; i < inventory.leftovers.length; i++) {
      const name = inventory.leftovers[i]!;
      const r = this.files.remove(name);
      if (r < 0) warnOf(k, "unable to unlink processor leftover", text(name), -r);
    }
    const oldest = inventory.oldest;
    if (filesMax === 0 || inventory.count <= filesMax || oldest === null) return;
    if (this.#verbose) info(k, `delete: ${this.#name}/${text(oldest)}`);
    const r = this.files.remove(oldest);
    if (r < 0) warnOf(k, "unable to unlink oldest logfile", this.#name, -r);
  }
}
