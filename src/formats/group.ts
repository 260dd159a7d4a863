/** The group database, group(5): name:password:gid:member,member… Lines that are no entries are skipped, as in passwd.ts. */
import { indexOf } from "../base/bytes.ts";
import { field, isEntryName, Lines, parseId } from "./passwd.ts";

const COMMA = 44;

function gidOf(line: Uint8Array): number | null {
  const name = field(line, 0);
  const gid = field(line, 2);
  return name === null || gid === null || !isEntryName(name) ? null : parseId(gid);
}

/** The number of a group by its first entry, or null. */
export function findGroup(file: Uint8Array, name: Uint8Array): number | null {
  if (!isEntryName(name)) return null;
  const lines = new Lines(file, name);
  for (let line = lines.next(); line !== null; line = lines.next()) {
    const gid = gidOf(line);
    if (gid !== null) return gid;
  }
  return null;
}

/** Whether a comma-separated list of members names the user. */
function hasMember(list: Uint8Array, user: Uint8Array): boolean {
  let start = 0;
  while (start <= list.length) {
    const comma = indexOf(list, COMMA, start);
    const end = comma < 0 ? list.length : comma;
    if (end - start === user.length) {
      let same = true;
      for (let i = 0; same && i < user.length; i++) same = list[start + i]! === user[i]!;
      if (same) return true;
    }
    start = end + 1;
  }
  return false;
}

/** Numbers of all groups that list the user as a member, in the order of the file, each once. */
export function groupsOf(file: Uint8Array, user: Uint8Array): number[] {
  const gids: number[] = [];
  const seen = new Set<number>();
  if (!isEntryName(user) || indexOf(user, COMMA, 0) >= 0) return gids;
  const lines = new Lines(file, null);
  for (let line = lines.next(); line !== null; line = lines.next()) {
    const members = field(line, 3);
    if (members === null || !hasMember(members, user)) continue;
    const gid = gidOf(line);
    if (gid === null || seen.has(gid)) continue;
    seen.add(gid);
    gids.push(gid);
  }
  return gids;
}
