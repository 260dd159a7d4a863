/** Lines that go elsewhere besides the file: to standard error (config `e`), as datagrams (`u`, `U`). */

import { ByteBuffer } from "../base/byte-buffer.ts";
import { ascii, concat, EMPTY } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import { LineCopies } from "../core/log-line.ts";
import { udpSend, udpSocket } from "../kernel/datagram.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { takesBytes } from "../kernel/machine.ts";
import { output, writeAll } from "../kernel/output.ts";

const CUT = ascii("...");
const NEWLINE = ascii("\n");
const UDP_FAILED = ascii("warning: failure sending through udp: ");
const NO_SOCKET = ascii("warning: no udp socket available: ");
const STDERR = 2;
/** More than this many bytes for standard error are not held back. */
const STDERR_BYTES = 16384;

export class LineSender extends LineCopies {
  /** Stamp and prefix of the first line of the block, and of the others. */
  firstHead: Uint8Array = EMPTY;
  head: Uint8Array = EMPTY;
  ip = 0;
  port = 0;
  readonly #kernel: Kernel;
  readonly #errors: ByteBuffer = new ByteBuffer(64);
  #socket: Fd = -1;

  constructor(kernel: Kernel) {
    super();
    this.#kernel = kernel;
  }

  override toStderr(line: Uint8Array, cut: boolean, first: boolean): void {
    const out = this.#errors;
    out.put(first ? this.firstHead : this.head);
    out.put(line);
    if (cut) out.put(CUT);
    out.put(NEWLINE);
    if (out.length >= STDERR_BYTES) this.flush();
  }

  override toNetwork(line: Uint8Array, cut: boolean, first: boolean): Uint8Array {
    const record = concat([first ? this.firstHead : this.head, line, cut ? CUT : EMPTY, NEWLINE]);
    if (this.#socket < 0) this.#socket = udpSocket();
    if (this.#socket < 0) return concat([NO_SOCKET, record]);
    return udpSend(this.#socket, record, this.ip, this.port) < 0 ? concat([UDP_FAILED, record]) : EMPTY;
  }

  /** Writes what is meant for standard error: once per block, not per line. */
  flush(): void {
    if (this.#errors.length === 0) return;
    if (output.mayWait || takesBytes(STDERR)) writeAll(this.#kernel, STDERR, this.#errors.bytes());
    this.#errors.clear();
  }

  close(): void {
    this.flush();
    if (this.#socket >= 0) this.#kernel.close(this.#socket);
    this.#socket = -1;
  }
}
