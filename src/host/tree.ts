/**
 * The supervisors an init has to see off, be they its own (a Scanner's) or
 * those of a stage 2 that was somebody else's program, found by their name.
 */
import { ascii, basename, concat, EMPTY, text } from "../base/bytes.ts";
import { NO_PID, type Pid, pid } from "../base/units.ts";
import { AT_FDCWD } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { isHosted } from "./dense-host.ts";
import { otherProcesses, processName, workingDirectory } from "./processes.ts";
import type { Scanner } from "./scanner.ts";
import { ServiceQuery } from "./service-query.ts";
import { NOWHERE, type ServicePlace, servicePlace } from "./supervise-dir.ts";

const SLASH = ascii("/");
/** State in the status file (formats/status.ts). */
const FINISH = 2;

/** A supervisor and its service; NO_PID: it is no process of its own. */
export type Supervised = { readonly runsv: Pid; readonly name: string; readonly place: ServicePlace };

/** What a supervisor is still busy with: `web (pid 12)`. pid 0: no process that could be killed. */
export type Busy = { readonly what: string; readonly pid: Pid };

/** Those of a scanner. `dir`: what it scans. */
export function supervisedBy(kernel: Kernel, scanner: Scanner, dir: Uint8Array): Supervised[] {
  const all: Supervised[] = [];
  const entries = scanner.scan.entries;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry.pid === 0) continue;
    const place = servicePlace(kernel, AT_FDCWD, EMPTY, concat([dir, SLASH, entry.name]));
    all.push({ runsv: isHosted(entry.pid) ? NO_PID : entry.pid, name: text(entry.name), place });
  }
  return all;
}

/** Every process called runsv. */
export function supervisedByOthers(kernel: Kernel): Supervised[] {
  const all: Supervised[] = [];
  const processes = otherProcesses(kernel, 0);
  if (processes === null) return all;
  for (let i = 0; i < processes.length; i++) {
    const process = processes[i]!.pid;
    if (processName(kernel, process) !== "runsv") continue;
    const dir = workingDirectory(kernel, process);
    const place = dir === null ? NOWHERE : servicePlace(kernel, AT_FDCWD, EMPTY, dir);
    all.push({ runsv: pid(process), name: dir === null ? "?" : text(basename(dir)), place });
  }
  return all;
}

/** What keeps a supervisor from ending. */
export function busyWith(kernel: Kernel, supervised: Supervised): Busy {
  const query = new ServiceQuery();
  if (query.ask(kernel, supervised.place) === "ok" && query.status.pid > 0) {
    const part = query.status.state === FINISH ? "finish of service" : "service";
    return { what: `${part} ${supervised.name} (pid ${query.status.pid})`, pid: pid(query.status.pid) };
  }
  if (query.ask(kernel, supervised.place.log()) === "ok" && query.status.pid > 0) {
    return { what: `log of service ${supervised.name} (pid ${query.status.pid})`, pid: pid(0) };
  }
  const process = supervised.runsv === NO_PID ? "" : ` (pid ${supervised.runsv})`;
  return { what: `runsv of service ${supervised.name}${process}`, pid: pid(0) };
}
