/** Rules about the text of tracked files: sizes, leftovers, what ties the tree to one machine. */
import ts from "typescript5";
import type { Finding, Rule } from "./source.ts";

export const FUNCTION_LINES = 70;
export const FILE_LINES = 400;
const TEST_LINES = 600;
const C_LINES = 1000;

/**
 * The ratchet: functions and files that are longer today, with their length.
 * They may only shrink: an entry that is higher than its object is a finding too.
 */
export const LONGER: Readonly<Record<string, number>> = {};
export const LONGER_FILES: Readonly<Record<string, number>> = {};

function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name) return node.name.getText();
  return ts.isVariableDeclaration(node.parent) ? node.parent.name.getText() : "function";
}

/** A body that is one switch is a table: its length is its number of rows. */
function isTable(body: ts.Node): boolean {
  return ts.isBlock(body) && body.statements.length <= 3 && body.statements.some(ts.isSwitchStatement);
}

export const functionLength: Rule = (node, { path, file }, report) => {
  if (!ts.isFunctionLike(node) || !("body" in node) || !node.body || isTable(node.body)) return;
  const lineOf = (at: number): number => file.getLineAndCharacterOfPosition(at).line;
  const length = lineOf(node.end) - lineOf(node.getStart(file)) + 1;
  const key = `${path}#${nameOf(node)}`;
  const limit = LONGER[key] ?? FUNCTION_LINES;
  if (length > limit) report(node, "length", `${nameOf(node)}: ${length} lines, at most ${limit}`);
  else if (key in LONGER && length < limit) report(node, "length", `${nameOf(node)}: ${length} lines: lower its entry in LONGER`);
};

function limitOf(path: string): number | null {
  if (path.endsWith(".test.ts")) return TEST_LINES;
  if (path.endsWith(".ts")) return FILE_LINES;
  return path.endsWith(".c") ? C_LINES : null;
}

type Pattern = { readonly rule: string; readonly pattern: RegExp; readonly message: string };

/** Spelt in pieces, so that this file does not find itself. */
const PATTERNS: readonly Pattern[] = [
  { rule: "leftover", pattern: new RegExp(`\\b(TO${"DO"}|FIX${"ME"}|XX${"X"})\\b`), message: "finish it, or file an issue" },
  {
    rule: "machine",
    pattern: new RegExp(`(^|[^\\w.$}])/(wo${"rk"}\\b|ro${"ot"}/|ho${"me"}/\\w)`),
    message: "a path of one machine",
  },
  { rule: "machine", pattern: new RegExp(`registry\\.[a-z]+\\.|"resol${"ved"}":|npm\\.pkg\\.`), message: "a registry's address" },
];

/** Findings in one tracked text file. */
export function examineText(path: string, text: string): Finding[] {
  const lines = text.split("\n");
  const findings = lines.flatMap((line, i) =>
    PATTERNS.filter((p) => p.pattern.test(line)).map((p) => ({ file: path, line: i + 1, rule: p.rule, message: p.message })),
  );
  const finding = (line: number, message: string): void => {
    findings.push({ file: path, line, rule: "length", message });
  };
  const limit = LONGER_FILES[path] ?? limitOf(path);
  const length = lines.length - 1;
  if (limit !== null && length > limit) finding(limit, `${length} lines, at most ${limit}`);
  else if (path in LONGER_FILES && length < (limit ?? 0)) finding(length, `${length} lines: lower its entry in LONGER_FILES`);
  return findings;
}
