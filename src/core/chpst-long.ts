/** chpst's long options. runit has none: there a word that starts with `--` ends the options and is thrown away. */
import { parseCapabilities } from "../formats/capability.ts";
import {
  parseInteger,
  parseIoPriority,
  parseNamedLimit,
  parseProcessors,
  parseScheduling,
  parseSignal,
  parseUmask,
} from "./chpst-values.ts";
import type { ProcessChanges } from "./process-changes.ts";

/** An option's kind: takes a value, takes none, or is not known. */
export type LongKind = "value" | "flag" | "unknown";

export function longKind(name: string): LongKind {
  switch (name) {
    case "hard":
    case "new-session":
    case "no-new-privs":
    case "user-groups":
      return "flag";
    case "cap-drop":
    case "cap-keep":
    case "cpus":
    case "ionice":
    case "limit":
    case "nice":
    case "oom-score":
    case "pdeathsig":
    case "sched":
    case "umask":
      return "value";
    default:
      return "unknown";
  }
}

/** Whether softlimit has the option too. */
export function isLimitOption(name: string): boolean {
  return name === "hard" || name === "limit";
}

export function setLongFlag(changes: ProcessChanges, name: string): void {
  if (name === "hard") changes.hardLimits = true;
  else if (name === "new-session") changes.newSession = true;
  else if (name === "no-new-privs") changes.noNewPrivileges = true;
  else changes.userGroups = true;
}

/** Notes the value of an option; false when it is none. */
export function setLongValue(changes: ProcessChanges, name: string, value: string): boolean {
  switch (name) {
    case "cap-drop":
      changes.dropCapabilities = parseCapabilities(value);
      return changes.dropCapabilities !== null;
    case "cap-keep":
      changes.keepCapabilities = parseCapabilities(value);
      return changes.keepCapabilities !== null;
    case "cpus":
      changes.processors = parseProcessors(value);
      return changes.processors !== null;
    case "ionice":
      changes.ioPriority = parseIoPriority(value);
      return changes.ioPriority !== null;
    case "nice":
      changes.nice = parseInteger(value, -20, 19);
      return changes.nice !== null;
    case "oom-score":
      changes.oomScore = parseInteger(value, -1000, 1000);
      return changes.oomScore !== null;
    case "pdeathsig": {
      const signal = parseSignal(value);
      changes.parentDeathSignal = signal === null ? 0 : signal;
      return signal !== null;
    }
    case "sched":
      changes.scheduling = parseScheduling(value);
      return changes.scheduling !== null;
    case "umask":
      changes.umask = parseUmask(value);
      return changes.umask !== null;
    default:
      return setLimit(changes, value);
  }
}

function setLimit(changes: ProcessChanges, value: string): boolean {
  const named = parseNamedLimit(value);
  if (named === null) return false;
  changes.limits.set(named.resource, named.limit);
  return true;
}
