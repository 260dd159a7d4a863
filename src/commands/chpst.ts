/** chpst(8), and envdir, envuidgid, pgrphack, setlock, setuidgid and softlimit: changes the process, then becomes the program. */
import { ascii, EMPTY, item, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { parseChanges } from "../core/chpst-options.ts";
import type { ProcessChanges } from "../core/process-changes.ts";
import { ProcessChanger } from "../host/change-process.ts";
import { runProgram } from "../host/run-program.ts";
import { environmentBlock } from "../kernel/credentials.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain, writeAll } from "../kernel/output.ts";

const EXIT_USAGE = 100;
const EXIT_FAILURE = 111;

/** Runs under any of the eight names, argv[0]; returns only on failure, with the exit code. */
export function chpst(kernel: Kernel, argv: readonly Uint8Array[]): number {
  const parsed = parseChanges(argv);
  if (parsed.kind === "misuse") {
    complain(kernel, parsed.message);
    return EXIT_USAGE;
  }
  return change(kernel, parsed.changes);
}

function change(kernel: Kernel, changes: ProcessChanges): number {
  const changer = new ProcessChanger(kernel, changes);
  const failure = changer.prepare() || changer.apply() || run(changes, changer);
  const lock = changes.lock;
  if (lock !== null && lock.silent) return 0;
  // compat: "chpst" under every name; blackbox/chpst-aliases.
  writeAll(kernel, changer.messages, ascii(`chpst: fatal: ${failure}\n`));
  return EXIT_FAILURE;
}

/** Returns why the program could not be run. */
function run(changes: ProcessChanges, changer: ProcessChanger): string {
  const environment = changer.environment.isEmpty ? null : changer.environment.apply(environmentBlock());
  const errno = -runProgram(changes.program, changes.argv0, environment);
  return `unable to run: ${text(changes.argv0 ?? item(changes.program, 0) ?? EMPTY)}: ${errorText(errno)}`;
}
