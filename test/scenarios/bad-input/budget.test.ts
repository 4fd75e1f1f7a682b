// Budgets that the server or the fleet can't keep to: sized to what there is, or left at the last plan that was possible.
import assert from 'node:assert/strict';
import { applyBasicAuth, applyPool, conditionOf, describeStatus, readPool } from '../../support/pool.ts';
import { poolPods } from '../../support/pool-children.ts';
import { sizesInForce } from '../../support/pooler-console.ts';
import { APP, MONITOR, Stage } from '../../support/stage.ts';
import { applyIdleDeployment } from '../../support/workload.ts';
import { assertNaming, Fleet, tells, type Told } from './fleet.ts';

const WRONG = 'wrong-sesame';
const MAX_CONNECTIONS = 50;
/** PostgreSQL keeps three for superusers. */
const USABLE = MAX_CONNECTIONS - 3;
const FOR_THE_MONITOR = 1;
const unsatisfied = (reason: Told['reason']): Told => ({ type: 'BudgetSatisfied', status: 'False', reason });

describe('a running fleet whose budget can not be had', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let fleet: Fleet;

  before(async () => {
    stage = held.use(await Stage.set({ prefix: 'bad-budget', maxConnections: MAX_CONNECTIONS }));
    namespace = stage.namespace;
    fleet = held.use(await Fleet.prove(stage, stage.pool()));
  });

  after(() => held.disposeAsync());

  const restorePool = (): Promise<unknown> => applyPool(fleet.pool);
  const granted = async (): Promise<number> =>
    Object.values(await sizesInForce(namespace, fleet.name)).reduce((sum, size) => sum + size, 0);

  it('is sized to what PostgreSQL allows when that is less, says so, and stays Ready', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withBudget(80)),
      tells: unsatisfied('ServerAllowsLess'),
      naming: ['spec.budget declares 80', String(USABLE), /Raise max_connections or lower the budget/],
      fleet: 'served',
      sizesMove: true,
      meanwhile: async () => {
        const { status } = await readPool(namespace, fleet.name);
        assert.deepEqual([status?.budget?.declared, status?.budget?.budget], [80, USABLE - FOR_THE_MONITOR]);
        assert.ok((await granted()) <= USABLE - FOR_THE_MONITOR);
      },
      correct: restorePool,
    });
  });

  it('keeps its last plan when the budget is too small for its pods and databases', async () => {
    await fleet.whole();
    const before = await granted();
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withBudget(3)),
      tells: unsatisfied('BudgetTooSmall'),
      naming: [/\b3\b/, /\b4\b/, /[Rr]aise|fewer/],
      fleet: 'blocked',
      meanwhile: async () => {
        assert.equal(await granted(), before);
      },
      correct: restorePool,
    });
  });

  it('keeps its last plan when the reserve leaves nothing', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.with({ budget: { percent: 10, reserve: 40 } })),
      tells: unsatisfied('NothingLeft'),
      naming: ['reserve of 40'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('says when the monitor role may not see the backends of others, and stays Ready', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withMonitor('orders-app')),
      tells: unsatisfied('MonitorLacksPrivilege'),
      naming: [APP.name, 'Secret orders-app', 'GRANT pg_monitor TO'],
      fleet: 'served',
      sizesMove: true,
      correct: restorePool,
    });
  });

  it('counts the other workloads when one does not exist, and that one as soon as it does', async () => {
    const pool = fleet.pool
      .with({ workloads: [] })
      .forClients('cron', 8)
      .forDeployment('wbe', { workers: 1, threads: 5 });
    await fleet.meets({
      bad: () => applyPool(pool),
      tells: unsatisfied('WorkloadMissing'),
      naming: ['spec.workloads', 'Deployment', 'wbe', /Create it, or correct/],
      fleet: 'served',
      sizesMove: true,
      meanwhile: async () => {
        const { status } = await readPool(namespace, fleet.name);
        const clients = (status?.demand ?? []).map((workload) => [workload.name, workload.clients]);
        assert.deepEqual(clients, [
          ['cron', 8],
          ['Deployment/wbe', 0],
        ]);
        await applyIdleDeployment(namespace, 'wbe', 2);
        const live = await fleet.whole();
        const found = live.status?.demand?.find((workload) => workload.name === 'Deployment/wbe');
        assert.equal(found?.clients, (2 + (found?.surge ?? 0)) * 5, describeStatus(live));
      },
      correct: restorePool,
    });
  });

  it('keeps its last plan when a percentage is declared and the server was never read', async () => {
    await applyBasicAuth(namespace, 'locked-monitor', MONITOR.name, WRONG);
    const pool = stage.pool('blind').onServer(stage.postgres.host).withBudget(8);
    await using blind = await Fleet.prove(stage, pool);
    await blind.meets({
      bad: () => applyPool(pool.withMonitor('locked-monitor').with({ budget: { percent: 20 } })),
      tells: unsatisfied('PercentNeedsMonitor'),
      naming: ['20 percent', 'max_connections', /spec\.server\.monitorSecretRef|spec\.budget\.connections/],
      fleet: 'blocked',
      correct: () => applyPool(pool),
    });
  });

  it('is not built while its budget is too small, says so, and is built by itself when it is raised', async () => {
    const pool = stage.pool('poor');
    await applyPool(pool.withBudget(3));
    const live = await tells(namespace, 'poor', { type: 'Ready', status: 'False', reason: 'BudgetTooSmall' });
    assertNaming(live, { tells: unsatisfied('BudgetTooSmall'), naming: ['spec.budget', /\b3\b/, /\b4\b/] });
    assert.equal(conditionOf(live, 'Stalled')?.reason, 'BudgetTooSmall');
    assert.deepEqual(await poolPods(namespace, 'poor'), []);
    await applyPool(pool.withBudget(6));
    await tells(namespace, 'poor', { type: 'Ready', status: 'True', reason: 'Proved' });
  });

  it('is not built on a percentage while the server can not be read, and is Ready by itself when it can', async () => {
    const pool = stage
      .pool('share')
      .withMonitor('late-monitor')
      .with({ budget: { percent: 20 } });
    await applyBasicAuth(namespace, 'late-monitor', MONITOR.name, WRONG);
    await applyPool(pool);
    const live = await tells(namespace, 'share', { type: 'Ready', status: 'False', reason: 'PercentNeedsMonitor' });
    assertNaming(live, { tells: unsatisfied('PercentNeedsMonitor'), naming: ['20 percent'] });
    assert.equal(conditionOf(live, 'Stalled')?.reason, 'PercentNeedsMonitor');
    assert.equal(conditionOf(live, 'ServerReachable')?.reason, 'PasswordRefused');
    assert.deepEqual(await poolPods(namespace, 'share'), []);
    await applyBasicAuth(namespace, 'late-monitor', MONITOR.name, MONITOR.password);
    const ready = await tells(namespace, 'share', { type: 'Ready', status: 'True', reason: 'Proved' });
    assert.equal(ready.status?.budget?.budget, Math.floor((USABLE * 20) / 100));
  });

  it('has let no password out', async () => {
    await fleet.keptSecret([APP.password, MONITOR.password, WRONG]);
  });
});
