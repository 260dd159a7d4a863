/**
 * What must hold at every moment of every world, whatever the faults. Each
 * check says in one line what is broken; the first one ends the world.
 */
import { ascii, concat, le32, text } from "../../src/base/bytes.ts";
import { ADOPT_BYTES, ADOPT_PID_AT } from "../../src/formats/adopt.ts";
import { unpackStatus } from "../../src/formats/status.ts";
import type { Supervisor } from "../../src/host/supervisor.ts";
import { SIGCHLD, SIGPIPE, SIGTERM } from "../../src/kernel/constants.ts";
import type { PipeBuffer } from "../../src/kernel/simulated/inode.ts";
import { Observer } from "../../src/kernel/simulated/outside.ts";
import type { Process } from "../../src/kernel/simulated/process.ts";
import type { World } from "../../src/kernel/simulated/world.ts";
import type { Service } from "./plan.ts";
import { isHost, type RunsvdirProgram, type RunsvProgram, runsvdirProgram, runsvProgram, supervisorIn } from "./programs.ts";

const SECOND_US = 1000000;
/** From the clock read at the start of a turn to the start of a process in it. */
const TURN_SLACK_US = 20000;
/** SIGCHLD may be late by this much (World.exited). */
const LATE_US = 400000;
/** Throttle, a retry after a failed fork, a late SIGCHLD, and the turn itself. */
const IDLE_LIMIT_US = 2 * SECOND_US + LATE_US + 100000;
/** Standard input, output and error. */
const CHILD_DESCRIPTORS = 3;
/** 3 standard, directory, epoll, signalfd; lock, control, ok, adopt, supervise and pidfd, twice; the pipe. */
const RUNSV_DESCRIPTORS = 20;
/** 3 standard, epoll, signalfd, inotify, and what it opens for a moment; for each service a pipe and a pidfd. */
const RUNSVDIR_DESCRIPTORS = 9;
const RUNSVDIR_DESCRIPTORS_EACH = 2;
const STATUS = ascii("status");
const PID = ascii("pid");
const ADOPT = ascii("adopt");

export class Checks extends Observer {
  readonly services: Service[];
  /** The first broken promise; empty: none so far. */
  failure = "";
  starts = 0;
  /** Supervisors started beside a living one, which the lock sends away. */
  seconds = 0;
  #clockSetAt = Number.NEGATIVE_INFINITY;
  #offsetBefore = 0;
  /** Bytes that no process could have kept: every holder of the pipe was killed. */
  bytesGone = 0;

  constructor(services: Service[]) {
    super();
    this.services = services;
  }

  fail(what: string): void {
    if (this.failure === "") this.failure = what;
  }

  service(id: number): Service | null {
    return id >= 0 && id < this.services.length ? this.services[id]! : null;
  }

  override started(world: World, p: Process): void {
    const script = p.script;
    if (script === null) {
      const program = runsvProgram(p);
      if (program !== null) this.#supervisorStarted(world, p, program);
      return;
    }
    const s = this.service(script.id);
    if (s === null) return;
    const parent = runsvProgram(p.parent);
    if (parent !== null && p.parent !== null) this.#serves(world, p.parent, parent, s);
    else if (p.parent !== null && isHost(p.parent)) this.#supervises(world, p.parent, s);
    if (p.openCount() !== CHILD_DESCRIPTORS) {
      this.fail(`${script.kind} of ${s.name} is born with ${p.openCount()} descriptors`);
    }
    if (p.mask.has(SIGTERM) || p.mask.has(SIGCHLD)) this.fail(`${script.kind} of ${s.name} is born with signals blocked`);
    switch (script.kind) {
      case "run":
        this.#runStarted(world, s, p);
        break;
      case "log":
        this.#logStarted(world, s, p);
        break;
      case "finish":
        if (s.finish !== null) this.fail(`two finish of ${s.name}: ${s.finish.pid} and ${p.pid}`);
        if (s.run !== null) this.fail(`finish of ${s.name} beside its run ${s.run.pid}`);
        s.finish = p;
        break;
      case "hook":
        // It may ask how the service is.
        this.#status(world, s);
        s.hook = p;
        break;
    }
  }

