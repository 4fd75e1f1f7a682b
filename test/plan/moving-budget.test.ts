// The budget as a moving fact: lowered, raised, a share of what changes, taken by others, too small, or kept without anybody who counts.
import assert from 'node:assert/strict';
import type { ConditionType, Reason } from '../../src/api/reasons.ts';
import fc from 'fast-check';
import { canonicalJson } from '../../src/model/canonical.ts';
import type { Plan } from '../../src/model/plan.ts';
import type { BackendGroup, ServerView } from '../../src/model/server-view.ts';
import { explainPool } from '../../src/plan/explain.ts';
import { othersNow } from '../../src/plan/others.ts';
import { planPool } from '../../src/plan/plan.ts';
import { WINDOW_MS } from '../../src/sizing/high-mark.ts';
import { secret, workload } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';
import { propertyRuns } from '../sizing/property-runs.ts';

const MONITORED = {
  server: { host: 'db.shop.svc', port: 5432, tls: { mode: 'disable' as const }, monitorSecretRef: { name: 'monitor' } },
};

function serverView(maxConnections: number, backends: readonly BackendGroup[] = [], seesOthers = true): ServerView {
  const limits = { versionNumber: 170_000, maxConnections, superuserReserved: 3, reserved: 0 };
  return { reachable: true, limits, seesOthers, backends };
}

const group = (clientAddress: string | undefined, user: string, count: number): BackendGroup => ({
  ...{ clientAddress, user, database: 'orders_production', count },
});

/** A monitored fleet with more clients than it gets connections, so that its sizes show its budget. */
function monitoredFleet(budget: PaperFleet['pool']['spec']['budget'], maxConnections = 100): PaperFleet {
  const fleet = new PaperFleet({ ...MONITORED, budget });
  fleet.secrets.set('monitor', secret({ username: 'poolsmith_monitor', password: 'sesame' }));
  fleet.workloads.set('Deployment/web', workload(60));
  fleet.server = serverView(maxConnections);
  fleet.settle();
  return fleet;
}

/** What PostgreSQL shows of a fleet whose pods hold so many each, and of others. */
function shows(fleet: PaperFleet, others: readonly BackendGroup[], maxConnections = 100, each = 2): void {
  for (const pod of fleet.pods) fleet.connect(pod.name, 20, each);
  const own = fleet.pods.map((pod) => group(pod.ip, 'orders_app', each));
  fleet.server = serverView(maxConnections, [...own, ...others]);
}

const said = (fleet: PaperFleet, type: ConditionType = 'BudgetSatisfied') =>
  fleet.pool.status?.conditions?.find((condition) => condition.type === type);
const message = (fleet: PaperFleet): string => said(fleet)?.message ?? '';
const granted = (fleet: PaperFleet): number =>
  fleet.pods.flatMap((pod) => Object.values(pod.grant?.sizes ?? {})).reduce((sum, size) => sum + size, 0);
const budgetOf = (fleet: PaperFleet): number | undefined => fleet.pool.status?.budget?.budget;

/** Turns until rest; the reasons that were given on the way, and whether it was Ready all the time. */
function settleWatched(fleet: PaperFleet): {
  readonly reasons: readonly (Reason | undefined)[];
  readonly messages: string[];
} {
  const reasons: (Reason | undefined)[] = [];
  const messages: string[] = [];
  for (let turn = 0; turn < 400; turn += 1) {
    const plan = fleet.turn();
    const reason = said(fleet)?.reason as Reason | undefined;
    if (reasons.at(-1) !== reason) reasons.push(reason);
    messages.push(message(fleet));
    assert.equal(said(fleet, 'Ready')?.status, 'True', JSON.stringify(said(fleet, 'Ready')));
    if (plan.actions.length === 0 && plan.requeueAfterMs === undefined) return { reasons, messages };
  }
  throw new Error('not at rest');
}

