// Server-side apply: who owns which field of an object, what a manager's new word changes, and what it takes back by leaving it out.
import { at, frozen, isMap, sameJson, type JsonMap } from './json.ts';

/** The fields that somebody owns: maps by key, and `true` for a value that is owned as a whole. */
type Fields = { [key: string]: Fields | true };

/** By `manager/operation/subresource`, as in managedFields. */
export type FieldOwners = ReadonlyMap<string, Fields>;

export const NO_OWNERS: FieldOwners = new Map();

export type Applied = { readonly object: JsonMap; readonly owners: FieldOwners };

/** Identity and what only the server sets; nobody owns it. */
const UNOWNED = new Set(['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp']);

/**
 * Merges what a manager applies into the live object. Lists are taken as values, but for those in LISTS_BY_KEY.
 * Answers the paths of fields that others own with another value when they were not to be taken by force.
 */
export function applyFields(
  liveObject: JsonMap,
  owners: FieldOwners,
  owner: string,
  appliedObject: JsonMap,
  force: boolean,
): Applied | { readonly conflicts: readonly string[] } {
  const [live, applied] = [keyed(liveObject), keyed(appliedObject)];
  const next = fieldsOf(applied, []);
  const former = owners.get(owner) ?? {};
  const object = merge(live, applied);
  const rest = [...owners].filter(([name]) => name !== owner);
  const shared = rest.some(([, fields]) => common(fields, next).length > 0);
  const taken = shared ? changedFields(live, object) : {};
  const conflicts = rest.flatMap(([, fields]) => common(fields, taken));
  if (conflicts.length > 0 && !force) return { conflicts };
  const others = new Map(rest.map(([name, fields]) => [name, without(fields, taken)]));
  const left = [...others.values()].reduce(without, without(former, next));
  return { object: unkeyed(dropFields(object, left)), owners: new Map([...others, [owner, next]]) };
}

/** After an update or a patch: what changed belongs to its writer, and to nobody else. */
export function ownChanges(former: JsonMap, next: JsonMap, owners: FieldOwners, owner: string): FieldOwners {
  const changed = changedFields(keyed(former), keyed(next));
  if (Object.keys(changed).length === 0) return owners;
  const kept = new Map([...owners].map(([name, fields]) => [name, without(fields, changed)]));
  return kept.set(owner, union(kept.get(owner) ?? {}, onlyPresent(changed, keyed(next))));
}

/** Lists of metadata whose entries have owners of their own (`x-kubernetes-list-type: map` and `set`), with what tells entries apart. */
const LISTS_BY_KEY: Readonly<Record<string, (entry: unknown) => string>> = {
  ownerReferences: (entry) => String(at(entry, 'uid')),
  finalizers: String,
};

/** Such lists as maps. */
function keyed(object: JsonMap): JsonMap {
  return withLists(object, (list, keyOf) =>
    Array.isArray(list) ? Object.fromEntries(list.map((entry: unknown) => [keyOf(entry), entry])) : list,
  );
}

function unkeyed(object: JsonMap): JsonMap {
  return withLists(object, (map) => (isMap(map) ? Object.values(map) : map));
}

function withLists(object: JsonMap, change: (list: unknown, keyOf: (entry: unknown) => string) => unknown): JsonMap {
  const { metadata } = object;
  if (!isMap(metadata)) return object;
  const present = Object.entries(LISTS_BY_KEY).filter(([name]) => metadata[name] !== undefined);
  if (present.length === 0) return object;
  const changed = Object.fromEntries(present.map(([name, keyOf]) => [name, change(metadata[name], keyOf)]));
  return { ...object, metadata: { ...metadata, ...changed } };
}

function fieldsOf(value: JsonMap, path: readonly string[]): Fields {
  const fields: Fields = {};
  for (const [key, part] of Object.entries(value)) {
    if (part === undefined || (path.length === 0 && (key === 'apiVersion' || key === 'kind'))) continue;
    if (path.length === 1 && path[0] === 'metadata' && UNOWNED.has(key)) continue;
    const inner = isMap(part) ? fieldsOf(part, [...path, key]) : undefined;
    if (inner !== undefined && Object.keys(inner).length > 0) fields[key] = inner;
    else if (key !== 'metadata' || path.length > 0) fields[key] = true;
  }
  return fields;
}

function merge(live: unknown, applied: unknown): JsonMap {
  const result: Record<string, unknown> = isMap(live) ? { ...live } : {};
  let changed = !isMap(live);
  for (const [key, part] of Object.entries(applied as JsonMap)) {
    if (part === undefined) continue;
    const before = result[key];
    const after = isMap(part) ? merge(before, part) : sameJson(before, part) ? before : frozen(part);
    if (after !== before) changed = true;
    result[key] = after;
  }
  return changed ? result : (live as JsonMap);
}

/** Fields that differ between two states, at the depth where they differ; also those that only one of them has. */
function changedFields(former: unknown, next: unknown, depth = 0): Fields {
  const changed: Fields = {};
  const [a, b] = [isMap(former) ? former : {}, isMap(next) ? next : {}];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (depth === 1 && UNOWNED.has(key)) continue;
    const [was, is] = [a[key], b[key]];
    if (was === is) continue;
    if (isMap(was) || isMap(is)) {
      const inner = changedFields(was, is, depth + 1);
      if (Object.keys(inner).length > 0) changed[key] = inner;
      else if (!sameJson(was, is)) changed[key] = true;
    } else if (!sameJson(was, is)) changed[key] = true;
  }
  return changed;
}

function without(fields: Fields, minus: Fields): Fields {
  const rest: Fields = {};
  for (const [key, part] of Object.entries(fields)) {
    const less = minus[key];
    if (less === undefined) rest[key] = part;
    else if (part !== true && less !== true) {
      const inner = without(part, less);
      if (Object.keys(inner).length > 0) rest[key] = inner;
    }
  }
  return rest;
}

function common(a: Fields, b: Fields, path = ''): readonly string[] {
  return Object.entries(a).flatMap(([key, part]) => {
    const other = b[key];
    if (other === undefined) return [];
    return part !== true && other !== true ? common(part, other, `${path}.${key}`) : [`${path}.${key}`];
  });
}

function union(a: Fields, b: Fields): Fields {
  const result: Fields = { ...a };
  for (const [key, part] of Object.entries(b)) {
    const known = result[key];
    result[key] = known !== undefined && known !== true && part !== true ? union(known, part) : part;
  }
  return result;
}

function onlyPresent(fields: Fields, object: unknown): Fields {
  const present: Fields = {};
  for (const [key, part] of Object.entries(fields)) {
    const value = at(object, key);
    if (value === undefined) continue;
    if (part === true || !isMap(value)) present[key] = true;
    else present[key] = onlyPresent(part, value);
  }
  return present;
}

/** Maps that become empty by it go too. */
function dropFields(object: JsonMap, fields: Fields): JsonMap {
  if (Object.keys(fields).length === 0) return object;
  const result = new Map(Object.entries(object));
  for (const [key, part] of Object.entries(fields)) {
    const value = result.get(key);
    if (value === undefined) continue;
    const kept = part !== true && isMap(value) ? dropFields(value, part) : undefined;
    if (kept === undefined || Object.keys(kept).length === 0) result.delete(key);
    else result.set(key, kept);
  }
  return Object.fromEntries(result);
}
