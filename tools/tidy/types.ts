/** Questions about types that several rules ask. */
import ts from "typescript5";

/** The members of a union without null and undefined; the type itself otherwise. */
export function members(type: ts.Type): ts.Type[] {
  const all = type.isUnion() ? type.types : [type];
  return all.filter((t) => (t.flags & (ts.TypeFlags.Null | ts.TypeFlags.Undefined)) === 0);
}

export function nameOf(type: ts.Type): string {
  return (type.symbol ?? type.aliasSymbol)?.name ?? "";
}

export function isBytes(type: ts.Type): boolean {
  return members(type).some((t) => /^(Uint8Array|Buffer)$/.test(nameOf(t)));
}

export function isArray(type: ts.Type, checker: ts.TypeChecker): boolean {
  return members(type).some((t) => checker.isArrayType(t));
}

/** The element type of an array, or null. */
export function elementOf(type: ts.Type, checker: ts.TypeChecker): ts.Type | null {
  for (const t of members(type)) {
    if (checker.isArrayType(t)) return checker.getTypeArguments(t as ts.TypeReference)[0] ?? null;
  }
  return null;
}

export function isNumber(type: ts.Type): boolean {
  return members(type).some((t) => isNumberLike(t));
}

function isNumberLike(type: ts.Type): boolean {
  if (type.isIntersection()) return type.types.some(isNumberLike);
  return (type.flags & ts.TypeFlags.NumberLike) !== 0;
}

export function isString(type: ts.Type): boolean {
  return members(type).some((t) => (t.flags & ts.TypeFlags.StringLike) !== 0);
}

export function isFunction(type: ts.Type): boolean {
  return type.getCallSignatures().length > 0;
}

const BUILT_IN = /^(Uint8Array|Buffer|DataView|ArrayBuffer|Map|Set|WeakMap|Error|Array|ReadonlyArray|ReadonlyMap|ReadonlySet)$/;

/** A record or class of our own: neither built in nor a function. */
export function isOurs(type: ts.Type, checker: ts.TypeChecker): boolean {
  if ((type.flags & ts.TypeFlags.Object) === 0) return false;
  if (checker.isArrayType(type) || checker.isTupleType(type) || isFunction(type)) return false;
  return !BUILT_IN.test(nameOf(type));
}

export function isClass(type: ts.Type): boolean {
  return type.isClass() || ((type.symbol?.flags ?? 0) & ts.SymbolFlags.Class) !== 0;
}

/** Whether `base` is `type` or a class it extends. */
export function extendsClass(type: ts.Type, base: ts.Type, checker: ts.TypeChecker): boolean {
  if (type.symbol !== undefined && type.symbol === base.symbol) return true;
  return isClass(type) && (checker.getBaseTypes(type as ts.InterfaceType) ?? []).some((t) => extendsClass(t, base, checker));
}

/** Whether every property is readonly, so that a copy is as good as the thing. */
export function isValue(type: ts.Type): boolean {
  return type
    .getProperties()
    .every((p) => (p.declarations ?? []).some((d) => (ts.getCombinedModifierFlags(d) & ts.ModifierFlags.Readonly) !== 0));
}
