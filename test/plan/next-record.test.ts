// What boot.ini becomes where not every pod is proved: only what pods may take without a proof, smaller sizes and a smaller budget.
import assert from 'node:assert/strict';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { chooseBasis } from '../../src/plan/basis.ts';
import { chooseModels } from '../../src/plan/canary.ts';
import { desire } from '../../src/plan/desired.ts';
import { nextRecord } from '../../src/plan/next-record.ts';
import { readProvedRecord, type ProvedRecord } from '../../src/plan/proved-record.ts';
import { askedWith } from '../support/ask-ledger.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const ORDERS = { name: 'orders', database: 'orders_production', poolMode: 'transaction', weight: 1 } as const;
const REPORTS = { ...ORDERS, name: 'reports', database: 'reports' };

/**
 * What follows a proved record of 75 connections and floors of 3, when one database in another pool mode within so many connections is asked
 * for and no pod runs it yet.
 */
function following(
  connections: number,
  databases: PoolConfigSpec['databases'] = [ORDERS],
): { record: ProvedRecord; next: ProvedRecord | undefined; why: string } {
  const fleet = new PaperFleet({ databases });
  fleet.settle();
  fleet.edit({ budget: { connections, reserve: 0 }, databases: [{ ...ORDERS, poolMode: 'session' }] });
  const observation = fleet.observe();
  const proved = readProvedRecord(observation);
  assert.ok(proved?.proved === true && proved.basis.budget === 75);
  const record = { ...proved, floors: { ...proved.floors, orders: 3 } };
  const chosen = chooseBasis(observation, desire(observation, record), record, observation.defaultImage);
  assert.ok('basis' in chosen && chosen.desired !== undefined);
  const { states, target } = chosen;
  const grants = askedWith(observation, chosen, record.floors);
  const after = nextRecord(chosen, record, chooseModels(observation, states, target, record), grants);
  return { record, next: after?.record, why: after?.why ?? '' };
}

describe('boot.ini while a new configuration is not proved', () => {
  it('keeps the proved configuration, and takes smaller floors at once', () => {
    const { record, next, why } = following(100);
    assert.deepEqual(next, { ...record, floors: { orders: 1 } });
    assert.equal(why, 'pods are to boot with smaller sizes');
  });

  it('does not take a budget on which the proved configuration could not live: it is what an edit that is impossible goes back to', () => {
    // Two databases in two pods, and as many set aside: it needs eight, and the new one only four.
    const { record, next } = following(6, [ORDERS, REPORTS]);
    assert.deepEqual(next?.basis, { ...record.basis, budget: 8 });
  });

  it('takes a smaller budget at once: it holds whatever else of the specification can be had later', () => {
    const { record, next } = following(20);
    assert.deepEqual(next, { ...record, floors: { orders: 1 }, basis: { ...record.basis, budget: 20 } });
  });
});
