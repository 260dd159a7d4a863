/** chpst and its short forms, and what a program they start finds out about itself. */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, type RunOptions, run, SANITIZED, type Toolchain } from "./lab.ts";

const links = new Map<string, string>();

/** chpst under a name. That of Debian's runit gets links of its own: what lies in the PATH by these names is daemontools'. */
export function programOf(tools: Toolchain, name: string): string {
  if (tools.name === "upkeep" || name === "chpst") return tools.program(name);
  const known = links.get(name);
  if (known !== undefined) return known;
  const dir = mkdtempSync(join(tmpdir(), "upkeep-chpst-"));
  chmodSync(dir, 0o755);
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const link = join(dir, name);
  symlinkSync(tools.program("chpst"), link);
  links.set(name, link);
  return link;
}

/** In a root of its own the leak check finds neither /proc nor the place for its report. */
const NO_LEAK_CHECK = { ASAN_OPTIONS: "detect_leaks=0:handle_segv=0" };

/** Runs chpst or one of its short forms. */
export function chpst(tools: Toolchain, name: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const alone = SANITIZED && tools.name === "upkeep" && args.includes("-/");
  return run(programOf(tools, name), args, alone ? { ...options, env: { ...options.env, ...NO_LEAK_CHECK } } : options);
}

/** What /proc/self of a started program says; a `cat` reads it, so that nothing (a shell's mask, its descriptors) comes between. */
export class SelfReport {
  readonly result: Result;
  constructor(result: Result) {
    this.result = result;
  }

  get status(): Map<string, string> {
    const lines = this.result.stdout.split("\n").map((line) => /^(\w+):\s*(.*)$/.exec(line));
    return new Map(lines.filter((m) => m !== null).map((m) => [m[1] ?? "", (m[2] ?? "").trim()]));
  }

  /** Soft and hard limit by its name in /proc/self/limits, e.g. "Max open files". */
  limit(name: string): readonly [string, string] {
    const line = this.result.stdout.split("\n").find((l) => l.startsWith(`${name}  `)) ?? "";
    const fields = line.slice(26).trim().split(/\s+/);
    return [fields[0] ?? "", fields[1] ?? ""];
  }

  field(name: string): string {
    return this.status.get(name) ?? "";
  }
  /** Real, effective, saved and file-system id when they are all the same, else the four. */
  get uid(): string {
    return same(this.field("Uid"));
  }
  get gid(): string {
    return same(this.field("Gid"));
  }
  get groups(): string {
    return this.field("Groups").trim();
  }
}

function same(ids: string): string {
  const distinct = [...new Set(ids.split(/\s+/))];
  return distinct.length === 1 ? (distinct[0] ?? "") : ids;
}

const CAT = "/bin/cat";
export const SELF = [CAT, "/proc/self/status", "/proc/self/limits"];

/** status and limits of the program that chpst starts. */
export async function inspect(
  tools: Toolchain,
  name: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<SelfReport> {
  return new SelfReport(await chpst(tools, name, [...args, ...SELF], options));
}

/** The same without chpst in between. */
export async function inspectPlain(options: RunOptions = {}): Promise<SelfReport> {
  return new SelfReport(await run(CAT, SELF.slice(1), options));
}

/** The environment the program finds, in its order, as latin-1. */
export async function environmentOf(
  tools: Toolchain,
  name: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string[]> {
  const { stdout, stderr, code } = await chpst(tools, name, [...args, CAT, "/proc/self/environ"], options);
  if (code !== 0) throw new Error(`${name}: ${code}: ${stderr}`);
  return stdout.split("\0").slice(0, -1);
}

/** The value of one variable, or undefined. */
export function valueIn(environment: readonly string[], name: string): string | undefined {
  return environment.find((e) => e.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Descriptors of the program and what they lead to. */
export async function descriptorsOf(
  tools: Toolchain,
  name: string,
  args: readonly string[],
  dir: string,
): Promise<Map<string, string>> {
  const list = join(dir, "descriptors");
  // find(1) writes to a file and, unlike a shell or perl, opens nothing for a descriptor that is closed.
  const lister = ["/usr/bin/find", "/proc/self/fd", "-type", "l", "-fprintf", list, "%f %l\\n"];
  await run("/usr/bin/env", lister, { cwd: dir });
  const inherited = readFileSync(list, "latin1");
  await chpst(tools, name, [...args, ...lister], { cwd: dir });
  const found = new Map<string, string>();
  for (const m of readFileSync(list, "latin1").matchAll(/^(\d+) (.*)$/gm)) {
    // find's own descriptors, and what reaches every program from outside the test, are not meant.
    const target = m[2] ?? "";
    if (target === list || target === dir || target.startsWith("/proc/")) continue;
    if (Number(m[1]) <= 2 || !inherited.includes(m[0])) found.set(m[1] ?? "", m[2] ?? "");
  }
  return found;
}

/** A usage text without its options, which 2.1.2 has fewer of, and without the hint at sources of names. */
export function plain(text: string): string {
  return text
    .replace(/usage: chpst \[.*/g, "usage: chpst")
    .replace(/ \(only \/etc\/passwd and \/etc\/group are read.*?\)/g, "")
    .replace(/\$Id: [0-9a-f]{40} \$/g, "$Id$");
}

/** A directory that can be a root: a static busybox, and an empty etc. */
export function smallRoot(dir: string): string {
  const root = join(dir, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  copyFileSync("/usr/bin/busybox", join(root, "busybox"));
  return root;
}

/** The capability sets of a program, by the last three letters of their names in /proc/self/status. */
export function capabilities(report: SelfReport): Record<string, bigint> {
  return Object.fromEntries(["Inh", "Prm", "Eff", "Bnd", "Amb"].map((name) => [name, BigInt(`0x${report.field(`Cap${name}`)}`)]));
}

/** Whether the tests themselves have a capability: containers and sandboxes lack some. */
export function has(capability: number): boolean {
  const effective = /^CapEff:\s*(\w+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> BigInt(capability)) & 1n) === 1n;
}
