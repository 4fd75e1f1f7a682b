// Clients find their way to new pods: the crowded ones take no new connections for a while, and nobody's connection is closed for it.
import assert from 'node:assert/strict';
import type { Observation } from '../../src/model/observation.ts';
import { planPool } from '../../src/plan/plan.ts';
import { newPod } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const WINDOW_MS = 30_000;

/** Two pods with 20 clients each, and two more that have just come, with their first ones. */
function scaledOut(first = 1): PaperFleet {
  const fleet = new PaperFleet({ fleet: { replicas: 2 }, budget: { connections: 60, reserve: 0 } });
  fleet.settle();
  for (const { name } of fleet.pods) fleet.connect(name, 20);
  fleet.nowMs += 2 * WINDOW_MS;
  fleet.settle();
  fleet.edit({ fleet: { replicas: 4 } });
  turnUntil(fleet, () => fleet.pods.filter(({ ready }) => ready).length === 4);
  for (const { name } of fleet.pods.slice(2)) fleet.connect(name, first);
  return fleet;
}

function turnUntil(fleet: PaperFleet, condition: () => boolean): void {
  for (let turn = 0; turn < 200; turn += 1) {
    if (condition()) return;
    fleet.turn();
  }
  assert.fail('200 turns in vain');
}

const inService = (fleet: PaperFleet): readonly boolean[] => fleet.pods.map(({ serving }) => serving);
const sizes = (fleet: PaperFleet): readonly number[] => fleet.pods.map(({ grant }) => grant?.sizes['orders'] ?? 0);

const closes = (observation: Observation): boolean =>
  planPool(observation).actions.some(({ why }) => why.includes('has more clients than the mean'));

describe('a rebalancing', () => {
  it('takes crowded pods out of the Service until the others have caught up, and closes nobody’s connection', () => {
    const fleet = scaledOut();
    turnUntil(fleet, () => inService(fleet).includes(false));
    assert.deepEqual(inService(fleet), [false, false, true, true]);
    fleet.turn();
    const reconciling = fleet.pool.status?.conditions?.find(({ type }) => type === 'Reconciling');
    assert.equal(reconciling?.reason, 'Rebalancing');
    const names = fleet.pods.map(({ name }) => name);
    // One is down at the mean, the other not yet.
    for (const [index, clients] of [10, 14, 8, 8].entries()) fleet.connect(names[index] ?? '', clients);
    turnUntil(fleet, () => fleet.pods[0]?.serving === true);
    assert.deepEqual(inService(fleet), [true, false, true, true]);
    fleet.connect(names[1] ?? '', 10);
    fleet.connect(names[2] ?? '', 12);
    turnUntil(fleet, () => fleet.pods[1]?.serving === true);
    fleet.settle();
    assert.deepEqual(inService(fleet), [true, true, true, true]);
    assert.ok(fleet.turns.every(({ plan }) => plan.actions.every(({ kind }) => kind !== 'endDrain')));
  });

  it('waits until each new pod has got a client through the Service: before that it may be unknown there', () => {
    const fleet = scaledOut(0);
    for (let turn = 0; turn < 10; turn += 1) fleet.turn();
    assert.deepEqual(inService(fleet), [true, true, true, true]);
    for (const { name } of fleet.pods.slice(2)) fleet.connect(name, 1);
    turnUntil(fleet, () => inService(fleet).includes(false));
  });

  it('does not begin while a pod is being deleted', () => {
    const fleet = scaledOut();
    turnUntil(fleet, () => closes(fleet.observe()));
    const seen = fleet.observe();
    const [first, ...others] = seen.pods;
    assert.ok(first !== undefined);
    const leaving = { ...newPod('leaving', first.template, 0), terminatingSinceMs: seen.nowMs - 1_000 };
    assert.ok(closes(seen));
    assert.ok(!closes({ ...seen, pods: [leaving, first, ...others] }));
  });

  it('leaves the connections where the clients are meanwhile, and moves them with these', () => {
    const fleet = scaledOut();
    for (let turn = 0; turn < 60; turn += 1) fleet.turn();
    const begun = sizes(fleet);
    assert.ok(Math.min(begun[0] ?? 0, begun[1] ?? 0) > 2 * Math.max(begun[2] ?? 0, begun[3] ?? 0), begun.join());
    for (const { name } of fleet.pods) fleet.connect(name, 10);
    fleet.settle();
    const end = sizes(fleet);
    assert.ok(Math.max(...end) - Math.min(...end) <= 1, end.join());
    assert.ok(fleet.inForce() <= 60);
  });

  it('ends with the drain window after the last pod joined, however many clients stay', () => {
    const fleet = scaledOut();
    const joinedMs = fleet.nowMs;
    turnUntil(fleet, () => inService(fleet).includes(false));
    turnUntil(fleet, () => !inService(fleet).includes(false));
    const tookMs = fleet.nowMs - joinedMs;
    assert.ok(tookMs >= WINDOW_MS - 2_000 && tookMs <= WINDOW_MS + 5_000, `${tookMs} ms`);
    for (let turn = 0; turn < 60; turn += 1) fleet.turn();
    assert.deepEqual(inService(fleet), [true, true, true, true]);
  });

  it('does not begin while a pod can’t be asked, or during a rollout', () => {
    const fleet = scaledOut();
    fleet.edit({ fleet: { replicas: 4, template: { metadata: { annotations: { round: '2' } } } } });
    const closed: number[] = [];
    for (let turn = 0; turn < 40; turn += 1) {
      fleet.turn();
      closed.push(fleet.pods.filter(({ crowded }) => crowded).length);
    }
    assert.ok(
      closed.slice(1).every((count) => count === 0),
      closed.join(),
    );
  });

  it('does not count on a pod that somebody else took out of the Service, so that one always takes new clients', () => {
    const fleet = scaledOut();
    for (const { name } of fleet.pods.slice(2)) fleet.takeOut(name);
    for (let turn = 0; turn < 20; turn += 1) {
      fleet.turn();
      assert.deepEqual(inService(fleet), [true, true, false, false]);
    }
  });

  it('does not send clients to a pod that is not proved: it may let nobody in', () => {
    const fleet = scaledOut();
    turnUntil(fleet, () => closes(fleet.observe()));
    const seen = fleet.observe();
    const newest = seen.pods.at(-1)?.uid;
    const withNewest = (serverProof: 'proved' | 'ServerUnreachable'): Observation => ({
      ...seen,
      poolers: new Map(
        [...seen.poolers].map(([uid, reading]) => [
          uid,
          uid === newest && reading.ok ? { ...reading, serverProof } : reading,
        ]),
      ),
    });
    assert.ok(closes(withNewest('proved')));
    assert.ok(!closes(withNewest('ServerUnreachable')));
  });

  it('leaves a pod alone that somebody else took out of the Service', () => {
    const fleet = new PaperFleet({ fleet: { replicas: 2 } });
    fleet.settle();
    const [first] = fleet.pods;
    fleet.takeOut(first?.name ?? '');
    for (const { name } of fleet.pods) fleet.connect(name, 10);
    for (let turn = 0; turn < 20; turn += 1) fleet.turn();
    assert.deepEqual(inService(fleet), [false, true]);
  });
});
