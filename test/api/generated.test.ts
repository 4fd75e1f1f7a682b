// What is generated from the CRD source and the tables is current, and the CRD has the shape it promises.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { unknownFields } from '../../src/api/unknown-fields.ts';
import { property, readCrd, rootSchema, type Schema } from '../../scripts/crd-schema.ts';
import { API_DOCS_FILE, renderApiDocs } from '../../scripts/generate-api-docs.ts';
import { CONDITIONS_DOCS_FILE, renderConditionsDocs } from '../../scripts/generate-conditions-docs.ts';
import { CRD_FILE, renderCrd } from '../../scripts/generate-crd.ts';
import { FIELDS_FILE, renderFields, renderTypes, TYPES_FILE } from '../../scripts/generate-types.ts';

describe('generated files', function () {
  this.timeout(20_000);
  const files: readonly (readonly [URL, () => string | Promise<string>])[] = [
    [CRD_FILE, renderCrd],
    [TYPES_FILE, renderTypes],
    [FIELDS_FILE, renderFields],
    [API_DOCS_FILE, renderApiDocs],
    [CONDITIONS_DOCS_FILE, renderConditionsDocs],
  ];
  for (const [file, render] of files) {
    it(`${file.pathname.split('/').slice(-2).join('/')} is what its generator writes`, async () => {
      assert.equal(readFileSync(file, 'utf8'), await render());
    });
  }
});

describe('the CRD', () => {
  const root = rootSchema(readCrd());
  const specNodes = [...nodes(property(root, 'spec'), 'spec')];

  it('closes every object of the spec against unknown fields', () => {
    const rules = [...nodes(root, '')].flatMap(([, schema]) => schema['x-kubernetes-validations'] ?? []);
    for (const [path, schema] of specNodes) {
      if (schema.properties === undefined) continue;
      assert.equal(schema['x-kubernetes-preserve-unknown-fields'], true, path);
      const names = Object.keys(schema.properties);
      const closing = rules.find(
        ({ message, rule }) =>
          message?.startsWith(`${path} has a field that does not exist`) === true && rule.includes('size(dyn('),
      );
      if (schema.type === 'object') assert.ok(closing?.message?.endsWith(`its fields are ${names.join(', ')}.`), path);
      else
        assert.ok(
          schema.anyOf?.every((branch) => branch.maxProperties !== undefined),
          path,
        );
    }
  });

  it('describes every field', () => {
    const silent = [...nodes(root, '')].filter(
      ([path, { description }]) => description === undefined && !/metadata$|(\[\]|\{\})$/.test(path),
    );
    assert.deepEqual(
      silent.map(([path]) => path).filter((path) => path !== ''),
      [],
    );
  });

  it('bounds every text, list, map and number that a user writes', () => {
    for (const [path, schema] of specNodes) {
      if (schema.type === 'string') assert.ok(schema.maxLength ?? schema.enum, `${path} has no maxLength`);
      if (schema.type === 'array') assert.ok(schema.maxItems, `${path} has no maxItems`);
      if (schema.additionalProperties !== undefined) assert.ok(schema.maxProperties, `${path} has no maxProperties`);
      if (schema.type === 'integer') assert.ok(schema.minimum !== undefined && schema.maximum !== undefined, path);
    }
  });

  it('gives every rule a message that is one line', () => {
    for (const [path, schema] of [...nodes(root, '')]) {
      for (const { rule, message } of schema['x-kubernetes-validations'] ?? []) {
        assert.ok(message !== undefined && message.length > 20 && !message.includes('\n'), `${path}: ${rule}`);
      }
    }
  });

  it('is small enough for kubectl apply, which keeps a copy in an annotation of 262144 bytes', () => {
    const compact = JSON.stringify(parse(readFileSync(CRD_FILE, 'utf8')));
    assert.ok(compact.length < 262_144, `${compact.length} bytes`);
  });

  it('knows the same fields as unknownFields', () => {
    const spec = property(root, 'spec');
    const all = Object.fromEntries(Object.keys(spec.properties ?? {}).map((name) => [name, 1]));
    assert.deepEqual(unknownFields(all), []);
    assert.equal(unknownFields({ ...all, further: 1 }).length, 1);
  });
});

function* nodes(schema: Schema, path: string): Generator<readonly [string, Schema]> {
  yield [path, schema];
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    yield* nodes(child, path === '' ? name : `${path}.${name}`);
  if (schema.items !== undefined) yield* nodes(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* nodes(schema.additionalProperties, `${path}{}`);
}
