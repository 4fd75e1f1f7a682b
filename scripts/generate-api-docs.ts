// Writes docs/reference/poolconfig.md from the CRD: every field with its type, range, default and description.
import { writeFileSync } from 'node:fs';
import { property, readCrd, rootSchema, type Schema } from './crd-schema.ts';

export const API_DOCS_FILE = new URL('../docs/reference/poolconfig.md', import.meta.url);

type Row = readonly [field: string, type: string, range: string, fallback: string, description: string];

export function renderApiDocs(): string {
  const root = rootSchema(readCrd());
  const spec = property(root, 'spec');
  const sections = Object.entries(spec.properties ?? {}).map(([name, schema]) => {
    const rows = [...fieldRows(schema, `spec.${name}`, spec.required?.includes(name) === true)];
    return `### spec.${name}\n\n${table(rows)}`;
  });
  return (
    [
      '# PoolConfig, poolsmith.dev/v1alpha1',
      'Generated from `src/api/poolconfig.crd.yaml`. Do not edit. `*` marks a field that must be given (where its parent is).',
      root.description ?? '',
      'Beside the ranges below, the API server checks rules that join several fields; its messages name the field, the value and what is allowed. ' +
        'A field that does not exist is refused, also from clients that do not validate ([why](../adr/0008-unknown-fields-refused.md)). ' +
        'The name of a PoolConfig has at most 40 characters and is a DNS label.',
      '## Spec',
      ...sections,
      '## Status',
      'Written by the operator only. Conditions are explained in [conditions.md](conditions.md).',
      table(
        Object.entries(property(root, 'status').properties ?? {}).flatMap(([name, schema]) => [
          ...fieldRows(schema, `status.${name}`, false),
        ]),
      ),
    ].join('\n\n') + '\n'
  );
}

function* fieldRows(schema: Schema, path: string, isRequired: boolean): Generator<Row> {
  yield [
    `\`${path}\`${isRequired ? ' *' : ''}`,
    typeName(schema),
    range(schema),
    fallback(schema),
    schema.description ?? '',
  ];
  const fields = schema.properties ?? schema.items?.properties ?? {};
  const required = (schema.properties === undefined ? schema.items?.required : schema.required) ?? [];
  const here = schema.items === undefined ? path : `${path}[]`;
  for (const [name, child] of Object.entries(fields))
    yield* fieldRows(child, `${here}.${name}`, required.includes(name));
}

function typeName(schema: Schema): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (schema.type === undefined) return 'integer or object';
  if (schema.items !== undefined)
    return `list of ${schema.items.properties === undefined ? `${typeName(schema.items)}s` : 'objects'}`;
  if (schema.additionalProperties !== undefined) return `map to ${typeName(schema.additionalProperties)}`;
  return schema.type;
}

function range(schema: Schema): string {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, maxProperties } = schema;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (minimum !== undefined || maximum !== undefined) return between(minimum, maximum);
  if (minItems !== undefined || maxItems !== undefined) return `${between(minItems, maxItems)} items`;
  if (maxProperties !== undefined) return `up to ${maxProperties} keys`;
  if (schema.type === 'string' && maxLength !== undefined) return `${between(minLength, maxLength)} characters`;
  return '';
}

function between(low: number | undefined, high: number | undefined): string {
  if (high === undefined) return `at least ${low ?? 0}`;
  return low === undefined ? `up to ${high}` : `${low} to ${high}`;
}

function fallback(schema: Schema): string {
  if (schema.default === undefined || schema.type === 'object') return '';
  return `\`${JSON.stringify(schema.default).replaceAll('"', '')}\``;
}

function table(rows: readonly Row[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const head = ['Field', 'Type', 'Range', 'Default', 'Description'];
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (import.meta.filename === process.argv[1]) writeFileSync(API_DOCS_FILE, renderApiDocs());
