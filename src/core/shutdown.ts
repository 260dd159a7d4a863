/**
 * The end of a container: services first, each in its own way, then whatever
 * else is left, all inside one grace budget, and the exit code at the end.
 * Pure: events and the moment in, actions out.
 *
 * Phases, and what leaves each
 *   up        the first stop request
 *   stage2    stage 2 got TERM; it ends, or has had its share (then KILL)
 *   stage3    stage 3 runs; it ends, or has had its share (then KILL)
 *   services  everyone was told to stop: supervisors, the command. All have
 *             ended; or the share is used up, then who is still there gets
 *             KILL (`finish` scripts and loggers may still do their work), and
 *             at the end of the next share we go on without them
 *   strays    TERM to every process that is left. None is, or the share is over
 *   kill      KILL to every process that is left. None is, or a moment is over
 *   drain     what was written to us is being passed on. It is, or a moment is over
 *   gone      "exit" was asked for. Nothing leaves it
 *
 * A second stop request goes to `kill` from wherever it is.
 *
 * What can never happen: a phase but `up` and `gone` without a deadline; an end
 * later than the budget and two moments after the first request.
 */
import { SIGINT, SIGKILL, SIGQUIT, SIGTERM } from "../base/signals.ts";
import { after, type DurationMs, type Instant, instant } from "../base/units.ts";

export type ShutdownPhase = "up" | "stage2" | "stage3" | "services" | "strays" | "kill" | "drain" | "gone";

/** Who is there to be stopped when the first request comes. */
export type Inhabitants = {
  readonly stage2: boolean;
  readonly stage3: boolean;
  readonly tree: boolean;
  readonly command: boolean;
};

export type ShutdownEvent =
  /** Stop. `signal`: the one that asked (0: none); `code`: the exit code this calls for. */
  | { readonly kind: "stop"; readonly signal: number; readonly code: number; readonly now: Inhabitants }
  | { readonly kind: "stage2Ended" }
  | { readonly kind: "stage3Ended" }
  /** No supervisor is left. */
  | { readonly kind: "treeEnded" }
  | { readonly kind: "commandEnded"; readonly code: number }
  /** How many processes there are beside us; answer to "count", and whenever one was reaped. */
  | { readonly kind: "left"; readonly count: number }
  | { readonly kind: "drained" }
  | { readonly kind: "due" };

export type ShutdownAction =
  | { readonly act: "signalStage2"; readonly signal: number }
  | { readonly act: "startStage3" }
  | { readonly act: "killStage3" }
  | { readonly act: "stopTree" }
  | { readonly act: "killTree" }
  | { readonly act: "signalCommand"; readonly signal: number }
  | { readonly act: "count" }
  /** A signal to every process that is left but those that pass lines on. */
  | { readonly act: "signalAll"; readonly signal: number }
  /** Say who is waited for, and how long yet. */
  | { readonly act: "report"; readonly leftMs: DurationMs }
  | { readonly act: "drain" }
  | { readonly act: "exit"; readonly code: number };

/** Docker kills after ten seconds. */
export const GRACE_MS: DurationMs = 8000;
/** Shares of the budget, from its beginning: stage 2, stage 3 and services, then finish and loggers. */
const STAGE2_SHARE = 0.4;
const SERVICES_SHARE = 0.7;
const FINISH_SHARE = 0.85;
/** Strays get at most this much, also when everyone else was quick, and never more than this long. */
const STRAYS_SHARE = 0.25;
const STRAYS_MS: DurationMs = 2000;
/** From KILL to the last process gone, and for the last lines. */
export const MOMENT_MS: DurationMs = 500;
/** The first word about who is waited for comes after this, then every so often. */
export const REPORT_AFTER_MS: DurationMs = 3000;
const REPORT_EVERY_MS: DurationMs = 2000;
/** Processes that are not our children end without a word to us. */
const COUNT_EVERY_MS: DurationMs = 50;
/** What ended by a second request: as if the engine had killed us. */
const CODE_KILLED = 128 + SIGKILL;

