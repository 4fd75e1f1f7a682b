// Moving pods between ReplicaSets, one step at a time: a step that is on its way is not taken again.
import assert from 'node:assert/strict';
import { ANNOTATION } from '../../src/model/names.ts';
import { planPool } from '../../src/plan/plan.ts';
import { newPod, workload } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

describe('a rollout', () => {
  it('does not spend on its first pod what the same plan lets another grow by', () => {
    const fleet = new PaperFleet({ fleet: { replicas: 1 }, budget: { connections: 40, reserve: 0 } });
    fleet.workloads.set('Deployment/web', workload(20));
    fleet.settle();
    const [former] = fleet.pods;
    assert.ok(former !== undefined);
    // It was evicted and goes on for a while; its replacement has been told nothing yet; and the template changes.
    fleet.edit({ fleet: { replicas: 1, template: { metadata: { annotations: { round: '2' } } } } });
    const seen = fleet.observe();
    const held = 11;
    const leaving = {
      ...former,
      terminatingSinceMs: seen.nowMs,
      grant: { ...(former.grant ?? assert.fail()), sizes: { orders: held } },
    };
    const fresh = newPod('fresh', former.template, seen.nowMs);
    const poolers = new Map([...seen.poolers].filter(([uid]) => uid !== former.uid));
    const { actions } = planPool({ ...seen, pods: [leaving, fresh], poolers });
    const [grant] = actions.flatMap((action) =>
      action.kind === 'patchPod' && action.name === 'fresh'
        ? [JSON.parse(action.annotations[ANNOTATION.grant] ?? '{}') as { sizes: { orders: number } }]
        : [],
    );
    assert.ok(grant !== undefined && grant.sizes.orders > 1, 'the replacement was granted nothing');
    assert.deepEqual(
      actions.filter(({ why }) => why.startsWith('rollout')).map(({ why }) => why),
      [],
    );
  });
});

describe('scaling in', () => {
  it('asks for no second removal while the first is on its way', () => {
    const fleet = new PaperFleet({ fleet: { replicas: 4 } });
    fleet.settle();
    fleet.edit({ fleet: { replicas: 3 } });
    const removalOf = (seen: ReturnType<PaperFleet['observe']>) =>
      planPool(seen).actions.flatMap((action) => (action.kind === 'scaleReplicaSet' ? [action.to] : []));
    for (let turn = 0; turn < 50 && removalOf(fleet.observe()).length === 0; turn += 1) fleet.turn();
    const due = fleet.observe();
    assert.deepEqual(removalOf(due), [3]);
    // The number is written; the ReplicaSet controller has not yet deleted the pod.
    const underWay = { ...due, replicaSets: due.replicaSets.map((set) => ({ ...set, replicas: 3 })) };
    assert.equal(underWay.pods.length, 4);
    assert.deepEqual(removalOf(underWay), []);
  });
});