describe('a budget that is lowered below what is in use', () => {
  it('says how many of how many connections must be given back, until it holds, and the fleet stays Ready', () => {
    const fleet = monitoredFleet({ connections: 40 });
    shows(fleet, [], 100, 15);
    fleet.settle();
    fleet.edit({ budget: { connections: 20 } });
    const held = granted(fleet);
    assert.ok(held > 20);
    fleet.turn();
    assert.equal(said(fleet)?.reason, 'Overcommitted');
    const numbers = /^(\d+) of the (\d+) connections .* the budget is 20/.exec(message(fleet));
    assert.ok(numbers, message(fleet));
    const [, over, of] = numbers.map(Number) as [number, number, number];
    assert.equal(of - over, 20);
    assert.ok(of >= held && of <= 40, `${of}`);
    shows(fleet, [], 100, 5);
    const { reasons } = settleWatched(fleet);
    assert.equal(reasons.at(-1), 'WithinBudget');
    assert.ok(granted(fleet) <= 20);
  });

  it('never grants more than the budget on the way, however it goes up and down', () => {
    const fleet = monitoredFleet({ connections: 40 });
    for (const connections of [20, 60, 8, 33, 5, 80]) {
      fleet.edit({ budget: { connections } });
      const before = granted(fleet);
      for (let turn = 0; turn < 400; turn += 1) {
        const plan = fleet.turn();
        assert.ok(granted(fleet) <= Math.max(before, connections), `${granted(fleet)} of ${connections}`);
        if (plan.actions.length === 0 && plan.requeueAfterMs === undefined) break;
      }
      assert.ok(granted(fleet) <= connections);
      assert.equal(said(fleet)?.status, 'True', message(fleet));
    }
    assert.ok(granted(fleet) > 40, 'a raised budget is used');
  });

  it('holds also for what a pod boots with, when it is lowered far', () => {
    const fleet = monitoredFleet({ connections: 80 });
    fleet.edit({ budget: { connections: 4 } });
    settleWatched(fleet);
    assert.equal(said(fleet)?.status, 'True', message(fleet));
    const boot = fleet.children.get('ConfigMap/orders-pooler')?.['data'] as Record<string, string>;
    assert.match(boot['boot.ini'] ?? '', / pool_size='1' /);
  });

  it('that can not hold the floors leaves the last plan, and tells both numbers', () => {
    const fleet = monitoredFleet({ connections: 40 });
    const before = granted(fleet);
    fleet.edit({ budget: { connections: 3 } });
    fleet.turn();
    assert.equal(said(fleet)?.reason, 'BudgetTooSmall');
    assert.match(message(fleet), /need 4 connections.*budget is 3/);
    assert.equal(said(fleet, 'Ready')?.reason, 'BudgetTooSmall');
    for (let turn = 0; turn < 5; turn += 1) assert.deepEqual(fleet.turn().actions, []);
    assert.equal(granted(fleet), before);
  });
});

describe('max_connections', () => {
  it('carries a percentage with it, up and down', () => {
    const fleet = monitoredFleet({ percent: 50 });
    assert.equal(budgetOf(fleet), 48);
    for (const [maxConnections, budget] of [
      [60, 28],
      [200, 98],
    ] as const) {
      shows(fleet, [], maxConnections);
      const before = budgetOf(fleet);
      fleet.turn();
      const events = fleet.turns.at(-1)?.plan.events ?? [];
      assert.ok(
        events.some(({ reason, note }) => reason === 'BudgetChanged' && note.startsWith(`${before} → ${budget}`)),
      );
      settleWatched(fleet);
      assert.equal(budgetOf(fleet), budget);
      assert.ok(granted(fleet) <= budget);
    }
  });

  it('lowered under a running fleet shrinks it first and says so; then it says why it is smaller than declared', () => {
    const fleet = monitoredFleet({ connections: 80 });
    shows(fleet, [], 100, 20);
    fleet.settle();
    shows(fleet, [], 30, 5);
    const { reasons, messages } = settleWatched(fleet);
    assert.deepEqual(reasons, ['Overcommitted', 'ServerAllowsLess']);
    assert.match(messages[0] ?? '', /must still be given back: the budget is 26\..*declares 80.*leaves 27/);
    assert.ok(granted(fleet) <= 26, 'one of the 27 is the monitor');
  });

  it('lowered below the floors leaves the last plan', () => {
    const fleet = monitoredFleet({ percent: 50 });
    const before = granted(fleet);
    fleet.server = serverView(9);
    fleet.turn();
    assert.equal(said(fleet)?.reason, 'BudgetTooSmall');
    assert.match(message(fleet), /need 4 connections.*budget is 3/);
    assert.deepEqual(fleet.turn().actions, []);
    assert.equal(granted(fleet), before);
  });

  it('is remembered while the server is away', () => {
    const fleet = monitoredFleet({ percent: 50 });
    fleet.server = { reachable: false, fault: 'ServerUnreachable' };
    fleet.turn();
    assert.equal(budgetOf(fleet), 48);
  });
});

