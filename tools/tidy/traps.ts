/**
 * What compiles under tsc, works under Node and does something else when
 * compiled: it aborts, copies, allocates per element, or reads out of bounds.
 * test/subset pins each of these behaviours, so that an upgrade of the
 * compiler shows which rule has become needless.
 */
import ts from "typescript5";
import type { Rule } from "./source.ts";
import {
  elementOf,
  extendsClass,
  isArray,
  isBytes,
  isClass,
  isNumber,
  isOurs,
  isString,
  isValue,
  members,
  nameOf,
} from "./types.ts";

function assigns(operator: ts.SyntaxKind): boolean {
  return operator >= ts.SyntaxKind.FirstAssignment && operator <= ts.SyntaxKind.LastAssignment;
}

function isWrite(node: ts.Node): boolean {
  const { parent } = node;
  return ts.isBinaryExpression(parent) && parent.left === node && assigns(parent.operatorToken.kind);
}

/** `a[i] ?? null` where elements may be null: `!` throws for those (test/subset), and the length was checked. */
function orNull(node: ts.ElementAccessExpression, array: ts.Type, checker: ts.TypeChecker): boolean {
  const { parent } = node;
  if (!ts.isBinaryExpression(parent) || parent.operatorToken.kind !== ts.SyntaxKind.QuestionQuestionToken) return false;
  const element = members(array).map((t) => (checker.isArrayType(t) ? checker.getTypeArguments(t as ts.TypeReference)[0] : null));
  return element.some((t) => t?.isUnion() && t.types.some((u) => (u.flags & ts.TypeFlags.Null) !== 0));
}

/** `a[i]` without `!`: out of range it ends the process, whatever is asked of the result. */
const index: Rule = (node, { checker }, report) => {
  if (!ts.isElementAccessExpression(node) || isWrite(node) || ts.isNonNullExpression(node.parent)) return;
  if (ts.isPostfixUnaryExpression(node.parent) || ts.isPrefixUnaryExpression(node.parent)) return;
  const type = checker.getTypeAtLocation(node.expression);
  if (!isNumber(checker.getTypeAtLocation(node.argumentExpression))) return;
  if (isString(type)) report(node, "index", "a character of a string: write s.charAt(i) or s.charCodeAt(i)");
  else if ((isBytes(type) || isArray(type, checker)) && !orNull(node, type, checker)) {
    report(node, "index", "out of range this aborts, it is never undefined: check the length, then write a[i]!");
  }
};

/** The type a place expects of the expression that stands there, or null. */
function expected(node: ts.Expression, checker: ts.TypeChecker): ts.Type | null {
  const { parent } = node;
  if (ts.isVariableDeclaration(parent) || ts.isPropertyDeclaration(parent)) {
    return parent.type && parent.initializer === node ? checker.getTypeFromTypeNode(parent.type) : null;
  }
  if (ts.isBinaryExpression(parent)) {
    const written = parent.operatorToken.kind === ts.SyntaxKind.EqualsToken && parent.right === node;
    return written ? checker.getTypeAtLocation(parent.left) : null;
  }
  const argument =
    (ts.isCallExpression(parent) || ts.isNewExpression(parent)) && parent.arguments?.some((a) => a === node) === true;
  const placed =
    ts.isPropertyAssignment(parent) || ts.isShorthandPropertyAssignment(parent) || ts.isArrayLiteralExpression(parent);
  if (argument || placed || ts.isReturnStatement(parent) || (ts.isArrowFunction(parent) && parent.body === node)) {
    return checker.getContextualType(node) ?? null;
  }
  return null;
}

const FRESH = new Set<ts.SyntaxKind>([
  ts.SyntaxKind.ObjectLiteralExpression,
  ts.SyntaxKind.ArrayLiteralExpression,
  ts.SyntaxKind.ConditionalExpression,
  ts.SyntaxKind.ParenthesizedExpression,
]);

/** Whether a value of type `from` is copied where `to` is expected, and the copy can be told from the thing. */
function copies(from: ts.Type, to: ts.Type, checker: ts.TypeChecker): boolean {
  if (!isOurs(from, checker)) return false;
  const targets = members(to).filter((t) => isOurs(t, checker));
  if (targets.length === 0 || targets.some((t) => t === from || extendsClass(from, t, checker))) return false;
  if (isClass(from)) return true;
  const size = from.getProperties().length;
  const same = targets.some((t) => t.getProperties().length === size && checker.isTypeAssignableTo(from, t));
  return !same && !(isValue(from) && targets.every(isValue));
}

/** A class instance or a wider record in the place of another record; an array of one in the place of an array of another. */
const widening: Rule = (node, { checker }, report) => {
  if (FRESH.has(node.kind) || !ts.isExpression(node)) return;
  const to = expected(node, checker);
  if (to === null || (to.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.TypeParameter)) !== 0) return;
  const from = checker.getTypeAtLocation(node);
  if (members(from).some((f) => copies(f, to, checker))) {
    report(
      node,
      "widening",
      `${nameOf(from) || "the record"} is copied here, writes to the copy are lost: use the exact type, or <T extends Base>`,
    );
  }
  const fromElement = elementOf(from, checker);
  const toElement = elementOf(to, checker);
  if (fromElement === null || toElement === null || fromElement === toElement) return;
  if (isOurs(fromElement, checker) && isOurs(toElement, checker) && !checker.isTypeAssignableTo(toElement, fromElement)) {
    report(node, "widening", "the array is copied here: declare it with the element type it is used as");
  }
};

