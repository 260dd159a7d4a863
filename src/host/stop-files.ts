/**
 * Where the files are by which runit-init talks to process 1. Upstream they are
 * in /etc/runit, on Debian in /run, where its stage 1 makes them. Whoever finds
 * Debian's takes Debian's, and with them its meaning of PWR and ALRM;
 * UPKEEP_STOPFILES=debian or =runit decides instead.
 */
import { ascii, text } from "../base/bytes.ts";
import { AT_FDCWD } from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { environmentValue } from "../kernel/self.ts";

export type StopFiles = { readonly stopit: string; readonly reboot: string; readonly debian: boolean };

const UPSTREAM: StopFiles = { stopit: "/etc/runit/stopit", reboot: "/etc/runit/reboot", debian: false };
const DEBIAN: StopFiles = { stopit: "/run/runit.stopit", reboot: "/run/runit.reboot", debian: true };

/** Both, where it does not matter who made them. */
export const STOP_FILES: readonly StopFiles[] = [UPSTREAM, DEBIAN];

export function stopFiles(kernel: Kernel): StopFiles {
  const value = environmentValue("UPKEEP_STOPFILES");
  const setting = value === null ? "" : text(value);
  if (setting === "runit") return UPSTREAM;
  return setting === "debian" || fileExists(kernel, DEBIAN.stopit) ? DEBIAN : UPSTREAM;
}

export function fileExists(kernel: Kernel, path: string): boolean {
  return kernel.stat(AT_FDCWD, ascii(path), 0, new Stat()) >= 0;
}

/** Whether the file is there with the owner's execute bit: what makes it count. */
export function isSet(kernel: Kernel, path: string): boolean {
  const stat = new Stat();
  return kernel.stat(AT_FDCWD, ascii(path), 0, stat) >= 0 && stat.ownerMayExecute();
}
