/**
 * npm run bench:chpst [-- ROUNDS]: what it costs to have a program run as
 * another user: the time of `chpst -u nobody PROGRAM` less that of PROGRAM,
 * ours beside others, one after the other in every round (bench/interleave.c).
 *
 * PROGRAM is a static one that does nothing, so that little else is measured.
 * "least" compares the fastest run of each, which a busy machine disturbs
 * least. The floor is what C needs at least: the same system calls, no more.
 * BUSYBOX names the directory of a static BusyBox with links to its runit
 * applets, which Debian's has not; bench/peers.sh builds one.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROUNDS = process.argv[2] ?? "2000";
const ROOT = resolve(import.meta.dirname, "..");
const BUSYBOX = process.env["BUSYBOX"] ?? join(ROOT, "build/peers/busybox");
const SETPRIV = ["/usr/bin/setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];

const FLOOR = `#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int n, char **v) {
  static char b[8192];
  unsigned gid = 65534;
  int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  while (read(fd, b, sizeof b) > 0) continue;
  close(fd);
  syscall(SYS_setgroups, 1, &gid);
  syscall(SYS_setgid, gid);
  syscall(SYS_setuid, gid);
  if (n > 1) execv(v[1], v + 1);
  return 111;
}
`;

type Command = { readonly name: string; readonly words: readonly string[] };

/** What can be compared on this machine. The first is PROGRAM alone, the second ours, the third the one to beat. */
function commands(program: string, floor: string): Command[] {
  const all: readonly Command[] = [
    { name: "PROGRAM alone", words: [] },
    { name: "upkeep chpst -u", words: [join(ROOT, "dist/bin/chpst"), "-u", "nobody"] },
    { name: "runit chpst -u", words: ["/usr/bin/chpst", "-u", "nobody"] },
    { name: "upkeep setuidgid", words: [join(ROOT, "dist/bin/setuidgid"), "nobody"] },
    { name: "BusyBox chpst -u", words: [join(BUSYBOX, "chpst"), "-u", "nobody"] },
    { name: "BusyBox setuidgid", words: [join(BUSYBOX, "setuidgid"), "nobody"] },
    { name: "daemontools setuidgid", words: ["/usr/bin/setuidgid", "nobody"] },
    { name: "s6-setuidgid", words: ["/usr/bin/s6-setuidgid", "nobody"] },
    { name: "setpriv", words: SETPRIV },
    { name: "floor (C)", words: [floor] },
  ];
  return all
    .filter(({ words: [file] }) => file === undefined || existsSync(file))
    .map(({ name, words }) => ({ name, words: [...words, program] }));
}

function compile(dir: string, name: string, source: string, compiler: string, flags: readonly string[]): string {
  writeFileSync(join(dir, `${name}.c`), source);
  execFileSync(compiler, [...flags, "-O2", join(dir, `${name}.c`), "-o", join(dir, name)], { stdio: "inherit" });
  return join(dir, name);
}

type Row = {
  readonly name: string;
  readonly median: number;
  readonly quartiles: string;
  readonly least: number;
  readonly faults: number;
};

/** Microseconds more than PROGRAM alone. */
function measure(dir: string): Row[] {
  const interleave = join(dir, "interleave");
  execFileSync("gcc", ["-O2", join(ROOT, "bench/interleave.c"), "-o", interleave], { stdio: "inherit" });
  const program = compile(dir, "program", "int main(void) { return 0; }\n", "musl-gcc", ["-static", "-s"]);
  const floor = compile(dir, "floor", FLOOR, "musl-gcc", ["-static", "-s"]);
  const all = commands(program, floor);
  const words = all.flatMap(({ words }) => [",", ...words]);
  const lines = execFileSync(interleave, [ROUNDS, ...words], { encoding: "latin1", env: { PATH: "/usr/bin:/bin", HOME: "/" } });
  const alone = Number(lines.split("\n")[0]?.split(" ")[5]);
  return lines
    .trim()
    .split("\n")
    .map((line, i) => {
      const [, median = 0, low = 0, high = 0, least = 0, faults = 0] = line.split(" ").map(Number);
      const us = (ns: number): number => Math.round(ns / 100) / 10;
      const quartiles = `${us(low)} to ${us(high)}`;
      return { name: all[i]?.name ?? "", median: us(median), quartiles, least: us(least), faults: faults - alone };
    });
}

const dir = mkdtempSync(join(tmpdir(), "upkeep-chpst-"));
try {
  chmodSync(dir, 0o755);
  const rows = measure(dir);
  const runit = rows.find((row) => row.name === "runit chpst -u");
  process.stdout.write(
    `| ${ROUNDS} rounds | median, µs | quartiles | least, µs | page faults | of runit's: median, least |\n| --- | --- | --- | --- | --- | --- |\n`,
  );
  for (const row of rows.slice(1)) {
    const part = runit ? `${(row.median / runit.median).toFixed(2)}, ${(row.least / runit.least).toFixed(2)}` : "";
    process.stdout.write(
      `| ${row.name} | ${row.median} | ${row.quartiles} | ${row.least} | ${row.faults.toFixed(0)} | ${part} |\n`,
    );
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
