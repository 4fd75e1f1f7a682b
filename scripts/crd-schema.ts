// Reads the hand-written CRD and closes it: what every generator starts from.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { parametersSchema } from '../src/model/settings/schema.ts';
import { closeSchema } from './close-schema.ts';

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
  'x-kubernetes-list-type'?: 'atomic' | 'map' | 'set';
  'x-kubernetes-validations'?: Validation[];
};
export type Validation = {
  rule: string;
  message?: string;
  messageExpression?: string;
  fieldPath?: string;
  reason?: string;
  optionalOldSelf?: boolean;
};

export type Crd = {
  spec: {
    versions: [{ schema: { openAPIV3Schema: Schema } }];
  };
};

const SOURCE = new URL('../src/api/poolconfig.crd.yaml', import.meta.url);

/**
 * The whole CRD, with spec.pooler.parameters filled in and every object under spec closed against unknown fields.
 * `change` sees it before it is closed.
 */
export function readCrd(options: { readonly change?: (crd: Crd) => void } = {}): Crd {
  const crd = parse(readFileSync(SOURCE, 'utf8'), { merge: true }) as Crd;
  const root = rootSchema(crd);
  property(root, 'spec', 'pooler').properties = {
    ...property(root, 'spec', 'pooler').properties,
    parameters: parametersSchema(),
  };
  // A copy without YAML's shared anchors: each place gets rules of its own.
  const closed = JSON.parse(JSON.stringify(crd)) as Crd;
  options.change?.(closed);
  closeSchema(rootSchema(closed));
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
