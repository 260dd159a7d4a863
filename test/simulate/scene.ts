/** One service in a world without chance: what a found bug's row is told in. */
import { ascii } from "../../src/base/bytes.ts";
import { Prng } from "../../src/base/prng.ts";
import { SIGKILL } from "../../src/kernel/constants.ts";
import { makeDirectory, makeFile } from "../../src/kernel/simulated/building.ts";
import type { Process } from "../../src/kernel/simulated/process.ts";
import { Script } from "../../src/kernel/simulated/script.ts";
import { World } from "../../src/kernel/simulated/world.ts";
import { Checks } from "./checks.ts";
import { Service } from "./plan.ts";
import { Scheduler, startRunsv, startRunsvdir } from "./scheduler.ts";

/** Script words of a service directory's files; see simulated/script.ts. */
export type Files = { readonly run: string; readonly log?: string; readonly finish?: string; readonly down?: boolean };

export class Scene {
  readonly world: World = new World(1);
  readonly service: Service;
  readonly checks: Checks;
  readonly #scheduler: Scheduler;
  readonly #init: Process;

  constructor(files: Files) {
    const w = this.world;
    this.service = new Service(0, "s", makeDirectory(w, "/service/s"), files.log !== undefined);
    this.checks = new Checks([this.service]);
    this.#scheduler = new Scheduler(w, this.checks, new Prng(1));
    const dir = this.service.directory;
    makeFile(w, dir, "run", `#!sim run id=0 ${files.run}`, 0o755);
    if (files.finish !== undefined) makeFile(w, dir, "finish", `#!sim finish id=0 ${files.finish}`, 0o755);
    if (files.log !== undefined) makeFile(w, makeDirectory(w, "/service/s/log"), "run", `#!sim log id=0 ${files.log}`, 0o755);
    if (files.down === true) makeFile(w, dir, "down", "", 0o644);
    this.#init = w.boot([ascii("init")], new Script("init"));
  }

  /** A new runsv; `fault`: what it is to meet, as "EMFILE open", after `skip` such calls. */
  runsv(fault = "", skip = 0): Process {
    startRunsv(this.world, this.service, this.#init);
    const p = this.service.runsv;
    if (p === null) throw new Error("no runsv");
    p.planned = fault;
    p.plannedSkip = skip;
    return p;
  }

  /** Other checks see what happens from here on. */
  watch(checks: Checks): void {
    checks.services[0]!.runsv = null;
    this.world.observer = checks;
  }

  /** A new runsvdir of the directory the service lies in. */
  runsvdir(dense = false): Process {
    const p = startRunsvdir(this.world, this.#init, dense);
    if (p === null) throw new Error("no runsvdir");
    return p;
  }

  run(ms: number): void {
    this.#scheduler.runUntil(this.world.us + ms * 1000);
  }

  command(letters: string, log = false): void {
    this.service.control(log)?.pipe?.put(ascii(letters));
  }

  kill(p: Process | null): void {
    this.signal(p, SIGKILL);
  }

  signal(p: Process | null, signal: number): void {
    if (p !== null) this.world.signal(p, signal);
  }
}
