/**
 * The sanitized program: `node tools/sanitize.ts` makes dist/sanitize, and with
 * --test it runs the tests named, or the black-box tests, on it. --main FILE --out FILE makes
 * another program the same way.
 *
 * The same sources, through the compiler's C backend and gcc, with
 * AddressSanitizer, UndefinedBehaviorSanitizer, the leak check, and the
 * runtime's audit of reference counts, also for the runtime itself; without
 * native/upkeep_heap.c, whose place the sanitizers' own allocator takes. Dynamic
 * and glibc, since the sanitizers know no musl. What is found is written to
 * dist/sanitize/reports; a test run fails when there is anything.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { linkNames, PROGRAMS } from "./build.ts";
import { BUILD, compile, type Program, ROOT } from "./compile.ts";

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

/** Compiles and links an executable. */
async function buildProgram(programs: readonly Program[], out: string): Promise<void> {
  const target = { compiler: "gcc", flags: FLAGS, directory: join(BUILD, "sanitize"), env: {} };
  const objects = await compile(programs, ["native/upkeep_sys.c", "native/upkeep_child.c", "tools/audit.c"], target);
  const wraps = ["main", "k_exit", "_Exit"].map((name) => `-Wl,--wrap=${name}`);
  execFileSync("gcc", [...FLAGS, ...wraps, "-Wl,--gc-sections", ...objects, "-lm", "-o", `${out}.new`], { stdio: "inherit" });
  renameSync(`${out}.new`, out);
}

async function build(): Promise<void> {
  mkdirSync(OUT, { recursive: true });
  await buildProgram(PROGRAMS, join(OUT, "upkeep"));
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

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { main: { type: "string" }, out: { type: "string" }, test: { type: "boolean" } },
});
const out = resolve(values.out ?? join(OUT, "upkeep"));
if (values.main === undefined) await build();
else await buildProgram([{ main: values.main, name: basename(out) }], out);
if (values.test) process.exitCode = test(positionals.length > 0 ? positionals : ["test/blackbox/**/*.test.ts"]);
