/**
 * One simulated machine: clock, files, processes. Every process of ours sees
 * it through a SimulatedKernel of its own; scripted processes (script.ts) act
 * by timers. Nothing here is random but what is drawn from the two generators,
 * so a seed is a whole history: the same under Node and compiled.
 *
 * Time passes only by system calls (a few microseconds each) and when every
 * process of ours waits. Timers that come due run between two system calls,
 * which is where another processor's work would show.
 */
import { text } from "../../base/bytes.ts";
import { Prng } from "../../base/prng.ts";
import { SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGWINCH } from "../constants.ts";
import { Faults } from "./faults.ts";
import { dropWatch, Inode, type InodeKind, type PipeBuffer } from "./inode.ts";
import { OpenFile } from "./open-file.ts";
import { type Actor, Observer, ProgramMaker, Timer } from "./outside.ts";
import { Pids } from "./pids.ts";
import { Descriptor, Process, remove } from "./process.ts";
import { parseScript, type Script } from "./script.ts";

/** What a timer's `what` means for a process: a late SIGCHLD, not a step of its script. */
const LATE_CHILD = -1;

export class World {
  readonly prng: Prng;
  readonly faults: Faults;
  readonly root: Inode;
  readonly processes: Process[] = [];
  init: Process | null = null;
  maker: ProgramMaker = new ProgramMaker();
  /** Told of every exec, exit, and call: the checks and the mischief. */
  observer: Observer = new Observer();
  /** µs since boot, and what the other clocks add to it. */
  us = 1000000;
  wallOffsetUs = 1700000000000000;
  suspendedUs = 0;
  /** When the machine was last switched on. */
  bootedUs = 0;
  bootNumber = 1;
  pidLimit = 400;
  pipeCapacity = 4096;
  /** RLIMIT_NOFILE as processes are told of it: they may have it, and more. */
  openFiles = 1024;
  /** Mappings keep no lock (overlayfs). */
  mapsBelow = false;
  /** Whether pidfds tell the exit status (Linux 6.15). */
  pidfdTells = true;
  traceHash = 0x811c9dc5;
  traceLength = 0;
  /** Lines of the trace, when somebody wants to read it. */
  verbose = false;
  readonly lines: string[] = [];
  #timers: Timer[] = [];
  #nextIno = 2;
  readonly #pids: Pids = new Pids();
  #running = false;
  #poweringOff = false;

  constructor(seed: number) {
    this.prng = new Prng(seed);
    this.faults = new Faults(new Prng(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995));
    this.root = new Inode(1, "directory", 0o755, 0);
    this.root.links = 1;
    this.root.parent = this.root;
  }

  /** Adds to the history. */
  note(what: string, a: number, b: number): void {
    let h = this.traceHash;
    for (let i = 0; i < what.length; i++) h = Math.imul(h ^ what.charCodeAt(i), 16777619);
    h = Math.imul(h ^ (a | 0), 16777619);
    h = Math.imul(h ^ (b | 0), 16777619);
    this.traceHash = h >>> 0;
    this.traceLength++;
    if (this.verbose) this.lines.push(`${Math.floor(this.us)} ${what} ${a} ${b}`);
  }

  // --- time ---------------------------------------------------------------

  at(us: number, process: Process | null, actor: Actor | null, what: number): void {
    const t = new Timer(us < this.us ? this.us : us, process, actor, what);
    let i = this.#timers.length;
    while (i > 0 && this.#timers[i - 1]!.at > t.at) i--;
    this.#timers.splice(i, 0, t);
  }

  nextTimer(): number {
    return this.#timers.length === 0 ? Infinity : this.#timers[0]!.at;
  }

  /** Lets time pass, and what is due in it happen. */
  pass(us: number): void {
    const until = this.us + us;
    if (this.#running) {
      this.us = until;
      return;
    }
    this.#running = true;
    while (this.#timers.length > 0 && this.#timers[0]!.at <= until) {
      const t = this.#timers.shift();
      if (t === undefined) break;
      if (t.at > this.us) this.us = t.at;
      this.#fire(t);
    }
    if (until > this.us) this.us = until;
    this.#running = false;
  }

  #fire(t: Timer): void {
    if (t.actor !== null) t.actor.act(this, t.what);
    const p = t.process;
    if (p === null || p.state !== "live") return;
    if (t.what === LATE_CHILD) this.signal(p, SIGCHLD);
    else if (p.script !== null) p.script.due(this, p, t.what);
  }

  // --- files --------------------------------------------------------------

