/**
 * A seed's whole story: build a machine, let an administrator and the faults
 * loose on it, stop the faults, ask for something, and see that it comes true.
 */
import { ascii, text } from "../../src/base/bytes.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  IN_MOVED_FROM,
  IN_MOVED_TO,
  SIGALRM,
  SIGCONT,
  SIGHUP,
  SIGKILL,
  SIGSTOP,
  SIGTERM,
  SIGUSR1,
} from "../../src/kernel/constants.ts";
import { makeDirectory, makeFile } from "../../src/kernel/simulated/building.ts";
import type { Inode } from "../../src/kernel/simulated/inode.ts";
import { Actor } from "../../src/kernel/simulated/outside.ts";
import type { Process } from "../../src/kernel/simulated/process.ts";
import { Script } from "../../src/kernel/simulated/script.ts";
import { World } from "../../src/kernel/simulated/world.ts";
import { Checks } from "./checks.ts";
import { Asker, converged } from "./convergence.ts";
import { addService, type Service } from "./plan.ts";
import { Scheduler, startRunsv, startRunsvdir } from "./scheduler.ts";

const SECOND_US = 1000000;
/** How long faults last, drawn between these. */
const TROUBLE_FROM_US = 4 * SECOND_US;
const TROUBLE_TO_US = 20 * SECOND_US;
/** From the end of the faults to the state that was asked for. */
const CONVERGENCE_US = 15 * SECOND_US;
/** So many service directories a world has, those replaced included. */
const SERVICES_MOST = 6;
/** Commands of a flood: more than the machine takes in at a time. */
const FLOOD = 200;

export type Outcome = {
  readonly seed: number;
  /** Empty: every promise was kept. */
  readonly failure: string;
  readonly traceHash: number;
  readonly traceLength: number;
  readonly starts: number;
  readonly bytesGone: number;
};

/** Stands in for runsvdir where a world has none, and for stage 2 where it has one: starts again what has ended. */
class Keeper extends Actor {
  readonly #machine: Machine;
  readonly #prng: Prng;

  constructor(machine: Machine, prng: Prng) {
    super();
    this.#machine = machine;
    this.#prng = prng;
  }

  override act(world: World, what: number): void {
    world.at(world.us + this.#prng.between(20000, 1500000), null, this, what);
    const m = this.#machine;
    const init = world.init;
    if (init === null) return;
    if (m.tree) {
      const old = m.runsvdir;
      if (old === null || old.state !== "live") m.runsvdir = startRunsvdir(world, init, m.dense);
      return;
    }
    const s = what < m.services.length ? m.services[what]! : null;
    if (s !== null && s.runsv === null) startRunsv(world, s, init);
  }
}

const RUNSVDIR_SIGNALS: readonly number[] = [SIGKILL, SIGTERM, SIGHUP, SIGALRM, SIGUSR1];
const LETTERS = ascii("udoxtkpcahiq12\nZ");

/** The administrator: commands, signals, files, clocks, the power switch. */
class Admin extends Actor {
  readonly #machine: Machine;
  readonly #prng: Prng;
  readonly #paceUs: number;

  constructor(machine: Machine, prng: Prng) {
    super();
    this.#machine = machine;
    this.#prng = prng;
    this.#paceUs = prng.between(50000, 1500000);
  }

  override act(world: World, _what: number): void {
    if (this.#machine.calm) return;
    world.at(world.us + this.#prng.between(1000, this.#paceUs), null, this, 0);
    const services = this.#machine.services;
    const s = services[this.#prng.below(services.length)]!;
    if (this.#machine.tree && this.#prng.below(4) === 0) this.#treeDeed(world, s);
    else this.#deed(world, s);
  }

  /** Moves a service directory about, or does something to runsvdir. */
  #treeDeed(world: World, s: Service): void {
    const kind = this.#prng.below(100);
    const runsvdir = this.#machine.runsvdir;
    if (kind < 30) this.#machine.move(s);
    else if (kind < 35) this.#machine.replace(s);
    else if (kind < 50) this.#killAt(runsvdir);
    else if (kind < 60) this.#pause(world, runsvdir);
    else if (kind < 95) this.#signal(world, runsvdir, RUNSVDIR_SIGNALS[this.#prng.below(RUNSVDIR_SIGNALS.length)]!);
  }

  #deed(world: World, s: Service): void {
    const prng = this.#prng;
    const kind = prng.below(100);
    if (kind < 55) this.#command(world, s, prng.below(4) === 0, prng.between(1, 3));
    else if (kind < 60) this.#command(world, s, prng.below(4) === 0, FLOOD);
    else if (kind < 68) this.#signal(world, s.run, prng.below(2) === 0 ? SIGTERM : SIGKILL);
    else if (kind < 71) this.#signal(world, s.log, prng.below(2) === 0 ? SIGTERM : SIGKILL);
    else if (kind < 74) this.#signal(world, s.finish, SIGKILL);
    else if (kind < 76) this.#signal(world, s.hook, SIGKILL);
    else if (kind < 79) this.#signal(world, s.runsv, SIGTERM);
    else if (kind < 82) this.#killAt(s.runsv);
    else if (kind < 85) this.#pause(world, s.runsv);
    else if (kind < 89) this.#clock(world);
    else if (kind < 94) this.#files(world, s);
    else if (kind < 95) this.#machine.reboot();
  }

  #command(world: World, s: Service, log: boolean, most: number): void {
    const prng = this.#prng;
    const fifo = s.control(log && s.hasLog);
    const pipe = fifo === null ? null : fifo.pipe;
    if (pipe === null || pipe.readers === 0) return;
    const n = most < 10 ? most : Math.min(pipe.room, most);
    const b = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      b[i] = LETTERS[prng.below(LETTERS.length)]!;
      // Up, once, or down: an operator's word counts after runsvdir's TERM, and takes it back.
      if (b[i]! === 117 || b[i]! === 111 || b[i]! === 100) s.called = true;
    }
    world.note(`command ${n < 10 ? text(b) : "flood"}`, s.id, n);
    pipe.put(b);
  }

