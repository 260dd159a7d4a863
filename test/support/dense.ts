/** What tests of `runsvdir --dense` share. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Child, type ServiceFiles, serviceDir, start, tempDir, UPKEEP } from "./lab.ts";
import { slurp } from "./service.ts";

/** Files of services, by name. */
export type Services = Record<string, ServiceFiles>;

export function supervise(t: TestContext, dir: string, env: Record<string, string> = {}): Child {
  return start(t, UPKEEP.program("runsvdir"), ["--dense", "-P", dir], { env: { PATH: UPKEEP.path, ...env } });
}

export function make(t: TestContext, services: Services): string {
  const dir = tempDir(t);
  for (const [name, files] of Object.entries(services)) serviceDir(join(dir, name), files);
  return dir;
}

/** Has a service logged by the process itself; returns its log directory. */
export function logsItself(service: string, config: string): string {
  const log = join(service, "log");
  mkdirSync(log, { recursive: true });
  writeFileSync(join(log, "config"), config);
  return log;
}

/** The files of a log directory in the order in which they were written. */
export function logNames(log: string): string[] {
  const old = readdirSync(log).filter((name) => name.startsWith("@"));
  return [...old.sort(), "current"];
}

/** All that was logged, in order. A file renamed while it was looked for would be missing: then it is all read again. */
export function logged(log: string): string {
  for (;;) {
    const names = logNames(log);
    const text = names.map((name) => slurp(join(log, name))).join("");
    if (logNames(log).join() === names.join()) return text;
  }
}
