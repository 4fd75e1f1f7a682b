// A whole fleet's sizes: the worked fleets, the reasons in words, and what holds for every fleet.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Sizes } from '../../src/model/pooler-model.ts';
import type { WorkloadDemand } from '../../src/sizing/demand.ts';
import { sizeFleet } from '../../src/sizing/size-fleet.ts';
import type { DatabaseWish, FleetInput, FleetSizes } from '../../src/sizing/size-fleet.ts';
import { sizeOf, sumOf } from '../../src/sizing/sizes.ts';
import { propertyRuns } from './property-runs.ts';

type Feasible = FleetSizes & { readonly feasible: true };

const numRuns = propertyRuns();
const clientsOf = (name: string, clients: number, databases: readonly string[]): WorkloadDemand => ({
  name,
  databases,
  replicas: 1,
  surge: 0,
  workers: 1,
  threads: clients,
  clients,
  notes: [],
});
const database = (name: string, over: Partial<DatabaseWish> = {}): DatabaseWish => ({
  name,
  weight: 1,
  poolMode: 'transaction',
  ...over,
});
const podNames = (count: number): readonly { readonly name: string }[] =>
  Array.from({ length: count }, (_, index) => ({ name: `p${index + 1}` }));
function feasible(input: FleetInput): Feasible {
  const sizes = sizeFleet(input);
  assert.ok(sizes.feasible, JSON.stringify(sizes));
  return sizes;
}
const perPod = (sizes: Feasible, name: string): readonly (number | undefined)[] =>
  [...sizes.perPod.values()].map((pod) => sizeOf(pod, name));
const reasonOf = (sizes: Feasible, name: string): string | undefined =>
  sizes.databases.find((entry) => entry.name === name)?.reason;

const puma: FleetInput = {
  budget: 75,
  pods: podNames(2),
  wanted: 2,
  databases: [database('orders')],
  demand: [clientsOf('web', 50, ['orders']), clientsOf('sidekiq', 30, ['orders']), clientsOf('reports', 4, ['orders'])],
};
const three: FleetInput = {
  budget: 75,
  pods: podNames(3),
  wanted: 3,
  databases: [database('orders', { weight: 2 }), database('catalog'), database('audit')],
  demand: [clientsOf('a', 240, ['orders']), clientsOf('b', 60, ['catalog']), clientsOf('c', 8, ['audit'])],
};

