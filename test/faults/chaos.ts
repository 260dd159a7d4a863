/**
 * Chaos on a tree of services: whatever runs below process 1 is killed, stopped
 * and continued, told things and moved away, at random from a seed, while what
 * must hold is looked at.
 */
import { closeSync, constants, openSync, renameSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../support/random.ts";
import { hasLog, type Part, type Role, type Tree, writesLines } from "./tree.ts";

/** Between two faults at most; ten times as often is worth a try, too. */
const PAUSE_MS = Number(process.env["UPKEEP_CHAOS_PAUSE"] ?? 120);
const STOPPED_MS = 2000;
const AWAY_MS = 3000;
/** A zombie for so long is one that nobody reaps. */
const ZOMBIE_MS = 10_000;
/** Of the services without faults at their supervisor: their memory can be compared. */
const SPARED_EACH = 10;

export function isSpared(name: string): boolean {
  return Number(name.slice(1)) % SPARED_EACH === 9;
}

export class Chaos {
  /** What was done, by name. */
  readonly done = new Map<string, number>();
  /** The longest time in which a service had no process, in ms; which one. */
  longestAbsence = 0;
  longestAbsent = "";
  readonly wrong: string[] = [];

  readonly #tree: Tree;
  readonly #random: Random;
  readonly #until = new Map<number, number>();
  readonly #away = new Map<string, number>();
  readonly #seen = new Map<string, number>();
  readonly #zombies = new Map<number, number>();

  constructor(tree: Tree, seed: number) {
    this.#tree = tree;
    this.#random = new Random(seed);
  }

  async run(durationMs: number): Promise<void> {
    const end = performance.now() + durationMs;
    while (performance.now() < end) {
      const parts = this.#tree.parts();
      this.#look(parts);
      this.#fault(parts);
      this.#undo(false);
      await delay(this.#random.below(PAUSE_MS));
    }
    this.#undo(true);
  }

  get total(): number {
    let n = 0;
    for (const count of this.done.values()) n += count;
    return n;
  }

  #look(parts: readonly Part[]): void {
    const now = performance.now();
    const zombies = new Map<number, number>();
    for (const { pid, role, name, zombie } of parts) {
      if (zombie) zombies.set(pid, this.#zombies.get(pid) ?? now);
      else if (role === "service") this.#seen.set(name, now);
    }
    this.#zombies.clear();
    for (const [pid, since] of zombies) {
      this.#zombies.set(pid, since);
      if (now - since > ZOMBIE_MS) this.wrong.push(`${pid} is a zombie for ${now - since} ms`);
    }
    for (const name of this.#tree.names) {
      if (this.#away.has(name)) this.#seen.set(name, now);
      const absence = now - (this.#seen.get(name) ?? now);
      if (absence > this.longestAbsence) {
        this.longestAbsence = absence;
        this.longestAbsent = name;
      }
    }
  }

  #count(what: string): void {
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
  }

  #signal(part: Part, signal: NodeJS.Signals): void {
    try {
      process.kill(part.pid, signal);
      this.#count(`${signal} ${part.role}`);
    } catch {
      // It is gone.
    }
  }

  /** A part of this role that may be hit. */
  #victim(parts: readonly Part[], role: Role, kills: boolean): Part | null {
    const all = parts.filter(
      (part) =>
        part.role === role &&
        !part.zombie &&
        !this.#until.has(part.pid) &&
        !(kills && role === "log" && writesLines(part.name)) &&
        !(kills && role === "runsv" && isSpared(part.name)),
    );
    return all.length > 0 ? this.#random.of(all) : null;
  }

  #fault(parts: readonly Part[]): void {
    const role = this.#random.of<Role>(["service", "service", "service", "log", "log", "runsv", "runsv", "runsv", "runsvdir"]);
    const kind = this.#random.below(20);
    if (kind < 12) {
      const part = this.#victim(parts, role, true);
      if (part !== null) this.#signal(part, this.#random.of<NodeJS.Signals>(["SIGKILL", "SIGKILL", "SIGSEGV", "SIGABRT"]));
    } else if (kind < 15) {
      const part = this.#victim(parts, role, false);
      if (part === null) return;
      this.#signal(part, "SIGSTOP");
      this.#until.set(part.pid, performance.now() + this.#random.below(STOPPED_MS));
    } else if (kind < 18) this.#tell();
    else if (kind === 18) this.#replace(parts);
    else if (this.#away.size < 2) this.#move();
  }

  /** runsvdir executes its program anew, as for an upgrade. */
  #replace(parts: readonly Part[]): void {
    const part = this.#victim(parts, "runsvdir", false);
    if (part !== null) this.#signal(part, "SIGUSR1");
  }

  /** Letters for a service or its log service. */
  #tell(): void {
    const name = this.#random.of(this.#tree.names);
    const log = hasLog(name) && !writesLines(name) && this.#random.below(3) === 0;
    const letters = this.#random.of(["t", "k", "h", "1", "du", "tu", "pc", "i", "ou", "dkku"]);
    try {
      const path = `${this.#tree.directory(name)}${log ? "/log" : ""}/supervise/control`;
      const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      writeSync(fd, letters);
      closeSync(fd);
      this.#count("commands");
    } catch {
      // Nobody listens just now.
    }
  }

  #move(): void {
    const name = this.#random.of(this.#tree.names);
    if (this.#away.has(name) || isSpared(name)) return;
    renameSync(this.#tree.directory(name), this.#tree.path(`/etc/away-${name}`));
    this.#away.set(name, performance.now() + this.#random.below(AWAY_MS));
    this.#count("moved away and back");
  }

  /** Ends what is over by now; `all`: everything. */
  #undo(all: boolean): void {
    const now = performance.now();
    for (const [pid, due] of this.#until) {
      if (!all && now < due) continue;
      this.#until.delete(pid);
      try {
        process.kill(pid, "SIGCONT");
      } catch {
        // It is gone.
      }
    }
    for (const [name, due] of this.#away) {
      if (!all && now < due) continue;
      this.#away.delete(name);
      renameSync(this.#tree.path(`/etc/away-${name}`), this.#tree.directory(name));
    }
  }
}
