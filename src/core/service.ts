/**
 * One supervised process: the service of a service directory, or its log
 * service, which is a second instance of the same machine without hooks and
 * without finish. Implements runsv(8). No clock, no I/O: an event and the
 * moment come in, actions go out, and what became of an action comes back as
 * the next event.
 *
 * States
 *   down    no process. Left when the service is wanted and a second has
 *           passed since the last start.
 *   run     ./run has a process.
 *   finish  ./run has ended; ./finish is to be started, or has a process.
 *
 * Beside the state: `starting` while the outcome of a start is not known yet,
 * and `hook` while a control script runs. Commands wait in `queue` meanwhile,
 * because runit finishes one command before it reads the next; only `kill`
 * does not wait: it ends the hook.
 *
 * What can never happen: two processes of one service; a start of run less
 * than a second after the one before; a state without a process that neither
 * a deadline nor a command can end.
 */
import { SIGCONT, SIGKILL, SIGTERM } from "../base/signals.ts";
import { after, type Instant, instant, NO_PID, type Pid } from "../base/units.ts";
import { type Command, commandOf, letterOf, signalOf } from "./control.ts";

export type ServiceState = "down" | "run" | "finish";
export type Want = "up" | "down" | "exit";
export type Program = "run" | "finish";

/** What happened. */
export type ServiceEvent =
  /** Begin work: after construction, or after `adopt`. */
  | { readonly kind: "begin" }
  | { readonly kind: "command"; readonly command: Command }
  /** The program asked for by "start" has a process. */
  | { readonly kind: "started"; readonly pid: Pid }
  /** There is no process (fork failed); it is tried again. */
  | { readonly kind: "startFailed" }
  /** The process ended; hasFinish: ./finish can be opened for reading. */
  | { readonly kind: "ended"; readonly status: number; readonly hasFinish: boolean }
  /** The hook asked for ended, or there is none: `handled` only when it ran and exited 0. */
  | { readonly kind: "hookEnded"; readonly handled: boolean }
  /** The deadline has come. */
  | { readonly kind: "due" };

/** What to do, in order. */
export type ServiceAction =
  | { readonly act: "start"; readonly program: Program }
  | { readonly act: "signal"; readonly signal: number }
  /** Run control/LETTER of the command if it is there. */
  | { readonly act: "hook"; readonly command: Command }
  | { readonly act: "killHook" }
  /** Write supervise/{pid,stat,status}; stamp: the last transition is now. */
  | { readonly act: "status"; readonly stamp: boolean };

/** At least this long from one start of ./run to the next. */
export const THROTTLE_MS = 1000;
/** After a failed fork. */
export const RETRY_MS = 1000;
/** Commands that may wait for a hook; further ones wait in the FIFO. */
export const QUEUE_MAX = 32;

/** Wait status that stands for an end nobody saw. */
export const STATUS_UNKNOWN = -1;

/** Between two steps; what a step returned is the host's to keep or to free. */
const NO_ACTIONS: ServiceAction[] = [];

/** Arguments of ./finish, `$1` and `$2` (runsv(8)). */
export type FinishArguments = { readonly code: string; readonly signal: string };

/** Exit code or -1, and the low byte of the wait status (signal, +128 with a core); -1 and 0 when unknown. */
export function finishArguments(status: number): FinishArguments {
  if (status === STATUS_UNKNOWN) return { code: "-1", signal: "0" };
  const low = status & 0xff;
  return { code: (low & 0x7f) === 0 ? `${(status >> 8) & 0xff}` : "-1", signal: `${low}` };
}

function later(a: Instant, b: Instant): Instant {
  return a > b ? a : b;
}

export class Service {
  state: ServiceState = "down";
  want: Want;
  pid: Pid = NO_PID;
  paused = false;
  gotTerm = false;
  /** Wait status of the last ./run. */
  lastStatus = 0;
  /** ./run has ended at least once. */
  #hasEnded = false;
  /** Not before this moment may ./run be started again. */
  throttledUntil: Instant = instant(0);
  /** The command whose hook runs; "up" is the hook before a start. */
  hook: Command | null = null;
  /** A start was asked for and its outcome is not known. */
  starting: Program | null = null;
  readonly isLog: boolean;
  /** Letters of the commands that wait. */
  #queue = "";
  /** A fork failed: not before this moment may it be tried again. */
  #retryAt: Instant = instant(0);
  /** `once` was asked for while down. */
  #once = false;
  #out: ServiceAction[] = NO_ACTIONS;

  constructor(want: Want, isLog: boolean) {
    this.want = want;
    this.isLog = isLog;
  }

  /** Takes over a process that lives already. */
  adopt(state: ServiceState, pid: Pid, paused: boolean, gotTerm: boolean): void {
    this.state = state;
    this.pid = pid;
    this.paused = paused;
    this.gotTerm = gotTerm;
    this.#hasEnded = state === "finish";
  }

  /** Told to exit, and nothing is left to wait for. */
  get gone(): boolean {
    return this.want === "exit" && this.state === "down" && this.hook === null && this.starting === null;
  }

  /** It has run, has ended, finish too, and nobody wants it up. */
  get downForGood(): boolean {
    return this.#hasEnded && this.state === "down" && !this.#wanted() && !this.#busy() && this.#queue.length === 0;
  }

  /** How many further commands can be taken in. */
  get room(): number {
    return QUEUE_MAX - this.#queue.length;
  }

