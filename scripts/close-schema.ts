// Closes a CRD schema: a field that it does not have is kept from being pruned, counted by CEL, and refused (docs/adr/0008-unknown-fields-refused.md).
import type { Schema, Validation } from './crd-schema.ts';

/** Closes the object itself and everything under its spec, in place. Status is left alone: only the operator writes it. */
export function closeSchema(root: Schema): void {
  const spec = root.properties?.['spec'];
  if (spec === undefined) throw new Error('the CRD has no spec');
  closeTree(spec, 'spec');
  closeObject(root, 'the object');
}

function closeTree(schema: Schema, path: string): void {
  if (schema.type === 'object' && schema.properties !== undefined) closeObject(schema, path);
  if (schema.type === undefined && schema.properties !== undefined) closeUnion(schema);
  for (const [name, child] of Object.entries(schema.properties ?? {})) closeTree(child, `${path}.${name}`);
  const { items } = schema;
  if (items === undefined) return;
  if (schema['x-kubernetes-list-type'] === 'map') closeTree(items, `${path}[]`);
  else closeItems(schema, items, path);
}

function closeObject(schema: Schema, path: string): void {
  // Such an object may still be scaled and corrected step by step: only a field that comes new is refused.
  const hadUnknown = `!(${isClosed('oldSelf.value()', schema)})`;
  addRules(schema, [closingRule(isClosed('self', schema), hadUnknown, path, schema)]);
}

/** Items of a list without keys have no former self to compare with, so the list itself carries the rules of all objects inside. */
function closeItems(list: Schema, items: Schema, path: string): void {
  // A former list has no known length, and a loop over it would have no price: its bound is counted out instead.
  const indices = Array.from({ length: list.maxItems ?? 0 }, (_, index) => index).join(', ');
  const all: Around = {
    now: (inner) => `self.all(i, ${inner('i')})`,
    before: (inner) => `[${indices}].all(n, n >= oldSelf.value().size() || ${inner('oldSelf.value()[n]')})`,
  };
  addRules(list, [...rulesInside(items, `${path}[]`, all)]);
}

/** Wraps an expression about an object inside a list into one about the whole list, as it is and as it was. */
type Wrap = (inner: (value: string) => string) => string;
type Around = { readonly now: Wrap; readonly before: Wrap };

function* rulesInside(schema: Schema, path: string, around: Around): Generator<Validation> {
  if (schema.type === undefined && schema.properties !== undefined) {
    closeUnion(schema);
    return;
  }
  if (schema.properties === undefined) return;
  schema['x-kubernetes-preserve-unknown-fields'] = true;
  const closed = (value: string): string => isClosed(value, schema);
  yield closingRule(around.now(closed), `!${around.before(closed)}`, path, schema);
  for (const [name, child] of Object.entries(schema.properties)) {
    if (child.items?.properties !== undefined) throw new Error(`${path}.${name}: a list in a list can't be closed`);
    const isRequired = schema.required?.includes(name) === true;
    const within =
      (wrap: Wrap): Wrap =>
      (inner) =>
        wrap((value) => {
          const there = inner(`${value}.${name}`);
          return isRequired ? there : `(!has(${value}.${name}) || ${there})`;
        });
    const deeper = { now: within(around.now), before: within(around.before) };
    yield* rulesInside(child, `${path}.${name}`, deeper);
  }
}

/**
 * CEL for "has no field beside those of the schema": it can't name others, but their number is in the size of the map.
 * Fields are looked up one by one, because the price of `in` is that of the whole map.
 */
function isClosed(value: string, schema: Schema): string {
  const known = Object.keys(schema.properties ?? {}).map(
    (name) => `has(dyn(${value}).${name.replaceAll('-', '__dash__')})`,
  );
  return `size(dyn(${value})) == [${known.join(', ')}].filter(h, h).size()`;
}

/**
 * Lets pass what was stored with an unknown field, as after a downgrade of the CRD: its status must stay writable, so that the
 * operator can say so. (The API server's own ratcheting does not take an object with unknown fields for unchanged.)
 */
function closingRule(isGood: string, isOld: string, path: string, schema: Schema): Validation {
  return {
    rule: `${isGood} || (oldSelf.hasValue() && ${isOld})`,
    optionalOldSelf: true,
    message: `${path} has a field that does not exist (misspelt or misplaced); its fields are ${Object.keys(schema.properties ?? {}).join(', ')}.`,
    reason: 'FieldValueForbidden',
  };
}

function addRules(schema: Schema, rules: readonly Validation[]): void {
  if (rules.length === 0) return;
  if (schema.type === 'object') schema['x-kubernetes-preserve-unknown-fields'] = true;
  schema['x-kubernetes-validations'] = [...rules, ...(schema['x-kubernetes-validations'] ?? [])];
}

/** An integer or an object: CEL can't look inside, but counting the optional fields one by one is exact while they are few. */
function closeUnion(schema: Schema): void {
  const names = Object.keys(schema.properties ?? {});
  const required = schema.required ?? [];
  const optional = names.filter((name) => !required.includes(name));
  if (optional.length !== 1)
    throw new Error(`a union needs exactly one optional field to be closed, not ${optional.join(', ')}`);
  schema.anyOf = [{ maxProperties: required.length }, { required: optional, maxProperties: names.length }];
}
