/** Builds what lies in a simulated world before it runs. */
import { ascii } from "../../base/bytes.ts";
import type { Inode } from "./inode.ts";
import type { World } from "./world.ts";

/** The directory at an absolute path, made where it is missing. */
export function makeDirectory(world: World, path: string): Inode {
  const names = path.split("/");
  let at = world.root;
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    if (name === "") continue;
    let next = at.child(ascii(name));
    if (next === null) {
      next = world.inode("directory", 0o755);
      at.attach(ascii(name), next);
    }
    at = next;
  }
  return at;
}

/** A file with these contents, replacing one of that name. */
export function makeFile(world: World, dir: Inode, name: string, contents: string, mode: number): void {
  const old = dir.indexOf(ascii(name));
  if (old >= 0) dir.detach(old);
  const f = world.inode("file", mode);
  f.data = ascii(contents);
  dir.attach(ascii(name), f);
}
