/**
 * Users and groups by name, from /etc/passwd and /etc/group: those of the new
 * root after chpst -/, as the C library would read them there. A static
 * program has no name service switch; where the system has one with more
 * sources, the error says so.
 */
import { ascii, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import type { Account } from "../core/process-changes.ts";
import { parseUserSpec } from "../core/user-spec.ts";
import { findGroup, groupsOf } from "../formats/group.ts";
import { otherSources } from "../formats/nsswitch.ts";
import { findUser, type User } from "../formats/passwd.ts";
import { AT_FDCWD } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Content, readFileAt } from "./read-file.ts";

const DATABASE_BYTES_MAX = 256 * 1024 * 1024;
const NO_STOP = 256;

/** Who that is; groups are all of them, the first is the gid. */
export type Ids = { readonly uid: number; readonly groups: readonly number[] };

/** Ids, or a message why there are none. */
export type Resolved = { readonly kind: "ids"; readonly ids: Ids } | { readonly kind: "failed"; readonly message: string };

function failed(message: string): Resolved {
  return { kind: "failed", message };
}

export class Accounts {
  readonly #kernel: Kernel;
  #passwd: Content | null = null;
  #group: Content | null = null;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** The ids of an account; `allGroups` adds the groups that list the user as a member. */
  resolve(account: Account, allGroups: boolean): Resolved {
    if (account.plain) return this.#plain(account.text);
    const spec = parseUserSpec(account.text);
    switch (spec.kind) {
      case "invalid":
        return failed(`invalid uid/gids: ${text(account.text.subarray(1))}`);
      case "numbers":
        return { kind: "ids", ids: { uid: spec.uid, groups: spec.gids } };
      default:
        return this.#named(account.text, spec.user, spec.groups, allGroups);
    }
  }

  #plain(name: Uint8Array): Resolved {
    const file = this.#passwdFile();
    if (file.errno !== 0) return failed(`unable to get password file entry: ${errorText(file.errno)}`);
    const user = findUser(file.bytes, name);
    if (user === null) return failed(`unknown account: ${text(name)}${this.#hint()}`);
    return { kind: "ids", ids: { uid: user.uid, groups: [user.gid] } };
  }

  #named(spec: Uint8Array, name: Uint8Array, groups: readonly Uint8Array[], allGroups: boolean): Resolved {
    const passwd = this.#passwdFile();
    if (passwd.errno !== 0) return failed(`unable to get password/group file entry: ${errorText(passwd.errno)}`);
    const user = findUser(passwd.bytes, name);
    if (user === null) return failed(`unknown user/group: ${text(spec)}${this.#hint()}`);
    if (groups.length === 0 && !allGroups) return { kind: "ids", ids: { uid: user.uid, groups: [user.gid] } };
    const group = this.#groupFile();
    if (group.errno !== 0) return failed(`unable to get password/group file entry: ${errorText(group.errno)}`);
    const gids = this.#gids(group.bytes, user, groups);
    if (gids.length === 0) return failed(`unknown user/group: ${text(spec)}${this.#hint()}`);
    return { kind: "ids", ids: { uid: user.uid, groups: allGroups ? withMemberships(gids, group.bytes, name) : gids } };
  }

  /** Numbers of the groups asked for, or the user's own; none when a name is unknown. */
  #gids(file: Uint8Array, user: User, names: readonly Uint8Array[]): number[] {
    if (names.length === 0) return [user.gid];
    const gids: number[] = [];
    for (let i = 0; i < names.length; i++) {
      const gid = findGroup(file, names[i]!);
      if (gid === null) return [];
      gids.push(gid);
    }
    return gids;
  }

  #passwdFile(): Content {
    if (this.#passwd === null) this.#passwd = this.#read("/etc/passwd");
    return this.#passwd;
  }

  #groupFile(): Content {
    if (this.#group === null) this.#group = this.#read("/etc/group");
    return this.#group;
  }

  #read(path: string): Content {
    return readFileAt(this.#kernel, AT_FDCWD, ascii(path), NO_STOP, DATABASE_BYTES_MAX);
  }

  /** Behind "unknown": the sources of names this program does not ask. */
  #hint(): string {
    const sources = otherSources(this.#read("/etc/nsswitch.conf").bytes);
    if (sources.length === 0) return "";
    return ` (only /etc/passwd and /etc/group are read; nsswitch.conf has ${sources.join(", ")} too)`;
  }
}

/** The groups, and behind them those that list the user, each once. */
function withMemberships(gids: readonly number[], file: Uint8Array, user: Uint8Array): number[] {
  const all = gids.slice();
  const members = groupsOf(file, user);
  for (let i = 0; i < members.length; i++) if (!gids.includes(members[i]!)) all.push(members[i]!);
  return all;
}
