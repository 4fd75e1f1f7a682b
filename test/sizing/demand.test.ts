// A workload's clients: (replicas + surge) × workers × threads, the same before, during and after a rollout of it.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { clientsPerDatabase, workloadDemand } from '../../src/sizing/demand.ts';
import type { WorkloadFacts, WorkloadWish } from '../../src/sizing/demand.ts';
import { propertyRuns } from './property-runs.ts';

const web: WorkloadWish = {
  ref: { kind: 'Deployment', name: 'web' },
  databases: ['orders'],
  workers: { env: 'WEB_CONCURRENCY', default: 1 },
  threads: { env: 'RAILS_MAX_THREADS', default: 3 },
};
const facts = (over: Partial<WorkloadFacts> = {}): WorkloadFacts => ({
  kind: 'Deployment',
  specReplicas: 4,
  statusReplicas: 4,
  maxSurge: '25%',
  recreate: false,
  template: {
    containers: [
      {
        name: 'web',
        env: [
          { name: 'WEB_CONCURRENCY', value: '2', hasValueFrom: false },
          { name: 'RAILS_MAX_THREADS', value: '5', hasValueFrom: false },
        ],
      },
    ],
  },
  ...over,
});
const all = ['orders', 'audit'];

describe('the demand of a workload', () => {
  it('counts web, sidekiq and reports as 50, 30 and 4 clients, 84 together', () => {
    const demand = [
      workloadDemand(web, facts(), all),
      workloadDemand(
        { ref: { kind: 'Deployment', name: 'sidekiq' }, workers: { integer: 1 }, threads: { integer: 10 } },
        facts({ specReplicas: 2, statusReplicas: 2 }),
        all,
      ),
      workloadDemand({ name: 'reports', clients: 4 }, undefined, all),
    ];
    assert.deepEqual(
      demand.map(({ name, replicas, surge, workers, threads, clients }) => [
        name,
        [replicas, surge, workers, threads, clients],
      ]),
      [
        ['Deployment/web', [4, 1, 2, 5, 50]],
        ['Deployment/sidekiq', [2, 1, 1, 10, 30]],
        ['reports', [1, 0, 1, 4, 4]],
      ],
    );
    assert.deepEqual(
      [...clientsPerDatabase(demand)],
      [
        ['orders', 84],
        ['audit', 34],
      ],
    );
  });

  const surges: readonly (readonly [string, Partial<WorkloadFacts>, number])[] = [
    ['25 % of 4', {}, 1],
    ['25 % of 5, rounded up', { specReplicas: 5, statusReplicas: 5 }, 2],
    ['100 %', { maxSurge: '100%' }, 4],
    ['a number of pods', { maxSurge: 3 }, 3],
    ['none', { maxSurge: 0 }, 0],
    ['a Recreate strategy', { recreate: true }, 0],
    ['a StatefulSet', { kind: 'StatefulSet' }, 0],
    ['a workload scaled to zero', { specReplicas: 0, statusReplicas: 0 }, 0],
  ];
  for (const [what, over, surge] of surges) {
    it(`adds ${surge} surge pods for ${what}`, () => {
      assert.equal(workloadDemand(web, facts(over), all).surge, surge);
    });
  }

  it('takes an unreadable maxSurge as the default, and says so', () => {
    const demand = workloadDemand(web, facts({ maxSurge: 'many' }), all);
    assert.equal(demand.surge, 1);
    assert.deepEqual(demand.notes, ['maxSurge is not readable: taken as 25%']);
  });

  it('does not change while the workload rolls out', () => {
    const rest = workloadDemand(web, facts(), all);
    for (const statusReplicas of [3, 4, 5]) {
      assert.deepEqual(workloadDemand(web, facts({ statusReplicas }), all), rest);
    }
  });

  it('still counts every pod of a workload on its way down', () => {
    const demand = workloadDemand(web, facts({ specReplicas: 4, statusReplicas: 10 }), all);
    assert.equal((demand.replicas + demand.surge) * 10, demand.clients);
    assert.equal(demand.clients, 100);
  });

  it('counts a missing workload as nothing and says so', () => {
    const demand = workloadDemand(web, undefined, all);
    assert.equal(demand.missing, true);
    assert.equal(demand.clients, 0);
    assert.deepEqual(demand.notes, ['Deployment/web was not found and counts as 0 clients']);
  });

  it('takes all databases where none are named, each once, and names unknown ones', () => {
    assert.deepEqual(workloadDemand({ name: 'x', clients: 1 }, undefined, all).databases, all);
    const odd = workloadDemand({ name: 'x', clients: 1, databases: ['audit', 'audit', 'gone'] }, undefined, all);
    assert.deepEqual([odd.databases, odd.notes], [['audit'], ['there is no database gone']]);
  });

  it('passes on what was noted about workers and threads', () => {
    const bare = facts({ template: { containers: [] } });
    assert.deepEqual(workloadDemand(web, bare, all).notes, [
      'WEB_CONCURRENCY is not set: workers taken as 1',
      'RAILS_MAX_THREADS is not set: threads taken as 3',
    ]);
  });

  it('is (replicas + surge) × workers × threads, never negative, an exact integer, and never falls when replicas rise', () => {
    const replicas = fc.integer({ min: 0, max: 5_000 });
    const surge = fc.oneof(
      fc.integer({ min: 0, max: 10 }),
      fc.integer({ min: 0, max: 200 }).map((part) => `${part}%`),
    );
    fc.assert(
      fc.property(
        replicas,
        replicas,
        surge,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        (spec, status, maxSurge, workers, threads) => {
          const wish: WorkloadWish = { ...web, workers: { integer: workers }, threads: { integer: threads } };
          const at = (specReplicas: number): ReturnType<typeof workloadDemand> =>
            workloadDemand(wish, facts({ specReplicas, statusReplicas: status, maxSurge }), all);
          const demand = at(spec);
          assert.equal(demand.clients, (demand.replicas + demand.surge) * workers * threads);
          assert.ok(Number.isSafeInteger(demand.clients) && demand.clients >= 0);
          assert.ok(demand.replicas + demand.surge >= Math.max(spec, status));
          assert.ok(at(spec + 1).clients >= demand.clients);
        },
      ),
      { numRuns: propertyRuns() },
    );
  });
});
