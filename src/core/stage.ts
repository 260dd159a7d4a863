/**
 * Process 1, the classic one: stages 1, 2 and 3 of runit(8) as of 2.3.0.
 * Pure: an event and the moment come in, actions go out, outcomes of actions
 * come back as events. The text of every message is here, byte for byte.
 *
 * Phases
 *   fork      the stage is to be started; the outcome is not known, or a failed
 *             fork is waited out (5 s).
 *   run       the stage has a process. Only here are CONT, INT and PWR looked
 *             at; in the other phases they wait, as in the original, which
 *             blocks them there.
 *   look      the host was asked for a file whose owner's execute bit decides.
 *   cadFork   ctrlaltdel is to be started (stage 2 runs on).
 *   cad       ctrlaltdel has a process; CONT is implied when it ends.
 *   term      stage 2 got TERM, and has 5 s.
 *   kill      stage 2 got KILL, its end is waited for.
 *   restart   stage 2's group got KILL; a pause of 5 s, then stage 2 again.
 *   off       stage 3 is over, "off" was asked for. Nothing leaves this phase.
 *
 * What can never happen: two processes of one stage; a phase that neither a
 * deadline, nor an outcome on its way, nor the end of a process can leave,
 * except `off`; an end of process 1.
 */
import { SIGALRM, SIGKILL, SIGTERM } from "../base/signals.ts";
import { after, type DurationMs, type Instant, NO_PID, type Pid } from "../base/units.ts";

export type StagePhase = "fork" | "run" | "look" | "cadFork" | "cad" | "term" | "kill" | "restart" | "off";
export type StageFile = "stopit" | "ctrlaltdel";

export type StageEvent =
  | { readonly kind: "begin" }
  | { readonly kind: "started"; readonly pid: Pid }
  | { readonly kind: "startFailed"; readonly error: string }
  /** A child ended; any pid, unknown ones (orphans) are ignored. status: wait(2), or STATUS_LOST. */
  | { readonly kind: "ended"; readonly pid: Pid; readonly status: number }
  /** Signals that came since the last time. Power and alarm only count with Debian's stop files. */
  | {
      readonly kind: "signals";
      readonly cont: boolean;
      readonly int: boolean;
      readonly power: boolean;
      readonly alarm: boolean;
    }
  /** Answer to "look": whether the file is there with the owner's execute bit. */
  | { readonly kind: "looked"; readonly set: boolean }
  | { readonly kind: "due" };

export type StageAction =
  | { readonly act: "say"; readonly line: string }
  /** Fork `path`; as stage 1 it gets the console, otherwise a session of its own. */
  | { readonly act: "start"; readonly path: string; readonly console: boolean }
  | { readonly act: "look"; readonly file: StageFile }
  /** chmod(stopit, 0). */
  | { readonly act: "clearStopit" }
  /** pid < 0: the process group. */
  | { readonly act: "signal"; readonly pid: number; readonly signal: number }
  /** KILL to all processes, then power off, halt or reboot; `powerOff`: whatever the reboot file says. */
  | { readonly act: "off"; readonly powerOff: boolean };

export const FORK_RETRY_MS: DurationMs = 5000;
export const RESTART_MS: DurationMs = 5000;
export const TERM_MS: DurationMs = 5000;
/** Wait status that stands for an end nobody saw (it was lost in a trap of process 1). */
export const STATUS_LOST = -1;

export const CTRLALTDEL = "/etc/runit/ctrlaltdel";
const INFO = "- runit: ";
const WARNING = "- runit: warning: ";
const FATAL = "- runit: fatal: ";

export class Stages {
  phase: StagePhase = "fork";
  /** 1, 2, 3. */
  stage = 1;
  /** Process of the stage, and of ctrlaltdel. */
  pid: Pid = NO_PID;
  cadPid: Pid = NO_PID;
  /** Which file was asked for, in phase `look`. */
  #looking: StageFile = "stopit";
  /** Process group of stage 2: outlives its leader. */
  #group: Pid = NO_PID;
  /** Stage 2 ended while ctrlaltdel ran, with this wait status. */
  #endedStatus: number | null = null;
  #cont = false;
  #int = false;
  #power = false;
  /** PWR led to stage 3: the end is a power off. */
  #powerOff = false;
  #deadline: Instant | null = null;
  #out: StageAction[] = [];

  get path(): string {
    return `/etc/runit/${this.stage}`;
  }

