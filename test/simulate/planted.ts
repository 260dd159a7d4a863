/**
 * Bugs to plant, one at a time, in a copy of the sources: the simulation must
 * find each. Every one is a mistake that somebody could make, in a line or two.
 */
export type Planted = {
  readonly name: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly text: string;
  readonly instead: string;
};

export const PLANTED: readonly Planted[] = [
  {
    name: "a successor does not look at the record",
    file: "src/host/instance.ts",
    text: "const found = bootId.length > 0 && this.files.readRecord(bootId);",
    instead: "const found = false;",
  },
  {
    name: "the child does not write its pid into the record",
    file: "src/host/service-programs.ts",
    text: "    recordFd,\n",
    instead: "    recordFd: -1,\n",
  },
  {
    name: "a process with the recorded number is taken for the old one",
    file: "src/host/adopted-process.ts",
    text: "return early || seen.startBootMs > startedBootMs + THROTTLE_MS ? -ESRCH : 0;",
    instead: "return early && seen.startBootMs < 0 ? -ESRCH : 0;",
  },
  {
    name: "the second between starts is 900 ms",
    file: "src/core/service.ts",
    text: "export const THROTTLE_MS = 1000;",
    instead: "export const THROTTLE_MS = 900;",
  },
  {
    name: "the second between starts counts on the wall clock",
    file: "src/host/instance.ts",
    text: "this.machine.throttledUntil = after(this.#kernel.now(), THROTTLE_MS);",
    instead: "this.machine.throttledUntil = instant(this.#kernel.wall().seconds * 1000 - 1699999999000 + THROTTLE_MS);",
  },
  {
    name: "one child is reaped for each SIGCHLD",
    file: "src/host/runsv-process.ts",
    text: "      this.#supervisor.reaped(exit.pid, exit.status, now);",
    instead: "      this.#supervisor.reaped(exit.pid, exit.status, now);\n      return;",
  },
  {
    name: "after a failed fork nothing is tried again",
    file: "src/core/service.ts",
    text: "this.#retryAt = after(now, RETRY_MS);",
    instead: "this.#retryAt = after(now, RETRY_MS * 1000000);",
  },
  {
    name: "a status that could not be written is not written again",
    file: "src/host/told-state.ts",
    text: "this.rewriteAt = (problem === null && this.#recorded) || this.#files.removed ? null : instant(now + REWRITE_MS);",
    instead: "this.rewriteAt = null;",
  },
  {
    name: "a control script runs before the files tell what is wanted",
    file: "src/host/instance.ts",
    text: "    this.#show(now);\n    const spawned",
    instead: "    const spawned",
  },
  {
    name: "status is written in place",
    file: "src/host/state-directory.ts",
    text: `const problem = this.#replace("status", ascii("status.new"), ascii("status"), packed);`,
    instead: `const problem = this.#replace("status", ascii("status"), ascii("status"), packed);`,
  },
  {
    name: "the directory of the log service stays open after its start",
    file: "src/host/instance.ts",
    text: "    if (isLog) this.#kernel.close(dir);\n    return spawned;",
    instead: "    return spawned;",
  },
  {
    name: "the control FIFO is listened to while no command can be taken in",
    file: "src/host/instance.ts",
    text: "const takes = this.machine.room > 0;",
    instead: "const takes = true;",
  },
  {
    name: "programs are born with TERM blocked",
    file: "src/host/service-programs.ts",
    text: "    blocked: [],\n",
    instead: "    blocked: [15],\n",
  },
  {
    name: "the pipe in use is not looked for",
    file: "src/host/log-pipe.ts",
    text: "if (inode === 0) return -ENOENT;",
    instead: "if (inode >= 0) return -ENOENT;",
  },
  {
    name: "an adopted service is told to be as young as its supervisor",
    file: "src/host/instance.ts",
    text: "    record.supervisor = this.#kernel.getpid();\n",
    instead: "    record.supervisor = this.#kernel.getpid();\n    this.#told.stamp();\n",
  },
  {
    name: "runsvdir does not recognise a living runsv",
    file: "src/host/scanner.ts",
    text: "    if (id.length === 0) return 0;",
    instead: "    if (id.length >= 0) return 0;",
  },
  {
    name: "runsvdir forgets a service whose directory has gone, and does not stop it",
    file: "src/core/scan.ts",
    text: "if (entry.pid === NO_PID) this.#forget(entry, actions);\n      else",
    instead: "if (entry.pid !== 0) this.#forget(entry, actions);\n      else",
  },
  {
    name: "a dense runsvdir does not tell a supervisor of its child's end",
    file: "src/host/dense-host.ts",
    text: "    this.#host.children.set(child, this);\n",
    instead: "",
  },
  {
    name: "a supervisor that spares descriptors gives up its lock",
    file: "src/host/sparing.ts",
    text: "    kernel.close(other);\n    return { fd: -1, mapping };",
    instead: "    kernel.close(other);\n    kernel.letGo(mapping);\n    return { fd: -1, mapping };",
  },
  {
    name: "where descriptors are scarce, the end of a service taken over is not looked for",
    file: "src/host/instance.ts",
    text: "this.#adopted.polled ? after(now, POLL_MS) : null;",
    instead: "this.#adopted.polled && now < 0 ? after(now, POLL_MS) : null;",
  },
  {
    name: "up keeps a dense runsvdir from ending",
    file: "src/host/dense-host.ts",
    text: "return this.#host.ends;",
    instead: "return false;",
  },
];
