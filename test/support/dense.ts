/** What tests of `runsvdir --dense` share. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Child, type ServiceFiles, serviceDir, start, tempDir, UPKEEP } from "./lab.ts";
import { logDir } from "./logs.ts";

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
  const log = logDir(join(service, "log"));
  writeFileSync(join(log, "config"), config);
  return log;
}
