/**
 * The processor of a log directory: a command that gets each rotated file on
 * standard input, its result going to a new file. One runs at a time, others
 * wait in the order they were rotated in.
 *
 *   idle        nothing waits
 *   running     @L.u on 0, @L.t on 1, `state` on 4, `newstate` on 5
 *   committing  the result is made to last, step by step: fsync .t, .t to .s,
 *               mode 0744, newstate to state, unlink .u. Stopped anywhere, the
 *               next svlogd finds out how far it came: .u with .s is complete.
 *   failed      tried again after 1 s, then 2, 4, ... up to a minute
 *
 * Before each run .t and newstate are removed, not truncated: a processor left
 * over from a killed svlogd may still be writing to them.
 */
import { ascii, text } from "../base/bytes.ts";
import { after, type Fd, type Instant, NO_PID, type Pid, pid } from "../base/units.ts";
import { retryDelayMs, SUFFIX_S, SUFFIX_T, withSuffix } from "../core/log-rotation.ts";
import {
  ENOENT,
  O_CLOEXEC,
  O_CREAT,
  O_NONBLOCK,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  SIGALRM,
  SIGCHLD,
  SIGHUP,
  SIGPIPE,
  SIGTERM,
} from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { Part, type Reactor } from "../reactor.ts";
import { aboveProcessors } from "./log-files.ts";
import type { LogHome } from "./log-home.ts";
import { fatalOf, info, pausing, warn, warnOf } from "./log-message.ts";

const SHELL = ascii("/bin/sh");
const SHELL_ARGUMENTS: readonly Uint8Array[] = [ascii("sh"), ascii("-c")];
const STATE = ascii("state");
const NEW_STATE = ascii("newstate");
const PAUSE_MS = 3000;
const CHILD_DEFAULTS: readonly number[] = [SIGTERM, SIGALRM, SIGHUP, SIGCHLD, SIGPIPE];

type CommitStep = "sync" | "rename" | "mode" | "state" | "unlink";

export class LogProcessor extends Part {
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #home: LogHome;
  readonly #name: string;
  readonly #verbose: boolean;
  readonly #directory: Fd;
  readonly #queue: Uint8Array[] = [];
  #pid: Pid = NO_PID;
  #output: Fd = -1;
  #commit: CommitStep | null = null;
  #failures = 0;
  /** Nothing is started before the deadline of this part. */
  #held = false;
  /** svlogd ends: what fails is left for the next one. */
  #last = false;

  /** `directory`: the open log directory, `name`: as in messages. */
  constructor(reactor: Reactor, home: LogHome, directory: Fd, name: string, verbose: boolean) {
    super();
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#home = home;
    this.#directory = directory;
    this.#name = name;
    this.#verbose = verbose;
  }

  /** Files that wait or are being processed. */
  get waiting(): number {
    return this.#queue.length;
  }

  get running(): boolean {
    return this.#pid !== NO_PID;
  }

