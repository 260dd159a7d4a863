/** A variable in a directory, as chpst -e and envdir(8) read it: the file's name is the name, its first line the value. */
import { indexOf } from "../base/bytes.ts";

const NEWLINE = 10;
const EQUALS = 61;

/**
 * The environment entry a file stands for. `content` is the file up to its
 * first newline at least. An empty file has no value: it removes the variable.
 * Blanks and tabs at the end of the value are cut (a carriage return is not),
 * NUL bytes become newlines.
 */
export function envdirEntry(name: Uint8Array, content: Uint8Array): Uint8Array {
  // compat: an empty file named A=B sets A to B, by the same road; blackbox/chpst-envdir.
  if (content.length === 0) return name;
  const newline = indexOf(content, NEWLINE, 0);
  let end = newline < 0 ? content.length : newline;
  while (end > 0 && (content[end - 1]! === 32 || content[end - 1]! === 9)) end--;
  const entry = new Uint8Array(name.length + 1 + end);
  entry.set(name, 0);
  entry[name.length] = EQUALS;
  for (let i = 0; i < end; i++) {
    const c = content[i]!;
    entry[name.length + 1 + i] = c === 0 ? NEWLINE : c;
  }
  return entry;
}