  inode(kind: InodeKind, mode: number): Inode {
    const i = new Inode(this.#nextIno, kind, mode, this.pipeCapacity);
    this.#nextIno++;
    i.mtimeSeconds = Math.floor((this.us + this.wallOffsetUs) / 1000000);
    return i;
  }

  /** A pipe: an inode without a name. */
  pipe(): Inode {
    return this.inode("fifo", 0o600);
  }

  // --- descriptors --------------------------------------------------------

  /** Puts `file` at the lowest free descriptor from `least` up. */
  install(p: Process, file: OpenFile, least: number, closeOnExec: boolean): number {
    let fd = least;
    while (fd < p.descriptors.length && p.descriptor(fd) !== null) fd++;
    this.installAt(p, file, fd, closeOnExec);
    return fd;
  }

  installAt(p: Process, file: OpenFile, fd: number, closeOnExec: boolean): void {
    while (p.descriptors.length <= fd) p.descriptors.push(null);
    file.references++;
    if (p.descriptor(fd) !== null) this.closeAt(p, fd);
    p.descriptors[fd] = new Descriptor(file, closeOnExec);
  }

  closeAt(p: Process, fd: number): boolean {
    const d = p.descriptor(fd);
    if (d === null) return false;
    p.descriptors[fd] = null;
    this.#release(d.file);
    return true;
  }

  map(p: Process, file: OpenFile): number {
    file.references++;
    p.mapped.push(file);
    return p.mapped.length;
  }

  unmap(p: Process, address: number): boolean {
    const file = address > 0 && address <= p.mapped.length ? (p.mapped[address - 1] ?? null) : null;
    if (file === null) return false;
    p.mapped[address - 1] = null;
    this.#release(file);
    return true;
  }

  #unmapAll(p: Process): void {
    for (let address = p.mapped.length; address > 0; address--) this.unmap(p, address);
  }

  /** A new end of a pipe. */
  end(pipe: PipeBuffer, inode: Inode | null, flags: number): OpenFile {
    const f = new OpenFile("pipe", flags);
    f.pipe = pipe;
    f.inode = inode;
    if (f.writes) {
      pipe.writers++;
      pipe.writersEver++;
    }
    if (f.reads) pipe.readers++;
    f.writersSeen = f.writes ? -1 : pipe.writers > 0 ? -1 : pipe.writersEver;
    return f;
  }

  #release(file: OpenFile): void {
    file.references--;
    if (file.references > 0) return;
    const inode = file.inode;
    if (inode !== null && inode.lockedBy === file) inode.lockedBy = null;
    for (let i = 0; i < file.watches.length; i++) dropWatch(file.watches[i]!.inode, file);
    const pipe = file.pipe;
    if (pipe === null) return;
    if (file.writes) pipe.writers--;
    if (file.reads) pipe.readers--;
    if (pipe.readers === 0 && pipe.writers === 0) {
      if (pipe.length > 0 && !this.#poweringOff) this.observer.lost(this, pipe, pipe.length);
      pipe.drop();
    }
    if (file.writes && pipe.writers === 0) this.touched(pipe);
  }

  /** Bytes or an end have come to a pipe: whoever sleeps on it in a script wakes. */
  touched(pipe: PipeBuffer): void {
    for (let i = 0; i < this.processes.length; i++) {
      const p = this.processes[i]!;
      if (p.script !== null && p.script.sleepsOn === pipe) p.script.wake(this, p);
    }
  }

  // --- processes ----------------------------------------------------------

  find(pid: number): Process | null {
    for (let i = 0; i < this.processes.length; i++) if (this.processes[i]!.pid === pid) return this.processes[i]!;
    return null;
  }

  /** fork(2): the child has the parent's descriptors, directory, mask and dispositions. null: no pid is free. */
  forked(parent: Process): Process | null {
    const pid = this.#pids.take(this.faults, this.pidLimit, this.bootMs(), (n) => this.find(n) !== null);
    if (pid < 0) return null;
    const p = new Process(pid, parent, parent.cwd, this.bootMs());
    for (let i = 0; i < parent.descriptors.length; i++) {
      const d = parent.descriptor(i);
      if (d !== null) this.installAt(p, d.file, i, d.closeOnExec);
    }
    p.mask = parent.mask.copy();
    p.ignored = parent.ignored.copy();
    p.argv = parent.argv;
    p.path = parent.path;
    parent.children.push(p);
    this.processes.push(p);
    return p;
  }

  /** The first process. */
  boot(argv: readonly Uint8Array[], script: Script): Process {
    const p = new Process(1, null, this.root, this.bootMs());
    p.argv = argv;
    p.script = script;
    this.init = p;
    this.processes.push(p);
    for (let fd = 0; fd < 3; fd++) this.installAt(p, new OpenFile("null", 2), fd, false);
    return p;
  }

  /** CLOCK_MONOTONIC, ms. */
  nowMs(): number {
    return (this.us - this.bootedUs) / 1000;
  }

  /** CLOCK_BOOTTIME, ms. */
  bootMs(): number {
    return (this.us - this.bootedUs + this.suspendedUs) / 1000;
  }

