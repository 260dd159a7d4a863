/** The status line of sv(8): `run: web: (pid 14371) 12s, want down`. */
import type { ByteBuffer } from "../base/byte-buffer.ts";
import { ascii } from "../base/bytes.ts";
import type { StatusBytes } from "../formats/status.ts";

const STATES: readonly Uint8Array[] = [ascii("down: "), ascii("run: "), ascii("finish: ")];
const PID = ascii(": (pid ");
const AFTER_PID = ascii(") ");
const COLON = ascii(": ");
const SECONDS = ascii("s");
const NORMALLY_DOWN = ascii(", normally down");
const NORMALLY_UP = ascii(", normally up");
const PAUSED = ascii(", paused");
const WANT_UP = ascii(", want up");
const WANT_DOWN = ascii(", want down");
const GOT_TERM = ascii(", got TERM");

/** Puts the line without a newline. `downFile`: the service directory has a file `down`. `age` in whole seconds. */
export function putStatusLine(out: ByteBuffer, name: Uint8Array, status: StatusBytes, downFile: boolean, age: number): void {
  const pid = status.pid;
  const state = status.state;
  if (state < STATES.length) out.put(STATES[state]!);
  out.put(name);
  if (state !== 0) {
    out.put(PID);
    out.putDecimal(pid);
    out.put(AFTER_PID);
  } else {
    out.put(COLON);
  }
  out.putDecimal(age);
  out.put(SECONDS);
  if (pid !== 0 && downFile) out.put(NORMALLY_DOWN);
  if (pid === 0 && !downFile) out.put(NORMALLY_UP);
  if (pid !== 0 && status.paused) out.put(PAUSED);
  if (pid === 0 && status.wantsUp) out.put(WANT_UP);
  if (pid !== 0 && status.wantsDown) out.put(WANT_DOWN);
  if (pid !== 0 && status.gotTerm) out.put(GOT_TERM);
}
