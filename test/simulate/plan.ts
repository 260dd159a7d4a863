/**
 * What a seed's world holds: services with scripts that live, end, crash, and
 * take TERM in different ways, with and without log, finish, and hooks.
 */
import { ascii } from "../../src/base/bytes.ts";
import type { Prng } from "../../src/base/prng.ts";
import { makeDirectory, makeFile } from "../../src/kernel/simulated/building.ts";
import type { Inode } from "../../src/kernel/simulated/inode.ts";
import type { Process } from "../../src/kernel/simulated/process.ts";
import type { World } from "../../src/kernel/simulated/world.ts";

const LOG = ascii("log");
const SUPERVISE = ascii("supervise");
const CONTROL = ascii("control");

/** A service directory, and what the checks know of it. */
export class Service {
  readonly id: number;
  readonly name: string;
  readonly directory: Inode;
  readonly hasLog: boolean;
  /** Its run script ignores TERM, so that `down` may not end it. */
  stubborn = false;
  /** Longest a finish script or a hook takes, ms. */
  hookMs = 0;
  /** Living processes; runsv: the one that holds the lock (runsvdir, if that is dense), or the first that will try to. */
  runsv: Process | null = null;
  /** Since when it has been that one, µs. */
  supervisedAt = 0;
  run: Process | null = null;
  finish: Process | null = null;
  hook: Process | null = null;
  log: Process | null = null;
  /** On the simulated clock, µs; -1: never in this boot. */
  runStartedAt = -1;
  logStartedAt = -1;
  /** The same on CLOCK_BOOTTIME, which goes on while the machine sleeps. */
  runStartedBootUs = 0;
  logStartedBootUs = 0;
  /** Label range of the last start of run on the wall clock of that moment, µs. */
  runWallUs = 0;
  /** The same on the clock as it was before it was set, if that was in the turn of the start. */
  runWallBeforeUs = 0;
  /** Nothing of the service lives since then, though it is wanted. */
  idleSince = 0;
  logIdleSince = 0;
  /** How often run was started. */
  starts = 0;
  /** The successor's record could not be kept on disk: a second copy may follow a kill. */
  recordLost = false;
  /** Whether the directory is where the scanner looks; gone: for good. */
  listed = true;
  gone = false;
  /** Its supervisor was told up or down since it was moved: it stays. */
  called = false;
  /** The scanner lost sight of it, or got it back, at this moment. */
  movedAt = 0;
  /** What the last command asked for, once faults are off. */
  asked = "";
  askedAt = 0;

  constructor(id: number, name: string, directory: Inode, hasLog: boolean) {
    this.id = id;
    this.name = name;
    this.directory = directory;
    this.hasLog = hasLog;
  }

  /** The contents of a state file, or null. */
  stateFile(log: boolean, name: Uint8Array): Uint8Array | null {
    const file = this.#supervised(log, name);
    return file === null ? null : file.data;
  }

  /** The control FIFO, or null. */
  control(log: boolean): Inode | null {
    return this.#supervised(log, CONTROL);
  }

  #supervised(log: boolean, name: Uint8Array): Inode | null {
    const base = log ? this.directory.child(LOG) : this.directory;
    const supervise = base === null ? null : base.child(SUPERVISE);
    return supervise === null ? null : supervise.child(name);
  }
}

const RUN_ENDS = ["status=0", "status=1", "status=111", "kill=11", "kill=9"];

function drawRun(prng: Prng, service: Service): string {
  let words = `#!sim run id=${service.id}`;
  const life = prng.below(6);
  if (life === 0) words += " life=0-20";
  else if (life === 1) words += " life=500-1500";
  else if (life <= 3) words += " life=2000-9000";
  if (life <= 3) words += ` ${RUN_ENDS[prng.below(RUN_ENDS.length)]!}`;
  const term = prng.below(8);
  service.stubborn = term === 0;
  if (term === 0) words += " term=ignore";
  else if (term <= 2) words += ` slow=${prng.between(1, 1500)}`;
  if (service.hasLog || prng.below(3) === 0) words += ` out=${prng.between(1, 50)}-${prng.between(60, 600)}`;
  if (prng.below(10) === 0) words += ` orphan=${prng.between(10, 3000)}`;
  return words;
}

function drawLog(prng: Prng, id: number): string {
  let words = `#!sim log id=${id} read=1`;
  const life = prng.below(8);
  if (life === 0) words += " life=0-20";
  else if (life === 1) words += " life=1000-5000";
  return words;
}

/** Hook scripts: exit 0 (handled) or not; some take their time. */
function drawHooks(world: World, prng: Prng, service: Service): void {
  const letters = "udxtkpcahiq12o";
  const control = makeDirectory(world, `/service/${service.name}/control`);
  for (let i = 0; i < letters.length; i++) {
    if (prng.below(5) !== 0) continue;
    const ms = prng.below(3) === 0 ? prng.between(1, 700) : 0;
    if (ms > service.hookMs) service.hookMs = ms;
    const status = prng.below(2);
    // Such a hook says that it has dealt with the command: no TERM is sent.
    if (status === 0 && letters.charAt(i) === "t") service.stubborn = true;
    makeFile(world, control, letters.charAt(i), `#!sim hook id=${service.id} life=${ms}-${ms} status=${status}`, 0o755);
  }
}

function drawService(world: World, prng: Prng, id: number, name: string): Service {
  const path = `/service/${name}`;
  const directory = makeDirectory(world, path);
  const service = new Service(id, name, directory, prng.below(2) === 0);
  makeFile(world, directory, "run", drawRun(prng, service), 0o755);
  if (prng.below(3) === 0) {
    service.hookMs = prng.between(0, 400);
    makeFile(world, directory, "finish", `#!sim finish id=${id} life=${service.hookMs}-${service.hookMs}`, 0o755);
  }
  if (prng.below(3) === 0) drawHooks(world, prng, service);
  if (prng.below(8) === 0) makeFile(world, directory, "down", "", 0o644);
  if (service.hasLog) makeFile(world, makeDirectory(world, `${path}/log`), "run", drawLog(prng, id), 0o755);
  return service;
}

/** Draws the next service of a world: `name` in /service. */
export function addService(world: World, prng: Prng, services: Service[], name: string): Service {
  const s = drawService(world, prng, services.length, name);
  services.push(s);
  return s;
}