const METHODS = new Set(["forEach", "map", "filter", "some", "every", "find", "findIndex", "reduce", "flatMap"]);

function boxes(type: ts.Type, checker: ts.TypeChecker): boolean {
  if (isBytes(type)) return true;
  const element = elementOf(type, checker);
  return element !== null && (isBytes(element) || isNumber(element));
}

/** Iteration over bytes, or over arrays of bytes or numbers: an allocation per element, and errors in callees. */
const iteration: Rule = (node, { checker }, report) => {
  if (ts.isForOfStatement(node) && boxes(checker.getTypeAtLocation(node.expression), checker)) {
    report(node, "iteration", "each element is boxed: for (let i = 0; i < a.length; i++) with a[i]!");
  }
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return;
  const { name, expression } = node.expression;
  if (METHODS.has(name.text) && boxes(checker.getTypeAtLocation(expression), checker)) {
    report(node, "iteration", `${name.text} boxes each element: for (let i = 0; i < a.length; i++) with a[i]!`);
  }
};

/** Text of kernel bytes: on invalid UTF-8 a compiled string reads out of bounds, and decoding loses bytes. */
const kernelString: Rule = (node, { checker }, report) => {
  if (ts.isIdentifier(node) && node.text === "TextDecoder")
    report(node, "string", "TextDecoder loses bytes: text() of base/bytes.ts");
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return;
  if (node.expression.name.text !== "toString" || !isBytes(checker.getTypeAtLocation(node.expression.expression))) return;
  const encoding = node.arguments[0];
  if (!encoding || !ts.isStringLiteral(encoding) || encoding.text !== "latin1") {
    report(node, "string", "decoding loses bytes: text() of base/bytes.ts (latin-1)");
  }
};

/** Text that cannot leave as one byte a character. */
const literal: Rule = (node, _source, report) => {
  const parts = ts.isStringLiteral(node) || ts.isTemplateLiteralToken(node) ? node.text : "";
  if (/[\u0080-\uffff]/.test(parts)) report(node, "literal", "not ASCII: ascii() keeps one byte of a character");
};

const COMPOUND_VALUE = new Set([ts.SyntaxKind.ExpressionStatement, ts.SyntaxKind.ForStatement]);
const LOGICAL = new Set([
  ts.SyntaxKind.QuestionQuestionEqualsToken,
  ts.SyntaxKind.BarBarEqualsToken,
  ts.SyntaxKind.AmpersandAmpersandEqualsToken,
]);

/** What `x++` and `x += 1` may not change: an element, a field of a field, a static field. */
function fixedPlace(target: ts.Expression, checker: ts.TypeChecker): boolean {
  if (ts.isNonNullExpression(target) || ts.isParenthesizedExpression(target)) return fixedPlace(target.expression, checker);
  if (ts.isElementAccessExpression(target)) return true;
  if (!ts.isPropertyAccessExpression(target)) return false;
  const owner = target.expression;
  if (ts.isPropertyAccessExpression(owner) || ts.isElementAccessExpression(owner) || ts.isCallExpression(owner)) return true;
  return ts.isIdentifier(owner) && ((checker.getSymbolAtLocation(owner)?.flags ?? 0) & ts.SymbolFlags.Class) !== 0;
}

const compound: Rule = (node, { checker }, report) => {
  const steps = ts.isPostfixUnaryExpression(node) || ts.isPrefixUnaryExpression(node);
  if (steps && (node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken)) {
    if (fixedPlace(node.operand, checker))
      report(node, "compound", "does not compile: a[i] = a[i]! + 1, or a local for the owner");
  }
  if (ts.isVariableDeclarationList(node) && ts.isForStatement(node.parent) && node.declarations.length > 1) {
    report(node, "compound", "two loop variables do not compile: declare one outside");
  }
  if (!ts.isBinaryExpression(node)) return;
  const operator = node.operatorToken.kind;
  if (operator === ts.SyntaxKind.EqualsToken || !assigns(operator)) return;
  if (LOGICAL.has(operator) && !ts.isIdentifier(node.left)) report(node, "compound", "does not compile: write the if");
  else if (fixedPlace(node.left, checker)) report(node, "compound", "does not compile: x = x + 1, or a local for the owner");
  else if (!COMPOUND_VALUE.has(node.parent.kind)) report(node, "compound", "its value does not compile: a statement of its own");
};

/** `{...DEFAULTS, ...partial}`: an absent key throws. */
const spread: Rule = (node, { checker }, report) => {
  if (!ts.isSpreadAssignment(node)) return;
  const optional = checker
    .getTypeAtLocation(node.expression)
    .getProperties()
    .some((p) => (p.flags & ts.SymbolFlags.Optional) !== 0);
  if (optional) report(node, "spread", "a key that is absent throws: write { a: o.a ?? D.a }");
};

export const TRAPS: readonly Rule[] = [index, widening, iteration, kernelString, literal, compound, spread];