  /** When "due" is to be delivered; null: never. */
  deadline(): Instant | null {
    return this.#deadline;
  }

  /**
   * What a successor needs to go on after a trap, as decimal numbers:
   * stage, pid, group, pid of ctrlaltdel, 1 when the end is a power off,
   * 1 when stage 2 is being stopped, 1 when it is all over.
   */
  memory(): readonly number[] {
    const stopping = this.phase === "term" || this.phase === "kill";
    return [
      this.stage,
      this.pid,
      this.#group,
      this.cadPid,
      this.#powerOff ? 1 : 0,
      stopping ? 1 : 0,
      this.phase === "off" ? 1 : 0,
    ];
  }

  /** Takes up a predecessor's memory(); the next event is "begin". */
  restore(m: readonly number[], now: Instant): void {
    if (m.length < 7 || m[0]! < 1 || m[0]! > 3) return;
    this.stage = m[0]!;
    this.pid = m[1]! as Pid;
    this.#group = m[2]! as Pid;
    this.cadPid = m[3]! as Pid;
    this.#powerOff = m[4]! !== 0;
    if (m[6]! !== 0) this.phase = "off";
    else if (m[5]! !== 0 && this.pid !== NO_PID) this.#terminate(now);
    else if (this.cadPid !== NO_PID) this.phase = "cad";
    else if (this.pid !== NO_PID) this.phase = "run";
  }

  /** One event; the actions are to be carried out in order. */
  step(event: StageEvent, now: Instant): readonly StageAction[] {
    const out: StageAction[] = [];
    this.#out = out;
    switch (event.kind) {
      case "begin":
        this.#begin(now);
        break;
      case "started":
        this.#started(event.pid);
        break;
      case "startFailed":
        this.#startFailed(event.error, now);
        break;
      case "ended":
        this.#ended(event.pid, event.status, now);
        break;
      case "signals":
        this.#signals(event.cont, event.int, event.power, event.alarm);
        break;
      case "looked":
        this.#looked(event.set, now);
        break;
      case "due":
        this.#due(now);
        break;
    }
    if (this.phase === "run") this.#handleSignals(now);
    return out;
  }

