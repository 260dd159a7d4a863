/** Datagrams (udp(7)), which only svlogd sends. */
import type { Fd } from "../base/units.ts";

declare function kUdpSocket(): number;
declare function kUdpSend(fd: number, b: Uint8Array, ip: number, port: number): number;

/** A socket, or -errno. */
export function udpSocket(): Fd {
  return kUdpSocket();
}

/** Sends one datagram; `ip` in host order. Bytes sent, or -errno. */
export function udpSend(fd: Fd, b: Uint8Array, ip: number, port: number): number {
  return kUdpSend(fd, b, ip, port);
}
