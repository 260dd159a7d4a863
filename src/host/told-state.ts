/**
 * When the state of a service is told: to a successor, in the record, before
 * the next thing happens; to everybody else, in the files, once when all of an
 * event is done. Files that could not be written are tried again.
 */
import { type Instant, instant } from "../base/units.ts";
import type { Service } from "../core/service.ts";
import { packTai64n } from "../formats/tai64n.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { StateDirectory } from "./state-directory.ts";

/** State files that could not be written are tried again after this long. */
const REWRITE_MS = 1000;

export class ToldState {
  readonly #kernel: Kernel;
  readonly #machine: Service;
  readonly #files: StateDirectory;
  /** There is no process of the service that a successor could find. */
  inner = false;
  /** State files are to be written again at this moment. */
  rewriteAt: Instant | null = null;
  /** The record says more than the files. */
  #unwritten = false;
  /** The record is written as it should be. */
  #recorded = true;
  /** Why they could not be written, as it was last said. */
  #problem: string | null = null;

  constructor(kernel: Kernel, machine: Service, files: StateDirectory) {
    this.#kernel = kernel;
    this.#machine = machine;
    this.#files = files;
  }

  /** The last transition is now, on the wall clock for the label and on the boot clock for ages. */
  stamp(): void {
    const record = this.#files.record;
    packTai64n(record.label, 0, this.#kernel.wall());
    record.sinceBootMs = this.#kernel.bootTimeMs();
    this.#files.stamped = true;
  }

  record(): void {
    this.#files.fillRecord(this.#machine, !this.inner);
    this.#recorded = this.#files.writeRecord();
    this.#unwritten = true;
  }

  /** The files say what the record says. Returns the text of a warning to be told, or null. */
  show(now: Instant): string | null {
    if (!this.#unwritten) return null;
    this.#unwritten = false;
    const problem = this.#files.writeFiles(this.#machine);
    this.rewriteAt = (problem === null && this.#recorded) || this.#files.removed ? null : instant(now + REWRITE_MS);
    // Told once, not each second: compat: doc/differences.md, runsv-rewrite.
    const told = problem === this.#problem;
    this.#problem = problem;
    return told ? null : problem;
  }

  /** The last try, where the files are not yet true: what they say stays. */
  end(): void {
    if (this.rewriteAt !== null) this.#files.writeFiles(this.#machine);
  }
}
