// Numbers and fellows of pods: each has a number of its own that it keeps, and is told of the others only when it has to be.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Peering } from '../../src/model/pooler-model.ts';
import { isUpToDate, planPeering } from '../../src/plan/peering.ts';
import type { PodState } from '../../src/plan/pod-state.ts';
import { newPod } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

type Drawn = { readonly id: number | undefined; readonly ip: boolean; readonly phase: PodState['phase'] };

function stateOf({ id, ip, phase }: Drawn, index: number): PodState {
  const pod = newPod(`orders-${index}`, 't', index);
  const peering: Peering | undefined = id === undefined ? undefined : { id, peers: {} };
  const grant = { sizes: {}, model: 'm', ini: 'i', epoch: 1, atMs: 0, ...(peering === undefined ? {} : { peering }) };
  return {
    pod: { ...pod, ip: ip ? `10.0.0.${index}` : undefined, grant },
    ...{ reading: undefined, phase, provedModel: undefined, unproved: undefined, clients: undefined },
  };
}

const drawn = fc.record({
  id: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  ip: fc.boolean(),
  phase: fc.constantFrom('Starting', 'Serving', 'Draining', 'Terminating'),
});

describe('the numbers of pods', () => {
  it('are never the same, from 1 on, and stay where they were no other’s', () => {
    fc.assert(
      fc.property(fc.array(drawn, { maxLength: 8 }), (pods) => {
        const states = pods.map(stateOf);
        const peering = planPeering(states);
        const ids = [...peering.values()].map(({ id }) => id);
        assert.equal(new Set(ids).size, ids.length);
        assert.ok(ids.every((id) => id >= 1 && id <= pods.length + 4));
        states.forEach(({ pod, phase }, index) => {
          const had = pods[index]?.id;
          const first = had !== undefined && pods.findIndex(({ id }) => id === had) === index;
          if (first) assert.equal(peering.get(pod.uid)?.id, had);
          else if (phase !== 'Terminating') assert.ok(peering.has(pod.uid));
        });
      }),
    );
  });

  it('make every pod that has served known to every other', () => {
    fc.assert(
      fc.property(fc.array(drawn, { maxLength: 8 }), (pods) => {
        const states = pods.map(stateOf);
        const peering = planPeering(states);
        for (const [uid, { peers }] of peering) {
          const others = states.filter(
            ({ pod, phase }) => phase !== 'Starting' && pod.uid !== uid && pod.ip !== undefined && peering.has(pod.uid),
          );
          assert.deepEqual(peers, Object.fromEntries(others.map(({ pod }) => [peering.get(pod.uid)?.id, pod.ip])));
        }
      }),
    );
  });
});

describe('what a pod was told of its fellows', () => {
  const wanted: Peering = { id: 1, peers: { 2: '10.0.0.2' } };
  const leaving = (ip: string): readonly PodState[] => [
    { ...stateOf({ id: 2, ip: true, phase: 'Terminating' }, 0), pod: { ...newPod('orders-2', 't', 0), ip } },
  ];

  it('will do while it knows all that it may have to reach', () => {
    assert.equal(isUpToDate(wanted, wanted, []), true);
    assert.equal(isUpToDate({ id: 1, peers: { ...wanted.peers, 3: '10.0.0.3' } }, wanted, []), true, 'one is gone');
    assert.equal(isUpToDate({ id: 1, peers: {} }, wanted, leaving('10.0.0.2')), true, 'it is on its way out');
  });

  it('is renewed for a new fellow, a new address, or a number of its own that another has', () => {
    assert.equal(isUpToDate(undefined, wanted, []), false);
    assert.equal(isUpToDate({ id: 1, peers: {} }, wanted, []), false);
    assert.equal(isUpToDate({ id: 1, peers: { 2: '10.0.0.9' } }, wanted, []), false);
    assert.equal(isUpToDate({ ...wanted, id: 4 }, wanted, []), false);
  });
});

describe('a fleet on paper', () => {
  it('has its pods know each other, and tells those that stay nothing when one goes', () => {
    const fleet = new PaperFleet({ fleet: { replicas: 3 } });
    fleet.settle();
    const known = () => fleet.pods.map(({ grant }) => Object.keys(grant?.peering?.peers ?? {}).length);
    assert.deepEqual(known(), [2, 2, 2]);
    assert.deepEqual(fleet.pods.map(({ grant }) => grant?.peering?.id).sort(), [1, 2, 3]);
    fleet.edit({ fleet: { replicas: 4 } });
    fleet.settle();
    assert.deepEqual(known(), [3, 3, 3, 3]);
    fleet.edit({ fleet: { replicas: 3 } });
    fleet.settle();
    assert.equal(fleet.pods.length, 3);
    for (const { grant } of fleet.pods) assert.ok(Object.keys(grant?.peering?.peers ?? {}).length >= 2);
  });
});
