/**
 * A machine of services for the chaos: runit as process 1, a stage 2 that
 * starts runsvdir again whenever it is gone, and services of two kinds. Each
 * run script takes a lock that its process keeps for life; who does not get it
 * is a second copy, and writes its name down.
 */
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import { type Toolchain, until } from "../support/lab.ts";
import { boot, inside, type Machine, type MachineFiles } from "../support/pidns.ts";
import { processState, slurp } from "../support/service.ts";

const SV = "/etc/sv";
/** Each so many services: one that writes numbered lines, whose log service nobody kills. */
const LINES_EACH = 5;

/** What a service is made of, as /proc shows it. */
export type Role = "service" | "log" | "runsv" | "runsvdir";
export type Part = { readonly pid: number; readonly role: Role; readonly name: string; readonly zombie: boolean };

/** What all of them run: one process without children, so that nobody else has its lock. */
const PROGRAM = `use strict;
$0 = "chaos";
open(my $lock, ">>", "lock") or die;
unless (flock($lock, 6)) {
  open(my $out, ">>", "/run/second-copies");
  my $here = readlink("/proc/self/cwd");
  my @holders = map { m{/proc/(\\d+)/}; $1 } grep { (readlink($_) // "") eq "$here/lock" } glob("/proc/[0-9]*/fd/*");
  syswrite($out, "$$ in $here, beside @holders\\n");
  exit 1;
}
my $n = 0;
while ($ARGV[0] eq "wait") { sleep 1000 }
while ($ARGV[0] eq "lines") { syswrite(STDOUT, "$$ " . ++$n . "\\n"); select(undef, undef, undef, 0.1) }
open(my $lines, ">>", "lines") or die;
while (sysread(STDIN, my $text, 4096)) { syswrite($lines, $text) }
`;
const WAITS = "#!/bin/sh\nexec perl /etc/chaos.pl wait\n";
const LINES = "#!/bin/sh\nexec perl /etc/chaos.pl lines\n";
const KEEPS = "#!/bin/sh\nexec perl /etc/chaos.pl keep\n";

export function serviceName(i: number): string {
  return `s${String(i).padStart(3, "0")}`;
}

/** Whether this service writes lines. */
export function writesLines(name: string): boolean {
  return Number(name.slice(1)) % LINES_EACH === 0;
}

/** Whether it has a log service. */
export function hasLog(name: string): boolean {
  return writesLines(name) || Number(name.slice(1)) % 2 === 1;
}

function files(tools: Toolchain, count: number, runsvdir: string): MachineFiles {
  const all: Record<string, string> = {
    "chaos.pl": PROGRAM,
    "runit/1": "#!/bin/sh\n: >/run/runit.stopit; : >/run/runit.reboot; chmod 0 /run/runit.stopit /run/runit.reboot\n",
    "runit/2": `#!/bin/sh\nwhile :; do ${inside(tools, runsvdir)} ${SV}; sleep 0.1; done\n`,
    "runit/3": "#!/bin/sh\necho three\n",
  };
  for (let i = 0; i < count; i++) {
    const name = serviceName(i);
    all[`sv/${name}/run`] = writesLines(name) ? LINES : WAITS;
    if (hasLog(name)) all[`sv/${name}/log/run`] = KEEPS;
    if (i % 7 === 3) all[`sv/${name}/finish`] = "#!/bin/sh\nexit 0\n";
  }
  return all;
}

function parentOf(pid: number): number {
  const stat = slurp(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]);
}

function cwdOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

export class Tree {
  readonly machine: Machine;
  readonly names: readonly string[];

  private constructor(machine: Machine, names: readonly string[]) {
    this.machine = machine;
    this.names = names;
  }

  static async start(t: TestContext, tools: Toolchain, count: number): Promise<Tree> {
    const machine = await boot(t, tools, ["/sbin/runit"], { etc: files(tools, count, "runsvdir") });
    return new Tree(
      machine,
      Array.from({ length: count }, (_, i) => serviceName(i)),
    );
  }

  /** A path inside, as it is seen from outside. */
  path(...words: readonly string[]): string {
    return join(`/proc/${this.machine.pid}/root`, ...words);
  }

  /** A file of a service, "" when it cannot be read. */
  file(service: string, name: string): string {
    return slurp(this.path(SV, service, name));
  }

  directory(service: string): string {
    return this.path(SV, service);
  }

  /** Every living part (and zombie), as far as it is one of a service. */
  parts(): Part[] {
    const found: Part[] = [];
    for (const pid of this.machine.processes()) {
      const part = this.#part(pid);
      if (part !== null) found.push(part);
    }
    return found;
  }

  #part(pid: number): Part | null {
    const state = processState(pid);
    if (state === "") return null;
    if (state === "Z" || state === "X") return { pid, role: "service", name: "", zombie: true };
    const words = slurp(`/proc/${pid}/cmdline`).split("\0");
    const title = basename(words[0] ?? "");
    if (title === "runsvdir") return { pid, role: "runsvdir", name: "", zombie: false };
    // Between fork and exec a child looks like its parent.
    const named = words[1] ?? "";
    const same = slurp(`/proc/${parentOf(pid)}/cmdline`).startsWith(`runsv\0${named}\0`);
    if (title === "runsv") return same ? null : { pid, role: "runsv", name: basename(named), zombie: false };
    const cwd = cwdOf(pid);
    if (!cwd.startsWith(`${SV}/`)) return null;
    const [, , , name = "", log] = cwd.split("/");
    return { pid, role: log === "log" ? "log" : "service", name, zombie: false };
  }

  /** Whether each service and log service has its process, and its runsv, once; what is missing otherwise. */
  missing(): string {
    const counts = new Map<string, number>();
    for (const { role, name, zombie } of this.parts()) {
      const key = zombie ? "zombie" : `${role} ${name}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const wrong: string[] = [];
    const one = (key: string): void => {
      const n = counts.get(key) ?? 0;
      counts.delete(key);
      if (n !== 1) wrong.push(`${n} of ${key}`);
    };
    one("runsvdir ");
    for (const name of this.names) {
      one(`runsv ${name}`);
      one(`service ${name}`);
      if (hasLog(name)) one(`log ${name}`);
      if (!/^run$/m.test(this.file(name, "supervise/stat"))) wrong.push(`${name} is ${this.file(name, "supervise/stat").trim()}`);
    }
    for (const [key, n] of counts) wrong.push(`${n} of ${key}`);
    return wrong.join(", ");
  }

  /** Waits until nothing is missing; fails with what is. */
  async complete(limitMs: number): Promise<void> {
    let missing = "";
    await until(
      "every service is there, once",
      () => {
        missing = this.missing();
        return missing === "";
      },
      limitMs,
    ).catch((e: unknown) => {
      throw new Error(`${String(e)}: ${missing}; ${this.secondCopies().split("\n").length - 1} second copies were started`);
    });
  }

  /** What second copies wrote. */
  secondCopies(): string {
    return existsSync(this.path("/run/second-copies")) ? readFileSync(this.path("/run/second-copies"), "latin1") : "";
  }
}
