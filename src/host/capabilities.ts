/**
 * Capabilities of the program to come (capabilities(7)). A capability it shall
 * not have leaves the bounding, the inheritable and the ambient set, so that
 * neither uid 0 nor a file can bring it back. One that is kept by name is also
 * put into the inheritable and the ambient set: it survives a change of user
 * and exec.
 */
import { errorText } from "../base/error-text.ts";
import { isMax64, type Number64 } from "../base/number64.ts";
import { PR_CAP_AMBIENT, PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_SET_KEEPCAPS } from "../kernel/constants.ts";
import { Capabilities, processControl } from "../kernel/credentials.ts";

const CAPABILITY_MAX = 63;
const AMBIENT_RAISE = 2;
const AMBIENT_LOWER = 3;

/** "" when there is none. */
type Failure = string;

function failed(what: string, result: number): Failure {
  return result < 0 ? `unable to ${what} capabilities: ${errorText(-result)}` : "";
}

function has(set: Number64, n: number): boolean {
  return (((n < 32 ? set.low : set.high) >>> (n & 31)) & 1) === 1;
}

function and(a: Number64, b: Number64): Number64 {
  return { low: (a.low & b.low) >>> 0, high: (a.high & b.high) >>> 0 };
}

function not(a: Number64): Number64 {
  return { low: ~a.low >>> 0, high: ~a.high >>> 0 };
}

/** What may stay: what is kept, or all, without what is dropped. */
function allowed(drop: Number64 | null, keep: Number64 | null): Number64 {
  const base = keep ?? { low: 0xffffffff, high: 0xffffffff };
  return drop === null ? base : and(base, not(drop));
}

/** Takes what may not stay out of the bounding set; before the change of user, which takes the right to. */
export function dropFromBounding(drop: Number64 | null, keep: Number64 | null): Failure {
  const stay = allowed(drop, keep);
  for (let n = 0; n <= CAPABILITY_MAX; n++) {
    const there = processControl(PR_CAPBSET_READ, n, 0);
    if (there < 0) break; // The kernel knows no more.
    if (there === 0 || has(stay, n)) continue;
    const failure = failed("drop", processControl(PR_CAPBSET_DROP, n, 0));
    if (failure !== "") return failure;
  }
  return "";
}

/** Lets setuid(2) leave the permitted set alone. exec ends that. */
export function keepThroughSetuid(): Failure {
  return failed("keep", processControl(PR_SET_KEEPCAPS, 1, 0));
}

/** The sets of the process itself, after the change of user. Of "all" those are kept that it has. */
export function limitCapabilities(drop: Number64 | null, keep: Number64 | null): Failure {
  const stay = allowed(drop, keep);
  const sets = new Capabilities();
  const read = failed("read", sets.read());
  if (read !== "") return read;
  if (keep === null) return lowerAmbient(stay) || removeInheritable(sets, stay);
  const wanted = isMax64(keep) ? and(stay, sets.permitted) : known(stay);
  sets.setPermitted(wanted);
  sets.setEffective(wanted);
  sets.setInheritable(wanted);
  return failed("keep", sets.write()) || raiseAmbient(wanted);
}

/** Without what this kernel does not have ("all" has every bit). */
function known(set: Number64): Number64 {
  let low = 0;
  let high = 0;
  for (let n = 0; n <= CAPABILITY_MAX && processControl(PR_CAPBSET_READ, n, 0) >= 0; n++) {
    if (!has(set, n)) continue;
    if (n < 32) low = (low | (1 << n)) >>> 0;
    else high = (high | (1 << (n - 32))) >>> 0;
  }
  return { low, high };
}

function lowerAmbient(stay: Number64): Failure {
  for (let n = 0; n <= CAPABILITY_MAX && processControl(PR_CAPBSET_READ, n, 0) >= 0; n++) {
    const result = has(stay, n) ? 0 : processControl(PR_CAP_AMBIENT, AMBIENT_LOWER, n);
    if (result < 0) return failed("drop", result);
  }
  return "";
}

function removeInheritable(sets: Capabilities, stay: Number64): Failure {
  sets.setInheritable(and(sets.inheritable, stay));
  return failed("drop", sets.write());
}

function raiseAmbient(wanted: Number64): Failure {
  for (let n = 0; n <= CAPABILITY_MAX; n++) {
    const result = has(wanted, n) ? processControl(PR_CAP_AMBIENT, AMBIENT_RAISE, n) : 0;
    if (result < 0) return failed("keep", result);
  }
  return "";
}
