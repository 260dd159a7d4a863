/**
 * The kernel of a simulated machine (simulated/world.ts), as one process sees
 * it. Behaves as Linux does where a supervisor can tell the difference, and
 * fails as Linux may when the world's faults say so. Files and waiting are in
 * simulated/*-calls.ts; here are signals and processes.
 */
import { putLe32 } from "../base/bytes.ts";
import { type Fd, type Pid, pid } from "../base/units.ts";
import * as K from "./constants.ts";
import { type Exit, SPAWN_SETSID, type Spawn, type Spawned, STEP_CHDIR, STEP_EXEC, STEP_SETUP } from "./kernel.ts";
import { OpenFile } from "./simulated/open-file.ts";
import { ProcessEnd } from "./simulated/outside.ts";
import { type Process, SignalSet } from "./simulated/process.ts";
import { WaitCalls } from "./simulated/wait-calls.ts";

export class SimulatedKernel extends WaitCalls {
  override blockSignals(signals: readonly number[]): number {
    this.enter("blockSignals");
    this.me.mask = SignalSet.of(signals);
    this.world.act(this.me);
    if (this.me.state !== "live") throw new ProcessEnd("ended");
    return 0;
  }

  override signalfd(signals: readonly number[]): Fd {
    this.enter("signalfd");
    if (this.noDescriptor()) return -K.EMFILE;
    const f = new OpenFile("signalfd", K.O_NONBLOCK);
    f.signals = SignalSet.of(signals);
    return this.install(f, K.O_CLOEXEC);
  }

  override readSignal(fd: Fd): number {
    this.enter("readSignal");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    if (d.file.signals === null) return -K.EINVAL;
    const s = this.me.pending.first(d.file.signals);
    if (s === 0) return -K.EAGAIN;
    this.me.pending.remove(s);
    return s;
  }

  override ignoreSignal(signal: number, ignore: boolean): number {
    this.enter("ignoreSignal");
    if (ignore) {
      this.me.ignored.add(signal);
      this.me.pending.remove(signal);
    } else this.me.ignored.remove(signal);
    return 0;
  }

  override kill(target: Pid, signal: number): number {
    this.enter("kill");
    if (target <= 0) return -K.EINVAL;
    const p = this.world.find(target);
    if (p === null) return -K.ESRCH;
    return this.#send(p, signal);
  }

