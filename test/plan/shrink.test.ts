// How a busy pool is made smaller, turn by turn on a fleet on paper: whom the drain reaches, what a crash leaves, and who may grow meanwhile.
import assert from 'node:assert/strict';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import type { Action } from '../../src/model/plan.ts';
import { planPool } from '../../src/plan/plan.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

type Databases = PoolConfigSpec['databases'];
type Shrink = Extract<Action, { kind: 'shrinkPools' }>;

const databases = (orders: number, billing: number): Databases => [
  { name: 'orders', poolMode: 'transaction', weight: 1, poolSize: orders },
  { name: 'billing', poolMode: 'transaction', weight: 1, poolSize: billing },
];

const lineOf = (fleet: PaperFleet, database: string): string =>
  new RegExp(`^${database} = .*$`, 'm').exec(fleet.loadedText(podOf(fleet).name))?.[0] ?? '';

function podOf(fleet: PaperFleet) {
  const [pod] = fleet.pods;
  assert.ok(pod);
  return pod;
}

/** One pod with 20 and 8 connections, all of them in use. */
function busyFleet(parameters: Readonly<Record<string, string | number>> = {}): PaperFleet {
  const fleet = new PaperFleet({ databases: databases(20, 8), fleet: { replicas: 1 }, pooler: { parameters } });
  fleet.settle();
  assert.deepEqual(podOf(fleet).grant?.sizes, { billing: 8, orders: 20 });
  fleet.connect(podOf(fleet).name, 60, 20);
  return fleet;
}

/** Turns until the plan has what is looked for; answers that plan's actions. */
function turnsUntil(fleet: PaperFleet, wanted: (action: Action) => boolean): readonly Action[] {
  for (let turn = 0; turn < 60; turn += 1) {
    const { actions } = fleet.turn();
    if (actions.some(wanted)) return actions;
  }
  throw new Error('not planned within 60 turns');
}

const isShrink = (action: Action): action is Shrink => action.kind === 'shrinkPools';

describe('shrinking a busy pool', () => {
  it('lets the drain reach the database that shrinks and no other', () => {
    const fleet = busyFleet();
    fleet.edit({ databases: databases(10, 8) });
    const [drain] = turnsUntil(fleet, isShrink).filter(isShrink);
    assert.deepEqual(drain?.from, { orders: 20 });
    assert.deepEqual(drain.to, { orders: 10 });
    assert.equal(drain.alone, true);
    assert.doesNotMatch(lineOf(fleet, 'orders'), /server_lifetime/);
    assert.match(lineOf(fleet, 'billing'), / server_lifetime='3600'/);
  });

  it('writes and loads one file for a shrink: what shields the others stays until the next change', () => {
    const fleet = busyFleet();
    const first = fleet.turns.length;
    fleet.edit({ databases: databases(10, 8) });
    fleet.settle();
    const actions = fleet.turns.slice(first).flatMap(({ plan }) => plan.actions);
    assert.equal(actions.filter(({ kind }) => kind === 'loadLive').length, 1);
    assert.equal(podOf(fleet).grant?.unsettled, undefined);
    assert.match(lineOf(fleet, 'billing'), / server_lifetime='3600'/);
    fleet.edit({ databases: databases(12, 8) });
    fleet.settle();
    assert.doesNotMatch(fleet.loadedText(podOf(fleet).name), / server_lifetime='/);
  });

  it('says that a drain reaches the others too where no line can have their lifetime', () => {
    const fleet = busyFleet({ server_lifetime: '90.5' });
    fleet.edit({ databases: databases(10, 8) });
    const [drain] = turnsUntil(fleet, isShrink).filter(isShrink);
    assert.equal(drain?.alone, false);
    assert.doesNotMatch(fleet.loadedText(podOf(fleet).name), / server_lifetime='/);
  });

  it('drains two databases together, and goes on with the one that is left without another file', () => {
    const fleet = busyFleet();
    fleet.drains = false;
    fleet.edit({ databases: databases(10, 4) });
    const [both] = turnsUntil(fleet, isShrink).filter(isShrink);
    assert.deepEqual(both?.to, { billing: 4, orders: 10 });
    assert.equal(both.alone, true);
    fleet.connect(podOf(fleet).name, 60, 6);
    const text = podOf(fleet).live;
    turnsUntil(fleet, ({ kind }) => kind === 'patchPod');
    assert.deepEqual(podOf(fleet).grant?.unsettled, { billing: 8 });
    assert.equal(podOf(fleet).live, text);
    const [rest] = turnsUntil(fleet, isShrink).filter(isShrink);
    assert.deepEqual(rest?.to, { billing: 4 });
    // The line of the other one has no lifetime of its own any more.
    assert.equal(rest.alone, false);
  });

  it('repairs a short lifetime that a crash left in force before it drains on, and verifies the shrink afterwards', () => {
    const fleet = busyFleet();
    fleet.drains = false;
    fleet.edit({ databases: databases(10, 8) });
    turnsUntil(fleet, isShrink);
    const { name } = podOf(fleet);
    fleet.set(name, 'server_lifetime', '0.25');
    fleet.connect(name, 60, 15);
    fleet.epoch += 1;
    const seen = planPool(fleet.observe());
    const ready = seen.status.conditions?.find(({ type }) => type === 'Ready');
    assert.equal(ready?.status, 'False', 'a pod with a foreign lifetime passes for proved');
    // A RELOAD beside the drain would end the drain's lifetime.
    const repair = turnsUntil(fleet, ({ kind }) => kind === 'loadLive');
    assert.ok(!repair.some(isShrink));
    fleet.drains = true;
    turnsUntil(fleet, isShrink);
    fleet.settle();
    assert.equal(podOf(fleet).grant?.unsettled, undefined);
  });

  it('repairs it as well where the pool has come down in the absence of an operator', () => {
    const fleet = busyFleet();
    fleet.drains = false;
    fleet.edit({ databases: databases(10, 8) });
    turnsUntil(fleet, isShrink);
    const { name } = podOf(fleet);
    fleet.set(name, 'server_lifetime', '0.25');
    fleet.connect(name, 60, 8);
    fleet.epoch += 1;
    turnsUntil(fleet, ({ kind }) => kind === 'loadLive');
    fleet.settle();
    assert.equal(podOf(fleet).grant?.unsettled, undefined);
    assert.equal(fleet.pool.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  });

  it('tries again for as long as transactions outlast the drain, and lets nothing grow on what is not free yet', () => {
    const fleet = new PaperFleet({
      budget: { connections: 36 },
      databases: databases(20, 8),
      fleet: { replicas: 1 },
    });
    fleet.settle();
    fleet.connect(podOf(fleet).name, 60, 20);
    fleet.drains = false;
    fleet.edit({ databases: databases(8, 20) });
    turnsUntil(fleet, isShrink);
    let drains = 0;
    for (let turn = 0; turn < 40; turn += 1) {
      drains += fleet.turn().actions.filter(isShrink).length;
      assert.equal(podOf(fleet).grant?.unsettled?.['orders'], 20);
      assert.ok((podOf(fleet).grant?.sizes['billing'] ?? 0) <= 14, 'billing grew on connections that orders still has');
    }
    assert.ok(drains > 10, `${drains} drains in 40 turns`);
    fleet.drains = true;
    fleet.settle();
    assert.deepEqual(podOf(fleet).grant?.sizes, { billing: 20, orders: 8 });
  });
});
