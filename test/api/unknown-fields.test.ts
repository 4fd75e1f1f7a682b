// Fields that the API does not have are found at any depth and answered with what was probably meant.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parse } from 'yaml';
import { unknownFields } from '../../src/api/unknown-fields.ts';

const full = (): Record<string, unknown> => {
  const text = readFileSync(new URL('../../examples/orders.yaml', import.meta.url), 'utf8');
  return (parse(text) as { spec: Record<string, unknown> }).spec;
};

describe('unknownFields', () => {
  it('finds nothing in a spec that uses every section', () => {
    assert.deepEqual(unknownFields(full()), []);
  });

  const cases: readonly (readonly [title: string, spec: unknown, answer: string])[] = [
    ['two letters swapped', { databsaes: [] }, 'spec.databsaes is not a field (did you mean spec.databases?)'],
    ['a letter left out', { databses: [] }, 'spec.databses is not a field (did you mean spec.databases?)'],
    [
      'the wrong case, in a list',
      { databases: [{ name: 'a' }, { name: 'b', poolmode: 'session' }] },
      'spec.databases[1].poolmode is not a field (did you mean spec.databases[1].poolMode?)',
    ],
    [
      'a field of another section',
      { poolMode: 'session' },
      'spec.poolMode is not a field (poolMode belongs to spec.databases[])',
    ],
    [
      'a field one level too high',
      { fleet: { window: '30s' } },
      'spec.fleet.window is not a field (window belongs to spec.fleet.drain)',
    ],
    [
      'a field inside a count',
      { workloads: [{ threads: { env: 'A', default: 1, contaner: 'x' } }] },
      'spec.workloads[0].threads.contaner is not a field (did you mean spec.workloads[0].threads.container?)',
    ],
    [
      'something that is like nothing',
      { budget: { zzz: 1 } },
      'spec.budget.zzz is not a field (spec.budget has connections, percent, reserve)',
    ],
    [
      'a name that JavaScript objects inherit',
      { budget: { constructor: 1 } },
      'spec.budget.constructor is not a field (spec.budget has connections, percent, reserve)',
    ],
    [
      'a name with a newline',
      { budget: { 'a\nb': 1 } },
      'spec.budget."a\\nb" is not a field (spec.budget has connections, percent, reserve)',
    ],
  ];
  for (const [title, spec, answer] of cases) {
    it(`answers ${title}`, () => {
      assert.deepEqual(unknownFields(spec), [answer]);
    });
  }

  it('lists every unknown field, not only the first', () => {
    assert.equal(unknownFields({ a: 1, server: { b: 2, tls: { c: 3 } }, databases: [{ d: 4 }] }).length, 4);
  });

  it('leaves alone what users name: parameters, labels, selectors, affinity', () => {
    const spec = {
      pooler: { parameters: { anything: 1 } },
      service: { annotations: { 'a/b': 'c' } },
      fleet: {
        template: { metadata: { labels: { a: 'b' } }, nodeSelector: { a: 'b' }, affinity: { nodeAffinity: {} } },
      },
    };
    assert.deepEqual(unknownFields(spec), []);
  });

  it('takes any JSON value without an error (property)', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (spec) => {
        unknownFields(spec);
        unknownFields({ databases: spec, server: spec, workloads: [spec] });
      }),
    );
  });

  it('finds a foreign field wherever it is put (property)', () => {
    const paths = objectPaths(full());
    fc.assert(
      fc.property(fc.constantFrom(...paths), (path) => {
        const spec = full();
        let at: unknown = spec;
        for (const key of path) at = (at as Record<string | number, unknown>)[key];
        (at as Record<string, unknown>)['zzzz'] = 1;
        assert.equal(unknownFields(spec).length, 1);
        assert.match(unknownFields(spec)[0] ?? '', /\.zzzz is not a field/);
      }),
    );
  });
});

/** Paths of all objects that have named fields. */
function objectPaths(value: unknown, path: readonly (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((item, index) => objectPaths(item, [...path, index]));
  const isFree = ['labels', 'annotations', 'parameters', 'matchLabels'].includes(String(path.at(-1)));
  if (isFree) return [];
  return [[...path], ...Object.entries(value).flatMap(([key, child]) => objectPaths(child, [...path, key]))];
}