  /** exec(2) of a file's contents: a script, or a program of ours. False: ENOEXEC. */
  exec(p: Process, path: Uint8Array, contents: Uint8Array, argv: readonly Uint8Array[]): boolean {
    const words = text(contents).split(" ");
    const kind = words[0]!;
    if (kind !== "#!sim" && kind !== "#!upkeep") return false;
    this.dropImage(p);
    p.argv = argv;
    p.path = path.slice();
    this.note(`exec ${text(path)}`, p.pid, p.parent === null ? 0 : p.parent.pid);
    if (kind === "#!upkeep" && words.length > 1) {
      p.program = this.maker.make(this, p, words[1]!);
      p.wakeAt = this.us;
    } else {
      p.script = parseScript(words, this.prng);
    }
    this.observer.started(this, p);
    if (p.script !== null) p.script.begin(this, p);
    return true;
  }

  /** What exec(2) takes away: memory, and descriptors that are close-on-exec. */
  dropImage(p: Process): void {
    for (let fd = 0; fd < p.descriptors.length; fd++) if (p.descriptor(fd)?.closeOnExec) this.closeAt(p, fd);
    this.#unmapAll(p);
  }

  /** The end of a process: status as wait(2) tells it. */
  exited(p: Process, status: number): void {
    if (p.state !== "live") return;
    this.note("exit", p.pid, status);
    p.state = "zombie";
    p.status = status;
    p.endedAt = this.us;
    this.observer.ended(this, p);
    for (let fd = 0; fd < p.descriptors.length; fd++) this.closeAt(p, fd);
    this.#unmapAll(p);
    this.#orphan(p);
    this.#tellParent(p);
  }

  #orphan(p: Process): void {
    let heir = p.parent;
    while (heir !== null && (heir.state !== "live" || !heir.subreaper)) heir = heir.parent;
    if (heir === null) heir = this.init;
    for (;;) {
      const c = p.children.shift();
      if (c === undefined) return;
      c.parent = heir;
      if (heir === null) continue;
      heir.children.push(c);
      if (c.state === "zombie") this.#tellParent(c);
    }
  }

  #tellParent(p: Process): void {
    const parent = p.parent;
    // Scripts reap at once, as init does.
    if (parent === null || parent.script !== null || parent.ignored.has(SIGCHLD)) {
      this.reap(p);
      if (parent !== null && parent.script !== null) parent.script.childEnded(this, parent, p);
      return;
    }
    if (this.faults.hits(this.faults.lateChild)) {
      this.at(this.us + this.faults.amount(100, 400000), parent, null, LATE_CHILD);
    } else this.signal(parent, SIGCHLD);
  }

  /** Removes a zombie. */
  reap(p: Process): void {
    p.state = "gone";
    this.#pids.free(p.pid);
    remove(this.processes, p);
    if (p.parent !== null) remove(p.parent.children, p);
  }

  /** kill(2) of one process. */
  signal(p: Process, signal: number): void {
    if (p.state !== "live" || signal === 0) return;
    if (signal !== SIGCHLD) this.note("signal", p.pid, signal);
    if (signal === SIGKILL) {
      if (p !== this.init) this.exited(p, SIGKILL);
      return;
    }
    if (signal === SIGSTOP) {
      if (!p.stopped) this.#changed(p);
      p.stopped = true;
      return;
    }
    if (signal === SIGCONT && p.stopped) {
      p.stopped = false;
      this.#changed(p);
      if (p.script !== null) p.script.continued(this, p);
    }
    if (p.ignored.has(signal) || (p === this.init && p.script !== null)) return;
    p.pending.add(signal);
    if (!p.mask.has(signal) && !p.stopped) this.act(p);
  }

  /** signal(7): SIGCHLD also tells that a child was stopped or goes on. */
  #changed(p: Process): void {
    if (p.parent !== null && p.parent.script === null) this.signal(p.parent, SIGCHLD);
  }

  /** Carries out what pending signals do that nothing blocks. */
  act(p: Process): void {
    for (let s = 1; s < 65; s++) {
      if (!p.pending.has(s) || p.mask.has(s)) continue;
      p.pending.remove(s);
      if (s === SIGCHLD || s === SIGCONT || s === SIGWINCH) continue;
      if (s === SIGTSTP) p.stopped = true;
      else if (p.script !== null) p.script.signalled(this, p, s);
      else this.exited(p, s);
      if (p.state !== "live") return;
    }
  }

  /** The machine loses power: every process is gone, files stay, the clocks of this boot start again. */
  powerCycle(): void {
    this.note("reboot", this.bootNumber, 0);
    this.#poweringOff = true;
    this.#timers = this.#timers.filter((t) => t.actor !== null);
    for (;;) {
      const p = this.processes.pop();
      if (p === undefined) break;
      p.state = "gone";
      p.parent = null;
      p.children.splice(0, p.children.length);
      for (let fd = 0; fd < p.descriptors.length; fd++) this.closeAt(p, fd);
      this.#unmapAll(p);
    }
    this.#poweringOff = false;
    this.init = null;
    this.bootNumber++;
    this.bootedUs = this.us - 1000000;
    this.suspendedUs = 0;
    this.#pids.reset();
  }
}
