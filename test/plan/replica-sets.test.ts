// Moving pods between ReplicaSets, one step at a time: a step that is on its way is not taken again.
import assert from 'node:assert/strict';
import { planPool } from '../../src/plan/plan.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

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
