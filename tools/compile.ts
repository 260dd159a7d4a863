/**
 * From TypeScript to objects: the compiler's C backend, then gcc, for the
 * program and for the runtime's own sources. gcc's -Os makes a program of two
 * thirds of the size the LLVM backend makes, at the same number of
 * instructions to start (CONTRIBUTING.md, "Build").
 */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import { declaredFunctions, foreignFunctions, header, manifest } from "./ffi.ts";

export const ROOT = resolve(import.meta.dirname, "..");
export const BUILD = join(ROOT, "build");

const gcc = promisify(execFile);

/** A way to compile: the driver, its flags, and where the objects go. */
export type Target = {
  readonly compiler: string;
  readonly flags: readonly string[];
  readonly directory: string;
  /** For scriptc: chooses what the runtime is made of. */
  readonly env: Record<string, string>;
};

/** Manifest and header from the C source; a declaration that does not fit it ends the build. */
export function prepareForeign(main: string, name: string): string {
  mkdirSync(BUILD, { recursive: true });
  const source = join(ROOT, "native/upkeep_sys.c");
  const all = foreignFunctions(readFileSync(source, "utf8"));
  writeFileSync(join(BUILD, "upkeep_sys.h"), header(all));
  const file = join(BUILD, `${name}.ffi.json`);
  // The compiler links nothing here; that the library exists is all it asks.
  writeFileSync(file, manifest(declaredFunctions(join(ROOT, main), all), [source]));
  return file;
}

/** Runs the compiler; what it prints. */
export function scriptc(main: string, rest: readonly string[], env: Record<string, string>): string {
  const cache = join(BUILD, "cache");
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const bin = join(ROOT, "node_modules/.bin");
  return execFileSync(join(bin, "scriptc"), ["build", main, ...rest], {
    cwd: ROOT,
    env: { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}`, SCRIPTC_CACHE_DIR: cache, ...env },
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 26,
  }).toString();
}

type Runtime = { readonly root: string; readonly version: string; readonly sources: readonly string[] };

/** The runtime's sources a program needs, as the compiler names them; asked once for each program. */
function runtime(main: string, name: string, ffi: string, target: Target): Runtime {
  const root = join(ROOT, "node_modules/@scriptc/runtime");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const file = join(target.directory, `${name}.runtime-${version}.json`);
  if (!existsSync(file)) {
    const args = ["--print=native-link-info", "--ffi", ffi, "-o", join(target.directory, "info.o")];
    const info = JSON.parse(scriptc(main, args, target.env));
    const sets: readonly { sources: string[] }[] = info.runtime_pack.source_sets;
    writeFileSync(file, JSON.stringify(sets.flatMap((set) => set.sources)));
  }
  return { root, version, sources: JSON.parse(readFileSync(file, "utf8")) };
}

/** Compiles a file unless that has been done with the same content and flags. */
async function object(source: string, flags: readonly string[], stamp: string, target: Target): Promise<string> {
  const hash = createHash("sha256")
    .update([target.compiler, ...flags, stamp].join(" "))
    .update(readFileSync(source));
  const out = join(target.directory, `${basename(source)}.${hash.digest("hex").slice(0, 16)}.o`);
  if (!existsSync(out)) {
    for (const old of globSync(join(target.directory, `${basename(source)}.*.o`))) rmSync(old);
    await gcc(target.compiler, [...flags, "-c", source, "-o", `${out}.new`], { cwd: ROOT, maxBuffer: 1 << 26 });
    renameSync(`${out}.new`, out);
  }
  return out;
}

/** Two at a time. */
async function pairs<T, R>(all: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < all.length; i += 2) results.push(...(await Promise.all(all.slice(i, i + 2).map(work))));
  return results;
}

/** A TypeScript program; `entry`: what its C main is called instead, where it is the second one in an executable. */
export type Program = { readonly main: string; readonly name: string; readonly entry?: string };

/** String literals are never written to (their count says so), but the compiler has them as variables: each would be a private page. */
function literalsConstant(file: string): void {
  const c = readFileSync(file, "utf8");
  writeFileSync(
    file,
    c.replace(/^static struct (?=\{ size_t rc; size_t len; size_t cap; char data\[)/gm, "static const struct "),
  );
}

type Source = { readonly source: string; readonly flags: readonly string[]; readonly stamp: string };

/** Every object of an executable: the programs in C, the C files `own`, and the runtime. */
export async function compile(programs: readonly Program[], own: readonly string[], target: Target): Promise<string[]> {
  mkdirSync(target.directory, { recursive: true });
  const sources = new Map<string, Source>();
  const add = (source: Source): unknown => sources.set(source.source, source);
  for (const { main, name, entry } of programs) {
    const ffi = prepareForeign(main, name);
    const program = join(target.directory, `${name}.c`);
    scriptc(main, ["--backend", "c", "--emit=c", "--ffi", ffi, "-o", program], target.env);
    literalsConstant(program);
    const { root, version, sources: files } = runtime(main, name, ffi, target);
    // No path of this machine gets into the program.
    const plain = [...target.flags, `-ffile-prefix-map=${ROOT}/=`, `-ffile-prefix-map=${root}/=`];
    const foreign = [...plain, "-w", ...["src", "vendor/ryu", "vendor/quickjs-ng"].map((dir) => `-I${join(root, dir)}`)];
    const strict = [...plain, "-Wall", "-Wextra", "-Werror", `-I${BUILD}`];
    const stamp = readFileSync(join(BUILD, "upkeep_sys.h"), "utf8");
    add({ source: program, flags: entry === undefined ? foreign : [...foreign, `-Dmain=${entry}`], stamp: version });
    const headers = globSync(join(ROOT, "native/*.h")).map((file) => readFileSync(file, "utf8"));
    for (const file of own) add({ source: join(ROOT, file), flags: strict, stamp: [stamp, ...headers].join("") });
    for (const file of files) add({ source: join(root, file), flags: foreign, stamp: version });
  }
  return pairs([...sources.values()], ({ source, flags, stamp }) => object(source, flags, stamp, target));
}
