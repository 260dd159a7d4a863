/**
 * Makes the changes of a ProcessChanges to this process.
 *
 * In two parts. `prepare` does what can fail for reasons that lie outside:
 * it reads the environment directory, enters the new root (the accounts are
 * there) and looks up the accounts. `apply` then makes the changes that are
 * left, in the fixed order of the manual page: session, nice, the rest of
 * scheduling, user, capabilities, lock, descriptors, limits. Nothing outside
 * this process is touched before all of the first part, and nothing but the
 * lock file and /proc/self/oom_score_adj at all.
 *
 * A step returns "" when it is done, or the message that ends the program.
 */
import { ascii, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Number64 } from "../base/number64.ts";
import { isAbove64 } from "../base/number64.ts";
import type { Fd } from "../base/units.ts";
import { EnvironmentChanges } from "../core/environment.ts";
import type { Limit } from "../core/limits.ts";
import type { LockFile, ProcessChanges } from "../core/process-changes.ts";
import {
  AT_FDCWD,
  F_DUPFD_CLOEXEC,
  LOCK_EX,
  LOCK_NB,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_NONBLOCK,
  O_WRONLY,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
} from "../kernel/constants.ts";
import * as credentials from "../kernel/credentials.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Accounts, type Ids } from "./accounts.ts";
import { dropFromBounding, keepThroughSetuid, limitCapabilities } from "./capabilities.ts";
import { readEnvironmentDirectory } from "./environment-directory.ts";

/** "" when there is none. */
type Failure = string;

/** Where messages go while they can: a copy of standard error lies beyond the descriptors a program expects. */
const SPARE_FD_MIN = 10;

function failed(result: number, what: string): Failure {
  return result < 0 ? `unable to ${what}: ${errorText(-result)}` : "";
}

export class ProcessChanger {
  readonly environment: EnvironmentChanges = new EnvironmentChanges();
  /** Descriptor for messages; standard error, or a copy of it after -2. */
  messages: Fd = 2;
  readonly #kernel: Kernel;
  readonly #changes: ProcessChanges;
  #ids: Ids | null = null;

  constructor(kernel: Kernel, changes: ProcessChanges) {
    this.#kernel = kernel;
    this.#changes = changes;
  }

  /** Environment directory, root, working directory, accounts. */
  prepare(): Failure {
    const changes = this.#changes;
    if (changes.environment !== null) {
      const failure = readEnvironmentDirectory(this.#kernel, changes.environment, changes.verbose, this.environment);
      if (failure !== "") return failure;
    }
    // Before the root changes: there may be no /proc in the new one.
    const score = changes.oomScore;
    return (score === null ? "" : this.#oomScore(score)) || this.#enter() || this.#lookUp();
  }

  /** Everything else; what may be refused for want of rights comes before the user changes. */
  apply(): Failure {
    return this.#session() || this.#schedule() || this.#rights() || this.#lock() || this.#last();
  }

  #enter(): Failure {
    const { root, directory } = this.#changes;
    if (root !== null) {
      const failure =
        failed(this.#kernel.chdir(root), `change directory: ${text(root)}`) ||
        failed(credentials.changeRoot(ascii(".")), "change root directory");
      if (failure !== "") return failure;
    }
    return directory === null ? "" : failed(this.#kernel.chdir(directory), `change directory: ${text(directory)}`);
  }

  #lookUp(): Failure {
    const { environmentUser, user } = this.#changes;
    const accounts = new Accounts(this.#kernel);
    if (environmentUser !== null) {
      const found = accounts.resolve(environmentUser, false);
      if (found.kind === "failed") return found.message;
      const groups = found.ids.groups;
      this.environment.set(ascii(`GID=${groups.length > 0 ? groups[0]! : 0}`));
      this.environment.set(ascii(`UID=${found.ids.uid}`));
    }
    if (user !== null) {
      const found = accounts.resolve(user, this.#changes.userGroups);
      if (found.kind === "failed") return found.message;
      this.#ids = found.ids;
    }
    return "";
  }

  #oomScore(score: number): Failure {
    const path = ascii("/proc/self/oom_score_adj");
    const fd = this.#kernel.open(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return failed(fd, "set oom score");
    const result = this.#kernel.write(fd, ascii(String(score)));
    this.#kernel.close(fd);
    return failed(result, "set oom score");
  }

  #session(): Failure {
    // compat: with -P a failure is ignored: the process leads a group already; blackbox/chpst.
    const result = this.#changes.newSession || this.#changes.tryNewSession ? this.#kernel.setsid() : 0;
    return this.#changes.newSession ? failed(result, "create a new session") : "";
  }

  #schedule(): Failure {
    const { niceBy, nice, ioPriority, scheduling, processors } = this.#changes;
    if (niceBy !== 0) {
      const failure = failed(credentials.addNice(niceBy), "set nice level");
      if (failure !== "") return failure;
    }
    const policy = scheduling === null ? 0 : credentials.setScheduler(scheduling.policy, scheduling.priority);
    return (
      (nice === null ? "" : failed(credentials.setNice(nice), "set nice level")) ||
      (ioPriority === null ? "" : failed(credentials.setIoPriority(ioPriority), "set io priority")) ||
      failed(policy, "set scheduling policy") ||
      (processors === null ? "" : failed(credentials.setProcessors(processors), "set processors"))
    );
  }

  /** User, groups, capabilities, and what has to happen before and after. */
  #rights(): Failure {
    const { dropCapabilities: drop, keepCapabilities: keep } = this.#changes;
    const ids = this.#ids;
    if (this.#changes.hardLimits) {
      const failure = this.#hardLimits();
      if (failure !== "") return failure;
    }
    const restricts = drop !== null || keep !== null;
    return (
      (restricts ? dropFromBounding(drop, keep) : "") ||
      (keep !== null && ids !== null ? keepThroughSetuid() : "") ||
      (ids === null ? "" : becomeUser(ids)) ||
      (restricts ? limitCapabilities(drop, keep) : "")
    );
  }

