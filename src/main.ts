/** Multi-call: the name the program was called by selects the command. */
import { ascii, item } from "./base/bytes.ts";
import { commandName } from "./commands/command-name.ts";
import { runit } from "./commands/runit.ts";
import { runitInit } from "./commands/runit-init.ts";
import { runsv } from "./commands/runsv.ts";
import { runsvchdir } from "./commands/runsvchdir.ts";
import { runsvdir } from "./commands/runsvdir.ts";
import { sv } from "./commands/sv.ts";
import { svlogd } from "./commands/svlogd.ts";
import { upkeep } from "./commands/upkeep.ts";
import { upkeepInit } from "./commands/upkeep-init.ts";
import { utmpset } from "./commands/utmpset.ts";
import { NativeKernel } from "./kernel/native.ts";
import { complain } from "./kernel/output.ts";
import { becomeChpst, programArguments } from "./kernel/self.ts";

const kernel = new NativeKernel();

function dispatch(name: string, argv: readonly Uint8Array[]): number {
  switch (name) {
    case "upkeep":
      return upkeep(kernel, argv, (sub, rest) => dispatch(sub, rest));
    case "runit":
      return runit(kernel, argv);
    case "init":
    case "upkeep-init":
      return upkeepInit(kernel, argv);
    case "runit-init":
      return runitInit(kernel, argv);
    case "runsv":
      return runsv(kernel, argv);
    case "runsvdir":
      return runsvdir(kernel, argv);
    case "sv":
      return sv(kernel, argv);
    case "svlogd":
      return svlogd(kernel, argv);
    case "runsvchdir":
      return runsvchdir(kernel, argv);
    case "chpst":
    case "envdir":
    case "envuidgid":
    case "pgrphack":
    case "setlock":
    case "setuidgid":
    case "softlimit":
      return becomeChpst(argv);
    case "utmpset":
      return utmpset(kernel, argv);
    default:
      complain(kernel, `upkeep: fatal: ${name}: unknown command\n`);
      return 100;
  }
}

function main(): number {
  const argv = programArguments();
  const name = item(argv, 0);
  const command = name === null ? "upkeep" : commandName(kernel, name);
  // /sbin/init is runit-init by another name; the container init is "upkeep init".
  return dispatch(command === "init" ? "runit-init" : command, argv.length > 0 ? argv : [ascii("upkeep")]);
}

try {
  kernel.exit(main());
} catch (e) {
  complain(kernel, `upkeep: fatal: internal error: ${e instanceof Error ? e.message : "unknown"}\n`);
  kernel.exit(111);
}
