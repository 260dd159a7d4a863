/**
 * When a command of sv(8) has come true: one predicate per letter on a fresh
 * supervise/status. runit compares whole seconds of the label with the second
 * sv started in, so that `restart` of a service started in this very second
 * succeeds before anything has happened; here the label counts in full
 * (compat: doc/differences.md, sv-restart-early).
 */
import type { StatusBytes } from "../formats/status.ts";

/** The moment a command was written, and the status just before it. */
export type Mark = {
  /** Wall clock, microseconds. */
  readonly sentAt: number;
  /** Label of the status before, microseconds. */
  readonly labelBefore: number;
};

/** "check": true as far as the status goes, if the check script agrees. */
export type Verdict = "yes" | "no" | "check";

/**
 * Whether the last transition came after the command: its label is another one
 * than before, and later. When the wall clock was set since (`stepped`), or
 * back after the label before, the order of labels says nothing.
 */
export function changedSince(status: StatusBytes, mark: Mark, stepped: boolean): boolean {
  const label = status.sinceMicroseconds;
  if (label === mark.labelBefore) return false;
  return stepped || mark.labelBefore > mark.sentAt || label > mark.sentAt;
}

function runs(status: StatusBytes): boolean {
  return status.pid !== 0 && status.state === 1;
}

function isDown(status: StatusBytes): boolean {
  return status.pid === 0 && status.state === 0;
}

function restarted(status: StatusBytes, changed: boolean): Verdict {
  if (status.pid === 0 && status.wantsDown) return "yes";
  return changed && status.pid !== 0 && !status.gotTerm ? "check" : "no";
}

function startedOnce(status: StatusBytes, changed: boolean): Verdict {
  if (status.pid === 0) return changed ? "yes" : "no";
  return status.wantsDown ? "yes" : "no";
}

/** The verdict on one letter. */
export function letterVerdict(letter: string, status: StatusBytes, changed: boolean): Verdict {
  switch (letter) {
    case "u":
      return runs(status) ? "check" : "no";
    case "d":
      return isDown(status) ? "yes" : "no";
    case "x":
      // Comes true when runsv is gone; then there is no status to judge.
      return "no";
    case "t":
    case "k":
      return restarted(status, changed);
    case "o":
      return startedOnce(status, changed);
    case "p":
      return status.pid === 0 || status.paused ? "yes" : "no";
    case "c":
      return status.pid === 0 || !status.paused ? "yes" : "no";
    case "C":
      // runit 2.3.0: the check follows what is wanted.
      if (status.wantsDown) return isDown(status) ? "yes" : "no";
      return runs(status) ? "check" : "no";
    default:
      return "yes";
  }
}

/** The verdict on all letters: the first "no" decides, the check script comes last. */
export function verdict(acts: string, status: StatusBytes, changed: boolean): Verdict {
  let check = false;
  for (let i = 0; i < acts.length; i++) {
    const v = letterVerdict(acts.charAt(i), status, changed);
    if (v === "no") return "no";
    if (v === "check") check = true;
  }
  return check ? "check" : "yes";
}

const ROUND_MS = 420;

/**
 * How long sv waits for `seconds` given: runit looks every 420 ms and gives up
 * at the first look beyond the limit, so 7 means 7.14 s and 0 means 0.42 s.
 */
export function limitMs(seconds: number): number {
  return (Math.floor((seconds * 1000) / ROUND_MS) + 1) * ROUND_MS;
}