  /** When "due" is to be delivered; null: never. */
  deadline(): Instant | null {
    if (this.#busy() || this.pid !== NO_PID) return null;
    if (this.state !== "down") return this.#retryAt;
    return this.#wanted() ? later(this.#retryAt, this.throttledUntil) : null;
  }

  /** One event; the actions are to be carried out in order, outcomes come back as events. */
  step(event: ServiceEvent, now: Instant): readonly ServiceAction[] {
    const out: ServiceAction[] = [];
    this.#out = out;
    switch (event.kind) {
      case "begin":
      case "due":
        break;
      case "command":
        if (event.command === "kill" && this.hook !== null) out.push({ act: "killHook" });
        this.#queue += letterOf(event.command);
        break;
      case "started":
        this.#started(event.pid);
        break;
      case "startFailed":
        this.starting = null;
        this.#retryAt = after(now, RETRY_MS);
        break;
      case "ended":
        this.#ended(event.status, event.hasFinish);
        break;
      case "hookEnded":
        this.#hookEnded(event.handled, now);
        break;
    }
    // After an end the next start waits for "due": commands written before it are heard first, as runit does; runsv-life.test.ts
    if (event.kind !== "ended" || this.state !== "down") this.#proceed(now);
    this.#out = NO_ACTIONS;
    return out;
  }

  #busy(): boolean {
    return this.hook !== null || this.starting !== null;
  }

  #wanted(): boolean {
    return this.want === "up" || this.#once;
  }

  #status(stamp: boolean): void {
    this.#out.push({ act: "status", stamp });
  }

  #signal(signal: number): void {
    if (this.pid !== NO_PID) this.#out.push({ act: "signal", signal });
  }

  /** Takes commands, one at a time, until something has to be waited for; starts what is due when there is none, and after each. */
  #proceed(now: Instant): void {
    if (this.#queue.length === 0) this.#settle(now);
    while (!this.#busy() && this.#queue.length > 0) {
      const command = commandOf(this.#queue.charCodeAt(0));
      this.#queue = this.#queue.slice(1);
      if (command !== null) this.#command(command);
      this.#settle(now);
    }
  }

  #settle(now: Instant): void {
    if (this.#busy() || this.pid !== NO_PID || now < this.#retryAt) return;
    if (this.state === "finish") this.#start("finish");
    else if (this.state === "down" && this.#wanted() && now >= this.throttledUntil) {
      if (this.isLog) this.#startRun(now);
      else this.#runHook("up");
    }
  }

  #startRun(now: Instant): void {
    this.throttledUntil = after(now, THROTTLE_MS);
    this.#start("run");
  }

  #start(program: Program): void {
    this.starting = program;
    this.#out.push({ act: "start", program });
  }

  #started(pid: Pid): void {
    const program = this.starting;
    this.starting = null;
    this.pid = pid;
    this.paused = false;
    this.gotTerm = false;
    if (program === "run") {
      this.state = "run";
      this.#once = false;
    }
    // compat: while finish runs the status keeps the time run was started; service.test.ts
    this.#status(program === "run");
  }

  #ended(status: number, hasFinish: boolean): void {
    this.pid = NO_PID;
    this.paused = false;
    this.gotTerm = false;
    if (this.state === "run") {
      this.lastStatus = status;
      this.#hasEnded = true;
    }
    if (this.state === "run" && hasFinish && !this.isLog) {
      // compat: no wait before finish, only between starts of run.
      this.state = "finish";
      this.#status(false);
      return;
    }
    this.state = "down";
    this.#status(true);
  }

  #command(command: Command): void {
    switch (command) {
      case "up":
        this.#wantNow("up");
        break;
      case "once":
        this.#wantNow("down");
        this.#once = this.state === "down";
        break;
      case "down":
        this.#wantNow("down");
        this.#runHookIfRunning("term");
        break;
      case "exit":
        // compat: x on a log service is ignored; it ends by EOF on its pipe.
        if (this.isLog) break;
        this.#wantNow("exit");
        this.#runHookIfRunning("term");
        break;
      case "kill":
        // Unlike runit, the state stays until the process is gone, and kill reaches finish too.
        if (this.state === "finish") this.#signal(SIGKILL);
        else this.#runHookIfRunning("kill");
        break;
      default:
        this.#runHookIfRunning(command);
    }
  }

  #wantNow(want: Want): void {
    this.want = want;
    this.#once = false;
    this.#status(false);
  }

  #runHookIfRunning(command: Command): void {
    if (this.state !== "run" || this.pid === NO_PID) return;
    if (this.isLog) this.#afterHook(command, false);
    else this.#runHook(command);
  }

  #runHook(command: Command): void {
    this.hook = command;
    this.#out.push({ act: "hook", command });
  }

  #hookEnded(handled: boolean, now: Instant): void {
    const command = this.hook;
    this.hook = null;
    if (command === null) return;
    if (command !== "up") this.#afterHook(command, handled);
    else if (this.state === "down" && this.#wanted()) this.#startRun(now);
  }

  #afterHook(command: Command, handled: boolean): void {
    // The process may have ended while the hook ran.
    if (this.state !== "run" || this.pid === NO_PID) return;
    switch (command) {
      case "term":
        if (!handled) {
          this.#signal(SIGTERM);
          this.gotTerm = true;
          this.#status(false);
        }
        this.#afterTerm();
        break;
      case "down":
      case "exit":
        break;
      case "pause":
      case "continue":
        if (!handled) this.#signal(signalOf(command));
        this.paused = command === "pause";
        this.#status(false);
        break;
      default:
        if (!handled) this.#signal(signalOf(command));
    }
  }

  /** compat: after TERM follow CONT and the hook d or x whenever the service is not wanted up. */
  #afterTerm(): void {
    if (this.want === "up") return;
    this.#signal(SIGCONT);
    if (this.paused) {
      this.paused = false;
      this.#status(false);
    }
    if (!this.isLog) this.#runHook(this.want === "exit" ? "exit" : "down");
  }
}
