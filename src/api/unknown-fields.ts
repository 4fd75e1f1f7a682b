// Finds fields of a spec that the API does not have, and says what was probably meant.
import { SPEC_FIELDS, type FieldTree } from './fields.gen.ts';

/**
 * One sentence for each field under spec that does not exist, with its path and the nearest name that does. The API server refuses such
 * objects already; this is the second net, for objects stored by an older or a foreign schema.
 */
export function unknownFields(spec: unknown): string[] {
  return [...walk(spec, SPEC_FIELDS, 'spec')];
}

function* walk(value: unknown, tree: FieldTree, path: string): Generator<string> {
  if (tree === true || typeof value !== 'object' || value === null) return;
  if ('items' in tree) {
    if (!Array.isArray(value)) return;
    for (const [index, item] of value.entries()) yield* walk(item, tree.items, `${path}[${index}]`);
    return;
  }
  if (Array.isArray(value)) return;
  for (const [name, child] of Object.entries(value)) {
    const known = Object.hasOwn(tree.fields, name) ? tree.fields[name] : undefined;
    if (known === undefined) yield complaint(path, name, Object.keys(tree.fields));
    else yield* walk(child, known, `${path}.${name}`);
  }
}

function complaint(path: string, name: string, siblings: readonly string[]): string {
  const here = `${path}.${printable(name)} is not a field`;
  const near = nearest(name, siblings);
  if (near !== undefined) return `${here} (did you mean ${path}.${near}?)`;
  const elsewhere = FIELD_PATHS.get(name);
  if (elsewhere !== undefined) return `${here} (${name} belongs to ${elsewhere.join(' or ')})`;
  return `${here} (${path} has ${siblings.join(', ')})`;
}

/** Field name → the objects that have it. */
const FIELD_PATHS: ReadonlyMap<string, readonly string[]> = fieldPaths();

function fieldPaths(): Map<string, string[]> {
  const paths = new Map<string, string[]>();
  const visit = (tree: FieldTree, path: string): void => {
    if (tree === true) return;
    if ('items' in tree) {
      visit(tree.items, `${path}[]`);
      return;
    }
    for (const [name, child] of Object.entries(tree.fields)) {
      paths.set(name, [...(paths.get(name) ?? []), path]);
      visit(child, `${path}.${name}`);
    }
  };
  visit(SPEC_FIELDS, 'spec');
  return paths;
}

/** The sibling that a slip of the fingers turns into `name`: a third of its letters at most, upper and lower case being one. */
function nearest(name: string, siblings: readonly string[]): string | undefined {
  const ranked = siblings
    .map((sibling) => ({ sibling, slips: slips(name.toLowerCase(), sibling.toLowerCase()) }))
    .filter(({ sibling, slips }) => slips <= Math.max(1, Math.floor(sibling.length / 3)))
    .sort((a, b) => a.slips - b.slips || (a.sibling < b.sibling ? -1 : 1));
  return ranked[0]?.sibling;
}

/** Letters to insert, delete, replace or swap with their neighbour (optimal string alignment). */
function slips(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > to.length) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const changed = from[i - 1] === to[j - 1] ? 0 : 1;
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + changed);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[to.length] ?? 0;
}

/** Names come from users: quoted unless plain, and never long. */
function printable(name: string): string {
  if (/^[\w-]{1,63}$/.test(name)) return name;
  return JSON.stringify(name.length > 63 ? `${name.slice(0, 62)}…` : name);
}
