/** Capabilities by name (capabilities(7)); the place in the list is the number. */

import { ascii } from "../base/bytes.ts";
import type { Number64 } from "../base/number64.ts";
import { parseId } from "./passwd.ts";

const NUMBER_MAX = 63;

function names(): readonly string[] {
  const all =
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service " +
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin " +
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override " +
    "mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore";
  return all.split(" ");
}

function numberOf(word: string, known: readonly string[]): number {
  const name = word.toLowerCase();
  const at = known.indexOf(name.startsWith("cap_") ? name.slice(4) : name);
  if (at >= 0) return at;
  const number = parseId(ascii(word));
  return number === null || number > NUMBER_MAX ? -1 : number;
}

/** A set from names or numbers between commas, `all` or `none`; null when one is unknown. */
export function parseCapabilities(list: string): Number64 | null {
  if (list === "none") return { low: 0, high: 0 };
  if (list === "all") return { low: 0xffffffff, high: 0xffffffff };
  const known = names();
  const words = list.split(",");
  let low = 0;
  let high = 0;
  for (let i = 0; i < words.length; i++) {
    const n = numberOf(words[i]!, known);
    if (n < 0) return null;
    if (n < 32) low = (low | (1 << n)) >>> 0;
    else high = (high | (1 << (n - 32))) >>> 0;
  }
  return { low, high };
}
