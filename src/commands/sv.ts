/**
 * sv(8): tells the runsv of each service what to do, and reports.
 *
 * Phase 1 sends, phase 2 (sv-waiter.ts) waits. Unlike runit's, this one never
 * changes its working directory; unlike runit's, the control byte is written
 * whatever the status says (compat: doc/differences.md, sv-always-writes): the
 * status may be older than a byte that is still on its way.
 */
import { ascii, basename, EMPTY, item, parseDecimal, text } from "../base/bytes.ts";
import { OptionReader } from "../base/options.ts";
import { after, type Instant } from "../base/units.ts";
import { CHECK, type SvCommand, svCommand } from "../core/sv-command.ts";
import { limitMs, type Mark } from "../core/sv-wait.ts";
import { occupyStandardDescriptors } from "../host/console.ts";
import { stateDirectories } from "../host/mirror.ts";
import { ServiceQuery } from "../host/service-query.ts";
import { hasLog, locate, type ServicePlace, ServicesDirectory, scratchStat } from "../host/supervise-dir.ts";
import { type LsbStatus, NO_DIRECTORY, Report } from "../host/sv-report.ts";
import { Waiter } from "../host/sv-waiter.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { complain } from "../kernel/output.ts";
import { environmentValue } from "../kernel/self.ts";
import { ID_LINE } from "../version.ts";

/** Debian's; upstream's is /service. */
const SERVICES = "/etc/service";
const WAIT_SECONDS = 7;
const EXIT_USAGE = 100;
const EXIT_USAGE_INITD = 2;
const LSB_UNKNOWN = 4;

/** The command line, understood. */
type Request = {
  readonly command: SvCommand;
  readonly names: readonly Uint8Array[];
  readonly waitSeconds: number;
  readonly initd: boolean;
};

/** What came out of the command line: a request, or the exit code of a usage message already given. */
type Parsed = { readonly request: Request | null; readonly exit: number };

function usage(kernel: Kernel, program: string, initd: boolean): Parsed {
  const synopsis = initd ? " [-w sec] command" : " [-v] [-w sec] command service ...";
  complain(kernel, `usage: ${program}${synopsis}\n\n`);
  return { request: null, exit: initd ? EXIT_USAGE_INITD : EXIT_USAGE };
}

function parse(kernel: Kernel, argv: readonly Uint8Array[]): Parsed {
  const name = item(argv, 0);
  const program = name === null ? ascii("sv") : basename(name);
  const shown = text(program);
  const initd = shown !== "sv";
  const options = new OptionReader(argv, ascii("w:vV"));
  let verbose = false;
  const waitVariable = environmentValue("SVWAIT");
  let waitSeconds = waitVariable === null ? WAIT_SECONDS : parseDecimal(waitVariable).value;
  for (;;) {
    const step = options.next();
    if (step.kind === "end") break;
    if (step.kind === "unknown") {
      complain(kernel, `${shown}: illegal option -- ${step.letter}\n`);
      return usage(kernel, shown, initd);
    }
    if (step.kind === "missing") {
      complain(kernel, `${shown}: option requires an argument -- ${step.letter}\n`);
      return usage(kernel, shown, initd);
    }
    if (step.option.letter === "V") {
      complain(kernel, ID_LINE);
      return usage(kernel, shown, initd);
    }
    verbose = true;
    if (step.option.value !== null) waitSeconds = parseDecimal(step.option.value).value;
  }
  const word = item(argv, options.at);
  const command = word === null ? null : svCommand(word, verbose, initd);
  const names = initd ? [program] : argv.slice(options.at + 1);
  if (command === null || names.length === 0) return usage(kernel, shown, initd);
  return { request: { command, names, waitSeconds, initd }, exit: 0 };
}

/** One run over the services of a request. */
class Run {
  readonly #kernel: Kernel;
  readonly #request: Request;
  readonly #services: ServicesDirectory;
  readonly #report: Report;
  readonly #query: ServiceQuery = new ServiceQuery();
  readonly #logQuery: ServiceQuery = new ServiceQuery();
  readonly #acts: Uint8Array;
  /** init.d mode: the code `status` ends with, or < 0. */
  #lsb = -1;

  constructor(kernel: Kernel, request: Request) {
    this.#kernel = kernel;
    this.#request = request;
    const dir = environmentValue("SVDIR");
    this.#services = new ServicesDirectory(kernel, dir === null ? ascii(SERVICES) : dir);
    this.#report = new Report(kernel);
    this.#acts = request.command.acts === CHECK ? EMPTY : ascii(request.command.acts);
  }

  all(): number {
    const { command, names, waitSeconds } = this.#request;
    if (command.wait) {
      const deadline = after(this.#kernel.now(), limitMs(waitSeconds));
      this.#sendAndWait(deadline);
    } else {
      for (let i = 0; i < names.length; i++) this.#one(names[i]!);
    }
    this.#report.flush();
    return this.#request.initd && this.#lsb >= 0 ? this.#lsb : this.#report.exitCode;
  }

  #one(name: Uint8Array): void {
    const located = locate(this.#kernel, this.#services, name);
    if (located.errno !== 0) this.#report.fail(name, NO_DIRECTORY, located.errno);
    else if (this.#request.command.acts === "") this.#status(name, located.place);
    else this.#send(name, located.place);
  }

  #sendAndWait(deadline: Instant): void {
    const { command, names } = this.#request;
    const waiter = new Waiter(this.#kernel, this.#report, command.acts, command.kill);
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      const located = locate(this.#kernel, this.#services, name);
      if (located.errno !== 0) {
        this.#report.fail(name, NO_DIRECTORY, located.errno);
        continue;
      }
      const mark = this.#send(name, located.place);
      if (mark !== null) waiter.add(name, located.place, mark);
    }
    waiter.run(deadline);
  }

  /** Sends the command; null when that failed, which is reported. */
  #send(name: Uint8Array, place: ServicePlace): Mark | null {
    const query = this.#query;
    const exiting = this.#request.command.acts === "x";
    if (query.ask(this.#kernel, place) !== "ok") {
      this.#report.problem(name, query, exiting);
      return null;
    }
    const wall = this.#kernel.wall();
    const mark: Mark = {
      sentAt: wall.seconds * 1e6 + Math.floor(wall.nanoseconds / 1000),
      labelBefore: query.status.sinceMicroseconds,
    };
    if (this.#acts.length === 0) return mark;
    if (query.send(this.#kernel, place, this.#acts) !== "ok") {
      this.#report.problem(name, query, exiting);
      return null;
    }
    return mark;
  }

  #status(name: Uint8Array, place: ServicePlace): void {
    const query = this.#query;
    const report = this.#report;
    const outcome = query.ask(this.#kernel, place);
    if (outcome !== "ok") {
      report.problem(name, query, false);
      if (outcome === "unknown") this.#lsb = LSB_UNKNOWN;
      return;
    }
    const lsb: LsbStatus = report.state(name, name, place, query);
    this.#lsb = lsb;
    if (hasLog(this.#kernel, place, scratchStat)) this.#logStatus(name, place.log());
    report.endLine();
  }

  /** `; ` and the state of the log service. */
  #logStatus(name: Uint8Array, place: ServicePlace): void {
    const query = this.#logQuery;
    query.ask(this.#kernel, place);
    this.#report.logState(name, place, query);
  }
}

export function sv(kernel: Kernel, argv: readonly Uint8Array[]): number {
  occupyStandardDescriptors(kernel);
  stateDirectories.find();
  stateDirectories.brief = true;
  const parsed = parse(kernel, argv);
  return parsed.request === null ? parsed.exit : new Run(kernel, parsed.request).all();
}
