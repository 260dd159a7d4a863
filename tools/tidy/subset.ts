/** What the compiled subset lacks, or what would bring a runtime that a supervisor must not carry. */
import ts from "typescript5";
import type { Rule } from "./source.ts";
import { isBytes, isFunction, isNumber, isString, nameOf } from "./types.ts";

const GLOBALS = new Set(
  [
    "RegExp Date JSON Promise console process performance globalThis eval require fetch queueMicrotask structuredClone",
    "setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate WeakMap WeakSet WeakRef Proxy Reflect Symbol",
  ].flatMap((line) => line.split(" ")),
);

/** Whether an identifier stands for the global of its name (not a property, not a name of ours). */
function isGlobal(node: ts.Identifier, checker: ts.TypeChecker): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false;
  if (ts.isPropertyAssignment(parent) && parent.name === node) return false;
  const declarations = checker.getSymbolAtLocation(node)?.declarations ?? [];
  return declarations.length > 0 && declarations.every((d) => d.getSourceFile().isDeclarationFile);
}

/** Features that bring an event loop, a clock or a big library into the binary, or a world the simulation cannot see. */
const runtime: Rule = (node, { checker }, report) => {
  if (node.kind === ts.SyntaxKind.RegularExpressionLiteral) report(node, "runtime", "RegExp costs 115 kB: match bytes");
  if (node.kind === ts.SyntaxKind.AwaitExpression || node.kind === ts.SyntaxKind.AsyncKeyword)
    report(node, "runtime", "async: one loop, the reactor");
  if (ts.isYieldExpression(node)) report(node, "runtime", "generators: return an array");
  if (ts.isIdentifier(node) && GLOBALS.has(node.text) && isGlobal(node, checker)) {
    report(node, "runtime", `${node.text} has no place in src: the kernel is handed in`);
  }
  if (ts.isPropertyAccessExpression(node) && node.getText() === "Math.random")
    report(node, "runtime", "Math.random: no chance outside the seed");
};

/** Foreign functions: declared at top level in src/kernel, never exported, only called. */
const foreign: Rule = (node, { path, checker }, report) => {
  if (ts.isFunctionDeclaration(node) && !node.body) {
    const flags = ts.getCombinedModifierFlags(node);
    if ((flags & ts.ModifierFlags.Ambient) !== 0) {
      if (!path.startsWith("src/kernel/")) report(node, "foreign", "declare function: only src/kernel talks to C");
      if ((flags & ts.ModifierFlags.Export) !== 0)
        report(node, "foreign", "export declare function breaks under Node: export a wrapper");
      if (!ts.isSourceFile(node.parent)) report(node, "foreign", "declare function belongs to the top level");
    }
  }
  if (!ts.isIdentifier(node) || ts.isFunctionDeclaration(node.parent)) return;
  const [declared] = checker.getSymbolAtLocation(node)?.declarations ?? [];
  if (!declared || !ts.isFunctionDeclaration(declared) || declared.body || declared.getSourceFile().isDeclarationFile) return;
  if ((ts.getCombinedModifierFlags(declared) & ts.ModifierFlags.Ambient) === 0) return;
  const called = ts.isCallExpression(node.parent) && node.parent.expression === node;
  if (!called && !ts.isImportSpecifier(node.parent))
    report(node, "foreign", "a foreign function as a value throws ReferenceError: wrap it");
};

function isKey(type: ts.Type): boolean {
  const plain = (t: ts.Type): boolean => isString(t) || isNumber(t) || (t.flags & ts.TypeFlags.BooleanLike) !== 0;
  if ((type.flags & ts.TypeFlags.TypeParameter) !== 0) return true;
  return type.isUnion() ? type.types.every(plain) : plain(type);
}

/** Map<K, function | bytes | Map>, Map[]; keys other than strings and numbers. */
const maps: Rule = (node, { checker }, report) => {
  if (ts.isArrayTypeNode(node) && /^(Map|Set)$/.test(nameOf(checker.getTypeFromTypeNode(node.elementType)))) {
    report(node, "maps", "an array of maps does not compile: wrap each in a record");
  }
  if (!ts.isTypeReferenceNode(node) && !ts.isNewExpression(node)) return;
  const name = ts.isTypeReferenceNode(node) ? node.typeName : node.expression;
  if (!ts.isIdentifier(name) || !/^(Readonly)?(Map|Set)$/.test(name.text)) return;
  const type = ts.isTypeReferenceNode(node) ? checker.getTypeFromTypeNode(node) : checker.getTypeAtLocation(node);
  const [key, value] = checker.getTypeArguments(type as ts.TypeReference);
  if (key && !isKey(key)) report(node, "maps", "only strings and numbers are keys: use an id");
  if (value && (isFunction(value) || isBytes(value) || /^(Map|Set)$/.test(nameOf(value)))) {
    report(node, "maps", "such a map value does not compile: wrap it in a record");
  }
};

/** A class in the place of an interface is copied or refused. */
const contract: Rule = (node, _source, report) => {
  if (ts.isHeritageClause(node) && node.token === ts.SyntaxKind.ImplementsKeyword) {
    report(node, "contract", "implements is not accepted in its place: extend an abstract class");
  }
};

export const SUBSET: readonly Rule[] = [runtime, foreign, maps, contract];
