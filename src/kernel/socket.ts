/** Messages between two of our own processes, with descriptors in them (unix(7)). Each call returns >= 0 or -errno. */
import { le32 } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";

declare function kSocketpair(b: Uint8Array): number;
declare function kSendFd(sock: number, fd: number, b: Uint8Array): number;
declare function kRecvFd(sock: number, b: Uint8Array, out: Uint8Array): number;

/** Two ends, or errno. */
export type SocketPair = { readonly errno: number; readonly a: Fd; readonly b: Fd };

/** Closed on exec, messages kept apart. */
export function socketPair(): SocketPair {
  const b = new Uint8Array(8);
  const r = kSocketpair(b);
  return r < 0 ? { errno: -r, a: -1, b: -1 } : { errno: 0, a: le32(b, 0), b: le32(b, 4) };
}

/** One message, and a copy of `fd` with it (< 0: none). Never waits: -EAGAIN when the other side is behind. */
export function sendDescriptor(socket: Fd, fd: Fd, message: Uint8Array): number {
  return kSendFd(socket, fd, message);
}

/** A message received: `length` 0 when the other side is gone, < 0: -errno; `fd` is ours now, -1: none came. */
export type Received = { readonly length: number; readonly fd: Fd };

/** The next message, cut to `into`. Never waits. */
export function receiveDescriptor(socket: Fd, into: Uint8Array): Received {
  const out = new Uint8Array(4);
  const length = kRecvFd(socket, into, out);
  return { length, fd: length < 0 ? -1 : le32(out, 0) | 0 };
}
