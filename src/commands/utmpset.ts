/** utmpset(8): marks a line as logged out in utmp, with -w in wtmp too. */
import { ascii, EMPTY, item, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { OptionReader } from "../base/options.ts";
import type { Fd } from "../base/units.ts";
import { isLogin, LINE_BYTES, loggedOut, logoutRecord, RECORD_BYTES } from "../formats/utmp.ts";
import { AT_FDCWD, LOCK_EX, O_APPEND, O_CLOEXEC, O_CREAT, O_NONBLOCK, O_RDWR, O_WRONLY } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { ID_LINE } from "../version.ts";

const UTMP = "/var/run/utmp";
const WTMP = "/var/log/wtmp";
const EXIT_USAGE = 1;
const EXIT_FAILURE = 111;
const SEEK_END = 2;

function fail(kernel: Kernel, message: string): number {
  complain(kernel, `utmpset: ${message}\n`);
  return EXIT_FAILURE;
}

/** Opens and locks a file; -1 after a message. */
function openLocked(kernel: Kernel, path: string, flags: number): Fd {
  const fd = kernel.open(AT_FDCWD, ascii(path), flags | O_NONBLOCK | O_CLOEXEC, 0o600);
  if (fd < 0) {
    fail(kernel, `fatal: unable to open ${path}: ${errorText(-fd)}`);
    return -1;
  }
  const locked = kernel.flock(fd, LOCK_EX);
  if (locked >= 0) return fd;
  fail(kernel, `fatal: unable to lock: ${path}: ${errorText(-locked)}`);
  return -1;
}

/** Exit code after utmp: 0, or 111 with a message. */
function leaveUtmp(kernel: Kernel, line: Uint8Array): number {
  const fd = openLocked(kernel, UTMP, O_RDWR);
  if (fd < 0) return EXIT_FAILURE;
  const record = new Uint8Array(RECORD_BYTES);
  for (let at = 0; kernel.pread(fd, record, at) === RECORD_BYTES; at += RECORD_BYTES) {
    if (!isLogin(record, line)) continue;
    const n = kernel.pwrite(fd, loggedOut(record, kernel.wall().seconds), at);
    if (n === RECORD_BYTES) return 0;
    return fail(kernel, `warning: unable to logout line ${text(line)} in utmp: ${errorText(n < 0 ? -n : 28)}`);
  }
  return fail(kernel, `warning: unable to logout line ${text(line)} in utmp: no such entry`);
}

/** The same for wtmp, which only grows; what was written in part is taken back. */
function noteInWtmp(kernel: Kernel, line: Uint8Array): number {
  const fd = openLocked(kernel, WTMP, O_WRONLY | O_APPEND | O_CREAT);
  if (fd < 0) return EXIT_FAILURE;
  const end = kernel.seek(fd, 0, SEEK_END);
  const n = kernel.write(fd, logoutRecord(line, kernel.wall().seconds));
  if (n === RECORD_BYTES) return 0;
  if (n > 0 && end >= 0) kernel.truncate(fd, end);
  return fail(kernel, `warning: unable to logout line ${text(line)} in wtmp: ${errorText(n < 0 ? -n : 28)}`);
}

/** Exit code 0 when the line was there and is logged out. */
export function utmpset(kernel: Kernel, argv: readonly Uint8Array[]): number {
  const program = text(item(argv, 0) ?? EMPTY);
  const usage = `usage: ${program} [-w] line\n\n`;
  const options = new OptionReader(argv, ascii("wV"));
  let wtmp = false;
  let wrong = "";
  for (let step = options.next(); step.kind !== "end" && wrong === ""; step = options.next()) {
    if (step.kind === "unknown")
      wrong = `${program.slice(program.lastIndexOf("/") + 1)}: illegal option -- ${step.letter}\n${usage}`;
    else if (step.kind === "option" && step.option.letter === "V") wrong = `${ID_LINE}${usage}`;
    else wtmp = true;
  }
  const line = wrong === "" ? options.takeWord() : null;
  if (line === null || line.length === 0) {
    complain(kernel, wrong === "" ? usage : wrong);
    return EXIT_USAGE;
  }
  if (line.length > LINE_BYTES) return fail(kernel, `fatal: unable to logout line ${text(line)} in utmp: name too long`);
  const code = leaveUtmp(kernel, line);
  return code === 0 && wtmp ? noteInWtmp(kernel, line) : code;
}
