/**
 * What a scripted process does: the words behind `#!sim` in its file.
 *
 *   kind          run finish hook log init, for the reader of a trace
 *   id=N          which service it belongs to, for the checks
 *   life=A-B      ends by itself after A to B ms (drawn at exec); default: never
 *   status=N      exit code then; kill=N: dies of that signal instead
 *   term=die      how it takes TERM: dies of it (default), `ignore`, or exits 0 after `slow=MS`
 *   out=A-B       writes a line to descriptor 1 every A to B ms
 *   read=1        reads descriptor 0 to its end and exits 0 then
 *   orphan=MS     forks a child that keeps every descriptor and lives MS longer
 *   stop=MS       stops itself (SIGSTOP) after MS
 */
import type { Prng } from "../../base/prng.ts";
import { SIGPIPE, SIGSTOP, SIGTERM } from "../constants.ts";
import type { PipeBuffer } from "./inode.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

const RETRY_US = 5000;

export class Script {
  readonly kind: string;
  id = -1;
  lifeMs = -1;
  status = 0;
  onTerm = "die";
  slowMs = 0;
  outFromMs = 0;
  outToMs = 0;
  reads = false;
  orphanMs = 0;
  stopMs = 0;
  /** Where it waits for bytes. */
  sleepsOn: PipeBuffer | null = null;
  #step = 0;
  #endsAt = Infinity;
  #writesAt = Infinity;
  #stopsAt = Infinity;
  #held = false;
  #lines = 0;

  constructor(kind: string) {
    this.kind = kind;
  }

  begin(world: World, p: Process): void {
    if (this.lifeMs >= 0) this.#endsAt = world.us + this.lifeMs * 1000;
    if (this.outToMs > 0) this.#writesAt = world.us + 100;
    if (this.stopMs > 0) this.#stopsAt = world.us + this.stopMs * 1000;
    if (this.orphanMs > 0) this.#fork(world, p);
    if (this.reads) this.wake(world, p);
    else this.#plan(world, p);
  }

  #fork(world: World, p: Process): void {
    const child = world.forked(p);
    if (child === null) return;
    const s = new Script("orphan");
    s.lifeMs = this.orphanMs;
    child.script = s;
    s.begin(world, child);
  }

  #plan(world: World, p: Process): void {
    let next = this.#endsAt;
    if (this.#writesAt < next) next = this.#writesAt;
    if (this.#stopsAt < next) next = this.#stopsAt;
    if (next === Infinity) return;
    this.#step++;
    world.at(next, p, null, this.#step);
  }

  /** Its timer: void when a later one was set since. */
  due(world: World, p: Process, step: number): void {
    if (step !== this.#step) return;
    if (p.stopped) {
      this.#held = true;
      return;
    }
    if (this.reads) {
      this.#read(world, p);
      return;
    }
    if (world.us >= this.#endsAt) {
      world.exited(p, this.status);
      return;
    }
    if (world.us >= this.#stopsAt) {
      this.#stopsAt = Infinity;
      world.signal(p, SIGSTOP);
    }
    if (world.us >= this.#writesAt) this.#write(world, p);
    if (p.state === "live") this.#plan(world, p);
  }

  continued(world: World, p: Process): void {
    if (!this.#held) return;
    this.#held = false;
    world.at(world.us, p, null, this.#step);
  }

  wake(world: World, p: Process): void {
    this.sleepsOn = null;
    this.#step++;
    world.at(world.us + 200, p, null, this.#step);
  }

  signalled(world: World, p: Process, signal: number): void {
    if (signal !== SIGTERM || this.onTerm === "die") {
      world.exited(p, signal);
      return;
    }
    if (this.onTerm === "ignore") return;
    this.reads = false;
    this.sleepsOn = null;
    this.status = 0;
    this.#endsAt = world.us + this.slowMs * 1000;
    this.#writesAt = Infinity;
    this.#plan(world, p);
  }

  childEnded(world: World, p: Process, child: Process): void {
    world.note("reaped", p.pid, child.pid);
  }

  #read(world: World, p: Process): void {
    const d = p.descriptor(0);
    const pipe = d === null ? null : d.file.pipe;
    if (pipe === null || (pipe.length === 0 && pipe.writers === 0)) {
      world.exited(p, 0);
      return;
    }
    if (world.us >= this.#endsAt) {
      world.exited(p, this.status);
      return;
    }
    const b = new Uint8Array(1024);
    const n = pipe.take(b);
    if (n > 0) {
      this.wake(world, p);
      return;
    }
    this.sleepsOn = pipe;
    this.#plan(world, p);
  }

  #write(world: World, p: Process): void {
    const d = p.descriptor(1);
    const pipe = d === null ? null : d.file.pipe;
    this.#writesAt = world.us + world.prng.between(this.outFromMs, this.outToMs) * 1000;
    if (pipe === null) return;
    if (pipe.readers === 0) {
      world.exited(p, SIGPIPE);
      return;
    }
    const line = new Uint8Array(8 + (this.#lines % 7) * 16);
    if (pipe.room < line.length) {
      this.#writesAt = world.us + RETRY_US;
      return;
    }
    for (let i = 0; i < line.length; i++) line[i] = 97 + ((this.#lines + i) % 26);
    line[line.length - 1] = 10;
    this.#lines++;
    pipe.put(line);
    world.touched(pipe);
  }
}

/** Two numbers, `A-B` or `A`. */
function range(word: string): number[] {
  const ends = word.split("-");
  const from = parseInt(ends[0]!, 10);
  return ends.length > 1 ? [from, parseInt(ends[1]!, 10)] : [from, from];
}

export function parseScript(words: readonly string[], prng: Prng): Script {
  const s = new Script(words.length > 1 ? words[1]! : "");
  for (let i = 2; i < words.length; i++) {
    const pair = words[i]!.split("=");
    if (pair.length !== 2) continue;
    const value = pair[1]!;
    switch (pair[0]!) {
      case "life": {
        const r = range(value);
        s.lifeMs = prng.between(r[0]!, r[1]!);
        break;
      }
      case "id":
        s.id = parseInt(value, 10);
        break;
      case "status":
        s.status = parseInt(value, 10) << 8;
        break;
      case "kill":
        s.status = parseInt(value, 10);
        break;
      case "term":
        s.onTerm = value;
        break;
      case "slow":
        s.slowMs = parseInt(value, 10);
        s.onTerm = "slow";
        break;
      case "out": {
        const r = range(value);
        s.outFromMs = r[0]!;
        s.outToMs = r[1]!;
        break;
      }
      case "read":
        s.reads = true;
        break;
      case "orphan":
        s.orphanMs = parseInt(value, 10);
        break;
      case "stop":
        s.stopMs = parseInt(value, 10);
        break;
    }
  }
  return s;
}
