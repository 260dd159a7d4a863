/**
 * Builds the static executable: `node tools/build.ts [--main FILE] [--out FILE]`.
 *
 * dist/bin/upkeep and a relative symlink for every name it answers to. For the
 * sanitized program see tools/sanitize.ts.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BUILD, compile, type Program, ROOT, type Target } from "./compile.ts";
import { programFiles } from "./ffi.ts";

export const NAMES = [
  "runit",
  "runit-init",
  "runsv",
  "runsvdir",
  "runsvchdir",
  "sv",
  "svlogd",
  "chpst",
  "envuidgid",
  "envdir",
  "pgrphack",
  "setlock",
  "setuidgid",
  "softlimit",
  "utmpset",
];

/**
 * The executable is two programs. chpst and its short forms stand in front of
 * nearly every service, for a fraction of a millisecond; as a program of their
 * own they run no initialisers but their own, and lie together in memory.
 * native/upkeep_sys.c decides by the name which one runs.
 */
export const PROGRAMS: readonly Program[] = [
  { main: "src/main.ts", name: "upkeep" },
  { main: "src/main-chpst.ts", name: "chpst", entry: "chpst_main" },
];

const RELEASE: Target = {
  compiler: "musl-gcc",
  flags: [
    "-std=gnu11",
    "-D_GNU_SOURCE",
    "-DSCR_MUSL",
    "-pthread",
    "-Os",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-math-errno",
    "-fno-strict-aliasing",
    "-fno-asynchronous-unwind-tables",
    "-fno-stack-protector",
    "-fno-pie",
  ],
  directory: join(BUILD, "release"),
  env: { SCRIPTC_TARGET: "x86_64-linux-musl" },
};

const NATIVE = ["native/upkeep_sys.c", "native/upkeep_child.c", "native/upkeep_heap.c"];

/** Where the linker puts what: relative, as is everything that the hash of the inputs sees. */
const LAYOUT = "native/upkeep.ld";

const LINK = [
  "-static",
  "-s",
  // Without the compiler's start files, which have nothing to do here but a page to touch.
  "-nostartfiles",
  "-Wl,--wrap=main",
  "-Wl,--wrap=setvbuf",
  "-Wl,--build-id=none",
  "-Wl,-z,noseparate-code",
  "-Wl,-z,norelro",
  "-Wl,--gc-sections",
  `-Wl,-T,${LAYOUT}`,
];

/** Of everything a build depends on: an equal one need not be made again. */
function inputsHash(programs: readonly Program[]): string {
  const hash = createHash("sha256").update([...RELEASE.flags, ...LINK].join(" "));
  const sources = programs.flatMap(({ main }) => programFiles(join(ROOT, main)));
  const native = readdirSync(join(ROOT, "native")).map((file) => join(ROOT, "native", file));
  const files = [...new Set(sources), ...native];
  const tools = ["tools/build.ts", "tools/compile.ts", "tools/ffi.ts", "package-lock.json"].map((file) => join(ROOT, file));
  for (const file of [...files, ...tools.filter((file) => existsSync(file))])
    hash.update(file.slice(ROOT.length)).update(readFileSync(file));
  return hash.digest("hex");
}

export async function buildRelease(programs: readonly Program[], out: string): Promise<void> {
  const name = basename(out);
  const stamp = join(BUILD, `${name}.inputs`);
  const inputs = inputsHash(programs);
  if (existsSync(out) && existsSync(stamp) && readFileSync(stamp, "utf8") === `${inputs} ${out}`) return;
  const objects = await compile(programs, NATIVE, RELEASE);
  mkdirSync(dirname(out), { recursive: true });
  const fresh = join(BUILD, name);
  const start = execFileSync(RELEASE.compiler, ["-print-file-name=crt1.o"], { encoding: "utf8" }).trim();
  execFileSync(RELEASE.compiler, [...LINK, start, ...objects, "-lm", "-o", fresh], { cwd: ROOT, stdio: "inherit" });
  install(fresh, out);
  writeFileSync(stamp, `${inputs} ${out}`);
}

/** Puts a program in place at once, as the old one may be running; an equal one stays the same file. */
function install(fresh: string, out: string): void {
  if (existsSync(out) && readFileSync(out).equals(readFileSync(fresh))) return;
  const temporary = `${out}.${process.pid}`;
  copyFileSync(fresh, temporary);
  renameSync(temporary, out);
}

export function linkNames(dir: string): void {
  for (const name of NAMES) {
    const link = join(dir, name);
    if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(link) === "upkeep") continue;
    rmSync(link, { force: true });
    symlinkSync("upkeep", link);
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: { main: { type: "string" }, out: { type: "string" } },
  });
  const out = resolve(values.out ?? join(ROOT, "dist/bin/upkeep"));
  await buildRelease(values.main === undefined ? PROGRAMS : [{ main: values.main, name: basename(out) }], out);
  if (values.main === undefined) linkNames(dirname(out));
  process.stdout.write(`${out}: ${statSync(out).size} bytes\n`);
}
