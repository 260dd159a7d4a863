/**
 * Nothing twice: of a logger that is not a process of its own, and takes bytes
 * out of the pipe only when they are written, this keeps on disk what was
 * written and not yet taken. After a kill in between, that is cut off `current`
 * again, since it is still in the pipe and will be written again.
 */
import type { Fd } from "../base/units.ts";
import { NEWLINE } from "../core/log-line.ts";
import {
  LOG_LAST_AT,
  LOG_MARK_AT,
  LOG_PROGRESS_AT,
  LOG_PROGRESS_BYTES,
  packLast,
  packLogProgress,
  unpackLogProgress,
} from "../formats/log-progress.ts";
import { EINVAL } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { readMarked } from "../kernel/pipe.ts";
import type { LogFiles } from "./log-files.ts";
import type { StateDirectory } from "./state-directory.ts";

export class LogProgress {
  /** The record is about the pipe that is read: that was taken over with it, or the record is our own. */
  trusted = false;
  readonly #kernel: Kernel;
  readonly #state: StateDirectory;
  /** Something was, or will be, written that is not taken yet, and the record says so. */
  #begun = false;

  /** `state`: the log service's, whose record's file is used. */
  constructor(kernel: Kernel, state: StateDirectory) {
    this.#kernel = kernel;
    this.#state = state;
  }

  /** Before `current` is used: cuts off what is still in the pipe. */
  undo(files: LogFiles): void {
    this.#begun = false;
    const fd = this.#state.recordFd;
    if (!this.trusted || fd < 0) return;
    const raw = new Uint8Array(LOG_PROGRESS_BYTES);
    const n = this.#kernel.pread(fd, raw, LOG_PROGRESS_AT);
    const place = unpackLogProgress(raw.subarray(0, Math.max(n, 0)));
    if (place !== null) files.cutCurrent(place);
  }

  /** Before bytes are written to `current`. When that cannot be recorded (a full disk) they may come twice. */
  begin(files: LogFiles): void {
    if (this.#begun) return;
    this.#begun = this.#record(packLogProgress(files.place, NEWLINE), LOG_PROGRESS_AT);
    this.trusted = true;
  }

  /** Takes out of the pipe `from` what was written, as many bytes as `into` is long, the last of them being `last`. */
  take(from: Fd, into: Uint8Array, last: number): void {
    const marked = this.#begun && (last === NEWLINE || this.#record(packLast(last), LOG_LAST_AT));
    this.#begun = false;
    let at = 0;
    while (at < into.length) {
      const rest = into.subarray(at);
      let n = marked ? readMarked(from, rest, this.#state.recordFd, LOG_MARK_AT) : -EINVAL;
      if (n < 0) n = this.#kernel.read(from, rest);
      if (n <= 0) return;
      at += n;
    }
  }

  #record(bytes: Uint8Array, at: number): boolean {
    const fd = this.#state.recordFd;
    return fd >= 0 && this.#kernel.pwrite(fd, bytes, at) === bytes.length;
  }
}
