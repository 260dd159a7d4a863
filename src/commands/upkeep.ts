/** upkeep, called by its own name: help, version, and `upkeep NAME ARGS…`. */
import { item, text } from "../base/bytes.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain, say } from "../kernel/output.ts";
import { VERSION } from "../version.ts";

const HELP = `usage: upkeep COMMAND [ARGUMENT...]
       COMMAND [ARGUMENT...]          (through a link of that name)

supervision: runsv runsvdir runsvchdir sv svlogd
init:        runit runit-init init
process:     chpst envdir envuidgid pgrphack setlock setuidgid softlimit
accounting:  utmpset

  --help      this text
  --version   the version
Each command has a man page: COMMAND(8).
`;

/** `dispatch` runs the command NAME with argv; exit code of that, 0 for help and version, 100 for misuse. */
export function upkeep(
  kernel: Kernel,
  argv: readonly Uint8Array[],
  dispatch: (name: string, argv: readonly Uint8Array[]) => number,
): number {
  const word = item(argv, 1);
  if (word === null) {
    complain(kernel, HELP);
    return 100;
  }
  const name = text(word);
  if (name === "--help" || name === "-h") {
    say(kernel, HELP);
    return 0;
  }
  if (name === "--version" || name === "-V") {
    say(kernel, `upkeep ${VERSION}\n`);
    return 0;
  }
  if (name === "upkeep") {
    complain(kernel, "upkeep: fatal: upkeep: unknown command\n");
    return 100;
  }
  return dispatch(name, argv.slice(1));
}
