/** What every rule of tidy works on, and what it says. */
import ts from "typescript5";

/** A finding: `file:line: rule: message`. */
export type Finding = { readonly file: string; readonly line: number; readonly rule: string; readonly message: string };

/** A source file with its place in the tree, and the types of its program. */
export type Source = { readonly path: string; readonly file: ts.SourceFile; readonly checker: ts.TypeChecker };

export type Report = (node: ts.Node, rule: string, message: string) => void;

/** A rule looks at one node; `report` is told what is wrong with it. */
export type Rule = (node: ts.Node, source: Source, report: Report) => void;

/** `// tidy: RULE, reason` on the line or the one above it excuses a finding. */
function excused(text: string, line: number, rule: string): boolean {
  const lines = text.split("\n");
  const mark = new RegExp(`// tidy: ${rule}, \\w`);
  return mark.test(lines[line - 1] ?? "") || mark.test(lines[line - 2] ?? "");
}

/** Runs the rules over all nodes of a file. */
export function examine(source: Source, rules: readonly Rule[]): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (node, rule, message) => {
    const line = source.file.getLineAndCharacterOfPosition(node.getStart(source.file)).line + 1;
    if (!excused(source.file.text, line, rule)) findings.push({ file: source.path, line, rule, message });
  };
  const visit = (node: ts.Node): void => {
    for (const rule of rules) rule(node, source, report);
    ts.forEachChild(node, visit);
  };
  visit(source.file);
  return findings;
}

/** Compiler options of tsconfig.json that matter to types. */
export const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ESNext,
  lib: ["lib.esnext.d.ts"],
  types: ["node"],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  allowImportingTsExtensions: true,
  noEmit: true,
};

/** A program of files on disk and, in front of them, texts that exist only here (for the tests). */
export function program(root: string, paths: readonly string[], texts: ReadonlyMap<string, string> = new Map()): Source[] {
  const host = ts.createCompilerHost(OPTIONS, true);
  const { getSourceFile, fileExists, readFile } = host;
  const own = (path: string): string | undefined => texts.get(path.slice(root.length + 1));
  host.getCurrentDirectory = () => root;
  host.fileExists = (path) => own(path) !== undefined || fileExists(path);
  host.readFile = (path) => own(path) ?? readFile(path);
  host.getSourceFile = (path, language, ...rest) => {
    const text = own(path);
    return text === undefined ? getSourceFile(path, language, ...rest) : ts.createSourceFile(path, text, language, true);
  };
  const all = ts.createProgram(
    paths.map((path) => `${root}/${path}`),
    OPTIONS,
    host,
  );
  const checker = all.getTypeChecker();
  return paths.flatMap((path) => {
    const file = all.getSourceFile(`${root}/${path}`);
    return file ? [{ path, file, checker }] : [];
  });
}
