/**
 * Checks what neither tsc nor the linter sees: `node tools/tidy.ts`. Traps and
 * gaps of the compiled subset, layers, sizes, leftovers. A finding that is
 * wrong is excused where it stands: `// tidy: RULE, reason`.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { layers } from "./tidy/layers.ts";
import { examine, type Finding, program, type Rule, type Source } from "./tidy/source.ts";
import { SUBSET } from "./tidy/subset.ts";
import { examineText, functionLength } from "./tidy/text.ts";
import { TRAPS } from "./tidy/traps.ts";

const ROOT = resolve(import.meta.dirname, "..");

/** For what is compiled. */
const COMPILED: readonly Rule[] = [...TRAPS, ...SUBSET, layers, functionLength];
/** For what only Node runs. */
const NODE: readonly Rule[] = [functionLength];

export function isCompiled(path: string): boolean {
  return path.startsWith("src/") && !path.endsWith(".test.ts");
}

export function examineSource(source: Source): Finding[] {
  if (source.path.endsWith(".test.ts")) return [];
  return examine(source, isCompiled(source.path) ? COMPILED : NODE);
}

function trackedFiles(): string[] {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return list.split("\0").filter((path) => path !== "" && existsSync(join(ROOT, path)) && statSync(join(ROOT, path)).isFile());
}

function main(): void {
  const files = trackedFiles();
  const findings = files.flatMap((path) => examineText(path, readFileSync(join(ROOT, path), "latin1")));
  const sources = program(
    ROOT,
    files.filter((path) => path.endsWith(".ts") && !path.startsWith("test/subset/probes/")),
  );
  findings.push(...sources.flatMap(examineSource));
  for (const { file, line, rule, message } of findings) process.stdout.write(`${file}:${line}: ${rule}: ${message}\n`);
  process.exitCode = findings.length > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) main();