  /** Names that pruning must leave alone. */
  files(): Uint8Array[] {
    const names: Uint8Array[] = [];
    for (let i = 0; i < this.#queue.length; i++) names.push(this.#queue[i]!);
    if (names.length > 0) names.push(withSuffix(names[0]!, SUFFIX_T));
    return names;
  }

  /** `name`: a file of this directory ending in .u. */
  add(name: Uint8Array, now: Instant): void {
    this.#queue.push(name);
    if (this.#queue.length === 1) this.#next(now);
  }

  /** The config was read again: what waits for its next try gets it now. */
  retryNow(now: Instant): void {
    if (!this.#held) return;
    this.#held = false;
    this.#failures = 0;
    this.#reactor.wakeAt(this, null);
    this.#next(now);
  }

  /** No more tries after a failure: svlogd is to end. */
  lastTry(): void {
    this.#last = true;
    if (this.#held) this.#giveUp();
  }

  /** The directory is no longer ours: the file at work is finished, others are left as they are. */
  lastFile(): void {
    this.lastTry();
    if (this.#queue.length > 1) this.#queue.splice(1, this.#queue.length - 1);
  }

  /** Whether the ended child was ours; its wait status is dealt with. */
  reaped(child: number, status: number, now: Instant): boolean {
    if (child !== this.#pid || this.#pid === NO_PID) return false;
    this.#pid = NO_PID;
    if (status === 0) {
      this.#commit = "sync";
      this.#next(now);
    } else this.#failed(now);
    return true;
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {}

  override due(now: Instant): void {
    this.#held = false;
    this.#next(now);
  }

  /** Commits or starts whatever comes next, then tells the directory. */
  #next(now: Instant): void {
    while (this.#queue.length > 0 && this.#pid === NO_PID && !this.#held) {
      const name = this.#queue[0]!;
      if (this.#commit === null && this.#isComplete(name)) this.#commit = "mode";
      if (this.#commit !== null) this.#commitStep(name, this.#commit, now);
      else if (!this.#start(name, now)) break;
    }
    this.#home.moved(now);
  }

  #hold(ms: number, now: Instant): void {
    if (this.#last) {
      this.#giveUp();
      return;
    }
    this.#held = true;
    this.#reactor.wakeAt(this, after(now, ms));
  }

  #giveUp(): void {
    this.#reactor.wakeAt(this, null);
    this.#held = false;
    this.#commit = null;
    this.#closeOutput();
    this.#queue.splice(0, this.#queue.length);
  }

  #closeOutput(): void {
    if (this.#output >= 0) this.#kernel.close(this.#output);
    this.#output = -1;
  }

  // ---- Running ----

  /** An earlier svlogd got as far as having the result in place. */
  #isComplete(name: Uint8Array): boolean {
    return this.#kernel.stat(this.#directory, withSuffix(name, SUFFIX_S), 0, new Stat()) >= 0;
  }

  /** False when there is nothing to start. */
  #start(name: Uint8Array, now: Instant): boolean {
    const command = this.#home.command;
    if (command === null) {
      // HUP took the processor away: the files stay .u, as those of a crash do.
      this.#giveUp();
      return false;
    }
    if (this.#verbose) info(this.#kernel, `processing: ${this.#name}/${text(name)}`);
    const input = this.#openAbove(name, O_RDONLY, "unable to open input for processor");
    const output = input < 0 ? -1 : this.#create(withSuffix(name, SUFFIX_T), "unable to open output for processor");
    const state = output < 0 ? -1 : this.#openState();
    const newState = state < 0 ? -1 : this.#create(NEW_STATE, "unable to open newstate for processor");
    if (newState >= 0) this.#spawn(command, input, output, state, newState, now);
    else if (input === -ENOENT) {
      this.#queue.splice(0, 1);
    } else this.#failed(now);
    this.#closeAll([input, state, newState]);
    if (this.#pid === NO_PID && output >= 0) this.#kernel.close(output);
    else this.#output = output;
    return true;
  }

  #spawn(command: Uint8Array, input: Fd, output: Fd, state: Fd, newState: Fd, now: Instant): void {
    const child = this.#kernel.spawn({
      dir: this.#directory,
      path: SHELL,
      argv: [SHELL_ARGUMENTS[0]!, SHELL_ARGUMENTS[1]!, command],
      env: null,
      moves: [
        { from: input, to: 0 },
        { from: output, to: 1 },
        { from: state, to: 4 },
        { from: newState, to: 5 },
      ],
      flags: 0,
      blocked: [],
      defaults: CHILD_DEFAULTS,
      recordFd: -1,
      recordAt: 0,
    });
    if (child.pid < 0) {
      pausing(this.#kernel, "unable to fork for processor", this.#name, -child.pid);
      this.#hold(PAUSE_MS, now);
      return;
    }
    if (child.execErrno !== 0) fatalOf(this.#kernel, "unable to run processor", this.#name, child.execErrno);
    this.#pid = pid(child.pid);
    this.#home.forked(this.#pid);
  }

  #failed(now: Instant): void {
    this.#closeOutput();
    this.#failures++;
    warn(this.#kernel, `processor failed, restart: ${this.#name}`);
    const name = this.#queue.length > 0 ? this.#queue[0]! : STATE;
    const r = this.#kernel.unlink(this.#directory, withSuffix(name, SUFFIX_T), 0);
    if (r < 0 && r !== -ENOENT) warn(this.#kernel, `unable to unlink: ${this.#name}/${text(withSuffix(name, SUFFIX_T))}`);
    this.#hold(retryDelayMs(this.#failures), now);
    if (!this.#held) this.#home.moved(now);
  }

  #openAbove(name: Uint8Array, flags: number, what: string): Fd {
    const k = this.#kernel;
    const fd = k.open(this.#directory, name, flags | O_NONBLOCK | O_CLOEXEC, 0o644);
    if (fd < 0) {
      fatalOf(k, what, this.#name, -fd);
      return fd;
    }
    const moved = aboveProcessors(k, fd);
    if (moved < 0) fatalOf(k, "unable to move filedescriptor for processor", this.#name, -moved);
    return moved;
  }

  #create(name: Uint8Array, what: string): Fd {
    this.#kernel.unlink(this.#directory, name, 0);
    return this.#openAbove(name, O_WRONLY | O_CREAT | O_TRUNC, what);
  }

  #openState(): Fd {
    const k = this.#kernel;
    if (k.stat(this.#directory, STATE, 0, new Stat()) === -ENOENT) {
      const fd = k.open(this.#directory, STATE, O_WRONLY | O_NONBLOCK | O_TRUNC | O_CREAT | O_CLOEXEC, 0o644);
      if (fd < 0) {
        fatalOf(k, "unable to create empty state for processor", this.#name, -fd);
        return fd;
      }
      k.close(fd);
    }
    return this.#openAbove(STATE, O_RDONLY, "unable to open state for processor");
  }

  #closeAll(fds: readonly Fd[]): void {
    for (let i = 0; i < fds.length; i++) if (fds[i]! >= 0) this.#kernel.close(fds[i]!);
  }

  // ---- Committing ----

  #commitStep(name: Uint8Array, step: CommitStep, now: Instant): void {
    const k = this.#kernel;
    const d = this.#directory;
    const safe = withSuffix(name, SUFFIX_S);
    switch (step) {
      case "sync":
        this.#advanceTo("rename", this.#output < 0 ? 0 : k.sync(this.#output), "unable to fsync processed", now);
        return;
      case "rename":
        this.#closeOutput();
        this.#advanceTo("mode", k.rename(d, withSuffix(name, SUFFIX_T), d, safe), "unable to rename processed", now);
        return;
      case "mode":
        this.#advanceTo("state", k.chmod(d, safe, 0o744), "unable to set mode of processed", now);
        return;
      case "state": {
        const r = k.rename(d, NEW_STATE, d, STATE);
        this.#advanceTo("unlink", r === -ENOENT ? 0 : r, "unable to rename state", now);
        return;
      }
      case "unlink": {
        const r = k.unlink(d, name, 0);
        if (r < 0 && r !== -ENOENT) warnOf(k, "unable to unlink", `${this.#name}/${text(name)}`, -r);
        if (this.#verbose) info(k, `processed: ${this.#name}/${text(safe)}`);
        this.#commit = null;
        this.#failures = 0;
        this.#queue.splice(0, 1);
      }
    }
  }

  #advanceTo(step: CommitStep, result: number, what: string, now: Instant): void {
    if (result >= 0) {
      this.#commit = step;
      return;
    }
    pausing(this.#kernel, what, this.#name, -result);
    this.#hold(PAUSE_MS, now);
  }
}