  #signal(world: World, p: Process | null, signal: number): void {
    if (p !== null) world.signal(p, signal);
  }

  #killAt(p: Process | null): void {
    if (p !== null) p.killAtCall = p.calls + this.#prng.between(1, 120);
  }

  #pause(world: World, p: Process | null): void {
    if (p === null) return;
    world.signal(p, p.stopped ? SIGCONT : SIGSTOP);
    world.at(world.us + this.#prng.between(1000, 2000000), null, new Waker(p), 0);
  }

  #clock(world: World): void {
    const far = this.#prng.below(2) === 0 ? 5000000 : 100000000000;
    this.#machine.checks.clockIsToBeSet(world);
    if (this.#prng.below(4) === 0) world.suspendedUs += this.#prng.below(far);
    else world.wallOffsetUs += this.#prng.below(far) - Math.floor(far / 2);
    world.note("clock", 0, 0);
  }

  #files(world: World, s: Service): void {
    const at = s.directory.indexOf(ascii("finish"));
    switch (this.#prng.below(3)) {
      case 0:
        if (at >= 0) s.directory.detach(at);
        else makeFile(world, s.directory, "finish", `#!sim finish id=${s.id} life=${s.hookMs}-${s.hookMs}`, 0o755);
        break;
      case 1:
        makeFile(world, s.directory, "finish", "no program at all", 0o644);
        break;
      case 2: {
        const run = s.directory.child(ascii("run"));
        if (run !== null) run.mode = run.mode === 0o755 ? 0o644 : 0o755;
        break;
      }
    }
    world.note("files", s.id, at);
  }
}

class Waker extends Actor {
  readonly #process: Process;
  constructor(p: Process) {
    super();
    this.#process = p;
  }
  override act(world: World, _what: number): void {
    if (this.#process.stopped) world.signal(this.#process, SIGCONT);
  }
}

export class Machine {
  readonly world: World;
  readonly services: Service[] = [];
  readonly checks: Checks;
  /** Whether a runsvdir keeps the supervisors. */
  readonly tree: boolean;
  /** And whether that is in one process with them. */
  readonly dense: boolean;
  runsvdir: Process | null = null;
  /** The faults are over. */
  calm = false;
  readonly #seed: number;
  readonly #prng: Prng;
  readonly #keeper: Keeper;
  readonly #scheduler: Scheduler;