describe('sizing a fleet', () => {
  it('gives 84 clients 31 connections on two pods as 16 and 15', () => {
    const sizes = feasible(puma);
    assert.deepEqual(sizes.databases, [
      {
        name: 'orders',
        clients: 84,
        offered: 21,
        need: 31,
        want: 31,
        size: 31,
        limitedBy: 'demand',
        reason: '84 clients × duty 0.25 = 21 busy; 21 + 2√21 → 31; fits the budget of 73',
      },
    ]);
    assert.deepEqual([sizes.setAside, sizes.floors, sizes.unassigned], [2, { orders: 1 }, 42]);
    assert.deepEqual(perPod(sizes, 'orders'), [16, 15]);
  });

  it('divides 66 among three databases as 41, 20 and 5, with 22 on each pod', () => {
    const sizes = feasible(three);
    assert.equal(sizes.setAside, 9);
    assert.deepEqual(
      sizes.databases.map(({ offered, want, size }) => [offered, want, size]),
      [
        [60, 76, 41],
        [15, 23, 20],
        [2, 5, 5],
      ],
    );
    assert.deepEqual(perPod(sizes, 'orders'), [14, 14, 13]);
    assert.deepEqual(perPod(sizes, 'catalog'), [6, 7, 7]);
    assert.deepEqual(perPod(sizes, 'audit'), [2, 1, 2]);
    assert.deepEqual([...sizes.perPod.values()].map(sumOf), [22, 22, 22]);
    assert.equal(
      reasonOf(sizes, 'orders'),
      '240 clients × duty 0.25 = 60 busy; 60 + 2√60 → 76; the budget of 66 gives it 41 at weight 2 of 4',
    );
    assert.deepEqual(
      sizes.databases.map(({ limitedBy }) => limitedBy),
      ['budget', 'budget', 'demand'],
    );
  });

  it('honours a fixed size inside the budget and leaves what nobody wants unassigned', () => {
    const [orders, ...rest] = three.databases;
    assert.ok(orders !== undefined);
    const sizes = feasible({ ...three, budget: 81, databases: [{ ...orders, fixed: 40 }, ...rest] });
    assert.deepEqual(
      sizes.databases.map(({ size }) => size),
      [40, 23, 5],
    );
    assert.equal(sizes.unassigned, 4);
    assert.equal(sizes.databases[0]?.limitedBy, 'fixed');
    assert.equal(reasonOf(sizes, 'orders'), 'poolSize 40; fits the budget of 72');
  });

  it('raises a fixed size to one connection for each pod, and says so', () => {
    const sizes = feasible({ ...three, databases: [database('orders', { fixed: 1 })] });
    assert.deepEqual(
      sizes.databases.map(({ size, limitedBy }) => [size, limitedBy]),
      [[3, 'floor']],
    );
    assert.equal(reasonOf(sizes, 'orders'), 'poolSize 1; raised to 3, one for each pod; fits the budget of 72');
  });

  it('gives one client one connection, and two where two pods are wanted', () => {
    const one = { ...puma, demand: [clientsOf('cron', 1, ['orders'])] };
    assert.equal(
      reasonOf(feasible({ ...one, wanted: 1, pods: podNames(1) }), 'orders'),
      '1 client × duty 0.25 = 0.25 busy; 0.25 + 2√0.25 → 2, no more than its 1 client; fits the budget of 74',
    );
    const two = feasible(one).databases[0];
    assert.ok(two !== undefined);
    assert.deepEqual([two.need, two.size, two.limitedBy], [1, 2, 'floor']);
  });

  it('gives each client a connection in session mode', () => {
    const sizes = feasible({ ...puma, budget: 200, databases: [database('orders', { poolMode: 'session' })] });
    assert.equal(sizes.databases[0]?.need, 84);
    assert.match(reasonOf(sizes, 'orders') ?? '', /^84 clients in session mode hold a connection each → 84;/);
  });

  it('gives a database that no workload uses one connection for each pod, and says so', () => {
    const sizes = feasible({ ...three, databases: [...three.databases, database('unused')] });
    assert.equal(sizes.databases.find(({ name }) => name === 'unused')?.size, 3);
    assert.match(reasonOf(sizes, 'unused') ?? '', /^no client uses it; raised to 3, one for each pod; fits/);
  });

  it('gives the whole budget by weight when no workloads are declared, and says so', () => {
    const sizes = feasible({ ...three, demand: [] });
    assert.equal(sizes.unassigned, 0);
    assert.deepEqual(
      sizes.databases.map(({ size, limitedBy }) => [size, limitedBy]),
      [
        [33, 'budget'],
        [16, 'budget'],
        [17, 'budget'],
      ],
    );
    assert.equal(reasonOf(sizes, 'orders'), 'no workloads declared: the whole budget of 66 by weight 2 of 4');
  });

  it('names a workload that was not found, only where it is used', () => {
    const missing: WorkloadDemand = { ...clientsOf('Deployment/web', 0, ['orders']), missing: true };
    const sizes = feasible({ ...three, demand: [...three.demand, missing] });
    assert.match(reasonOf(sizes, 'orders') ?? '', /; Deployment\/web was not found and counts as 0 clients$/);
    assert.doesNotMatch(reasonOf(sizes, 'audit') ?? '', /not found/);
  });

  it('notes users who must fight over the connections of a pod', () => {
    const sizes = feasible({
      ...puma,
      demand: [clientsOf('x', 4, ['orders'])],
      databases: [database('orders', { users: 3 })],
    });
    assert.match(reasonOf(sizes, 'orders') ?? '', /3 users share 1 connection per pod and take them from each other$/);
  });

  it('raises the floors to an eighth of a pod’s share where the budget is large', () => {
    const sizes = feasible({ ...puma, budget: 1_000, demand: [clientsOf('x', 600, ['orders'])] });
    assert.equal(sizes.databases[0]?.size, 175);
    assert.deepEqual([sizes.floors, sizes.setAside], [{ orders: 10 }, 20]);
  });

  it('refuses a budget that cannot hold a floor for each pod and for each replacement, with both numbers', () => {
    const sizes = sizeFleet({ ...three, budget: 17 });
    assert.ok(!sizes.feasible);
    assert.deepEqual([sizes.needed, sizes.budget], [18, 17]);
    assert.match(sizes.message, /3 pods × 3 databases need 18 connections .* but the budget is 17/);
    assert.ok(sizeFleet({ ...three, budget: 18 }).feasible);
  });

  it('keeps the part of pods that are still to come free', () => {
    const sizes = feasible({ ...three, pods: podNames(1) });
    assert.deepEqual(perPod(sizes, 'orders'), [14]);
    assert.equal(sizes.perPod.size, 1);
  });

  it('leaves everything unassigned when no pod is wanted', () => {
    const sizes = feasible({ ...three, pods: [], wanted: 0 });
    assert.deepEqual([sizes.setAside, sizes.unassigned], [0, 75]);
    assert.equal(reasonOf(sizes, 'orders'), 'no pod is wanted');
  });

  it('is not confused by a database called constructor', () => {
    const sizes = feasible({
      ...puma,
      databases: [database('constructor')],
      pods: [{ name: 'p1', sizes: {} }, { name: 'p2' }],
    });
    assert.deepEqual(perPod(sizes, 'constructor'), [1, 1]);
  });
});

