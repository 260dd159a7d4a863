/**
 * Who may import whom: down, never up. Core and formats know the kernel's
 * records by type only, so that both run without one.
 */
import { posix } from "node:path";
import ts from "typescript5";
import type { Rule } from "./source.ts";

/** Layer → what it may import; "type:X" by `import type` only. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  base: ["base"],
  formats: ["base", "formats", "memory", "type:kernel"],
  core: ["base", "formats", "core", "type:kernel", "memory", "version"],
  memory: [],
  kernel: ["base", "formats", "kernel"],
  reactor: ["base", "kernel"],
  host: ["base", "formats", "core", "kernel", "memory", "reactor", "host"],
  commands: ["base", "formats", "core", "kernel", "reactor", "host", "commands", "version"],
  version: [],
  main: ["base", "kernel", "commands", "host", "version"],
  "main-chpst": ["kernel", "commands"],
};

/** src/core/x.ts → core; src/main.ts → main. Searching and copying bytes calls no kernel: a layer of its own. */
function layerOf(path: string): string {
  if (path === "src/kernel/memory.ts") return "memory";
  return (path.split("/")[1] ?? "").replace(/\.ts$/, "");
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
}

export const layers: Rule = (node, { path }, report) => {
  if (!ts.isImportDeclaration(node) && !ts.isExportDeclaration(node)) return;
  const from = node.moduleSpecifier;
  if (!from || !ts.isStringLiteral(from)) return;
  if (!from.text.startsWith(".")) {
    report(node, "layers", `${from.text}: the program consists of src and nothing else`);
    return;
  }
  const here = layerOf(path);
  const there = layerOf(posix.join(posix.dirname(path), from.text));
  const allowed = MAY[here];
  if (!allowed) report(node, "layers", `src/${here} is not a layer: give it a line in tools/tidy/layers.ts`);
  else if (!allowed.includes(there) && !(allowed.includes(`type:${there}`) && isTypeOnly(node))) {
    const byType = allowed.includes(`type:${there}`) ? " (except by import type)" : "";
    report(node, "layers", `${here} must not import ${there}${byType}`);
  }
};
