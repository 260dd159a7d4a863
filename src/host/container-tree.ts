/**
 * The services of a container: its scanner, what they write, who of them is
 * still there, and the messages about it, which never block.
 */

import { EMPTY } from "../base/bytes.ts";
import { after, type DurationMs, type Fd, type Instant, type Pid, pid } from "../base/units.ts";
import type { ScanEntry } from "../core/scan.ts";
import { SIGKILL, SIGTERM } from "../kernel/constants.ts";
import type { Kernel, Move } from "../kernel/kernel.ts";
import { takesBytes } from "../kernel/machine.ts";
import { complain } from "../kernel/output.ts";
import { descriptorLimit, raiseDescriptorLimit } from "../kernel/self.ts";
import type { Reactor } from "../reactor.ts";
import type { ContainerSettings } from "./container-settings.ts";
import { DenseStarter, prepareHosting } from "./dense-host.ts";
import { Nursery } from "./nursery.ts";
import { otherProcesses, processName } from "./processes.ts";
import { NativeRunsvStarter } from "./runsv-starter.ts";
import { type RunsvStarter, Scanner, ScanOutput } from "./scanner.ts";
import { ServiceOutput } from "./service-output.ts";
import { busyWith, type Supervised, supervisedBy, supervisedByOthers } from "./tree.ts";

/** Supervisors that are nobody's children are looked for this often. */
const LOOK_MS = 100;
/** So many are named. */
const NAMED_MAX = 5;

class Messages extends ScanOutput {
  readonly #tree: ContainerTree;
  constructor(tree: ContainerTree) {
    super();
    this.#tree = tree;
  }
  override warn(message: string): void {
    this.#tree.say(`warning: ${message}`);
  }
}

/** Gives each forked runsv the ends of its pipes. */
class ContainerNursery extends Nursery {
  readonly #kernel: Kernel;
  readonly #output: ServiceOutput | null;
  readonly #notice: Fd;

  constructor(kernel: Kernel, output: ServiceOutput | null, notice: Fd) {
    super();
    this.#kernel = kernel;
    this.#output = output;
    this.#notice = notice;
  }

  override get notice(): Fd {
    return this.#notice;
  }

  override outputs(entry: ScanEntry): Move[] {
    const moves: Move[] = [];
    const ends = this.#output?.open(entry, this.#kernel.now()) ?? null;
    if (ends === null) return moves;
    if (ends.out >= 0) moves.push({ from: ends.out, to: 1 });
    if (ends.err >= 0) moves.push({ from: ends.err, to: 2 });
    return moves;
  }

  override forget(entry: ScanEntry): void {
    this.#output?.forget(entry.key);
  }
}

export class ContainerTree {
  /** There may be supervisors that are not our scanner's. */
  foreign = false;
  /** Where a runsv says that an essential service is down for good. */
  notice: Fd = -1;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #settings: ContainerSettings;
  readonly #output: ServiceOutput | null;
  #scanner: Scanner | null = null;
  #starter: RunsvStarter | null = null;
  #lookAt: Instant | null = null;

  constructor(reactor: Reactor, settings: ContainerSettings) {
    this.#kernel = reactor.kernel;
    this.#reactor = reactor;
    this.#settings = settings;
    this.#output = settings.lines === "raw" ? null : new ServiceOutput(reactor, settings.lines === "named");
  }

  // ---- Messages ----

  /** A message of ours, with our name in front. */
  say(message: string): void {
    this.print(`${this.#settings.name}${message}\n`);
  }

  /** Who is waited for, and how long yet. */
  sayWaiting(who: readonly string[], leftMs: DurationMs): void {
    const left = leftMs === Number.POSITIVE_INFINITY ? "no limit" : `${Math.max(0, Math.round(leftMs / 100) / 10)} s left`;
    this.say(`still waiting for ${who.length === 0 ? "the last lines" : who.join(", ")}, ${left}`);
  }

