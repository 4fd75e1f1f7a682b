// When PostgreSQL's own count may be believed: two ways in which it says less than there is, each of which would free connections that are in use.
import assert from 'node:assert/strict';
import type { Observation } from '../../src/model/observation.ts';
import { backendsFrom, seenBackends } from '../../src/plan/backends.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

function watched(backends: readonly { address: string; count: number }[]): Observation {
  const fleet = new PaperFleet();
  fleet.settle();
  for (const pod of fleet.pods) fleet.connect(pod.name, 4, 2);
  return {
    ...fleet.observe(),
    server: {
      reachable: true,
      limits: { versionNumber: 170000, maxConnections: 100, superuserReserved: 3, reserved: 0 },
      seesOthers: true,
      backends: backends.map(({ address, count }) => ({
        clientAddress: address,
        user: 'orders_app',
        database: 'orders_production',
        count,
      })),
    },
  };
}

describe("PostgreSQL's view of our pods", () => {
  it('counts the backends of each address', () => {
    const observation = watched([]);
    const [first] = observation.pods;
    const seen = seenBackends(watched([{ address: first?.ip ?? '', count: 2 }]));
    assert.ok(seen);
    assert.equal(backendsFrom(seen, first?.ip), 2);
    assert.equal(backendsFrom(seen, undefined), 0);
  });

  it('is no view when the poolers hold connections and no pod address shows: addresses are translated on the way', () => {
    assert.equal(seenBackends(watched([{ address: '192.0.2.9', count: 4 }])), undefined);
  });

  it('is no view while another server is declared than the one the pods are proved to use', () => {
    const observation = watched([]);
    const [first] = observation.pods;
    const seen = watched([{ address: first?.ip ?? '', count: 2 }]);
    const { pool } = seen;
    const moved = { ...pool, spec: { ...pool.spec, server: { ...pool.spec.server, host: 'elsewhere.shop.svc' } } };
    assert.equal(seenBackends({ ...seen, pool: moved }), undefined);
  });

  it('keeps the share of a lost pod back where it can not be seen', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    for (const pod of fleet.pods) fleet.connect(pod.name, 4, 2);
    fleet.server = watched([{ address: '192.0.2.9', count: 4 }]).server;
    fleet.turn();
    const [lost] = fleet.pods;
    assert.ok(lost);
    fleet.kill(lost.name);
    const plan = fleet.turn();
    assert.ok(plan.status.pods?.some((pod) => pod.uid === lost.uid && pod.state === 'Gone'));
  });
});
