// What is written on a pod and when: the old size beside a smaller one, and a new file's name only once the file is surely there.
import assert from 'node:assert/strict';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import type { Grant } from '../../src/model/grant.ts';
import { SECRET_LEAD_MS } from '../../src/plan/pod-config.ts';
import { sizeOf } from '../../src/sizing/sizes.ts';
import { secret, workload } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const ORDERS = { name: 'orders', database: 'orders_production', poolMode: 'transaction', weight: 1 } as const;

describe('the configuration of a pod', () => {
  it('writes the old size of a busy pool beside the new one, drains it by lifetime, then strikes the old one out', () => {
    const fleet = new PaperFleet();
    fleet.workloads.set('Deployment/web', workload(6));
    fleet.settle();
    const busy = fleet.pods.find((pod) => pod.grant?.sizes['orders'] === 10);
    assert.ok(busy);
    for (const pod of fleet.pods) fleet.connect(pod.name, 10, pod.uid === busy.uid ? 10 : 0);
    fleet.workloads.set('Deployment/web', workload(2));
    const grant = () => fleet.pods.find(({ uid }) => uid === busy.uid)?.grant;
    for (let turn = 0; turn < 50 && grant()?.sizes['orders'] === 10; turn += 1) fleet.turn();
    assert.deepEqual([grant()?.sizes, grant()?.unsettled], [{ orders: 5 }, { orders: 10 }]);
    fleet.settle();
    const drains = fleet.turns.flatMap(({ plan }) => plan.actions.filter(({ kind }) => kind === 'shrinkPools'));
    assert.deepEqual(
      drains.map((action) => action.kind === 'shrinkPools' && [action.pod, action.from, action.to]),
      [[busy.name, { orders: 10 }, { orders: 5 }]],
    );
    assert.deepEqual([grant()?.sizes, grant()?.unsettled], [{ orders: 5 }, undefined]);
  });

  it('names a new file to a pod only when the kubelet has had time to project it', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const former = fleet.pods.map(({ live }) => live);
    fleet.secrets.set('orders-app', secret({ username: 'orders_app', password: 'a new one' }));
    const writtenMs = fleet.nowMs;
    const plan = fleet.turn();
    assert.ok(plan.actions.some(({ why }) => why.startsWith('new file userlist-')));
    const told = (): boolean => fleet.pods.some(({ live }, index) => live !== former[index]);
    assert.equal(told(), false);
    let toldMs = writtenMs;
    for (let turn = 0; turn < 50 && !told(); turn += 1) {
      toldMs = fleet.nowMs;
      fleet.turn();
    }
    assert.ok(told(), 'no pod was told');
    assert.ok(toldMs - writtenMs >= SECRET_LEAD_MS, `told after ${toldMs - writtenMs} ms`);
  });

  it('is left as it is while it can be told nothing else, with the mark of the new leader: without it nothing may grow', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const former = fleet.pods.map(({ live }) => live);
    fleet.secrets.set('orders-app', secret({ username: 'orders_app', password: 'a new one' }));
    fleet.epoch += 1;
    fleet.turn();
    assert.deepEqual(
      fleet.pods.map(({ live, grant }) => [live, grant?.epoch]),
      former.map((live) => [live, fleet.epoch]),
    );
  });

  it('reckons with a database that it takes away from a pod, also one that is declared and is only not proved yet', () => {
    const audit = { ...ORDERS, name: 'audit', database: 'audit' };
    const fleet = new PaperFleet({ budget: { connections: 40, reserve: 0 }, databases: [ORDERS] });
    fleet.settle();
    for (const { name } of fleet.pods) fleet.connect(name, 20);
    fleet.nowMs += 10_000;
    fleet.settle();
    fleet.edit({ databases: [ORDERS, audit] });
    const tries = (): string | undefined =>
      fleet.pods.find(({ grant }) => sizeOf(grant?.sizes, 'audit') !== undefined)?.name;
    for (let turn = 0; turn < 200 && tries() === undefined; turn += 1) fleet.turn();
    const canary = tries() ?? assert.fail('no pod tries it');
    const held = sizeOf(fleet.pods.find(({ name }) => name === canary)?.grant?.sizes, 'audit') ?? 0;
    // It is the first to go, before it has proved anything.
    fleet.silent.add(canary);
    fleet.edit({ fleet: { ...fleet.pool.spec.fleet, template: { metadata: { annotations: { round: '2' } } } } });
    const grant = (): Grant | undefined => fleet.pods.find(({ name }) => name === canary)?.grant;
    for (let turn = 0; turn < 300 && sizeOf(grant()?.sizes, 'audit') !== undefined; turn += 1) fleet.turn();
    assert.equal(sizeOf(grant()?.sizes, 'audit'), undefined, 'it was not taken away');
    assert.ok((sizeOf(grant()?.unsettled, 'audit') ?? 0) >= held, JSON.stringify(grant()));
  });

  it('becomes smaller without the database that has no room before it has: else nobody would ever give that room', () => {
    const audit = { ...ORDERS, name: 'audit', database: 'audit' };
    const fleet = new PaperFleet({ budget: { connections: 40, reserve: 0 }, databases: [ORDERS, audit] });
    fleet.workloads.set('Deployment/web', workload(20));
    fleet.settle();
    for (const { name } of fleet.pods) fleet.connect(name, 20);
    fleet.nowMs += 10_000;
    fleet.settle();
    fleet.edit({ databases: [ORDERS] });
    const isAlone = (): boolean => fleet.pods.some(({ grant }) => grant !== undefined && !('audit' in grant.sizes));
    for (let turn = 0; turn < 50 && !isAlone(); turn += 1) fleet.turn();
    assert.ok(isAlone());
    fleet.nowMs += 60_000;
    // Room for one connection of each pod and database, and as many set aside: none to spare.
    fleet.edit({ databases: [ORDERS, audit], budget: { connections: 8, reserve: 0 } });
    fleet.settle();
    for (const { grant } of fleet.pods) assert.deepEqual(grant?.sizes, { audit: 1, orders: 1 });
  });

  describe('that nobody declares any more, of an operator that died before it was proved', () => {
    const named = (name: string) => ({ ...ORDERS, name, database: name });

    /** A fleet of two databases, one of whose pods was told to have one only; what is declared now has no room yet. */
    function abandoned(databases: PoolConfigSpec['databases']): PaperFleet {
      const fleet = new PaperFleet({ budget: { connections: 18, reserve: 0 }, databases: [ORDERS, named('reports')] });
      fleet.settle();
      fleet.nowMs += 10_000;
      fleet.edit({ databases: [ORDERS] });
      const isTold = (): boolean => fleet.pods.some(({ grant }) => grant !== undefined && !('reports' in grant.sizes));
      for (let turn = 0; turn < 50 && !isTold(); turn += 1) fleet.turn();
      assert.ok(isTold());
      fleet.nowMs += 10_000;
      fleet.epoch += 1;
      fleet.edit({ databases });
      return fleet;
    }

    it('gives way to what is declared as soon as there is room', () => {
      const databases = [ORDERS, named('audit'), named('catalog')];
      const fleet = abandoned(databases);
      fleet.settle();
      for (const { grant } of fleet.pods)
        assert.deepEqual(Object.keys(grant?.sizes ?? {}).sort(), databases.map(({ name }) => name).sort());
      assert.ok(fleet.inForce() <= 18);
    });
  });
});
