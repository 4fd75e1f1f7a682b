// What each pod should have in the end: a rollout's own pod has its floor kept free, and a draining pod keeps a server for each client.
import assert from 'node:assert/strict';
import { sizePods } from '../../src/plan/targets.ts';
import { podStates, type PodState } from '../../src/plan/pod-state.ts';
import type { SizingBasis } from '../../src/plan/desired.ts';
import { sumOf } from '../../src/sizing/sizes.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const BASIS: SizingBasis = {
  budget: 20,
  replicas: 2,
  databases: [{ name: 'orders', weight: 1, poolMode: 'transaction' }],
  demand: [],
};

function fleetStates(clients = 0): { fleet: PaperFleet; states: readonly PodState[] } {
  const fleet = new PaperFleet();
  fleet.settle();
  for (const pod of fleet.pods) fleet.connect(pod.name, clients);
  return { fleet, states: podStates(fleet.observe(), new Map()) };
}

describe('the targets of pods', () => {
  it('use the budget up to the floors of replacement pods', () => {
    const { perPod } = sizePods(BASIS, fleetStates().states, false);
    assert.equal(
      [...perPod.values()].reduce((sum, sizes) => sum + sumOf(sizes), 0),
      18,
    );
  });

  it('keeps the floor of one more pod free while it rolls', () => {
    const { perPod, surgeKeptFree } = sizePods(BASIS, fleetStates().states, true);
    assert.equal(surgeKeptFree, true);
    assert.equal(
      [...perPod.values()].reduce((sum, sizes) => sum + sumOf(sizes), 0),
      17,
    );
  });

  it('keep free what replacements boot with for now, where that is more than the new floors', () => {
    const { perPod } = sizePods(BASIS, fleetStates().states, false, { orders: 3 });
    // Two replacements at 3: what they would boot with tomorrow, 1 each, is in the 18 of the first test.
    assert.equal(
      [...perPod.values()].reduce((sum, sizes) => sum + sumOf(sizes), 0),
      14,
    );
  });

  it('rolls with the set-aside alone where the budget has no room for one more', () => {
    const { fleet, surgeKeptFree } = sizePods({ ...BASIS, budget: 4 }, fleetStates().states, true);
    assert.deepEqual([fleet.feasible, surgeKeptFree], [true, false]);
  });

  it('leaves a draining pod a server for each of its clients, and never more than it had', () => {
    for (const [clients, expected] of [
      [0, 1],
      [3, 3],
      [50, 5],
    ] as const) {
      const { states } = fleetStates(clients);
      const [first, ...others] = states;
      assert.equal(first?.pod.grant?.sizes['orders'], 5);
      const draining: PodState = { ...first, phase: 'Draining' };
      const { perPod } = sizePods(BASIS, [draining, ...others], false);
      assert.deepEqual(perPod.get(first.pod.uid), { orders: expected });
    }
  });
});