  #supervisorStarted(world: World, p: Process, program: RunsvProgram): void {
    const directory = p.cwd.child(program.name);
    for (let i = 0; i < this.services.length; i++) {
      const s = this.services[i]!;
      if (s.directory !== directory) continue;
      program.serves = s.id;
      if (s.runsv !== null) {
        this.seconds++;
        const other = runsvProgram(s.runsv);
        if (!world.faults.enabled && other !== null && other.process !== null && world.us - other.startedAt > SECOND_US) {
          this.fail(`a second runsv of ${s.name} beside ${s.runsv.pid}`);
        }
        return;
      }
      this.#supervises(world, p, s);
      s.supervisedAt = program.startedAt;
    }
  }

  #supervises(world: World, p: Process, s: Service): void {
    if (s.runsv === p) return;
    s.runsv = p;
    s.supervisedAt = world.us;
    s.idleSince = world.us;
    s.logIdleSince = world.us;
  }

  /** It holds the lock of this service: what it was taken for by its name does not count. */
  #serves(world: World, p: Process, program: RunsvProgram, s: Service): void {
    if (s.runsv === p) return;
    const guess = this.service(program.serves);
    if (guess !== null && guess.runsv === p) guess.runsv = null;
    program.serves = s.id;
    this.#supervises(world, p, s);
    s.supervisedAt = program.startedAt;
  }

  #runStarted(world: World, s: Service, p: Process): void {
    this.starts++;
    s.starts++;
    if (s.run !== null && !s.recordLost) this.fail(`two run of ${s.name}: ${s.run.pid} and ${p.pid}`);
    if (s.finish !== null && !s.recordLost) this.fail(`run of ${s.name} beside its finish ${s.finish.pid}`);
    const since = world.bootMs() * 1000 - s.runStartedBootUs;
    if (s.runStartedAt >= 0 && since < SECOND_US - TURN_SLACK_US && !s.recordLost) {
      this.fail(`run of ${s.name} starts again after ${Math.floor(since / 1000)} ms`);
    }
    s.run = p;
    s.runStartedAt = world.us;
    s.runStartedBootUs = world.bootMs() * 1000;
    s.runWallUs = world.us + world.wallOffsetUs;
    // The label is made just before the start: the clock may be set between the two.
    s.runWallBeforeUs = world.us - this.#clockSetAt < TURN_SLACK_US ? world.us + this.#offsetBefore : s.runWallUs;
  }

  /** The administrator sets the wall clock now. */
  clockIsToBeSet(world: World): void {
    this.#clockSetAt = world.us;
    this.#offsetBefore = world.wallOffsetUs;
  }

  #logStarted(world: World, s: Service, p: Process): void {
    if (s.log !== null && !s.recordLost) this.fail(`two log/run of ${s.name}: ${s.log.pid} and ${p.pid}`);
    const since = world.bootMs() * 1000 - s.logStartedBootUs;
    if (s.logStartedAt >= 0 && since < SECOND_US - TURN_SLACK_US && !s.recordLost) {
      this.fail(`log/run of ${s.name} starts again after ${Math.floor(since / 1000)} ms`);
    }
    s.log = p;
    s.logStartedAt = world.us;
    s.logStartedBootUs = world.bootMs() * 1000;
  }

  override ended(world: World, p: Process): void {
    for (let i = 0; i < this.services.length; i++) {
      const s = this.services[i]!;
      // An attempt to start something that could not be executed.
      if (p.script === null && p.program === null && s.runsv !== null && p.parent === s.runsv) {
        s.idleSince = world.us;
        s.logIdleSince = world.us;
      }
      if (s.run === p && p.status === SIGPIPE) this.#brokenPipe(s);
      if (s.log === p || s.runsv === p) s.logIdleSince = world.us;
      if (s.run === p || s.finish === p || s.hook === p || s.runsv === p) s.idleSince = world.us;
      if (s.runsv === p && p.status === 0) this.#cleanEnd(s);
      else if (s.runsv === p) this.#killed(world, s);
      // Opened and closed within the last turn of a dense runsvdir.
      else if (p.status === 0 && isHost(p) && s.run === null && s.finish === null && recordDropped(s)) this.#cleanEnd(s);
      if (s.runsv === p) s.runsv = null;
      if (s.run === p) s.run = null;
      if (s.finish === p) s.finish = null;
      if (s.hook === p) s.hook = null;
      if (s.log === p) s.log = null;
    }
  }

  /** A full disk may have kept the record for the successor from being written. */
  #killed(world: World, s: Service): void {
    if (s.run === null && s.finish === null && s.log === null && recordDropped(s)) this.#cleanEnd(s);
    if (world.faults.space + world.faults.shortWrite === 0) return;
    if (!recordTells(s, false, s.run ?? s.finish) || (s.hasLog && !recordTells(s, true, s.log))) s.recordLost = true;
  }

  /** A runsv that was told to exit leaves nothing behind, and its successor knows of no throttle, as in runit. */
  #cleanEnd(s: Service): void {
    s.runStartedAt = -1;
    s.logStartedAt = -1;
  }

  #brokenPipe(s: Service): void {
    const supervisor = supervisorIn(s.runsv, s.directory);
    if (supervisor !== null && supervisor.main.machine.want !== "exit" && !s.recordLost)
      this.fail(`run of ${s.name} writes into a pipe nobody reads`);
  }

  override lost(_world: World, pipe: PipeBuffer, bytes: number): void {
    for (let i = 0; i < this.services.length; i++) {
      const s = this.services[i]!;
      const supervisor = supervisorIn(s.runsv, s.directory);
      if (supervisor === null || supervisor.log === null || s.log === null) continue;
      const in0 = s.log.descriptor(0);
      if (in0 !== null && in0.file.pipe === pipe && supervisor.main.machine.want !== "exit") {
        this.fail(`${bytes} bytes of ${s.name} never reach its log`);
      }
    }
    this.bytesGone += bytes;
  }

  override signals(_world: World, from: Process, to: Process, signal: number): void {
    const program = runsvdirProgram(from);
    if (program !== null && !program.dense) {
      if (runsvProgram(to) === null) this.fail(`runsvdir sends signal ${signal} to a stranger, pid ${to.pid}`);
      return;
    }
    const s = to.script === null ? null : this.service(to.script.id);
    const serves = s !== null && (program === null ? s.runsv === from : program.supervisorOf(s.directory) !== null);
    if (to.parent !== from && !serves)
      this.fail(`${text(concat(from.argv))} sends signal ${signal} to a stranger, pid ${to.pid}`);
  }

  override fault(world: World, p: Process, _what: string): void {
    for (let i = 0; i < this.services.length; i++) {
      const s = this.services[i]!;
      if (s.runsv !== p) continue;
      s.idleSince = world.us;
      s.logIdleSince = world.us;
    }
  }

  override call(_world: World, p: Process, name: string): void {
    if (name !== "rename" && name !== "close" && name !== "write") return;
    for (let i = 0; i < this.services.length; i++) {
      const s = this.services[i]!;
      if (s.runsv !== p) continue;
      this.#statusDecodes(s, false);
      if (s.hasLog) this.#statusDecodes(s, true);
    }
  }

  #statusDecodes(s: Service, log: boolean): void {
    const b = s.stateFile(log, STATUS);
    if (b !== null && b.length !== 20) this.fail(`status of ${s.name} has ${b.length} bytes`);
  }

  // --- when a supervisor has finished a turn -------------------------------

  turned(world: World, p: Process): void {
    const runsvdir = runsvdirProgram(p);
    const runsv = runsvProgram(p);
    if (runsvdir !== null) this.#runsvdirTurned(world, p, runsvdir);
    else if (runsv !== null && runsv.process !== null) {
      this.#findServed(world, p, runsv, runsv.process.supervisor.serviceFd);
      if (p.openCount() > RUNSV_DESCRIPTORS) this.fail(`runsv of ${text(runsv.name)} has ${p.openCount()} descriptors open`);
    }
    for (let i = 0; i < this.services.length; i++)
      if (this.services[i]!.runsv === p) this.#supervised(world, p, this.services[i]!);
  }

  #runsvdirTurned(world: World, p: Process, program: RunsvdirProgram): void {
    const each = program.dense ? RUNSV_DESCRIPTORS : RUNSVDIR_DESCRIPTORS_EACH;
    const most = RUNSVDIR_DESCRIPTORS + each * this.services.length;
    if (p.openCount() > most) this.fail(`runsvdir has ${p.openCount()} descriptors open`);
    if (!program.dense) return;
    for (let i = 0; i < this.services.length; i++) {
      const s = this.services[i]!;
      if (program.supervisorOf(s.directory) !== null) this.#supervises(world, p, s);
      else if (s.runsv === p) {
        // Told to exit, unless it is the process that has become another program.
        if (program.begun) this.#cleanEnd(s);
        else this.#killed(world, s);
        s.runsv = null;
      }
    }
  }

  #supervised(world: World, p: Process, s: Service): void {
    const supervisor = supervisorIn(p, s.directory);
    if (supervisor === null) return;
    this.#status(world, s);
    const lock = s.directory.child(ascii("supervise"))?.child(ascii("lock"));
    if (lock?.kind === "file" && lock.lockedBy === null) this.fail(`supervisor of ${s.name} does not hold its lock`);
    const m = supervisor.main.machine;
    if (s.run !== null && !s.recordLost && m.state === "run" && m.pid !== s.run.pid && !waiting(p)) {
      this.fail(`supervisor of ${s.name} believes in pid ${m.pid}, run is ${s.run.pid}`);
    }
    this.#samePipe(p, s, supervisor);
  }

  #findServed(world: World, p: Process, program: RunsvProgram, directory: number): void {
    const d = p.descriptor(directory);
    for (let i = 0; d !== null && i < this.services.length; i++) {
      if (this.services[i]!.directory === d.file.inode) this.#serves(world, p, program, this.services[i]!);
    }
  }

  /** The state files tell what the machine knows, unless they could not be written and are tried again. */
  #status(world: World, s: Service): void {
    const supervisor = supervisorIn(s.runsv, s.directory);
    if (supervisor === null || supervisor.main.retriesFiles) return;
    const b = s.stateFile(false, STATUS);
    const status = b === null ? null : unpackStatus(b);
    if (status === null) {
      this.fail(`status of ${s.name} is missing or short`);
      return;
    }
    const m = supervisor.main.machine;
    const want = m.want === "up" ? "up" : "down";
    if (status.pid !== m.pid || status.state !== m.state || status.want !== want || status.paused !== m.paused) {
      this.fail(`status of ${s.name} says ${status.state} ${status.pid} ${status.want}, machine ${m.state} ${m.pid} ${want}`);
    }
    const pid = s.stateFile(false, PID);
    const expected = m.pid === 0 ? "" : `${m.pid}\n`;
    if (pid === null || text(pid) !== expected) this.fail(`pid of ${s.name} says ${pid === null ? "nothing" : text(pid)}`);
    if (m.state !== "run" || s.run === null || s.recordLost) return;
    const label = status.since.seconds * SECOND_US + status.since.nanoseconds / 1000;
    const off = Math.min(Math.abs(label - s.runWallUs), Math.abs(label - s.runWallBeforeUs));
    if (off > SECOND_US) this.fail(`status of ${s.name} is ${Math.floor(off / 1000)} ms from the start of its run`);
    world.note("status", s.id, m.pid);
  }

  /** The service writes into the pipe that its supervisor holds, which the log reads now or will read next. */
  #samePipe(p: Process, s: Service, supervisor: Supervisor): void {
    if (s.run === null || s.recordLost) return;
    const out = s.run.descriptor(1);
    const held = p.descriptor(supervisor.pipeRead);
    if (out === null || held === null || out.file.pipe === null) return;
    if (out.file.pipe !== held.file.pipe) this.fail(`run of ${s.name} writes into another pipe than its log reads`);
  }

  // --- when everybody waits -----------------------------------------------

  quiet(world: World): void {
    for (let i = 0; i < world.processes.length; i++) {
      const p = world.processes[i]!;
      if (p.state === "zombie") this.#zombie(world, p);
    }
    for (let i = 0; i < this.services.length; i++) this.#idle(world, this.services[i]!);
  }

  #zombie(world: World, p: Process): void {
    const parent = p.parent;
    if (parent === null || parent.stopped) return;
    if (world.us - p.endedAt > LATE_US + TURN_SLACK_US) this.fail(`zombie ${p.pid} of ${parent.pid} is not reaped`);
  }

  #idle(world: World, s: Service): void {
    const supervisor = supervisorIn(s.runsv, s.directory);
    if (s.runsv === null || supervisor === null || s.runsv.stopped) return;
    if (supervisor.main.machine.want !== "up" || s.run !== null || s.finish !== null || s.hook !== null) s.idleSince = world.us;
    const log = supervisor.log;
    if (log === null || log.machine.want !== "up" || s.log !== null) s.logIdleSince = world.us;
    if (world.us - s.idleSince > IDLE_LIMIT_US) this.fail(`${s.name} is wanted up and nothing starts it`);
    if (world.us - s.logIdleSince > IDLE_LIMIT_US) this.fail(`log of ${s.name} is wanted up and nothing starts it`);
  }
}

/** Whether the record names the process, if there is one. */
function recordTells(s: Service, log: boolean, p: Process | null): boolean {
  const b = s.stateFile(log, ADOPT);
  if (b === null || b.length !== ADOPT_BYTES) return false;
  return p === null || le32(b, ADOPT_PID_AT) === p.pid;
}

/** Killed while it went, with everything done. */
function recordDropped(s: Service): boolean {
  const b = s.stateFile(false, ADOPT);
  return b !== null && b.length === 0;
}

/** Has signals to take before its view of its children is the present one. */
function waiting(p: Process): boolean {
  if (p.pending.has(SIGCHLD)) return true;
  for (let i = 0; i < p.children.length; i++) if (p.children[i]!.state === "zombie") return true;
  return false;
}

/** Whether a file is there. */
export function has(s: Service, name: string): boolean {
  return s.directory.child(ascii(name)) !== null;
}
