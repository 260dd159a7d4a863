/** Who a program shall run as: `user`, `user:group…` or `:uid:gid…` (chpst -u, -U), or a plain account (setuidgid). */
import { byteAt, indexOf } from "../base/bytes.ts";
import { parseId } from "../formats/passwd.ts";

export type UserSpec =
  | { readonly kind: "names"; readonly user: Uint8Array; readonly groups: readonly Uint8Array[] }
  | { readonly kind: "numbers"; readonly uid: number; readonly gids: readonly number[] }
  /** Numbers that are none. */
  | { readonly kind: "invalid" };

const COLON = 58;

/** The parts between colons; a colon at the end has an empty part behind it. */
function parts(b: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  let start = 0;
  for (;;) {
    const colon = indexOf(b, COLON, start);
    if (colon < 0) break;
    found.push(b.subarray(start, colon));
    start = colon + 1;
  }
  found.push(b.subarray(start));
  return found;
}

function parseNumbers(b: Uint8Array): UserSpec {
  const fields = parts(b);
  const uid = parseId(fields[0]!);
  if (uid === null || fields.length < 2) return { kind: "invalid" };
  const gids: number[] = [];
  for (let i = 1; i < fields.length; i++) {
    const gid = parseId(fields[i]!);
    // runit takes nothing for 0, so that ":1000:" runs in root's group.
    if (gid === null) return { kind: "invalid" };
    gids.push(gid);
  }
  return { kind: "numbers", uid, gids };
}

/** A specification of chpst -u and -U. */
export function parseUserSpec(b: Uint8Array): UserSpec {
  if (byteAt(b, 0) === COLON) return parseNumbers(b.subarray(1));
  const fields = parts(b);
  return { kind: "names", user: fields[0]!, groups: fields.slice(1) };
}
