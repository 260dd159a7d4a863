/** Which command a program name stands for. */
import { basename, lastIndexOf, text } from "../base/bytes.ts";
import { AT_FDCWD } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";

/** Every name there is a command for. */
const COMMANDS: readonly string[] = [
  "upkeep",
  "upkeep-init",
  "runit",
  "runit-init",
  "init",
  "runsv",
  "runsvdir",
  "runsvchdir",
  "sv",
  "svlogd",
  "chpst",
  "envdir",
  "envuidgid",
  "pgrphack",
  "setlock",
  "setuidgid",
  "softlimit",
  "utmpset",
];
const LINKS_MAX = 16;
const PATH_BYTES_MAX = 4096;

function known(name: string): boolean {
  for (let i = 0; i < COMMANDS.length; i++) if (COMMANDS[i]! === name) return true;
  return false;
}

/** chpst's names with the `d` of Debian's daemontools in front: dsetuidgid and so on. */
function isDaemontools(name: string): boolean {
  switch (name) {
    case "dchpst":
    case "denvdir":
    case "denvuidgid":
    case "dpgrphack":
    case "dsetlock":
    case "dsetuidgid":
    case "dsoftlimit":
      return true;
    default:
      return false;
  }
}

/**
 * The command for argv[0]: its own basename, or else the first link on the way
 * from it to the executable that bears a command's name. So /etc/init.d/web →
 * /usr/bin/sv is sv, in init.d mode, and a link to chpst is chpst. A name that
 * leads nowhere is a service for sv too (it was found in PATH), unless it
 * starts with "upkeep".
 */
export function commandName(kernel: Kernel, argv0: Uint8Array): string {
  const own = text(basename(argv0));
  if (known(own)) return own;
  if (isDaemontools(own)) return "chpst";
  let path = argv0;
  const target = new Uint8Array(PATH_BYTES_MAX);
  for (let i = 0; i < LINKS_MAX && lastIndexOf(path, 47) >= 0; i++) {
    const n = kernel.readlink(AT_FDCWD, path, target);
    if (n <= 0 || n >= target.length) break;
    const next = target.slice(0, n);
    const name = text(basename(next));
    if (name !== "upkeep" && known(name)) return name;
    path = next[0]! === 47 ? next : concatPath(path, next);
  }
  return own.startsWith("upkeep") ? "upkeep" : "sv";
}

/** A relative link target, seen from the directory of the link. */
function concatPath(link: Uint8Array, target: Uint8Array): Uint8Array {
  const dir = link.subarray(0, lastIndexOf(link, 47) + 1);
  const path = new Uint8Array(dir.length + target.length);
  path.set(dir, 0);
  path.set(target, dir.length);
  return path;
}
