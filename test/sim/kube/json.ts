// JSON values that nobody can change any more: copied and frozen on the way in, shared by everybody afterwards.

export type JsonMap = Readonly<Record<string, unknown>>;

/** What is in here is frozen down to its leaves, so it need not be copied again. */
const FROZEN = new WeakSet<object>();

export function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A deep copy as it would come out of JSON text (`undefined` fields are gone), frozen; parts that are frozen already are shared. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || FROZEN.has(value)) return value;
  let copy: unknown;
  if (Array.isArray(value)) {
    copy = value.map((item: unknown) => (item === undefined ? null : frozen(item)));
  } else {
    const entries: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      const entry = (value as JsonMap)[key];
      if (entry !== undefined) entries[key] = frozen(entry);
    }
    copy = entries;
  }
  FROZEN.add(copy as object);
  return Object.freeze(copy) as T;
}

export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  }
  if (Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson((a as JsonMap)[key], (b as JsonMap)[key]))
  );
}

/** JSON merge patch (RFC 7396): maps are merged, null removes, everything else replaces. */
export function mergePatched(target: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return sameJson(target, patch) ? target : frozen(patch);
  const result = new Map(isMap(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else if (value !== undefined) result.set(key, mergePatched(result.get(key), value));
  }
  const merged = Object.fromEntries(result);
  return isMap(target) && sameJson(target, merged) ? target : merged;
}

/** The map without some of its keys; the map itself where it has none of them. */
export function omitted(map: JsonMap, keys: readonly string[]): JsonMap {
  if (!keys.some((key) => Object.hasOwn(map, key))) return map;
  return Object.fromEntries(Object.entries(map).filter(([key]) => !keys.includes(key)));
}

/** The value at the end of a path; undefined where the path ends before. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let part = value;
  for (const key of path) {
    if (!isMap(part)) return undefined;
    part = part[key];
  }
  return part;
}
