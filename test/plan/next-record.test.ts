// What boot.ini becomes where not every pod is proved: only what pods may take without a proof, smaller sizes and a smaller budget.
import assert from 'node:assert/strict';
import { chooseBasis } from '../../src/plan/basis.ts';
import { chooseModels } from '../../src/plan/canary.ts';
import { desire } from '../../src/plan/desired.ts';
import { planGrants } from '../../src/plan/grants.ts';
import { nextRecord } from '../../src/plan/next-record.ts';
import { readProvedRecord, type ProvedRecord } from '../../src/plan/proved-record.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

/** What follows a proved record of 75 connections and floors of 3, when another pool mode within so many is asked for and no pod runs it yet. */
function following(connections: number): { record: ProvedRecord; next: ProvedRecord | undefined; why: string } {
  const fleet = new PaperFleet();
  fleet.settle();
  const [orders] = fleet.pool.spec.databases;
  assert.ok(orders !== undefined);
  fleet.edit({ budget: { connections, reserve: 0 }, databases: [{ ...orders, poolMode: 'session' }] });
  const observation = fleet.observe();
  const proved = readProvedRecord(observation);
  assert.ok(proved?.proved === true && proved.basis.budget === 75);
  const record = { ...proved, floors: { orders: 3 } };
  const chosen = chooseBasis(observation, desire(observation, true), record, observation.defaultImage);
  assert.ok('basis' in chosen && chosen.desired !== undefined);
  const { states, basis, targets, target } = chosen;
  const { floors } = record;
  const grants = planGrants({
    observation,
    states,
    basis,
    bootFloors: floors,
    floors,
    targets: targets.perPod,
    mayGrow: true,
  });
  const after = nextRecord(chosen, record, chooseModels(observation, states, target, record), grants);
  return { record, next: after?.record, why: after?.why ?? '' };
}

describe('boot.ini while a new configuration is not proved', () => {
  it('keeps the proved configuration, and takes smaller floors at once', () => {
    const { record, next, why } = following(100);
    assert.deepEqual(next, { ...record, floors: { orders: 1 } });
    assert.equal(why, 'pods are to boot with smaller sizes');
  });

  it('takes a smaller budget at once: it holds whatever else of the specification can be had later', () => {
    const { record, next } = following(20);
    assert.deepEqual(next, { ...record, floors: { orders: 1 }, basis: { ...record.basis, budget: 20 } });
  });
});
