/**
 * The error texts runit prints: a fixed English table, whatever the locale.
 * Scripts grep for some of them, so they are not the C library's. Made when one
 * is needed: few programs ever meet an error.
 */
function texts(): readonly string[] {
  return [
    "no error",
    "permission denied",
    "file does not exist",
    "no such process",
    "interrupted system call",
    "input/output error",
    "device not configured",
    "argument list too long",
    "exec format error",
    "file descriptor not open",
    "no child processes",
    "temporary failure",
    "out of memory",
    "access denied",
    "bad address",
    "not a block device",
    "device busy",
    "file already exists",
    "cross-device link",
    "device does not support operation",
    "not a directory",
    "is a directory",
    "invalid argument",
    "system cannot open more files",
    "process cannot open more files",
    "not a tty",
    "text busy",
    "file too big",
    "out of disk space",
    "unseekable descriptor",
    "read-only file system",
    "too many links",
    "broken pipe",
    "input out of range",
    "output out of range",
    "unknown error",
    "file name too long",
    "no locks available",
    "system call not available",
    "directory not empty",
    "symbolic link loop",
  ];
}

/** Text for an errno (positive), e.g. 2 → "file does not exist". */
export function errorText(errno: number): string {
  const table = texts();
  if (errno >= 0 && errno < table.length) return table[errno]!;
  switch (errno) {
    case 95:
      return "operation not supported";
    case 98:
      return "address already used";
    case 101:
      return "network unreachable";
    case 111:
      return "connection refused";
    case 113:
      return "host unreachable";
    case 122:
      return "disk quota exceeded";
    default:
      return "unknown error";
  }
}
