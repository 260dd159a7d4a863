/** Reading supervise/adopt where what it says is acted upon. */

import type { Fd } from "../base/units.ts";
import { ADOPT_BYTES, type AdoptRecord } from "../formats/adopt.ts";
import { EPERM } from "../kernel/constants.ts";
import { userId } from "../kernel/credentials.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";

const WRITABLE_BY_OTHERS = 0o022;

/**
 * Reads the record behind `fd` into `record`: bytes read, or -errno. -EPERM: it
 * is not a file of root's or ours that nobody else may write. Its author says
 * which processes get our signals, so that it is not believed.
 */
export function readAdopt(kernel: Kernel, fd: Fd, record: AdoptRecord): number {
  const stat = new Stat();
  const seen = kernel.fstat(fd, stat);
  if (seen < 0) return seen;
  if (stat.size === 0) return 0;
  const own = stat.uid === 0 || stat.uid === userId();
  if (!own || !stat.isRegular() || (stat.mode & WRITABLE_BY_OTHERS) !== 0) return stat.size >= ADOPT_BYTES ? -EPERM : 0;
  return kernel.pread(fd, record.raw, 0);
}