/** Exit code of a wait status: its own, or 128 and the signal. */
export function exitCodeOf(status: number): number {
  const signal = status & 127;
  return signal === 0 ? (status >> 8) & 255 : 128 + signal;
}

export class Shutdown {
  phase: ShutdownPhase = "up";
  /** The command's exit code counts for more than anything else. */
  #commandCode = -1;
  #code = 0;
  readonly #graceMs: DurationMs;
  #startedAt: Instant = instant(0);
  /** End of the phase, of the wait for a report, of that for a count. */
  #phaseEnd: Instant = instant(0);
  #reportAt: Instant = instant(0);
  #countAt: Instant = instant(0);
  #killed = false;
  #signal: number = SIGTERM;
  #stage3 = false;
  #tree = false;
  #command = false;
  #out: ShutdownAction[] = [];

  constructor(graceMs: DurationMs) {
    this.#graceMs = graceMs;
  }

  get stopping(): boolean {
    return this.phase !== "up";
  }

  deadline(): Instant | null {
    switch (this.phase) {
      case "up":
      case "gone":
        return null;
      case "strays":
      case "kill":
        return instant(Math.min(this.#phaseEnd, this.#reportAt, this.#countAt));
      default:
        return instant(Math.min(this.#phaseEnd, this.#reportAt));
    }
  }

  /**
   * What a successor needs to go on after a trap: 1 when stopping, the moment of
   * the first request, the exit code, the command's, the signal.
   */
  memory(): readonly number[] {
    return [this.stopping ? 1 : 0, Math.floor(this.#startedAt), this.#code, this.#commandCode + 1, this.#signal];
  }

  /** Takes up a predecessor's memory(): stops everyone once more, within the same budget. */
  restore(m: readonly number[], who: Inhabitants, now: Instant): readonly ShutdownAction[] {
    if (m.length < 5) return [];
    this.#commandCode = m[3]! - 1;
    if (m[0]! === 0) return [];
    return this.step({ kind: "stop", signal: m[4]!, code: m[2]!, now: who }, instant(Math.min(m[1]!, now)));
  }

  /** One event; the actions are to be carried out in order. */
  step(event: ShutdownEvent, now: Instant): readonly ShutdownAction[] {
    const out: ShutdownAction[] = [];
    this.#out = out;
    switch (event.kind) {
      case "stop":
        this.#stop(event.signal, event.code, event.now, now);
        break;
      case "stage2Ended":
        if (this.phase === "stage2") this.#afterStage2(now);
        break;
      case "stage3Ended":
        this.#stage3 = false;
        if (this.phase === "stage3") this.#stopServices(now);
        break;
      case "treeEnded":
        this.#tree = false;
        this.#servicesGone(now);
        break;
      case "commandEnded":
        this.#command = false;
        this.#commandCode = event.code;
        this.#servicesGone(now);
        break;
      case "left":
        if (event.count === 0) this.#nobodyLeft(now);
        break;
      case "drained":
        if (this.phase === "drain") this.#exit();
        break;
      case "due":
        this.#due(now);
        break;
    }
    return out;
  }

  #begin(phase: ShutdownPhase, end: Instant): void {
    this.phase = phase;
    this.#phaseEnd = end;
  }

  /** The moment at which so much of the budget is used. */
  #share(part: number): Instant {
    return after(this.#startedAt, this.#graceMs * part);
  }

  #stop(signal: number, code: number, who: Inhabitants, now: Instant): void {
    if (this.phase === "up") {
      this.#startedAt = now;
      this.#reportAt = after(now, REPORT_AFTER_MS);
      this.#code = code;
      this.#signal = signal === SIGINT || signal === SIGQUIT ? signal : SIGTERM;
      this.#stage3 = who.stage3;
      this.#tree = who.tree;
      this.#command = who.command;
      if (!who.stage2) this.#afterStage2(now);
      else {
        this.#begin("stage2", this.#share(STAGE2_SHARE));
        this.#out.push({ act: "signalStage2", signal: SIGTERM });
      }
    } else if (signal !== 0 && this.phase !== "drain" && this.phase !== "gone") {
      this.#code = CODE_KILLED;
      this.#kill(now);
    }
  }

  #afterStage2(now: Instant): void {
    if (this.#stage3) {
      this.#begin("stage3", this.#share(SERVICES_SHARE));
      this.#out.push({ act: "startStage3" });
    } else this.#stopServices(now);
  }

  #stopServices(now: Instant): void {
    this.#killed = false;
    this.#begin("services", this.#share(SERVICES_SHARE));
    if (this.#command) this.#out.push({ act: "signalCommand", signal: this.#signal });
    if (this.#tree) this.#out.push({ act: "stopTree" });
    this.#servicesGone(now);
  }

  #servicesGone(now: Instant): void {
    if (this.phase === "services" && !this.#tree && !this.#command) this.#strays(now);
  }

  #strays(now: Instant): void {
    this.#begin("strays", instant(Math.min(now + Math.min(this.#graceMs * STRAYS_SHARE, STRAYS_MS), this.#share(1))));
    this.#countAt = after(now, COUNT_EVERY_MS);
    this.#out.push({ act: "signalAll", signal: SIGTERM }, { act: "count" });
  }

  #kill(now: Instant): void {
    this.#begin("kill", after(now, MOMENT_MS));
    this.#countAt = after(now, COUNT_EVERY_MS);
    this.#out.push({ act: "signalAll", signal: SIGKILL }, { act: "count" });
  }

  #nobodyLeft(now: Instant): void {
    if (this.phase === "strays" || this.phase === "kill") this.#drain(now);
  }

  #drain(now: Instant): void {
    this.#begin("drain", after(now, MOMENT_MS));
    this.#out.push({ act: "drain" });
  }