  #send(p: Process, signal: number): number {
    if (signal !== 0) this.world.observer.signals(this.world, this.me, p, signal);
    this.world.signal(p, signal);
    if (this.me.state !== "live") throw new ProcessEnd("ended");
    return 0;
  }

  override pidfdOpen(target: Pid): Fd {
    this.enter("pidfdOpen");
    if (this.noDescriptor()) return -K.EMFILE;
    const p = this.world.find(target);
    if (p === null) return -K.ESRCH;
    const f = new OpenFile("pidfd", K.O_RDWR);
    f.process = p;
    return this.install(f, K.O_CLOEXEC);
  }

  override pidfdKill(fd: Fd, signal: number): number {
    this.enter("pidfdKill");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    const p = d.file.process;
    if (p === null) return -K.EBADF;
    return p.state === "gone" ? -K.ESRCH : this.#send(p, signal);
  }

  override pidfdStatus(fd: Fd): number {
    this.enter("pidfdStatus");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    const p = d.file.process;
    if (p === null) return -K.EBADF;
    if (!this.world.pidfdTells) return -K.EINVAL;
    // fs/pidfs.c: the exit information is there once the process is reaped.
    return p.state === "gone" ? p.status : -K.ENODATA;
  }

  override waitpid(target: number, options: number): Exit {
    this.enter("waitpid");
    const children = this.me.children;
    let any = false;
    for (let i = 0; i < children.length; i++) {
      const c = children[i]!;
      if (target > 0 && c.pid !== target) continue;
      any = true;
      if (c.state !== "zombie") continue;
      this.world.note("reap", c.pid, c.status);
      this.world.observer.reaped(this.world, this.me, c);
      this.world.reap(c);
      return { pid: c.pid, status: c.status };
    }
    if (!any) return { pid: -K.ECHILD, status: 0 };
    if ((options & K.WNOHANG) === 0) throw new Error("simulated: waitpid would block");
    return { pid: 0, status: 0 };
  }

  override spawn(what: Spawn): Spawned {
    this.enter("spawn");
    const w = this.world;
    if (this.fault(w.faults.fork, "no fork"))
      return { pid: w.faults.amount(0, 1) === 0 ? -K.EAGAIN : -K.ENOMEM, execErrno: 0, step: 0 };
    const child = w.forked(this.me);
    if (child === null) return { pid: -K.EAGAIN, execErrno: 0, step: 0 };
    w.note("spawn", this.me.pid, child.pid);
    this.me.hasForked = true;
    const failed = new SimulatedKernel(w, child).#become(what);
    if (failed.execErrno !== 0) w.exited(child, 111 << 8);
    return { pid: child.pid, execErrno: failed.execErrno, step: failed.step };
  }

  /** The child's side of spawn, from fork to exec; called on the child's own kernel. */
  #become(what: Spawn): Spawned {
    const w = this.world;
    const me = this.me;
    if ((what.flags & SPAWN_SETSID) !== 0) me.session = me.pid;
    for (let i = 0; i < what.moves.length; i++) {
      const m = what.moves[i]!;
      if (m.from < 0) {
        w.closeAt(me, m.to);
        continue;
      }
      const d = me.descriptor(m.from);
      if (d === null) return this.#failed(K.EBADF, STEP_SETUP);
      if (m.from === m.to) d.closeOnExec = false;
      else w.installAt(me, d.file, m.to, false);
    }
    if (what.recordFd >= 0) this.#record(what.recordFd, what.recordAt);
    if (what.dir >= 0) {
      const d = me.descriptor(what.dir);
      if (d === null) return this.#failed(K.EBADF, STEP_CHDIR);
      if (d.file.inode === null || d.file.kind !== "directory") return this.#failed(K.ENOTDIR, STEP_CHDIR);
      me.cwd = d.file.inode;
    }
    for (let i = 0; i < what.defaults.length; i++) me.ignored.remove(what.defaults[i]!);
    me.mask = SignalSet.of(what.blocked);
    const place = this.lookup.place(K.AT_FDCWD, what.path, true);
    if (place.errno !== 0) return this.#failed(place.errno, STEP_EXEC);
    const inode = place.inode;
    if (inode === null) return this.#failed(K.ENOENT, STEP_EXEC);
    if (inode.kind !== "file" || (inode.mode & 0o111) === 0) return this.#failed(K.EACCES, STEP_EXEC);
    if (!w.exec(me, what.path, inode.data, what.argv)) return this.#failed(K.ENOEXEC, STEP_EXEC);
    return { pid: me.pid, execErrno: 0, step: 0 };
  }

  #failed(execErrno: number, step: number): Spawned {
    return { pid: this.me.pid, execErrno, step };
  }

  #record(fd: Fd, at: number): void {
    const d = this.me.descriptor(fd);
    if (d === null || d.file.inode === null || d.file.kind !== "file") return;
    const b = new Uint8Array(4);
    putLe32(b, 0, this.me.pid);
    this.writeAt(d.file, b, at);
  }

  /** fork(2) for a program that goes on in the child as another one (the caller gives it); null: -EAGAIN. */
  forked(): Process | null {
    this.enter("fork");
    if (this.fault(this.world.faults.fork, "no fork")) return null;
    return this.world.forked(this.me);
  }

  override fork(): number {
    throw new Error("simulated: fork returns twice, which a simulated process cannot");
  }
  override getpid(): Pid {
    return pid(this.me.pid);
  }
  override getppid(): Pid {
    const parent = this.me.parent;
    return pid(parent === null ? 0 : parent.pid);
  }
  override setsid(): number {
    this.enter("setsid");
    this.me.session = this.me.pid;
    return this.me.pid;
  }
  override prctl(operation: number, argument: number): number {
    this.enter("prctl");
    if (operation === K.PR_SET_CHILD_SUBREAPER) this.me.subreaper = argument !== 0;
    return 0;
  }
  override exit(code: number): void {
    if (this.me.state === "live") this.world.exited(this.me, (code & 255) << 8);
    throw new ProcessEnd("exited");
  }
}
