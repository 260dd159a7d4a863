/** A container made of namespaces (pidns.ts) whose process 1 is our init in container mode. */
import { type TestContext, test } from "node:test";
import { type Result, UPKEEP, until } from "./lab.ts";
import { boot, inside, type Machine, type MachineEnd, type MachineFiles, type MachineOptions } from "./pidns.ts";

export const LIMIT = { timeout: 400_000 };
/** A service that says when it begins and when it is told to end. */
export const POLITE = `#!/bin/sh
trap 'echo $(basename $PWD) stops; exit 0' TERM
echo $(basename $PWD) runs
while :; do sleep 0.1; done
`;
/** Only KILL ends it. */
export const DEAF = `#!/bin/sh
trap '' TERM
echo $(basename $PWD) runs
while :; do sleep 0.1; done
`;

export type Container = Machine & {
  /** Lines of standard output so far. */
  lines(): string[];
  shows(line: string): Promise<void>;
  complains(pattern: RegExp): Promise<void>;
};

function asContainer(m: Machine): Container {
  const lines = (): string[] => m.stdout().split("\n").slice(0, -1);
  return {
    ...m,
    lines,
    shows: (line) => until(`"${line}" in:\n${m.stdout()}${m.stderr()}`, () => lines().includes(line)),
    complains: (pattern) => until(`${pattern} in:\n${m.stderr()}`, () => pattern.test(m.stderr())),
  };
}

/** Process 1 is `runit`, or `upkeep init` with `words`. */
export async function contain(
  t: TestContext,
  words: readonly string[] | "runit",
  etc: MachineFiles = {},
  options: MachineOptions = {},
): Promise<Container> {
  const program = words === "runit" ? [inside(UPKEEP, "runit")] : [inside(UPKEEP, "upkeep"), "init", ...words];
  const env = { UPKEEP_CONTAINER: undefined, ...options.env };
  return asContainer(await boot(t, UPKEEP, program, { console: false, ...options, env, etc }));
}

/** How a container with this command ends. */
export async function endOf(t: TestContext, words: readonly string[] | "runit", etc: MachineFiles = {}): Promise<MachineEnd> {
  return (await contain(t, words, etc)).end;
}

export function check(name: string, fn: (t: TestContext) => Promise<void>): void {
  test(name, LIMIT, fn);
}

/** Runs a program inside and fails unless it exits 0. */
export async function must(m: Machine, ...words: readonly string[]): Promise<Result> {
  const result = await m.exec(...words);
  if (result.code !== 0) throw new Error(`${words.join(" ")}: ${result.code}\n${result.stdout}${result.stderr}`);
  return result;
}
