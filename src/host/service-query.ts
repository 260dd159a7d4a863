/** What a supervisor tells from outside: whether it runs, its status, and room for a command. */
import { ascii } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { StatusBytes } from "../formats/status.ts";
import { ENOENT, ENXIO, O_RDONLY, O_WRONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { CONTROL, enterable, OK, openSupervise, type ServicePlace, STATUS, scratchStat } from "./supervise-dir.ts";

/**
 * "ok": `status` is filled. "not running": no runsv. "no directory": the
 * service directory cannot be entered, errno says why. "unknown": `problem`
 * and errno (0: none) say why.
 */
export type Outcome = "ok" | "not running" | "no directory" | "unknown";

export const DOWN = ascii("down");

/**
 * Opens `ok`, which only works while a supervisor lives: in the service
 * directory, else in its mirror. Descriptor or -errno; `place` then leads to
 * where it was found.
 */
export function openAlive(kernel: Kernel, place: ServicePlace): Fd {
  place.turnBack();
  const ok = openSupervise(kernel, place, OK, O_WRONLY);
  if (ok >= 0 || !place.turnToMirror(kernel)) return ok;
  const mirrored = openSupervise(kernel, place, OK, O_WRONLY);
  // Nobody in either: where nobody would be able to be, if it cannot be written, is in the mirror.
  if (mirrored >= 0 || ok === -ENOENT) return mirrored;
  place.turnBack();
  return ok;
}

/** A query and its answer; one object is used for service after service. */
export class ServiceQuery {
  readonly status: StatusBytes = new StatusBytes();
  outcome: Outcome = "unknown";
  problem = "";
  errno = 0;

  /** Asks the supervisor of `place`. */
  ask(kernel: Kernel, place: ServicePlace): Outcome {
    const ok = openAlive(kernel, place);
    if (ok < 0) return this.#notOpened(kernel, place, -ok);
    kernel.close(ok);
    return this.read(kernel, place);
  }

  /** The status file alone. */
  read(kernel: Kernel, place: ServicePlace): Outcome {
    const fd = openSupervise(kernel, place, STATUS, O_RDONLY);
    if (fd < 0) return this.#unknown("unable to open supervise/status", -fd);
    const n = kernel.read(fd, this.status.raw);
    kernel.close(fd);
    if (n < 0) return this.#unknown("unable to read supervise/status", -n);
    if (n < this.status.raw.length) return this.#unknown("unable to read supervise/status: bad format", 0);
    return this.#is("ok");
  }

  /** Writes a command. "ok", "not running" or "unknown". */
  send(kernel: Kernel, place: ServicePlace, command: Uint8Array): Outcome {
    const fd = openSupervise(kernel, place, CONTROL, O_WRONLY);
    if (fd === -ENXIO) return this.#is("not running");
    if (fd < 0) return this.#unknown("unable to open supervise/control", -fd);
    // compat: doc/differences.md, sv-control-fifo
    if (kernel.fstat(fd, scratchStat) < 0 || !scratchStat.isFifo()) {
      kernel.close(fd);
      return this.#unknown("supervise/control is not a FIFO", 0);
    }
    const n = kernel.write(fd, command);
    kernel.close(fd);
    if (n !== command.length) return this.#unknown("unable to write to supervise/control", n < 0 ? -n : 0);
    return this.#is("ok");
  }

  #notOpened(kernel: Kernel, place: ServicePlace, errno: number): Outcome {
    if (errno === ENXIO) return this.#is("not running");
    const directory = enterable(kernel, place, scratchStat);
    if (directory < 0) {
      this.errno = -directory;
      return this.#is("no directory");
    }
    return this.#unknown("unable to open supervise/ok", errno);
  }

  #is(outcome: Outcome): Outcome {
    this.outcome = outcome;
    return outcome;
  }

  #unknown(problem: string, errno: number): Outcome {
    this.problem = problem;
    this.errno = errno;
    return this.#is("unknown");
  }
}

/** Whether the directory has a file `down`: "yes", "no", or "unknown" with the error in `errno`. */
export type DownFile = { readonly there: boolean; readonly errno: number };

const PRESENT: DownFile = { there: true, errno: 0 };
const ABSENT: DownFile = { there: false, errno: 0 };

export function downFile(kernel: Kernel, place: ServicePlace): DownFile {
  const r = kernel.stat(place.base, place.path(DOWN), 0, scratchStat);
  if (r >= 0) return PRESENT;
  return r === -ENOENT ? ABSENT : { there: false, errno: -r };
}
