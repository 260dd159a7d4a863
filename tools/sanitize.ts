/**
 * The sanitized program: `node tools/sanitize.ts` makes dist/sanitize, and with
 * --test it runs the black-box tests on it.
 *
 * The same sources, through the compiler's C backend and gcc, with
 * AddressSanitizer, UndefinedBehaviorSanitizer, the leak check, and the
 * runtime's audit of reference counts, also for the runtime itself; without
 * native/upkeep_heap.c, whose place the sanitizers' own allocator takes. Dynamic
 * and glibc, since the sanitizers know no musl. What is found is written to
 * dist/sanitize/reports; a test run fails when there is anything.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { BUILD, linkNames, prepareForeign, ROOT, scriptc } from "./build.ts";

const WORK = join(BUILD, "sanitize");
const OUT = join(ROOT, "dist/sanitize");
const REPORTS = join(OUT, "reports");
const MARK = join(OUT, "SANITIZED");

const FLAGS = [
  "-std=gnu11",
  "-D_GNU_SOURCE",
  "-pthread",
  "-O1",
  "-g",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=undefined",
  "-fno-omit-frame-pointer",
  "-DSCR_RC_AUDIT",
  "-DSCR_ASAN_FIBERS",
  "-fno-math-errno",
  "-fno-strict-aliasing",
];

const gcc = promisify(execFile);

/** The runtime's sources this program needs, as the compiler names them. */
function runtimeSources(ffi: string): { root: string; sources: string[] } {
  const args = ["--print=native-link-info", "--ffi", ffi, "-o", join(WORK, "info.o")];
  const info = JSON.parse(scriptc("src/main.ts", args, {}));
  const sets: readonly { sources: string[] }[] = info.runtime_pack.source_sets;
  return { root: info.runtime_pack.root, sources: sets.flatMap((set) => set.sources) };
}

/** Compiles a file unless that has been done with the same content and flags. */
async function object(source: string, flags: readonly string[], stamp: string): Promise<string> {
  const hash = createHash("sha256")
    .update([...flags, stamp].join(" "))
    .update(readFileSync(source));
  const out = join(WORK, `${basename(source)}.${hash.digest("hex").slice(0, 16)}.o`);
  if (!existsSync(out)) {
    for (const old of globSync(join(WORK, `${basename(source)}.*.o`))) rmSync(old);
    await gcc("gcc", [...flags, "-c", source, "-o", `${out}.new`], { cwd: ROOT, maxBuffer: 1 << 26 });
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

async function build(): Promise<void> {
  mkdirSync(WORK, { recursive: true });
  mkdirSync(OUT, { recursive: true });
  // The compiler links nothing here; that the library exists is all it asks.
  const ffi = prepareForeign("src/main.ts", [join(ROOT, "native/upkeep_sys.c")], "sanitize");
  const program = join(WORK, "upkeep.c");
  const { root, sources } = runtimeSources(ffi);
  scriptc("src/main.ts", ["--backend", "c", "--emit=c", "--ffi", ffi, "-o", program], {});
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const runtime = [...FLAGS, "-w", `-I${join(root, "src")}`, `-I${join(root, "vendor/ryu")}`];
  const own = [...FLAGS, `-I${BUILD}`];
  const objects = await pairs(
    [
      { source: program, flags: runtime, stamp: version },
      { source: join(ROOT, "native/upkeep_sys.c"), flags: own, stamp: "" },
      { source: join(ROOT, "tools/audit.c"), flags: own, stamp: "" },
      ...sources.map((path) => ({ source: join(root, path), flags: runtime, stamp: version })),
    ],
    ({ source, flags, stamp }) => object(source, flags, stamp),
  );
  const wraps = ["main", "k_exit", "_Exit"].map((name) => `-Wl,--wrap=${name}`);
  const out = join(OUT, "upkeep");
  execFileSync("gcc", [...FLAGS, ...wraps, "-Wl,--gc-sections", ...objects, "-lm", "-o", `${out}.new`], { stdio: "inherit" });
  renameSync(`${out}.new`, out);
  linkNames(OUT);
  writeFileSync(MARK, "The tests read this: sizes, memory and times are not upkeep's.\n");
}

/** Runs test files on the sanitized program; exit code. */
function test(files: readonly string[]): number {
  rmSync(REPORTS, { recursive: true, force: true });
  mkdirSync(REPORTS, { recursive: true });
  chmodSync(REPORTS, 0o1777); // Tests run programs as other users, too.
  const log = `log_path=${join(REPORTS, "report")}`;
  const env = {
    ...process.env,
    UPKEEP_BIN_DIR: OUT,
    UPKEEP_AUDIT_DIR: REPORTS,
    ASAN_OPTIONS: `${log}:detect_leaks=1:detect_stack_use_after_return=0:handle_segv=0:allocator_may_return_null=1`,
    UBSAN_OPTIONS: `${log}:print_stacktrace=1`,
    LSAN_OPTIONS: log,
  };
  const options = ["--test", "--test-reporter=spec", "--test-concurrency=2"];
  const { status } = spawnSync(process.execPath, [...options, ...files], { cwd: ROOT, env, stdio: "inherit" });
  const reports = readdirSync(REPORTS);
  for (const name of reports.slice(0, 10))
    process.stdout.write(`\n${name}:\n${readFileSync(join(REPORTS, name), "latin1").slice(0, 4000)}`);
  process.stdout.write(`\nsanitizers: ${reports.length} reports\n`);
  return reports.length > 0 ? 1 : (status ?? 1);
}

await build();
const at = process.argv.indexOf("--test");
if (at >= 0) {
  const files = process.argv.slice(at + 1);
  process.exitCode = test(files.length > 0 ? files : ["test/blackbox/**/*.test.ts"]);
}
