/**
 * Builds the static executable: `node tools/build.ts [--main FILE] [--out FILE]`.
 *
 * dist/bin/upkeep and a relative symlink for every name it answers to. The
 * sanitized program is tools/sanitize.ts.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
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
import { declaredFunctions, foreignFunctions, header, manifest } from "./ffi.ts";

export const ROOT = resolve(import.meta.dirname, "..");
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

export const BUILD = join(ROOT, "build");

function run(command: string, args: readonly string[], env: Record<string, string> = {}): string {
  return execFileSync(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  }).toString();
}

/** Manifest and header from the C source; a declaration that does not fit it ends the build. */
export function prepareForeign(main: string, objects: readonly string[], name: string): string {
  const all = foreignFunctions(readFileSync(join(ROOT, "native/upkeep_sys.c"), "utf8"));
  writeFileSync(join(BUILD, "upkeep_sys.h"), header(all));
  const file = join(BUILD, `${name}.ffi.json`);
  writeFileSync(file, manifest(declaredFunctions(join(ROOT, main), all), objects));
  return file;
}

/** Runs the compiler; what it prints. */
export function scriptc(main: string, rest: readonly string[], env: Record<string, string>): string {
  const cache = join(BUILD, "cache");
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  return run(join(ROOT, "node_modules/.bin/scriptc"), ["build", main, ...rest], {
    PATH: `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`,
    SCRIPTC_CACHE_DIR: cache,
    ...env,
  });
}

const WARNINGS = ["-Wall", "-Wextra", "-Werror"];

export function buildRelease(main: string, out: string): void {
  const name = basename(out);
  const units = ["upkeep_sys", "upkeep_heap"];
  const objects = units.map((unit) => join(BUILD, `${name}.${unit}.o`));
  const ffi = prepareForeign(main, objects, name);
  for (const [i, unit] of units.entries()) {
    const object = objects[i] ?? "";
    run("musl-gcc", ["-Os", "-ffunction-sections", ...WARNINGS, `-I${BUILD}`, "-c", `native/${unit}.c`, "-o", object]);
  }
  mkdirSync(dirname(out), { recursive: true });
  const fresh = join(BUILD, name);
  scriptc(main, ["--backend", "llvm", "--strip", "--no-keep-c", "--ffi", ffi, "-o", fresh], {
    SCRIPTC_TARGET: "x86_64-linux-musl",
    SCRIPTC_LINKER: join(ROOT, "tools/link-musl"),
  });
  install(fresh, out);
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
  mkdirSync(BUILD, { recursive: true });
  const out = resolve(values.out ?? join(ROOT, "dist/bin/upkeep"));
  buildRelease(values.main ?? "src/main.ts", out);
  if (values.main === undefined) linkNames(dirname(out));
  process.stdout.write(`${out}: ${statSync(out).size} bytes\n`);
}
