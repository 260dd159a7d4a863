/**
 * What the tests of `npm run test:lab` share: real engines and real kernels.
 * A test skips, and says what is missing, where a program is not installed;
 * nothing is installed, and every engine gets a directory of its own, no
 * network, and an end.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { BIN_DIR, type Result, ROOT, run, tempDir } from "../support/lab.ts";

export const MINUTES = { timeout: 900_000 };
export const EXAMPLE = join(ROOT, "examples/container");

/** Whether all of them are on PATH; if not, the test is skipped. */
export function needs(t: TestContext, ...programs: readonly string[]): boolean {
  const missing = programs.filter((p) => spawnSync("sh", ["-c", `command -v ${p}`]).status !== 0);
  if (missing.length > 0) t.skip(`not installed: ${missing.join(" ")}`);
  return missing.length === 0;
}

/** A directory for an engine: it goes only after the engine has, by removeDir. Its path is short. */
export function ownDir(): string {
  return mkdtempSync(join(tmpdir(), "uplab-"));
}

/** Also when an engine left something mounted in it. */
export function removeDir(dir: string): void {
  const script = `cut -d' ' -f2 /proc/mounts | grep "^${dir}/" | sort -r | while read -r m; do umount -l "$m"; done; rm -rf "${dir}"`;
  execFileSync("sh", ["-c", script]);
}

/** Milliseconds something took. */
export async function timed(fn: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await fn();
  return Math.round(performance.now() - from);
}

const SCRIPTS: Readonly<Record<string, string>> = {
  "etc/runit/1": `#!/bin/sh
mount -t proc proc /proc 2>/dev/null; mount -t sysfs sys /sys 2>/dev/null; mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs run /run 2>/dev/null
for f in /run/runit.stopit /run/runit.reboot; do : >$f; chmod 0 $f; done
echo "stage 1 done"
`,
  "etc/runit/2": "#!/bin/sh\necho 'stage 2'\nexec runsvdir -P /etc/service\n",
  "etc/runit/3":
    "#!/bin/sh\necho 'stage 3'\nsv -w 5 force-stop /etc/service/* >/dev/null\nsv exit /etc/service/* >/dev/null\necho 'stage 3 done'\n",
  "etc/runit/ctrlaltdel":
    "#!/bin/sh\necho ctrl-alt-del\n: >/run/runit.stopit; : >/run/runit.reboot; chmod 100 /run/runit.stopit /run/runit.reboot\n",
  "etc/service/tick/run":
    "#!/bin/sh\nexec 2>&1\ntrap 'echo tick stops; exit 0' TERM\ni=0\nwhile :; do i=$((i+1)); echo \"tick $i\"; sleep 0.2; done\n",
  "etc/service/tick/check": "#!/bin/sh\ntest ! -e /tmp/sick\n",
};

/** Which suite the root's PATH leads to. */
export type Suite = "upkeep" | "runit";

/** A root of busybox, a suite and one service, with stages if wanted. Returns its path. */
export function makeRoot(t: TestContext, suite: Suite, stages: boolean): string {
  const root = join(tempDir(t), "root");
  for (const dir of ["bin", "etc", "proc", "sys", "dev", "run", "tmp", "var"]) mkdirSync(join(root, dir), { recursive: true });
  for (const link of ["sbin", "usr"]) symlinkSync(link === "usr" ? "." : "bin", join(root, link));
  for (const [path, text] of Object.entries(SCRIPTS)) {
    if (!stages && path.startsWith("etc/runit")) continue;
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text, { mode: 0o755 });
  }
  if (stages) {
    for (const f of ["stopit", "reboot"]) symlinkSync(`/run/runit.${f}`, join(root, "etc/runit", f));
  }
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
  chmodSync(join(root, "tmp"), 0o1777);
  chmodSync(join(root, "run"), 0o1777);
  const busybox = execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim();
  cpSync(busybox, join(root, "bin/busybox"), { dereference: true });
  const own = new Set([
    "init",
    "linuxrc",
    "halt",
    "poweroff",
    "reboot",
    "runsv",
    "runsvdir",
    "sv",
    "svlogd",
    "chpst",
    "svc",
    "svok",
  ]);
  for (const name of execFileSync(busybox, ["--list"], { encoding: "utf8" }).split("\n")) {
    if (name !== "" && name !== "busybox" && !own.has(name)) symlinkSync("busybox", join(root, "bin", name));
  }
  if (suite === "upkeep") addUpkeep(root);
  else addRunit(root);
  return root;
}

function addUpkeep(root: string): void {
  for (const name of readdirSync(BIN_DIR))
    cpSync(join(BIN_DIR, name), join(root, "bin", name), { verbatimSymlinks: true, force: true });
  symlinkSync("runit-init", join(root, "bin/init"));
}

function copyInto(file: string, dir: string): void {
  execFileSync("cp", ["-L", file, dir]);
}

/** Debian's, with the libraries they need. */
function addRunit(root: string): void {
  symlinkSync("bin", join(root, "lib"));
  symlinkSync("bin", join(root, "lib64"));
  const places = [
    "/sbin/runit",
    "/lib/runit/runit-init",
    ...["runsvdir", "runsv", "sv", "svlogd", "chpst"].map((n) => `/usr/bin/${n}`),
  ];
  const libraries = new Set<string>();
  for (const place of places) {
    if (!existsSync(place)) continue;
    copyInto(place, join(root, "bin"));
    for (const found of execFileSync("ldd", [place], { encoding: "utf8" }).matchAll(/\/\S+/g)) libraries.add(found[0]);
  }
  for (const library of libraries) copyInto(library, join(root, "bin"));
  symlinkSync("runit-init", join(root, "bin/init"));
}

/** A program that must succeed; its standard output. */
export async function must(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const result: Result = await run(program, args, { timeoutMs: 300_000, env });
  if (result.code !== 0) throw new Error(`${program} ${args.join(" ")}: ${result.code}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** A line of the report: what the README's table is made of. */
export function report(t: TestContext, line: string): void {
  t.diagnostic(line);
}

export function lab(name: string, fn: (t: TestContext) => Promise<void>): void {
  test(name, MINUTES, fn);
}
