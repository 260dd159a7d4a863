/**
 * A container until it is told to stop: stage 1 and stage 2 of runit(8) where
 * there are such files, otherwise straight to the services. What follows is
 * core/shutdown.ts.
 *
 * Phases
 *   stage1    /etc/runit/1 has a process, or its fork is waited for
 *   stage2    the same of /etc/runit/2
 *   restart   stage 2 crashed or exited 111; a pause, then again
 *   services  no stage 2: we supervise, or run a command, ourselves
 *   over      somebody asked for the end
 */
import { SIGKILL } from "../base/signals.ts";
import { after, type Instant, NO_PID, type Pid } from "../base/units.ts";
import { exitCodeOf } from "./shutdown.ts";
import { FORK_RETRY_MS, RESTART_MS } from "./stage.ts";

export type BootPhase = "stage1" | "stage2" | "restart" | "services" | "over";

export type BootEvent =
  /** Which stage files there are. */
  | { readonly kind: "begin"; readonly stage1: boolean; readonly stage2: boolean }
  | { readonly kind: "started"; readonly pid: Pid }
  | { readonly kind: "startFailed"; readonly error: string }
  /** It cannot be executed; the exit code that stands for that. */
  | { readonly kind: "notStarted"; readonly code: number }
  | { readonly kind: "ended"; readonly pid: Pid; readonly status: number }
  /** The end begins, whoever asked for it. */
  | { readonly kind: "over" }
  | { readonly kind: "due" };

export type BootAction =
  | { readonly act: "say"; readonly line: string }
  | { readonly act: "start"; readonly path: string; readonly console: boolean }
  | { readonly act: "signal"; readonly pid: number; readonly signal: number }
  | { readonly act: "services" }
  | { readonly act: "stop"; readonly code: number };

/** Exit code of a stage 1 that says there is no point in going on. */
const POINTLESS = 100;
const RESTART = 111;

const INFO = "- runit: ";
const WARNING = "- runit: warning: ";
const FATAL = "- runit: fatal: ";

export class Boot {
  phase: BootPhase = "services";
  /** Of the stage that runs. */
  pid: Pid = NO_PID;
  #hasStage2 = false;
  #deadline: Instant | null = null;
  #out: BootAction[] = [];

  deadline(): Instant | null {
    return this.#deadline;
  }

  /** 1, 2 or 0 for the phase of a stage, its pid, whether there is a stage 2: for a successor after a trap. */
  memory(): readonly number[] {
    const stage =
      this.phase === "stage1" ? 1 : this.phase === "stage2" || this.phase === "restart" ? 2 : this.phase === "over" ? 3 : 0;
    return [stage, this.pid, this.#hasStage2 ? 1 : 0];
  }

  /** Takes up a predecessor's memory(). */
  restore(m: readonly number[], now: Instant): readonly BootAction[] {
    const out: BootAction[] = [];
    this.#out = out;
    if (m.length < 3) return out;
    this.pid = m[1]! as Pid;
    this.#hasStage2 = m[2]! !== 0;
    if (m[0]! === 3) this.phase = "over";
    else if (m[0]! === 0) this.#services();
    else {
      this.phase = m[0]! === 1 ? "stage1" : "stage2";
      if (this.pid === NO_PID) this.#start(this.phase);
      else this.#deadline = null;
    }
    if (this.phase === "restart") this.#deadline = after(now, RESTART_MS);
    return out;
  }

  step(event: BootEvent, now: Instant): readonly BootAction[] {
    const out: BootAction[] = [];
    this.#out = out;
    switch (event.kind) {
      case "begin":
        this.#hasStage2 = event.stage2;
        if (event.stage1) this.#start("stage1");
        else this.#afterStage1();
        break;
      case "started":
        this.pid = event.pid;
        break;
      case "startFailed":
        this.#say(`${FATAL}unable to fork for "${this.#path}" pausing: ${event.error}`);
        this.#deadline = after(now, FORK_RETRY_MS);
        break;
      case "notStarted":
        this.#notStarted(event.code);
        break;
      case "ended":
        this.#ended(event.pid, event.status, now);
        break;
      case "over":
        this.phase = "over";
        this.#deadline = null;
        break;
      case "due":
        this.#due(now);
        break;
    }
    return out;
  }

  get #path(): string {
    return this.phase === "stage1" ? "/etc/runit/1" : "/etc/runit/2";
  }

  #say(line: string): void {
    this.#out.push({ act: "say", line: `${line}\n` });
  }

  #start(phase: "stage1" | "stage2"): void {
    this.phase = phase;
    this.#deadline = null;
    this.#out.push({ act: "start", path: this.#path, console: phase === "stage1" });
  }

  #afterStage1(): void {
    if (this.#hasStage2) this.#start("stage2");
    else this.#services();
  }

  #services(): void {
    this.phase = "services";
    this.#out.push({ act: "services" });
  }

  #stop(code: number): void {
    this.phase = "over";
    this.#out.push({ act: "stop", code });
  }

  #ended(pid: Pid, status: number, now: Instant): void {
    if (pid === NO_PID || pid !== this.pid) return;
    this.pid = NO_PID;
    const crashed = (status & 127) !== 0;
    const code = (status >> 8) & 255;
    if (this.phase === "over") {
      this.#say(`${INFO}leave stage: ${this.#pathWas}`);
      return;
    }
    const path = this.#path;
    if (crashed) this.#say(`${WARNING}child crashed: ${path}`);
    else if (code !== 0) this.#say(`${WARNING}child failed: ${path}`);
    if (this.phase === "stage1") this.#stage1Ended(crashed || code === POINTLESS, exitCodeOf(status));
    else if (crashed || code === RESTART) {
      this.#say(`${WARNING}killing all processes in stage 2...`);
      if (pid > 1) this.#out.push({ act: "signal", pid: -pid, signal: SIGKILL });
      this.phase = "restart";
      this.#deadline = after(now, RESTART_MS);
    } else {
      this.#say(`${INFO}leave stage: ${path}`);
      this.#stop(code);
    }
  }

  /** Of stage 1 as in runit(8): it counts as one that ended well. A stage 2 that cannot run is the end. */
  #notStarted(code: number): void {
    this.#say(`${INFO}leave stage: ${this.#path}`);
    if (this.phase === "stage1") this.#afterStage1();
    else this.#stop(code);
  }

  get #pathWas(): string {
    return this.#hasStage2 ? "/etc/runit/2" : "/etc/runit/1";
  }

  #stage1Ended(pointless: boolean, code: number): void {
    this.#say(`${INFO}leave stage: /etc/runit/1`);
    if (!pointless) {
      this.#afterStage1();
      return;
    }
    this.#say(`${WARNING}skipping stage 2...`);
    this.#stop(code);
  }

  #due(now: Instant): void {
    if (this.#deadline === null || now < this.#deadline) return;
    if (this.phase === "restart") {
      this.#say(`${WARNING}restarting.`);
      this.#start("stage2");
    } else if (this.phase === "stage1" || this.phase === "stage2") this.#start(this.phase);
  }
}