  #exit(): void {
    this.phase = "gone";
    const code = this.#code === CODE_KILLED || this.#commandCode < 0 ? this.#code : this.#commandCode;
    this.#out.push({ act: "exit", code });
  }

  // ---- Deadlines ----

  #due(now: Instant): void {
    if (now >= this.#phaseEnd) this.#shareUsed(now);
    else if (now >= this.#reportAt) {
      this.#reportAt = after(now, REPORT_EVERY_MS);
      this.#out.push({ act: "report", leftMs: this.#share(1) - now });
    }
    if ((this.phase === "strays" || this.phase === "kill") && now >= this.#countAt) {
      this.#countAt = after(now, COUNT_EVERY_MS);
      // Who forks while being killed may have got a child past us.
      if (this.phase === "kill") this.#out.push({ act: "signalAll", signal: SIGKILL });
      this.#out.push({ act: "count" });
    }
  }

  #shareUsed(now: Instant): void {
    switch (this.phase) {
      case "stage2":
        this.#out.push({ act: "signalStage2", signal: SIGKILL });
        this.#afterStage2(now);
        break;
      case "stage3":
        this.#out.push({ act: "killStage3" });
        this.#stage3 = false;
        this.#stopServices(now);
        break;
      case "services":
        if (this.#killed) this.#strays(now);
        else this.#killServices();
        break;
      case "strays":
        this.#kill(now);
        break;
      case "kill":
        this.#drain(now);
        break;
      case "drain":
        this.#exit();
        break;
      default:
        break;
    }
  }

  #killServices(): void {
    this.#killed = true;
    this.#phaseEnd = this.#share(FINISH_SHARE);
    if (this.#command) this.#out.push({ act: "signalCommand", signal: SIGKILL });
    if (this.#tree) this.#out.push({ act: "killTree" });
  }
}
