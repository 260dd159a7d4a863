/** The process that is a container's init: its loop, and what a trap leaves of it. */
import { ascii, EMPTY, item, parseDecimal } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { PR_SET_CHILD_SUBREAPER, SIGKILL } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { Reactor } from "../reactor.ts";
import { occupyStandardDescriptors } from "./console.ts";
import { ContainerHost, INTERNAL_FAILURE } from "./container-host.ts";
import type { ContainerSettings } from "./container-settings.ts";
import { containerSignals, takeSignals } from "./container-signals.ts";
import { Lifeline } from "./lifeline.ts";
import { stateDirectories } from "./mirror.ts";
import { signalEveryone } from "./strays.ts";

/** What the command line says, or the exit code of a usage message already given. */
export type Understood = { readonly settings: ContainerSettings | null; readonly exit: number };

const SELF = ascii("/sbin/runit");

/**
 * Runs until the container is to end; returns its exit code. `command` is the
 * name our successor after a trap is called by; `understand` reads the words
 * after argv[0], also for that successor.
 */
export function runContainer(
  kernel: Kernel,
  command: string,
  argv: readonly Uint8Array[],
  understand: (args: readonly Uint8Array[]) => Understood,
): number {
  const own = item(argv, 0) ?? EMPTY;
  const lifeline = new Lifeline(kernel, command, argv, own.length > 0 && own[0]! === 47 ? own : SELF);
  const words = lifeline.words;
  const count = lifeline.recovered ? parseDecimal(item(words, 0) ?? EMPTY).value : 0;
  const args = lifeline.recovered ? words.slice(1, 1 + count) : words;
  const { settings, exit } = understand(args);
  if (settings === null) return exit;
  stateDirectories.find();
  occupyStandardDescriptors(kernel);
  takeSignals(kernel);
  if (lifeline.exhausted) {
    complain(kernel, `${settings.name}fatal: too many internal errors\n`);
    signalEveryone(kernel, SIGKILL, 0);
    return INTERNAL_FAILURE;
  }
  if (lifeline.recovered) complain(kernel, `${settings.name}warning: recovered from an internal error.\n`);
  // Orphans of a process that is not number 1 would end up elsewhere (prctl(2)).
  if (kernel.getpid() !== 1) kernel.prctl(PR_SET_CHILD_SUBREAPER, 1);
  const signalFd = kernel.signalfd(containerSignals());
  const reactor = new Reactor(kernel);
  const host = new ContainerHost(reactor, settings, lifeline, args);
  const opened = signalFd < 0 ? signalFd : reactor.status < 0 ? reactor.status : host.open(signalFd);
  if (opened < 0) {
    complain(kernel, `${settings.name}fatal: unable to watch signals: ${errorText(-opened)}\n`);
    return INTERNAL_FAILURE;
  }
  host.begin(lifeline.recovered ? words.slice(1 + count) : [], kernel.now());
  while (host.exitCode < 0) {
    try {
      reactor.turn(-1);
      host.turned();
    } catch (e) {
      complain(kernel, `${settings.name}warning: internal error: ${e instanceof Error ? e.message : "unknown"}\n`);
      lifeline.restart();
    }
  }
  return host.exitCode;
}