describe("others on PostgreSQL's slots", () => {
  const reporting = [
    group('192.0.2.7', 'reporting', 20),
    group('192.0.2.8', 'batch', 9),
    group(undefined, 'postgres', 1),
  ];

  it('are taken off when they leave less than is declared, and named by user', () => {
    const fleet = monitoredFleet({ connections: 80 });
    shows(fleet, reporting);
    settleWatched(fleet);
    assert.equal(said(fleet)?.reason, 'ServerAllowsLess');
    assert.match(message(fleet), /up to 30 \(reporting 20, batch 9, postgres 1\)/);
    assert.match(message(fleet), /declares 80.*97.*sized to 66/);
    assert.equal(budgetOf(fleet), 66);
    assert.ok(granted(fleet) <= 66);
  });

  it('are remembered, so that sizes do not move with them, and nothing is written while they come and go', () => {
    const fleet = monitoredFleet({ connections: 80 });
    shows(fleet, reporting);
    settleWatched(fleet);
    shows(fleet, []);
    settleWatched(fleet);
    const status = canonicalJson(fleet.pool.status);
    for (let round = 1; round <= 40; round += 1) {
      shows(fleet, round % 2 === 0 ? [] : [group('192.0.2.7', 'reporting', round % 29)]);
      // An operator that starts anew knows what its predecessor knew.
      const plan: Plan = planPool({ ...fleet.observe(), epoch: fleet.epoch });
      assert.deepEqual(plan.actions, []);
      if (round > 20) continue;
      fleet.turn();
    }
    assert.equal(budgetOf(fleet), 66);
    const writes = new Set(fleet.turns.slice(-20).map(({ plan }) => canonicalJson(plan.status)));
    assert.ok(writes.size <= 15, `${writes.size} statuses in twenty looks at a number that rises all the time`);
    assert.ok(status.includes('"high":30'));
  });

  it('are forgotten when they have been gone for long, and the sizes come back', () => {
    const fleet = monitoredFleet({ connections: 80 });
    const before = granted(fleet);
    shows(fleet, reporting);
    settleWatched(fleet);
    shows(fleet, []);
    fleet.turn();
    fleet.nowMs += WINDOW_MS - 60_000;
    fleet.turn();
    assert.equal(budgetOf(fleet), 66);
    fleet.nowMs += 120_000;
    settleWatched(fleet);
    assert.equal(budgetOf(fleet), 80);
    assert.equal(granted(fleet), before);
    assert.equal(said(fleet)?.reason, 'WithinBudget');
    assert.equal(fleet.pool.status?.budget?.others, undefined);
  });

  it('are warned of when the budget fits but hardly a slot stays free', () => {
    const fleet = monitoredFleet({ connections: 80 });
    shows(fleet, [group('192.0.2.7', 'reporting', 16)]);
    settleWatched(fleet);
    assert.deepEqual([said(fleet)?.status, said(fleet)?.reason], ['False', 'ServerCrowded']);
    assert.match(message(fleet), /97 .*reporting 16.*budget of 80 leaves none of them free/);
    assert.equal(budgetOf(fleet), 80);
  });

  it('are not written down while there is room for all', () => {
    const fleet = monitoredFleet({ connections: 40 });
    const status = canonicalJson(fleet.pool.status);
    shows(fleet, reporting);
    settleWatched(fleet);
    assert.equal(canonicalJson(fleet.pool.status), status);
  });

  it('never press the fleet below its floors, nor out of Ready', () => {
    const fleet = monitoredFleet({ connections: 80 });
    shows(fleet, [group('192.0.2.7', 'reporting', 97)], 100, 1);
    settleWatched(fleet);
    assert.equal(budgetOf(fleet), 4);
    assert.equal(said(fleet)?.reason, 'ServerAllowsLess');
  });

  it('are neither the operator itself nor the pods of another PoolConfig', () => {
    const fleet = monitoredFleet({ connections: 40 });
    fleet.neighbours = [{ key: 'shop/other', connections: 40, monitored: true }];
    fleet.fleetAddresses = ['10.9.9.9'];
    shows(fleet, [
      group('10.9.9.9', 'orders_app', 40),
      { ...group('192.0.2.1', 'poolsmith_monitor', 1), operators: true },
      { ...group('192.0.2.1', 'orders_app', 1), operators: true },
    ]);
    assert.deepEqual(othersNow(fleet.observe()), { total: 0, by: [] });
    settleWatched(fleet);
    assert.equal(said(fleet)?.reason, 'WithinBudget', message(fleet));
    // Two budgets of 40, two monitors, and sixteen that are nobody's.
    shows(fleet, [group('10.9.9.9', 'orders_app', 40), group('192.0.2.7', 'reporting', 16)]);
    settleWatched(fleet);
    assert.equal(said(fleet)?.reason, 'ServerShared');
    assert.match(message(fleet), /together declare 80.*reporting 16/);
    assert.equal(budgetOf(fleet), 40, "another PoolConfig's connections are not taken off");
  });

  it('of another server than the declared one count no longer', () => {
    const fleet = monitoredFleet({ connections: 80 });
    shows(fleet, reporting);
    settleWatched(fleet);
    fleet.edit({ server: { ...MONITORED.server, host: 'elsewhere.shop.svc' } });
    fleet.server = serverView(100);
    fleet.turn();
    assert.equal(budgetOf(fleet), 80);
  });

  it("can't be told from the fleet's behind address translation, which is said, and are not taken off", () => {
    const fleet = monitoredFleet({ connections: 80 });
    for (const pod of fleet.pods) fleet.connect(pod.name, 20, 10);
    fleet.server = serverView(100, [group('192.0.2.9', 'orders_app', 60)]);
    settleWatched(fleet);
    assert.equal(said(fleet)?.reason, 'Unmonitored');
    assert.match(message(fleet), /no connection from the address of any pod.*can't be told from the fleet's.*15 s/);
    assert.equal(budgetOf(fleet), 80);
  });

  it('with the roles of the fleet count only once an address of the fleet shows', () => {
    const fleet = monitoredFleet({ connections: 80 });
    const observation = { ...fleet.observe(), server: serverView(100, [group('192.0.2.9', 'orders_app', 60)]) };
    assert.deepEqual(othersNow(observation), { total: 0, by: [] });
    shows(fleet, [group('192.0.2.9', 'orders_app', 60)]);
    assert.deepEqual(othersNow(fleet.observe()), { total: 60, by: [{ user: 'orders_app', connections: 60 }] });
  });

  it('whatever they do, leave the fleet a budget beside them, above its least and Ready, that rests between two looks', () => {
    const looks = fc.array(
      fc.record({ count: fc.nat({ max: 110 }), afterMs: fc.integer({ min: 10_000, max: WINDOW_MS }) }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(looks, fc.integer({ min: 10, max: 97 }), (history, connections) => {
        const fleet = monitoredFleet({ connections });
        let most = 0;
        for (const { count, afterMs } of history) {
          fleet.nowMs += afterMs;
          most = Math.max(most, count);
          shows(fleet, [group('192.0.2.7', 'reporting', count)], 100, 0);
          settleWatched(fleet);
          const budget = budgetOf(fleet) ?? 0;
          assert.ok(budget <= Math.min(connections, Math.max(4, 96 - count)), `${budget} beside ${count}`);
          assert.ok(budget >= Math.min(connections, Math.max(4, 96 - most - 1)), `${budget} beside at most ${most}`);
          assert.ok(granted(fleet) <= budget);
          const again = planPool(fleet.observe());
          assert.deepEqual([again.actions, again.events], [[], []]);
          assert.equal(canonicalJson(again.status), canonicalJson(fleet.pool.status));
        }
      }),
      { numRuns: Math.ceil(propertyRuns() / 30) },
    );
  });

  it('stand in what explain prints', () => {
    const fleet = monitoredFleet({ connections: 80 });
    shows(fleet, reporting);
    settleWatched(fleet);
    assert.match(
      explainPool(fleet.pool),
      /others have held up to 30 \(reporting 20, batch 9, postgres 1\) of the server's/,
    );
  });

  it('are named with a bound, and a name that is no word in quotes', () => {
    const fleet = monitoredFleet({ connections: 80 });
    const many = Array.from({ length: 9 }, (_, index) => group('192.0.2.7', `user${index}`, 9 - index));
    shows(fleet, [group('192.0.2.7', 'a "b"\n(c', 12), ...many]);
    settleWatched(fleet);
    assert.match(message(fleet), /"a \\"b\\"\\n\(c" 12, user0 9, user1 8, user2 7, user3 6, 15 of further users/);
  });
});

describe('a fleet that nobody counts', () => {
  it('says what is not guaranteed without a monitor role, and how long a lost share stays out of use', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    assert.equal(said(fleet)?.reason, 'Unmonitored');
    assert.match(message(fleet), /poolers' own count.*without spec\.server\.monitorSecretRef.*outlive.*not seen.*15 s/);
  });

  it('says so too while the server does not answer the monitor', () => {
    const fleet = monitoredFleet({ connections: 40 });
    fleet.server = { reachable: false, fault: 'ServerUnreachable' };
    fleet.turn();
    assert.match(message(fleet), /does not answer its monitor role.*15 s/);
  });

  it('says what its monitor role lacks, and the very statement that gives it', () => {
    const fleet = monitoredFleet({ connections: 40 });
    fleet.secrets.set('monitor', secret({ username: 'weird"name', password: 'sesame' }));
    fleet.server = serverView(100, [group(undefined, 'reporting', 60)], false);
    fleet.turn();
    assert.equal(said(fleet)?.reason, 'MonitorLacksPrivilege');
    assert.match(
      message(fleet),
      /Secret monitor lacks the rights of pg_monitor.*Run: GRANT pg_monitor TO "weird""name"$/,
    );
    assert.equal(said(fleet, 'Ready')?.status, 'True');
    assert.equal(budgetOf(fleet), 40);
  });
});

describe('orphaned backends', () => {
  function orphaned(): PaperFleet {
    const fleet = monitoredFleet({ connections: 40 });
    shows(fleet, []);
    settleWatched(fleet);
    const [first] = fleet.pods;
    assert.ok(first);
    fleet.orphans.set(first.name, 6);
    fleet.server = serverView(100, [group(first.ip, 'orders_app', 8)]);
    return fleet;
  }

  it('are named by pod and number in the condition, the status of the pod and one event', () => {
    const fleet = orphaned();
    const [first] = fleet.pods;
    const plan = fleet.turn();
    assert.deepEqual([said(fleet)?.status, said(fleet)?.reason], ['False', 'OrphanedBackends']);
    assert.match(
      message(fleet),
      new RegExp(`^PostgreSQL still runs 6 connections .*\\(${first?.name} 6\\), beside 2 `),
    );
    assert.equal(plan.status.pods?.find((pod) => pod.name === first?.name)?.orphans, 6);
    assert.equal(plan.events.filter(({ reason }) => reason === 'OrphanedBackends').length, 1);
    assert.match(explainPool(fleet.pool), /6 backends that its pooler no longer has/);
    assert.equal(said(fleet, 'Ready')?.status, 'True');
    assert.deepEqual(fleet.turn().events, []);
  });

  it('are told to be over when they have ended', () => {
    const fleet = orphaned();
    fleet.turn();
    fleet.orphans.clear();
    const plan = fleet.turn();
    assert.equal(said(fleet)?.status, 'True');
    assert.ok(plan.events.some(({ reason }) => reason === 'Recovered'));
    assert.ok(plan.status.pods?.every((pod) => pod.orphans === undefined));
  });

  it('of a pod that is gone are counted in its entry for as long as PostgreSQL shows them', () => {
    const fleet = monitoredFleet({ connections: 40 });
    shows(fleet, []);
    settleWatched(fleet);
    const [lost, other] = fleet.pods;
    assert.ok(lost && other);
    fleet.kill(lost.name);
    fleet.server = serverView(100, [group(lost.ip, 'orders_app', 5), group(other.ip, 'orders_app', 2)]);
    const plan = fleet.turn();
    const entry = plan.status.pods?.find((pod) => pod.uid === lost.uid);
    assert.deepEqual([entry?.state, entry?.orphans], ['Gone', 5]);
    assert.deepEqual(othersNow(fleet.observe()), { total: 0, by: [] });
  });
});
