// A fleet's own objects: written only in the version they were seen in, and never when they are somebody else's.
import assert from 'node:assert/strict';
import { planPool } from '../../src/plan/plan.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

describe('a child’s name that is taken', () => {
  const foreign = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'orders-pooler', namespace: 'shop' },
  };

  it('touches nothing while an object of somebody else bears the name of a child, and says which', () => {
    const fleet = new PaperFleet();
    const seen = { ...fleet.observe(), children: new Map([['Service/orders-pooler', foreign]]) };
    const { actions, status } = planPool(seen);
    assert.deepEqual(actions, []);
    const ready = status.conditions?.find(({ type }) => type === 'Ready');
    assert.equal(ready?.reason, 'ConflictingName');
    assert.match(ready.message, /^Service orders-pooler exists and does not belong to this PoolConfig/);
  });
});

describe('a child that is not as it should be', () => {
  it('is written only in the version that it was seen in, whichever it is', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    // As an API server hands them out, and as somebody left them.
    const spoilt = [...fleet.children].map(([key, child]) => {
      const metadata = { ...child.metadata, resourceVersion: `of ${key}`, labels: {} };
      return [key, { ...child, metadata }] as const;
    });
    const { actions } = planPool({ ...fleet.observe(), children: new Map(spoilt) });
    const applied = actions.flatMap((action) => (action.kind === 'applyChild' ? [action.object] : []));
    assert.deepEqual(
      applied.map(({ kind, metadata }) => [`${kind}/${metadata.name}`, metadata.resourceVersion]).sort(),
      spoilt.map(([key]) => [key, `of ${key}`]).sort(),
    );
    assert.deepEqual(spoilt.map(([key]) => key).sort(), [
      'ConfigMap/orders-pooler',
      'PodDisruptionBudget/orders-pooler',
      'Secret/orders-pooler-files',
      'Service/orders-pooler',
    ]);
  });
});
