/** nsswitch.conf(5): where else the C library would have looked for a user or group. */
import { ascii, indexOf, startsWith, text } from "../base/bytes.ts";

/** Sources a file parser covers, or that add no names of their own. */
const OURS: readonly string[] = ["files", "compat"];

function isBlank(c: number): boolean {
  return c === 32 || c === 9 || c === 13;
}

/** Adds the sources in a line's value; what stands in [brackets] is a reaction, not a source. */
function addSources(value: string, sources: string[]): void {
  const words = value.split("\t").join(" ").split("\r").join(" ").split("[").join(" [").split("]").join("] ").split(" ");
  let reaction = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word.startsWith("[")) reaction = true;
    const skip = reaction || word === "" || OURS.includes(word) || sources.includes(word);
    if (word.endsWith("]")) reaction = false;
    if (!skip) sources.push(word);
  }
}

/** Sources beyond the files for the databases passwd and group, each once, in the order met. */
export function otherSources(file: Uint8Array): string[] {
  const sources: string[] = [];
  const keys = [ascii("passwd:"), ascii("group:")];
  let start = 0;
  while (start < file.length) {
    const newline = indexOf(file, 10, start);
    const end = newline < 0 ? file.length : newline;
    while (start < end && isBlank(file[start]!)) start++;
    const comment = indexOf(file.subarray(0, end), 35, start);
    const line = file.subarray(start, comment < 0 ? end : comment);
    for (let k = 0; k < keys.length; k++) {
      const key = keys[k]!;
      if (startsWith(line, key)) addSources(text(line.subarray(key.length)), sources);
    }
    start = end + 1;
  }
  return sources;
}
