// What is written on a pod and when: the old size beside a smaller one, and a new file's name only once the file is surely there.
import assert from 'node:assert/strict';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { SECRET_LEAD_MS } from '../../src/plan/pod-config.ts';
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

    it('is left as it is, with the mark of the new leader: without it nothing in the fleet may grow', () => {
      const fleet = abandoned([ORDERS, named('audit'), named('catalog')]);
      fleet.turn();
      for (const { grant } of fleet.pods) assert.equal(grant?.epoch, fleet.epoch);
    });

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
