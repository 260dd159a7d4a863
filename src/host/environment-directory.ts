/** Reads an environment directory (chpst -e, envdir) into changes. */
import { byteAt, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Fd } from "../base/units.ts";
import type { EnvironmentChanges } from "../core/environment.ts";
import type { EnvironmentDirectory } from "../core/process-changes.ts";
import { envdirEntry } from "../formats/envdir.ts";
import { AT_FDCWD, EACCES, EISDIR, ENOENT, O_CLOEXEC, O_DIRECTORY, O_NONBLOCK, O_RDONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { readFileAt } from "./read-file.ts";

const NEWLINE = 10;
const DOT = 46;
/** The kernel takes no string beyond 128 KiB in an environment; a line that is far longer has no end. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** Adds what the directory says to `changes`; returns a message when it cannot, else "". Subdirectories warn when `verbose`. */
export function readEnvironmentDirectory(
  kernel: Kernel,
  directory: EnvironmentDirectory,
  verbose: boolean,
  changes: EnvironmentChanges,
): string {
  const shown = text(directory.path);
  const dir = kernel.open(AT_FDCWD, directory.path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, 0);
  if (dir < 0) return `${openFailure(kernel, directory.path, -dir)}: ${shown}: ${errorText(-dir)}`;
  const listing = kernel.list(dir);
  if (listing.errno !== 0) return `unable to read directory: ${shown}: ${errorText(listing.errno)}`;
  const names = listing.names;
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    if (byteAt(name, 0) === DOT) continue;
    const failure = readVariable(kernel, dir, name, shown, directory.strict, verbose, changes);
    if (failure !== "") return failure;
  }
  kernel.close(dir);
  return "";
}

/** Which step of runit's would have failed: entering the directory, or listing it. */
function openFailure(kernel: Kernel, path: Uint8Array, errno: number): string {
  return errno === EACCES && kernel.chdir(path) >= 0 ? "unable to open directory" : "unable to switch to directory";
}

function readVariable(
  kernel: Kernel,
  dir: Fd,
  name: Uint8Array,
  shown: string,
  strict: boolean,
  verbose: boolean,
  changes: EnvironmentChanges,
): string {
  const content = readFileAt(kernel, dir, name, NEWLINE, LINE_BYTES_MAX);
  if (content.errno === 0) {
    changes.set(envdirEntry(name, content.bytes));
    return "";
  }
  const failure = `unable to read ${shown}/${text(name)}: ${errorText(content.errno)}`;
  const isDirectory = content.errno === EISDIR && !strict;
  // A dangling symlink. runit gives it the value of the file before it.
  const isGone = content.errno === ENOENT;
  if (!isDirectory && !isGone) return failure;
  if (isGone || verbose) complain(kernel, `chpst: warning: ${failure}\n`);
  return "";
}