const fleets = fc
  .record({
    budget: fc.integer({ min: 1, max: 1_500 }),
    wanted: fc.integer({ min: 1, max: 6 }),
    missingPods: fc.nat(2),
    databases: fc.array(
      fc.record({
        weight: fc.integer({ min: 1, max: 5 }),
        poolMode: fc.constantFrom('transaction' as const, 'session' as const),
        fixed: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined, freq: 4 }),
        clients: fc.nat(600),
        now: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 6, maxLength: 6 }),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    declared: fc.boolean(),
  })
  .map(({ budget, wanted, missingPods, databases, declared }): FleetInput => {
    const names = databases.map((_, index) => `db${index}`);
    const pods = podNames(Math.max(0, wanted - missingPods)).map(({ name }, at) => ({
      name,
      sizes: Object.fromEntries(
        databases.map(({ now }, index): [string, number] => [names[index] ?? '', now[at] ?? 1]),
      ),
    }));
    return {
      budget,
      wanted,
      pods,
      databases: databases.map(({ weight, poolMode, fixed }, index) => ({
        name: names[index] ?? '',
        weight,
        poolMode,
        fixed,
      })),
      demand: declared
        ? databases.map(({ clients }, index) => clientsOf(`w${index}`, clients, [names[index] ?? '']))
        : [],
    };
  });

function forAllFeasible(check: (input: FleetInput, sizes: Feasible) => void): void {
  fc.assert(
    fc.property(fleets, (input) => {
      const sizes = sizeFleet(input);
      if (sizes.feasible) check(input, sizes);
    }),
    { numRuns },
  );
}

describe('every sized fleet', () => {
  it('is feasible exactly when two floors of one fit for each wanted pod and database', () => {
    fc.assert(
      fc.property(fleets, (input) => {
        const needed = 2 * input.wanted * input.databases.length;
        const sizes = sizeFleet(input);
        assert.equal(sizes.feasible, needed <= input.budget);
        if (!sizes.feasible) assert.equal(sizes.needed, needed);
      }),
      { numRuns },
    );
  });

  it('fits the budget with what is set aside, and gives each pod at least its floor of at least one', () => {
    forAllFeasible((input, sizes) => {
      const parts = [...sizes.perPod.values()].map(sumOf).reduce((sum, part) => sum + part, 0);
      const shares = sizes.databases.reduce((sum, { size }) => sum + size, 0);
      assert.ok(parts + sizes.setAside <= input.budget);
      assert.ok(parts <= shares);
      assert.equal(shares + sizes.setAside + sizes.unassigned, input.budget);
      assert.equal(sizes.setAside, input.wanted * sumOf(sizes.floors));
      for (const { name } of input.databases) {
        const floor = sizeOf(sizes.floors, name);
        assert.ok(floor !== undefined && floor >= 1);
        for (const pod of sizes.perPod.values()) assert.ok((sizeOf(pod, name) ?? 0) >= floor);
      }
    });
  });

  it('boots a pod with at least an eighth of its part, and pays at most an eighth of the budget for more than floors of one', () => {
    forAllFeasible((input, sizes) => {
      for (const { name, size } of sizes.databases) {
        assert.ok((sizeOf(sizes.floors, name) ?? 0) >= Math.floor(Math.floor(size / input.wanted) / 8));
      }
      assert.ok(sizes.setAside <= input.wanted * input.databases.length + input.budget / 8);
    });
  });

  it('is the same again when its own sizes are granted, and names the same reasons whatever is granted', () => {
    forAllFeasible((input, sizes) => {
      const granted = input.pods.map(({ name }): { name: string; sizes?: Sizes } => {
        const own = sizes.perPod.get(name);
        return own === undefined ? { name } : { name, sizes: own };
      });
      assert.deepEqual(
        sizeFleet({ ...input, pods: granted }).feasible && sizeFleet({ ...input, pods: granted }),
        sizes,
      );
    });
  });

  it('lowers no floor when the budget grows', () => {
    forAllFeasible((input, sizes) => {
      const more = feasible({ ...input, budget: input.budget + 1 });
      for (const [name, floor] of Object.entries(sizes.floors)) assert.ok((sizeOf(more.floors, name) ?? 0) >= floor);
    });
  });

  it('leaves nothing unassigned while a database is limited by the budget', () => {
    forAllFeasible((_, sizes) => {
      if (sizes.databases.some(({ size, want }) => size < want)) assert.equal(sizes.unassigned, 0);
      for (const { size, want, need, limitedBy } of sizes.databases) {
        assert.ok(size <= want);
        if (limitedBy === 'demand') assert.equal(size, need);
      }
    });
  });
});
