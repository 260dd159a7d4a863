/** What the writer and the processor of a log directory need of the directory they belong to. */
import type { Instant, Pid } from "../base/units.ts";
import { Part } from "../reactor.ts";
import type { LogProcessor } from "./log-processor.ts";

export abstract class LogHome extends Part {
  abstract get processor(): LogProcessor;
  /** The processor's command, for /bin/sh -c; null when the config names none (any more). */
  abstract get command(): Uint8Array | null;
  /** A rotation begins: the age limit counts from now. */
  abstract rotating(now: Instant): void;
  /** A processor was started. */
  abstract forked(child: Pid): void;
  /** A pause is over, or a file was processed: call `advance`. */
  abstract moved(now: Instant): void;
}
