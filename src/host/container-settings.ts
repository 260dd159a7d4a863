/** How a container's init is to behave: from its options, and from its environment where an option is missing. */
import { ascii, byteAt, parseDecimal, text } from "../base/bytes.ts";
import type { DurationMs } from "../base/units.ts";
import { GRACE_MS } from "../core/shutdown.ts";
import { environmentValue } from "../kernel/self.ts";

/** What becomes of a service's lines: named ones have the service in front, raw ones go where ours go. */
export type Lines = "whole" | "named" | "raw";

export type ContainerSettings = {
  /** In front of each message. */
  readonly name: string;
  /** Whether /etc/runit/1, 2 and 3 count. */
  readonly stages: boolean;
  /** Directory of service directories, or null for none. */
  readonly dir: Uint8Array | null;
  /** The main command, may be empty. */
  readonly command: readonly Uint8Array[];
  readonly graceMs: DurationMs;
  /** Signals go to the command's process group. */
  readonly group: boolean;
  readonly lines: Lines;
  /** A runsv for each service, rather than all in this process. */
  readonly separate: boolean;
};

const SERVICES = "/etc/service";
const MINUS = 45;

/** Seconds, maybe with a fraction; negative: without limit. null: not a number. */
export function parseGrace(word: Uint8Array): DurationMs | null {
  if (byteAt(word, 0) === MINUS) return parseDecimal(word.subarray(1)).digits > 0 ? Number.POSITIVE_INFINITY : null;
  const whole = parseDecimal(word);
  const rest = word.subarray(whole.digits);
  if (whole.digits === 0) return null;
  if (rest.length === 0) return whole.value * 1000;
  const fraction = parseDecimal(rest.subarray(1));
  if (byteAt(rest, 0) !== 46 || fraction.digits !== rest.length - 1 || fraction.digits === 0) return null;
  return whole.value * 1000 + Math.floor((fraction.value * 1000) / 10 ** fraction.digits);
}

/** UPKEEP_GRACE in seconds, else the default. */
export function graceOfEnvironment(): DurationMs {
  const value = environmentValue("UPKEEP_GRACE");
  return (value === null ? null : parseGrace(value)) ?? GRACE_MS;
}

/** UPKEEP_LINES, else whole ones. */
export function linesOfEnvironment(): Lines {
  const value = environmentValue("UPKEEP_LINES");
  const word = value === null ? "" : text(value);
  return word === "named" || word === "raw" ? word : "whole";
}

/** SVDIR, else where Debian has its services. */
export function servicesOfEnvironment(): Uint8Array {
  return environmentValue("SVDIR") ?? ascii(SERVICES);
}
