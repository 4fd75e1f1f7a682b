// A kind of child needs three things: a renderer, a row that has it followed, and the right to write it. Here they are held against each other.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { CHILD_KINDS, isChildKind } from '../../src/controller/child-kinds.ts';
import { isChildName } from '../../src/model/names.ts';
import { STATIC_CHILDREN } from '../../src/render/children.ts';
import { poolConfig } from '../support/observation.ts';

type Rule = { readonly resources: readonly string[]; readonly verbs: readonly string[] };

function rulesIn(value: unknown): readonly Rule[] {
  if (Array.isArray(value)) return value.flatMap(rulesIn);
  if (typeof value !== 'object' || value === null) return [];
  const own = 'resources' in value && 'verbs' in value ? [value as Rule] : [];
  return [...own, ...Object.values(value).flatMap(rulesIn)];
}

describe('the kinds of child', () => {
  const permissions = rulesIn(parse(readFileSync('charts/poolsmith/files/permissions.yaml', 'utf8')));

  for (const [kind, resource] of Object.entries(CHILD_KINDS)) {
    it(`${kind} may be listed, watched, created and patched by the operator`, () => {
      const verbs = new Set(
        permissions.filter((rule) => rule.resources.includes(resource.plural)).flatMap((rule) => rule.verbs),
      );
      for (const verb of ['list', 'watch', 'create', 'patch']) assert.ok(verbs.has(verb), `${verb} ${resource.plural}`);
    });
  }

  for (const render of STATIC_CHILDREN) {
    const object = render(poolConfig(), { standsAside: false });
    it(`${object.kind} ${object.metadata.name} has a row, a name of ours, and an owner`, () => {
      assert.ok(isChildKind(object.kind));
      assert.ok(isChildName('orders', object.metadata.name));
      assert.equal(object.metadata.ownerReferences?.[0]?.uid, 'pool-uid');
    });
  }
});
