/**
 * What every call of a simulated process passes: time goes on, other processes
 * act, faults are drawn, and the process may be killed, which unwinds it by
 * ProcessEnd.
 */
import { type Fd, type Instant, instant } from "../../base/units.ts";
import * as K from "../constants.ts";
import { Kernel, type WallTime } from "../kernel.ts";
import { Lookup } from "./lookup.ts";
import type { OpenFile } from "./open-file.ts";
import { ProcessEnd } from "./outside.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

const CALL_MICROSECONDS = 7;
const FILE_LIMIT = 1024;

export abstract class Calls extends Kernel {
  protected readonly world: World;
  protected readonly me: Process;
  protected readonly lookup: Lookup;

  constructor(world: World, me: Process) {
    super();
    this.world = world;
    this.me = me;
    this.lookup = new Lookup(world, me);
  }

  /** Every call begins here. Throws ProcessEnd when this process is no more. */
  protected enter(name: string): void {
    const w = this.world;
    const me = this.me;
    if (me.state !== "live") throw new ProcessEnd("ended");
    me.calls++;
    me.call = name;
    w.note(name, me.pid, me.calls);
    w.pass(CALL_MICROSECONDS);
    w.observer.call(w, me, name);
    const rate = me.hasForked ? w.faults.killAfterFork : w.faults.kill;
    me.hasForked = false;
    if (me.state === "live" && (me.calls === me.killAtCall || w.faults.hits(rate))) {
      w.note("killed", me.pid, me.calls);
      w.exited(me, K.SIGKILL);
    }
    // Ended by what others did meanwhile, or by the line above.
    if ((me.state as string) !== "live") throw new ProcessEnd("ended");
  }

  /** Draws a fault; the observer hears of it. */
  protected fault(perMillion: number, what: string): boolean {
    if (!this.me.meets(what) && !this.world.faults.hits(perMillion)) return false;
    this.world.note(what, this.me.pid, 0);
    this.world.observer.fault(this.world, this.me, what);
    return true;
  }

  protected interrupted(): boolean {
    return this.fault(this.world.faults.interrupt, "EINTR");
  }

  protected noSpace(): boolean {
    return this.fault(this.world.faults.space, "ENOSPC");
  }

  /** Whether a call that makes a descriptor fails for want of one. */
  protected noDescriptor(): boolean {
    return this.fault(this.world.faults.descriptors, "EMFILE") || this.me.openCount() >= FILE_LIMIT;
  }

  protected install(file: OpenFile, flags: number): Fd {
    return this.world.install(this.me, file, 0, (flags & K.O_CLOEXEC) !== 0);
  }

  override wall(): WallTime {
    const us = this.world.us + this.world.wallOffsetUs;
    const seconds = Math.floor(us / 1000000);
    return { seconds, nanoseconds: (us - seconds * 1000000) * 1000 };
  }
  override now(): Instant {
    return instant(this.world.nowMs());
  }
  override bootTimeMs(): number {
    return this.world.bootMs();
  }
}