  #lock(): Failure {
    const lock = this.#changes.lock;
    return lock === null ? "" : takeLock(this.#kernel, lock);
  }

  #last(): Failure {
    const changes = this.#changes;
    return (
      (changes.noNewPrivileges ? failed(credentials.processControl(PR_SET_NO_NEW_PRIVS, 1, 0), "set no_new_privs") : "") ||
      (changes.parentDeathSignal > 0 ? this.#parentDeath(changes.parentDeathSignal) : "") ||
      this.#close() ||
      this.#softLimits()
    );
  }

  /** A change of user clears the signal, so it is set after that; a parent that has died by now counts. */
  #parentDeath(signal: number): Failure {
    const parent = this.#kernel.getppid();
    const failure = failed(credentials.processControl(PR_SET_PDEATHSIG, signal, 0), "set parent death signal");
    if (failure === "" && this.#kernel.getppid() !== parent) this.#kernel.kill(this.#kernel.getpid(), signal);
    return failure;
  }

  #close(): Failure {
    const { closeInput, closeOutput, closeError, umask } = this.#changes;
    if (umask !== null) credentials.setUmask(umask);
    if (closeError) {
      const copy = this.#kernel.fcntl(2, F_DUPFD_CLOEXEC, SPARE_FD_MIN);
      if (copy >= 0) this.messages = copy;
    }
    return (
      (closeInput ? failed(this.#kernel.close(0), "close stdin") : "") ||
      (closeOutput ? failed(this.#kernel.close(1), "close stdout") : "") ||
      (closeError ? failed(this.#kernel.close(2), "close stderr") : "")
    );
  }

  #softLimits(): Failure {
    const limits = this.#changes.limits;
    for (let i = 0; i < limits.count; i++) {
      const failure = setSoft(limits.resource(i), limits.limit(i));
      if (failure !== "") return failure;
    }
    return "";
  }

  /** While there may be the right to raise them. The soft limits follow last of all, so that none of them hits this process. */
  #hardLimits(): Failure {
    const limits = this.#changes.limits;
    for (let i = 0; i < limits.count; i++) {
      const limit = limits.limit(i);
      const failure = limit.atHard ? "" : setHard(limits.resource(i), limit.value);
      if (failure !== "") return failure;
    }
    return "";
  }
}

function becomeUser(ids: Ids): Failure {
  return (
    failed(credentials.setGroups(ids.groups), "setgroups") ||
    failed(credentials.setGroup(ids.groups.length > 0 ? ids.groups[0]! : 0), "setgid") ||
    failed(credentials.setUser(ids.uid), "setuid")
  );
}

/** The descriptor stays open in the program, and with it the lock. */
function takeLock(kernel: Kernel, lock: LockFile): Failure {
  const fd = kernel.open(AT_FDCWD, lock.path, O_WRONLY | O_NONBLOCK | O_APPEND | O_CREAT, 0o600);
  return (
    failed(fd, `open lock: ${text(lock.path)}`) ||
    failed(kernel.flock(fd, lock.wait ? LOCK_EX : LOCK_EX | LOCK_NB), `lock: ${text(lock.path)}`)
  );
}

function lower(a: Number64, b: Number64): Number64 {
  return isAbove64(a, b) ? b : a;
}

function setSoft(resource: number, limit: Limit): Failure {
  const now = credentials.getLimit(resource);
  if (now.errno !== 0) return failed(-now.errno, "getrlimit()");
  const soft = limit.atHard ? now.hard : lower(limit.value, now.hard);
  return failed(credentials.setLimit(resource, soft, now.hard), "setrlimit()");
}

function setHard(resource: number, hard: Number64): Failure {
  const now = credentials.getLimit(resource);
  if (now.errno !== 0) return failed(-now.errno, "getrlimit()");
  return failed(credentials.setLimit(resource, lower(now.soft, hard), hard), "setrlimit()");
}