  #say(line: string): void {
    this.#out.push({ act: "say", line: `${line}\n` });
  }

  #begin(now: Instant): void {
    if (this.phase === "fork") this.#fork();
    else if (this.phase === "off") this.#off();
    // Taken over in `term`: TERM may have been lost with the predecessor.
    else if (this.phase === "term") this.#terminate(now);
  }

  // ---- Starting ----

  #fork(): void {
    this.phase = "fork";
    this.pid = NO_PID;
    this.#endedStatus = null;
    this.#deadline = null;
    this.#out.push({ act: "start", path: this.path, console: this.stage === 1 });
  }

  #forkCtrlaltdel(): void {
    this.phase = "cadFork";
    this.#deadline = null;
    this.#out.push({ act: "start", path: CTRLALTDEL, console: false });
  }

  #started(pid: Pid): void {
    this.#deadline = null;
    if (this.phase === "cadFork") {
      this.cadPid = pid;
      this.phase = "cad";
    } else if (this.phase === "fork") {
      this.pid = pid;
      // Stages 2 and 3 lead a session, hence a group, of their own.
      this.#group = this.stage === 1 ? NO_PID : pid;
      this.phase = "run";
    }
  }

  #startFailed(error: string, now: Instant): void {
    const path = this.phase === "cadFork" ? CTRLALTDEL : this.path;
    this.#say(`${FATAL}unable to fork for "${path}" pausing: ${error}`);
    this.#deadline = after(now, FORK_RETRY_MS);
  }

  // ---- Ends ----

  #ended(pid: Pid, status: number, now: Instant): void {
    if (pid === NO_PID) return;
    if (pid === this.cadPid) this.#ctrlaltdelEnded(status);
    else if (pid === this.pid) {
      this.pid = NO_PID;
      switch (this.phase) {
        case "term":
        case "kill":
          this.#leave();
          break;
        case "run":
          this.#stageEnded(status, now);
          break;
        default:
          this.#endedStatus = status;
      }
    }
  }

  #ctrlaltdelEnded(status: number): void {
    this.cadPid = NO_PID;
    if (status !== STATUS_LOST && (status & 127) !== 0) this.#say(`${WARNING}child crashed: ${CTRLALTDEL}`);
    this.#say(`${INFO}leave stage: ${CTRLALTDEL}`);
    this.#cont = true;
    this.phase = "run";
  }

  /** compat: a signal is a crash since 2.3.0; before, its exit code was taken, which is 0. */
  #stageEnded(status: number, now: Instant): void {
    this.#endedStatus = null;
    const lost = status === STATUS_LOST;
    const crashed = !lost && (status & 127) !== 0;
    const code = lost ? 0 : (status >> 8) & 255;
    if (crashed) this.#say(`${WARNING}child crashed: ${this.path}`);
    else if (code !== 0) this.#say(`${WARNING}child failed: ${this.path}`);
    if (this.stage === 1 && (crashed || code === 100)) {
      this.#say(`${INFO}leave stage: ${this.path}`);
      this.#say(`${WARNING}skipping stage 2...`);
      this.stage = 3;
      this.#fork();
    } else if (this.stage === 2 && (crashed || lost || code === 111)) {
      this.#say(`${WARNING}killing all processes in stage 2...`);
      // Never -1 or 0: those are other processes altogether.
      if (this.#group > 1) this.#out.push({ act: "signal", pid: -this.#group, signal: SIGKILL });
      this.phase = "restart";
      this.#deadline = after(now, RESTART_MS);
    } else this.#leave();
  }

  #leave(): void {
    this.#say(`${INFO}leave stage: ${this.path}`);
    this.#endedStatus = null;
    this.#deadline = null;
    if (this.stage < 3) {
      this.stage = this.stage + 1;
      this.#fork();
    } else this.#off();
  }

  #off(): void {
    this.phase = "off";
    this.#deadline = null;
    this.#say(`${INFO}sending KILL signal to all processes...`);
    this.#out.push({ act: "off", powerOff: this.#powerOff });
  }

  // ---- Signals ----

  #signals(cont: boolean, int: boolean, power: boolean, alarm: boolean): void {
    if (cont) this.#cont = true;
    if (int) this.#int = true;
    if (power) this.#power = true;
    // compat: Debian's runsvdir scans at once on ALRM.
    if (alarm && this.stage === 2 && this.pid !== NO_PID) this.#out.push({ act: "signal", pid: this.pid, signal: SIGALRM });
  }

  #clearSignals(): void {
    this.#cont = false;
    this.#int = false;
    this.#power = false;
  }

  #handleSignals(now: Instant): void {
    if (!this.#cont && !this.#int && !this.#power) {
      if (this.#endedStatus !== null) this.#stageEnded(this.#endedStatus, now);
    } else if (this.stage !== 2) {
      this.#clearSignals();
      this.#say(`${WARNING}signals only work in stage 2.`);
    } else if (this.#int) this.#look("ctrlaltdel");
    else if (this.#power) {
      this.#powerOff = true;
      this.#stopStage2(now);
    } else this.#look("stopit");
  }

  #look(file: StageFile): void {
    this.phase = "look";
    this.#looking = file;
    this.#out.push({ act: "look", file });
  }

  #looked(set: boolean, now: Instant): void {
    if (this.phase !== "look") return;
    this.phase = "run";
    if (this.#looking === "ctrlaltdel") {
      this.#int = false;
      if (!set) return;
      this.#say(`${INFO}ctrl-alt-del request...`);
      this.#forkCtrlaltdel();
    } else if (set) this.#stopStage2(now);
    else this.#cont = false;
  }

  #stopStage2(now: Instant): void {
    this.#clearSignals();
    this.#out.push({ act: "clearStopit" });
    if (this.pid === NO_PID) this.#leave();
    else this.#terminate(now);
  }

  #terminate(now: Instant): void {
    this.phase = "term";
    this.#deadline = after(now, TERM_MS);
    this.#out.push({ act: "signal", pid: this.pid, signal: SIGTERM });
  }

  // ---- Deadlines ----

  #due(now: Instant): void {
    if (this.#deadline === null || now < this.#deadline) return;
    this.#deadline = null;
    switch (this.phase) {
      case "fork":
        this.#fork();
        break;
      case "cadFork":
        this.#forkCtrlaltdel();
        break;
      case "restart":
        this.#say(`${WARNING}restarting.`);
        this.#fork();
        break;
      case "term":
        this.#say(`${WARNING}stage 2 not terminated, sending sigkill...`);
        this.phase = "kill";
        this.#out.push({ act: "signal", pid: this.pid, signal: SIGKILL });
        break;
      default:
        break;
    }
  }
}