  /** A whole line; dropped when it would have to wait. */
  print(line: string): void {
    if (takesBytes(2)) complain(this.#kernel, line);
  }

  // ---- Across a trap ----

  get fds(): readonly Fd[] {
    return this.#output === null ? [] : this.#output.fds;
  }

  get words(): readonly Uint8Array[] {
    return this.#output === null ? [] : this.#output.words;
  }

  /** Whether one of these is other than it was; to be set to false once it was noticed. */
  get changed(): boolean {
    return this.#output !== null && this.#output.changed;
  }

  set changed(changed: boolean) {
    if (this.#output !== null) this.#output.changed = changed;
  }

  restore(fds: readonly Fd[], words: readonly Uint8Array[]): void {
    if (this.#output !== null) this.#output.restore(fds, words);
  }

  // ---- Life ----

  begin(now: Instant): void {
    const dir = this.#settings.dir;
    if (dir === null) return;
    const nursery = new ContainerNursery(this.#kernel, this.#output, this.notice);
    const starter = this.#newStarter(dir, nursery);
    this.#starter = starter;
    this.#scanner = new Scanner(this.#reactor, dir, starter, new Messages(this));
    this.#scanner.begin(now);
  }

  #newStarter(dir: Uint8Array, nursery: Nursery): RunsvStarter {
    if (this.#settings.separate) {
      const limits = raiseDescriptorLimit(null, false);
      return new NativeRunsvStarter(this.#kernel, true, limits, (m) => this.say(`fatal: ${m}`), nursery);
    }
    prepareHosting(this.#reactor.kernel, null);
    const print = (line: string): void => this.print(line);
    return new DenseStarter(this.#reactor, { dir, ownSession: true, descriptors: descriptorLimit(), print, nursery });
  }

  /** After a turn: whether a supervisor that is no process has ended. */
  settle(now: Instant): boolean {
    return this.#scanner?.settleHosted(now) ?? false;
  }

  rescan(now: Instant): void {
    if (this.#scanner !== null) this.#scanner.rescan(now);
  }

  get relay(): Pid {
    return this.#output === null ? pid(0) : this.#output.relay;
  }

  get relaying(): boolean {
    return this.relay !== 0;
  }

  /** Whether a reaped child was one of ours. */
  reaped(child: Pid, status: number, now: Instant): boolean {
    if (this.#output !== null && child === this.#output.relay) {
      this.#output.relayEnded(now);
      return true;
    }
    if (this.#scanner?.reaped(child, now) ?? false) return true;
    return this.#starter?.reaped(child, status, now) ?? false;
  }

  // ---- The end ----

  deadline(): Instant | null {
    return this.#lookAt;
  }

  /** Every supervisor is told to exit. */
  stop(now: Instant): void {
    if (this.#scanner !== null) this.#scanner.stopAll(now);
    if (!this.foreign) return;
    const others = supervisedByOthers(this.#kernel);
    for (let i = 0; i < others.length; i++) this.#kernel.kill(others[i]!.runsv, SIGTERM);
  }

  /** None is left. */
  isGone(now: Instant): boolean {
    this.#lookAt = null;
    if (this.#scanner !== null && this.#scanner.scan.running > 0) return false;
    if (!this.foreign || supervisedByOthers(this.#kernel).length === 0) return true;
    this.#lookAt = after(now, LOOK_MS);
    return false;
  }

  #supervised(): Supervised[] {
    const all = this.#scanner === null ? [] : supervisedBy(this.#kernel, this.#scanner, this.#settings.dir ?? EMPTY);
    if (!this.foreign) return all;
    const others = supervisedByOthers(this.#kernel);
    for (let i = 0; i < others.length; i++) {
      let known = false;
      for (let j = 0; j < all.length; j++) known = known || all[j]!.runsv === others[i]!.runsv;
      if (!known) all.push(others[i]!);
    }
    return all;
  }

  /** KILL to what supervisors wait for, but not to loggers: they have lines to write. */
  killBusy(): void {
    const all = this.#supervised();
    for (let i = 0; i < all.length; i++) {
      const busy = busyWith(this.#kernel, all[i]!);
      if (busy.pid <= 1) continue;
      this.say(`warning: killing ${busy.what}`);
      this.#kernel.kill(busy.pid, SIGKILL);
    }
  }

  /** Who keeps the end from coming: supervised ones, or anybody. */
  blockers(supervised: boolean): string[] {
    const names: string[] = [];
    if (supervised) {
      const all = this.#supervised();
      for (let i = 0; i < all.length; i++) names.push(busyWith(this.#kernel, all[i]!).what);
    } else {
      const others = otherProcesses(this.#kernel, this.relay) ?? [];
      for (let i = 0; i < others.length; i++) names.push(`${processName(this.#kernel, others[i]!.pid)} (pid ${others[i]!.pid})`);
    }
    const more = names.length - NAMED_MAX;
    if (more > 0) names.splice(NAMED_MAX, more, `${more} more`);
    return names;
  }

  /** Passes on what was written. False when there is nothing to wait for. */
  drain(now: Instant): boolean {
    return this.#output?.finish(now) ?? false;
  }
}
