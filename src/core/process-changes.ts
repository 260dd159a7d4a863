/**
 * The changes of process state that chpst and its aliases make, as a value:
 * the command line says them in any order, they are made in a fixed one
 * (host/change-process.ts).
 */
import type { Number64 } from "../base/number64.ts";
import { Limits } from "./limits.ts";

/** A user as given: chpst -u and -U take groups and numbers too, setuidgid and envuidgid a name only. */
export type Account = { readonly text: Uint8Array; readonly plain: boolean };

/** An environment directory; `strict`: a subdirectory in it is an error (envdir). */
export type EnvironmentDirectory = { readonly path: Uint8Array; readonly strict: boolean };

/** A lock file; `silent`: failures, also that of the program, end with exit code 0 and no word (setlock -x). */
export type LockFile = { readonly path: Uint8Array; readonly wait: boolean; readonly silent: boolean };

/** A scheduling policy (sched(7)). */
export type Scheduling = { readonly policy: number; readonly priority: number };

export class ProcessChanges {
  /** argv of the program; its first word is what is looked for. */
  program: readonly Uint8Array[] = [];
  argv0: Uint8Array | null = null;
  verbose = false;

  environment: EnvironmentDirectory | null = null;
  environmentUser: Account | null = null;
  user: Account | null = null;
  /** Take the user's groups from the group file (initgroups(3)). */
  userGroups = false;

  /** A new session, if it can be had (-P). */
  tryNewSession = false;
  /** A new session, or an error. */
  newSession = false;
  root: Uint8Array | null = null;
  directory: Uint8Array | null = null;
  /** Added to the nice value; 0: nothing is done. */
  niceBy = 0;
  /** The nice value. */
  nice: number | null = null;
  /** As ioprio_set(2) takes it: class << 13 | level. */
  ioPriority: number | null = null;
  scheduling: Scheduling | null = null;
  /** Processors as a bit mask. */
  processors: Uint8Array | null = null;
  oomScore: number | null = null;

  lock: LockFile | null = null;
  closeInput = false;
  closeOutput = false;
  closeError = false;
  umask: number | null = null;
  /** Limits on resources; with `hardLimits` the hard ones too. */
  readonly limits: Limits = new Limits();
  hardLimits = false;

  noNewPrivileges = false;
  /** Capabilities taken away, and those alone that stay, as bit masks. */
  dropCapabilities: Number64 | null = null;
  keepCapabilities: Number64 | null = null;
  /** Signal to get when the parent dies; 0: none. */
  parentDeathSignal = 0;
}

/** A command line, understood or not. Misuse is always exit code 100; `message` is all that goes to standard error. */
export type ParsedChanges =
  | { readonly kind: "run"; readonly changes: ProcessChanges }
  | { readonly kind: "misuse"; readonly message: string };
