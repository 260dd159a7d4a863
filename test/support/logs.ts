/** Log directories, and a svlogd that is fed piece by piece. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Child, type Env, start, type Toolchain } from "./lab.ts";
import { slurp } from "./service.ts";

/** Makes a log directory with this config ("": none). Returns `path`. */
export function logDir(path: string, config = ""): string {
  mkdirSync(path, { recursive: true });
  if (config !== "") writeFileSync(join(path, "config"), config);
  return path;
}

/** A file's content, latin-1. */
export function read(dir: string, name: string): string {
  return readFileSync(join(dir, name), "latin1");
}

/** Permission bits, octal. */
export function mode(dir: string, name: string): string {
  return (statSync(join(dir, name)).mode & 0o777).toString(8);
}

/** Rotated files, oldest first. */
export function rotated(dir: string): string[] {
  return readdirSync(dir)
    .filter((n) => n.length === 27 && n.startsWith("@"))
    .sort();
}

/** The files of a log directory in the order in which they were written. */
export function logNames(dir: string): string[] {
  return [...rotated(dir), "current"];
}

/** Everything logged, in order. A file renamed while it was looked for would be missing: then it is all read again. */
export function all(dir: string): string {
  for (;;) {
    const names = logNames(dir);
    const text = names.map((name) => slurp(join(dir, name))).join("");
    if (logNames(dir).join() === names.join()) return text;
  }
}

export type Log = { readonly child: Child; write(text: string | Uint8Array): void };
export type LogOptions = { readonly cwd?: string; readonly options?: readonly string[]; readonly env?: Env };

/** svlogd on a pipe; it ends when the pipe is closed, or with the test. */
export function startLog(t: TestContext, tools: Toolchain, dirs: readonly string[], options: LogOptions = {}): Log {
  const args = [...(options.options ?? []), ...dirs];
  const child = start(t, tools.program("svlogd"), args, {
    stdio: ["pipe", "pipe", "pipe"],
    argv0: "svlogd",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  child.stdin?.on("error", () => undefined);
  return {
    child,
    write: (text) => {
      child.stdin?.write(text);
    },
  };
}

/** End of input; the exit code. */
export async function closeInput(log: Log): Promise<number | null> {
  log.child.stdin?.end();
  return (await log.child.exited).code;
}
