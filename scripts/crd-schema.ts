// Reads the hand-written CRD and closes it: what every generator starts from.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { parametersSchema } from '../src/model/settings/schema.ts';

/** The part of a structural schema that the generators look at. */
export type Schema = {
  title?: string;
  description?: string;
  type?: string;
  format?: string;
  enum?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  pattern?: string;
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  anyOf?: Partial<Schema>[];
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-validations'?: Validation[];
};
type Validation = { rule: string; message?: string; messageExpression?: string; fieldPath?: string; reason?: string };

export type Crd = {
  spec: {
    versions: [{ schema: { openAPIV3Schema: Schema } }];
  };
};

const SOURCE = new URL('../src/api/poolconfig.crd.yaml', import.meta.url);

/** The whole CRD, with spec.pooler.parameters filled in and every object under spec closed against unknown fields. */
export function readCrd(): Crd {
  const crd = parse(readFileSync(SOURCE, 'utf8'), { merge: true }) as Crd;
  const root = rootSchema(crd);
  property(root, 'spec', 'pooler').properties = {
    ...property(root, 'spec', 'pooler').properties,
    parameters: parametersSchema(),
  };
  // A copy without YAML's shared anchors: each place gets rules of its own.
  const closed = JSON.parse(JSON.stringify(crd)) as Crd;
  close(property(rootSchema(closed), 'spec'), 'spec');
  closeObject(rootSchema(closed), 'the object');
  return closed;
}

export function rootSchema(crd: Crd): Schema {
  return crd.spec.versions[0].schema.openAPIV3Schema;
}

export function property(schema: Schema, ...path: readonly string[]): Schema {
  let at = schema;
  for (const name of path) {
    const next = at.properties?.[name];
    if (next === undefined) throw new Error(`the CRD has no field ${path.join('.')}`);
    at = next;
  }
  return at;
}

function close(schema: Schema, path: string): void {
  if (schema.type === 'object') {
    if (schema.properties !== undefined) closeObject(schema, path);
  } else if (schema.properties !== undefined) {
    closeUnion(schema);
  }
  for (const [name, child] of Object.entries(schema.properties ?? {})) close(child, `${path}.${name}`);
  if (schema.items !== undefined) close(schema.items, `${path}[]`);
}

/**
 * Keeps unknown fields from being pruned, so that a rule can refuse them. CEL can't name a field outside the schema, but `size(dyn(self))`
 * counts it (docs/adr/pruned-fields.md).
 */
function closeObject(schema: Schema, path: string): void {
  const names = Object.keys(schema.properties ?? {});
  const list = names.map((name) => `'${name}'`).join(', ');
  schema['x-kubernetes-preserve-unknown-fields'] = true;
  schema['x-kubernetes-validations'] = [
    {
      rule: `size(dyn(self)) == [${list}].filter(f, f in dyn(self)).size()`,
      message: `${path} has a field that does not exist (misspelt or misplaced); its fields are ${names.join(', ')}.`,
      reason: 'FieldValueForbidden',
    },
    ...(schema['x-kubernetes-validations'] ?? []),
  ];
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
