/**
 * Where the lines come from. One block is read at a time, after the reactor
 * said that there is something: standard input is shared with others and never
 * made non-blocking. Files and /dev/null cannot be waited for (epoll_ctl(2)
 * EPERM) and are always ready.
 *
 * A line that has not come to its end is kept until it has, or is as long as
 * `lineMax`. On TERM reading stops at the end of a line; in the middle of one
 * it goes on byte by byte to its end, so that what comes after is the next
 * svlogd's.
 */
import { errorText } from "../base/error-text.ts";
import type { Fd } from "../base/units.ts";
import { LineCut, NEWLINE, type Replacement } from "../core/log-line.ts";
import { EAGAIN, EINTR } from "../kernel/constants.ts";
import type { Kernel, WallTime } from "../kernel/kernel.ts";
import { copyBytes } from "../kernel/memory.ts";
import { saveOnCrash } from "../kernel/self.ts";
import type { LogBlock } from "./log-block.ts";
import { warn } from "./log-message.ts";

/** As much as a pipe holds. */
const READ_BYTES = 65536;

export class LogInput {
  /** No more will be read. */
  ended = false;
  readonly #kernel: Kernel;
  readonly #fd: Fd;
  readonly #block: LogBlock;
  readonly #cut: LineCut;
  readonly #replacement: Replacement | null;
  readonly #buffer: Uint8Array;
  /** A trap hands the kept bytes on as this descriptor. */
  readonly #handover: Fd;
  /** Bytes in the buffer, and how many of them are in the block. */
  #filled = 0;
  #given = 0;
  /** When the first of the kept bytes came. */
  #keptAt: WallTime = { seconds: 0, nanoseconds: 0 };
  /** TERM came in the middle of a line. */
  #toLineEnd = false;

  /** Blocks read from `fd` appear in `block`; see `saveOnCrash` for `handover`. */
  constructor(kernel: Kernel, fd: Fd, block: LogBlock, lineMax: number, replacement: Replacement | null, handover: Fd) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#block = block;
    this.#cut = new LineCut(lineMax);
    this.#replacement = replacement;
    this.#buffer = new Uint8Array(lineMax + READ_BYTES);
    this.#handover = handover;
  }

  /** `kept`: what the image before this one had read and in no block when it met a trap. */
  takeOver(kept: Uint8Array): void {
    this.#filled = Math.min(kept.length, this.#buffer.length - READ_BYTES);
    this.#buffer.set(kept.subarray(0, this.#filled), 0);
    this.#keptAt = this.#kernel.wall();
    this.#save();
  }

  /** All that is read and in no block. */
  #save(): void {
    saveOnCrash(this.#buffer.subarray(this.#given, this.#filled), this.#handover);
  }

  get #midLine(): boolean {
    return this.#filled > 0 || this.#cut.inRest;
  }

  /** Reads once; true when that made a block. The one before must be done with. */
  read(): boolean {
    this.#keepRest();
    const size = this.#toLineEnd ? 1 : READ_BYTES;
    const n = this.#kernel.read(this.#fd, this.#buffer.subarray(this.#filled, this.#filled + size));
    if (n === -EINTR || n === -EAGAIN) return false;
    if (n < 0) warn(this.#kernel, `unable to read standard input: ${errorText(-n)}`);
    if (n <= 0) return this.#atEnd();
    const at = this.#kernel.wall();
    const first = this.#filled > 0 ? this.#keptAt : at;
    const inRest = this.#cut.inRest;
    this.#filled += n;
    this.#given = this.#cut.take(this.#buffer.subarray(0, this.#filled));
    this.#keptAt = this.#given > 0 ? at : first;
    this.#save();
    if (this.#toLineEnd && this.#buffer[this.#filled - 1]! === NEWLINE) this.ended = true;
    return this.#give(first, at, inRest);
  }

  /** TERM. The last block must be done with. */
  finish(): void {
    this.#keepRest();
    if (this.#midLine) this.#toLineEnd = true;
    else this.ended = true;
  }

  #keepRest(): void {
    if (this.#given === 0) return;
    copyBytes(this.#buffer, 0, this.#buffer, this.#given, this.#filled - this.#given);
    this.#filled -= this.#given;
    this.#given = 0;
    this.#save();
  }

  /** A last line without a newline gets one. */
  #atEnd(): boolean {
    this.ended = true;
    if (!this.#midLine) return false;
    const inRest = this.#cut.inRest;
    this.#buffer[this.#filled] = NEWLINE;
    this.#filled++;
    this.#given = this.#filled;
    this.#save();
    this.#cut.inRest = false;
    return this.#give(this.#keptAt, this.#keptAt, inRest);
  }

  #give(first: WallTime, at: WallTime, inRest: boolean): boolean {
    if (this.#given === 0) return false;
    const bytes = this.#buffer.subarray(0, this.#given);
    if (this.#replacement !== null) this.#replacement.apply(bytes, this.#cut.lineMax, inRest);
    this.#block.set(bytes, first, at);
    return true;
  }
}
