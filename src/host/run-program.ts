/** Finds a program and becomes it. */
import { ascii, block, concat, EMPTY, indexOf } from "../base/bytes.ts";
import { EACCES, EISDIR, ENOENT, EPERM } from "../kernel/constants.ts";
import { exec, variable } from "../kernel/credentials.ts";

const SLASH = 47;
const COLON = 58;

/** PATH when there is none. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * exec of argv[0], under the name `argv0` if that is not null. Returns -errno
 * when it failed.
 *
 * Without a slash the program is looked for along the PATH this process was
 * started with, not one that `environment` sets. An empty element is the
 * working directory. Where an element has no such file the next is tried, also
 * where access is denied, which is then the answer if nothing is found; every
 * other failure ends the search. No shell is tried for a file without #!.
 * `environment` null: our own.
 */
export function runProgram(argv: readonly Uint8Array[], argv0: Uint8Array | null, environment: Uint8Array | null): number {
  const file = argv.length > 0 ? argv[0]! : EMPTY;
  const words = block(argv0 === null ? argv : [argv0].concat(argv.slice(1)));
  if (indexOf(file, SLASH, 0) >= 0) return exec(file, words, environment);
  const path = variable(ascii("PATH")) ?? ascii(DEFAULT_PATH);
  let denied = 0;
  let start = 0;
  for (;;) {
    const colon = indexOf(path, COLON, start);
    const element = path.subarray(start, colon < 0 ? path.length : colon);
    const errno = -exec(concat([element.length === 0 ? ascii(".") : element, ascii("/"), file]), words, environment);
    if (errno !== ENOENT) {
      if (errno !== EACCES && errno !== EPERM && errno !== EISDIR) return -errno;
      denied = errno;
    }
    if (colon < 0) return -(denied !== 0 ? denied : errno);
    start = colon + 1;
  }
}
