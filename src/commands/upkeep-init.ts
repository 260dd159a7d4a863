/** upkeep-init(8), also `upkeep init`: the init of a container, for services, for one command, or for both. */
import { ascii, EMPTY, equal, item } from "../base/bytes.ts";
import { OptionReader } from "../base/options.ts";
import { runContainer, type Understood } from "../host/container-process.ts";
import {
  graceOfEnvironment,
  type Lines,
  linesOfEnvironment,
  parseGrace,
  servicesOfEnvironment,
} from "../host/container-settings.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";

const NAME = "upkeep init: ";
const USAGE = "usage: upkeep init [-gnrs] [-t seconds] [dir] [-- command [argument...]]\n\n";
const EXIT_USAGE = 100;
const END = ascii("--");

function misuse(kernel: Kernel, problem: string): Understood {
  if (problem !== "") complain(kernel, `${NAME}${problem}\n`);
  complain(kernel, USAGE);
  return { settings: null, exit: EXIT_USAGE };
}

/** `words`: what follows the command's name. */
function understand(kernel: Kernel, words: readonly Uint8Array[]): Understood {
  // A `--` ends options and begins the command: the reader is only shown what is before it.
  let end = 0;
  while (end < words.length && !equal(words[end]!, END)) end++;
  const before: Uint8Array[] = [EMPTY];
  for (let i = 0; i < end; i++) before.push(words[i]!);
  const command = words.slice(Math.min(end + 1, words.length));
  const options = new OptionReader(before, ascii("gnrst:"));
  let group = false;
  let separate = false;
  let lines: Lines = linesOfEnvironment();
  let graceMs = graceOfEnvironment();
  for (;;) {
    const step = options.next();
    if (step.kind === "end") break;
    if (step.kind === "unknown") return misuse(kernel, `illegal option -- ${step.letter}`);
    if (step.kind === "missing") return misuse(kernel, `option requires an argument -- ${step.letter}`);
    if (step.option.letter === "g") group = true;
    else if (step.option.letter === "n") lines = "named";
    else if (step.option.letter === "r") lines = "raw";
    else if (step.option.letter === "s") separate = true;
    else {
      const grace = parseGrace(step.option.value ?? EMPTY);
      if (grace === null) return misuse(kernel, "-t: not a number of seconds");
      graceMs = grace;
    }
  }
  if (before.length > options.at + 1) return misuse(kernel, "more than one directory (a command follows --)");
  if (end < words.length && command.length === 0) return misuse(kernel, "no command after --");
  const dir = item(before, options.at) ?? (command.length === 0 ? servicesOfEnvironment() : null);
  return { settings: { name: NAME, stages: false, dir, command, graceMs, group, lines, separate }, exit: 0 };
}

/** The container's exit code; 100 for misuse. */
export function upkeepInit(kernel: Kernel, argv: readonly Uint8Array[]): number {
  return runContainer(kernel, "upkeep-init", argv, (args) => understand(kernel, args));
}
