/** runit(8): process 1 of a machine, or the init of a container. */
import { ascii, item } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { moveDescriptor, occupyStandardDescriptors, openConsoleForMessages, openConsoleForProgram } from "../host/console.ts";
import { runContainer, type Understood } from "../host/container-process.ts";
import {
  type ContainerSettings,
  graceOfEnvironment,
  linesOfEnvironment,
  servicesOfEnvironment,
} from "../host/container-settings.ts";
import { initMode } from "../host/init-mode.ts";
import { Lifeline } from "../host/lifeline.ts";
import { blockStageSignals, StageHost } from "../host/stage-host.ts";
import { SIGCHLD } from "../kernel/constants.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { announceCtrlAltDel, idle } from "../kernel/machine.ts";
import { complain } from "../kernel/output.ts";
import { becomeProgram } from "../kernel/self.ts";
import { Reactor } from "../reactor.ts";
import { ID_LINE } from "../version.ts";

const RETRY_MS = 5000;
/** What process 1 becomes when it cannot go on; the first that can be executed. */
const RESCUE: readonly string[] = ["/etc/runit/rescue", "/bin/sh"];
const RUNIT = ascii("/sbin/runit");

/** As process 1 of a machine it does not return; a container's exit code; otherwise 111. */
export function runit(kernel: Kernel, argv: readonly Uint8Array[]): number {
  const mode = initMode(kernel);
  if (mode === "container") return inContainer(kernel, argv);
  if (mode !== "classic") {
    complain(kernel, "- runit: fatal: must be run as process no 1.\n");
    return 111;
  }
  try {
    classic(kernel, argv);
  } catch (e) {
    complain(kernel, `- runit: fatal: internal error: ${e instanceof Error ? e.message : "unknown"}\n`);
  }
  rescue(kernel);
  return 111;
}

/** The same stages, where there are such files; what is missing of them is done here. */
function inContainer(kernel: Kernel, argv: readonly Uint8Array[]): number {
  const settings: ContainerSettings = {
    name: "- runit: ",
    stages: true,
    separate: true,
    dir: servicesOfEnvironment(),
    command: [],
    graceMs: graceOfEnvironment(),
    group: false,
    lines: linesOfEnvironment(),
  };
  return runContainer(kernel, "runit", argv, (_args): Understood => ({ settings, exit: 0 }));
}

/** Returns only when going on is useless. */
function classic(kernel: Kernel, argv: readonly Uint8Array[]): void {
  const lifeline = new Lifeline(kernel, "runit", argv, argumentPath(argv));
  kernel.setsid();
  blockStageSignals(kernel);
  openConsole(kernel);
  announceCtrlAltDel(kernel);
  if (!lifeline.recovered) complain(kernel, `- runit: ${ID_LINE.slice(0, -1)}: booting.\n`);
  else if (lifeline.exhausted) return;
  else complain(kernel, "- runit: warning: recovered from an internal error.\n");
  const reactor = openReactor(kernel);
  const host = new StageHost(reactor, lifeline);
  for (let r = host.open(); r < 0; r = host.open()) pauseFor(kernel, r);
  host.begin(kernel.now());
  for (;;) {
    try {
      reactor.turn(-1);
    } catch (e) {
      complain(kernel, `- runit: warning: internal error: ${e instanceof Error ? e.message : "unknown"}\n`);
      lifeline.restart();
    }
  }
}

/** What to exec where there is no /proc. */
function argumentPath(argv: readonly Uint8Array[]): Uint8Array {
  const own = item(argv, 0);
  return own !== null && own.length > 0 && own[0]! === 47 ? own : RUNIT;
}

function openConsole(kernel: Kernel): void {
  occupyStandardDescriptors(kernel);
  const fd = openConsoleForMessages(kernel);
  if (fd < 0) return;
  for (let to = 0; to <= 2; to++) kernel.dup3(fd, to, 0);
  kernel.close(fd);
}

function openReactor(kernel: Kernel): Reactor {
  let reactor = new Reactor(kernel);
  while (reactor.status < 0) {
    pauseFor(kernel, reactor.status);
    reactor = new Reactor(kernel);
  }
  return reactor;
}

/** compat: what runit does without a self-pipe; there is nothing to wait in yet but this. */
function pauseFor(kernel: Kernel, error: number): void {
  complain(kernel, `- runit: fatal: unable to create selfpipe, pausing: ${errorText(-error)}\n`);
  idle(RETRY_MS);
}

/** Process 1 becomes the rescue program, on the console; without one it stays, and does nothing any more. */
function rescue(kernel: Kernel): void {
  for (let i = 0; i < RESCUE.length; i++) {
    complain(kernel, `- runit: fatal: too many internal errors, becoming ${RESCUE[i]!}\n`);
    const fd = openConsoleForProgram(kernel, false);
    for (let to = 0; to <= 2 && fd >= 0; to++) kernel.dup3(fd, to, 0);
    if (fd >= 0) moveDescriptor(kernel, fd, 0);
    kernel.blockSignals([]);
    const program = ascii(RESCUE[i]!);
    becomeProgram(program, [program]);
  }
  // Whoever ends now is reaped by the kernel (wait(2)).
  kernel.ignoreSignal(SIGCHLD, true);
  for (;;) idle(RETRY_MS);
}