  constructor(seed: number) {
    this.#seed = seed;
    this.world = new World(seed);
    this.#prng = new Prng(Math.imul(seed, 0x85ebca6b) ^ 0x2545f491);
    this.checks = new Checks(this.services);
    const w = this.world;
    this.#scheduler = new Scheduler(w, this.checks, this.#prng);
    w.faults.draw();
    w.pidLimit = 300 + this.#prng.between(40, 120);
    w.pidfdTells = this.#prng.below(2) === 0;
    w.pipeCapacity = this.#prng.below(2) === 0 ? 4096 : 65536;
    makeDirectory(w, "/service");
    this.#keeper = new Keeper(this, this.#prng);
    this.tree = this.#prng.below(2) === 0;
    this.dense = this.tree && this.#prng.below(2) === 0;
    // From the first or second service on descriptors are scarce, and mappings may be of no use then.
    if (this.dense && this.#prng.below(2) === 0) w.openFiles = this.#prng.between(20, 48);
    w.mapsBelow = this.#prng.below(4) === 0;
    const n = this.#prng.between(1, 3);
    for (let i = 0; i < n; i++) addService(w, this.#prng, this.services, `s${i}`);
  }

  run(): Outcome {
    const w = this.world;
    w.boot([ascii("init")], new Script("init"));
    const kept = this.tree ? 1 : this.services.length;
    for (let i = 0; i < kept; i++) w.at(w.us + this.#prng.below(100000), null, this.#keeper, i);
    w.at(w.us + SECOND_US, null, new Admin(this, this.#prng), 0);
    const troubled = this.#prng.between(TROUBLE_FROM_US, TROUBLE_TO_US);
    this.#scheduler.runUntil(w.us + troubled);
    this.#calm();
    this.#scheduler.runUntil(w.us + CONVERGENCE_US);
    converged(this.checks, w, this.services, this.runsvdir);
    return {
      seed: this.#seed,
      failure: this.checks.failure,
      traceHash: w.traceHash,
      traceLength: w.traceLength,
      starts: this.checks.starts,
      bytesGone: this.checks.bytesGone,
    };
  }

  /** The machine is switched off and on again: files stay as they are. */
  reboot(): void {
    const w = this.world;
    w.powerCycle();
    this.runsvdir = null;
    for (let i = 0; i < this.services.length; i++) {
      const s = this.services[i]!;
      s.runsv = null;
      s.run = null;
      s.finish = null;
      s.hook = null;
      s.log = null;
      s.runStartedAt = -1;
      s.logStartedAt = -1;
      s.recordLost = false;
    }
    w.boot([ascii("init")], new Script("init"));
  }

  // --- service directories that go and come --------------------------------

  /** Out of the scanned directory, or back into it. */
  move(s: Service): void {
    if (s.gone) return;
    const there = makeDirectory(this.world, "/service");
    const elsewhere = makeDirectory(this.world, "/elsewhere");
    if (s.listed) this.#rename(s, there, elsewhere);
    else if (there.child(ascii(s.name)) === null) this.#rename(s, elsewhere, there);
  }

  /** Another service directory in the place of one. */
  replace(s: Service): void {
    if (!s.listed || s.gone || this.services.length > SERVICES_MOST) return;
    const old = makeDirectory(this.world, `/gone${s.id}`);
    this.#rename(s, makeDirectory(this.world, "/service"), old);
    s.gone = true;
    addService(this.world, this.#prng, this.services, s.name);
    this.#touch(makeDirectory(this.world, "/service"), IN_MOVED_TO, s.name);
  }

  #rename(s: Service, from: Inode, to: Inode): void {
    const at = from.indexOf(ascii(s.name));
    if (at < 0) return;
    from.detach(at);
    to.attach(ascii(s.name), s.directory);
    s.listed = !s.listed;
    s.movedAt = this.world.us;
    const fifo = s.control(false);
    s.called = fifo !== null && fifo.pipe !== null && fifo.pipe.length > 0;
    this.#touch(from, IN_MOVED_FROM, s.name);
    this.#touch(to, IN_MOVED_TO, s.name);
    this.world.note(`move ${s.name}`, s.id, s.listed ? 1 : 0);
  }

  #touch(dir: Inode, what: number, name: string): void {
    dir.mtimeSeconds = Math.floor((this.world.us + this.world.wallOffsetUs) / SECOND_US);
    dir.notify(what, ascii(name));
  }

  // --- convergence --------------------------------------------------------

  /** Faults end, what was broken is mended, and every service is asked for a state. */
  #calm(): void {
    const w = this.world;
    this.calm = true;
    w.faults.enabled = false;
    for (let i = 0; i < w.processes.length; i++) {
      w.processes[i]!.killAtCall = -1;
      if (w.processes[i]!.stopped) w.signal(w.processes[i]!, SIGCONT);
    }
    for (let i = 0; i < this.services.length; i++) {
      if (!this.services[i]!.listed && this.#prng.below(2) === 0) this.move(this.services[i]!);
      if (!this.services[i]!.listed) continue;
      const run = this.services[i]!.directory.child(ascii("run"));
      if (run !== null) run.mode = 0o755;
      w.at(w.us + 3 * SECOND_US, null, new Asker(this.services[i]!, this.#prng.below(2) === 0 ? "u" : "d"), 0);
    }
  }
}

export function simulate(seed: number): Outcome {
  return new Machine(seed).run();
}

/** A seed's result on a line; equal lines mean equal histories. */
export function line(o: Outcome): string {
  return `${o.seed} ${o.traceLength} ${o.traceHash} ${o.starts} ${o.bytesGone} ${o.failure === "" ? "ok" : o.failure}`;
}
