import type { Instant, Pid } from "../base/units.ts";
import { InnerLog, InnerLogOwner, type LogRoom } from "./inner-log.ts";
import type { StateDirectory } from "./state-directory.ts";
import type { Supervisor } from "./supervisor.ts";

/** A log service done in the process, as its supervisor sees it. */
export class OwnLog extends InnerLogOwner {
  readonly log: InnerLog;
  readonly #supervisor: Supervisor;

  constructor(supervisor: Supervisor, room: LogRoom, path: Uint8Array, state: StateDirectory) {
    super();
    this.#supervisor = supervisor;
    this.log = new InnerLog(room, this, path, state);
  }

  override logForked(child: Pid): void {
    this.#supervisor.forked(child);
  }

  override logEnded(now: Instant): void {
    this.#supervisor.log?.innerEnded(now);
  }
}
