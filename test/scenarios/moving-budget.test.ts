// The budget moves under a running fleet: lowered, others on the server, another max_connections, nobody who counts, dead clients' queries.
import assert from 'node:assert/strict';
import pg from 'pg';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { cluster } from '../support/kubectl.ts';
import { applyPool, conditionOf, describeStatus, readPool, waitForCondition, waitForPool } from '../support/pool.ts';
import type { LivePool } from '../support/pool.ts';
import { poolPods } from '../support/pool-children.ts';
import { sizesInForce } from '../support/pooler-console.ts';
import { APP, DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';

const MAX_CONNECTIONS = 60;
/** PostgreSQL keeps three for superusers. */
const USABLE = MAX_CONNECTIONS - 3;
const REPORTING = { name: 'reporting', password: 'reporting-password' };

describe('a budget that moves', function () {
  this.timeout(120_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'moving', maxConnections: MAX_CONNECTIONS, roles: [REPORTING] });
    namespace = stage.namespace;
    await stage.settle(stage.pool().withBudget(30));
  });

  after(() => stage[Symbol.asyncDispose]());

  const granted = async (): Promise<number> =>
    Object.values(await sizesInForce(namespace, POOL)).reduce((sum, size) => sum + size, 0);
  const message = (live: LivePool): string => conditionOf(live, 'BudgetSatisfied')?.message ?? '';
  const atRest = (live: LivePool): boolean =>
    live.status?.observedGeneration === live.metadata.generation &&
    conditionOf(live, 'Ready')?.status === 'True' &&
    conditionOf(live, 'Reconciling') === undefined;

  const events = async (reason: string): Promise<readonly string[]> => {
    const { items } = await (await cluster()).list(RESOURCES.Event, { namespace });
    return items.filter((event) => event.reason === reason).map((event) => event.note ?? '');
  };

  it('is held again soon after it was lowered below what is in use, which is told with both numbers', async () => {
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 40, holdMs: 40, pauseMs: 5 });
    await until('the load to use more than 8', () => (sampler.last?.total ?? 0) > 8 || undefined, 10_000);
    const mark = load.mark();
    const startedMs = performance.now();
    await stage.settle(stage.pool().withBudget(8));
    const tookMs = performance.now() - startedMs;
    const before = sampler.lap();
    await load.done(100);
    const after = sampler.lap();
    const { failed, done } = load.since(mark);
    measured(
      `30 → 8 given back in ${seconds(tookMs)}: ${before.peak}, then at most ${after.peak} backends; ${done} transactions, ${failed} failed`,
    );
    assert.ok(before.peak <= 30 && after.peak <= 8, `${before.peak}, then ${after.peak}`);
    assert.equal(failed, 0, JSON.stringify(load.tally.errors));
    const told = async (): Promise<string | undefined> =>
      (await events('Overcommitted')).find((note) => /\d+ of the \d+ connections .* budget is 8\b/.test(note));
    await until('the event that tells what must be given back', told, 10_000, 200);
  });

  it('makes room for others when they take its slots, says whose they are, and does not move when they go', async () => {
    await stage.settle(stage.pool().withBudget(50));
    await using load = await stage.load({ clients: 10 });
    const mark = load.mark();
    const taken = await Promise.all(
      Array.from({ length: 20 }, () => stage.postgres.connect(DATABASE, REPORTING).then(withoutErrors)),
    );
    try {
      // A look that came while they were connecting has told fewer; the mark has steps of two, so one more than 19 moves nothing.
      const told = (live: LivePool): boolean => /declares 50 .*57 .*reporting (19|20)/.test(message(live));
      const live = await waitForPool(namespace, POOL, 'the 20 connections to be told', told, 30_000);
      measured(message(live));
      assert.equal(conditionOf(live, 'BudgetSatisfied')?.reason, 'ServerAllowsLess');
      const budget = live.status?.budget?.budget ?? 0;
      // The monitor has one, and the mark is rounded up by two at most.
      assert.ok(budget <= USABLE - 1 - 20 && budget >= USABLE - 1 - 20 - 4, describeStatus(live));
      await waitForPool(namespace, POOL, 'sizes that leave room', atRest);
      assert.ok((await granted()) <= budget);
    } finally {
      await Promise.all(taken.map((client) => client.end()));
    }
    const { status, metadata } = await readPool(namespace, POOL);
    // Two looks of an operator at rest.
    const looks = await waitForPool(
      namespace,
      POOL,
      'the mark to know that they went',
      (live) => live.status?.budget?.others?.recent !== undefined,
      40_000,
    );
    assert.equal(looks.status?.budget?.budget, status?.budget?.budget, 'the budget moved when others went');
    assert.equal(looks.metadata.generation, metadata.generation);
    assert.equal(load.since(mark).failed, 0, JSON.stringify(load.tally.errors));
  });

  it('follows max_connections where it is a share of it, down and up', async () => {
    await stage.settle(stage.pool().with({ budget: { percent: 50 } }));
    const shareOf = (maxConnections: number): number => Math.floor(((maxConnections - 3) * 50) / 100);
    for (const maxConnections of [40, 100]) {
      const before = (await readPool(namespace, POOL)).status?.budget?.budget;
      await stage.postgres.restartWith({ max_connections: String(maxConnections) });
      const startedMs = performance.now();
      const budget = shareOf(maxConnections);
      const holds = (live: LivePool): boolean => live.status?.budget?.budget === budget && atRest(live);
      await waitForPool(namespace, POOL, `the budget to be ${budget}`, holds, 60_000);
      measured(
        `max_connections ${maxConnections}: budget ${before} → ${budget}, ${seconds(performance.now() - startedMs)} after the restart`,
      );
      assert.ok((await granted()) <= budget);
      const note = `${before} → ${budget} connections for the fleet (percent)`;
      await until('the event', async () => (await events('BudgetChanged')).includes(note) || undefined, 10_000, 200);
    }
  });

  it('is sized to a max_connections that was lowered below it, and says so while the fleet stays Ready', async () => {
    await stage.settle(stage.pool().withBudget(50));
    await stage.postgres.restartWith({ max_connections: '30' });
    const live = await waitForPool(
      namespace,
      POOL,
      'ServerAllowsLess, and Ready',
      (pool) => conditionOf(pool, 'BudgetSatisfied')?.reason === 'ServerAllowsLess' && atRest(pool),
    );
    measured(message(live));
    assert.match(message(live), /declares 50 .*leaves 27 .*sized to/);
    assert.ok((await granted()) <= 26);
    await stage.postgres.restartWith({ max_connections: String(MAX_CONNECTIONS) });
    await waitForPool(
      namespace,
      POOL,
      'the whole budget',
      (pool) => (pool.status?.budget?.budget ?? 0) > 26 && atRest(pool),
    );
  });

  it('is kept by the weaker means where nobody counts, which status states with the quarantine', async () => {
    const { host } = stage.postgres;
    const blind = stage.pool('blind').onServer(host).withBudget(4);
    await stage.settle(blind);
    const live = await waitForCondition(namespace, 'blind', 'BudgetSatisfied', 'True', { reason: 'Unmonitored' });
    assert.match(message(live), /without spec\.server\.monitorSecretRef.*not seen.*15 s/);
  });

  it("does not take the pods of a PoolConfig that is being deleted for somebody else's", async () => {
    await stage.prove(stage.pool().withBudget(USABLE - 1 - 2));
    const before = await waitForPool(namespace, POOL, 'nothing under way', atRest);
    assert.equal(before.status?.budget?.others, undefined);
    await using load = await stage.load({ clients: 12, holdMs: 20, pauseMs: 5 }, 'blind');
    await load.done(20);
    await (await cluster()).delete(RESOURCES.PoolConfig, namespace, 'blind', {});
    const gone = async (): Promise<true | undefined> => (await poolPods(namespace, 'blind')).length === 0 || undefined;
    await until('the pods to be gone', gone, 60_000, 200);
    // A look that begins after they went.
    const { metadata } = await applyPool(stage.pool().withBudget(USABLE - 1 - 3));
    const live = await waitForCondition(namespace, POOL, 'Ready', 'True', { generation: metadata.generation });
    assert.equal(live.status?.budget?.others, undefined, describeStatus(live));
    assert.equal(live.status?.budget?.budget, USABLE - 1 - 3);
  });

  it('names backends that outlive their clients, by pod, until they end', async () => {
    await stage.settle(stage.pool().withBudget(12));
    // A server that is told to look seldom: else it ends them within a second.
    await stage.sql(`alter role ${APP.name} set client_connection_check_interval = '1h'`);
    try {
      const clients = (await stage.clientsOfEachPod()).map(withoutErrors);
      const asked = clients.map((client) => client.query('select pg_sleep(300)').catch(() => undefined));
      await until('the queries to run', async () => (await sleepers()) === clients.length || undefined, 10_000, 100);
      for (const client of clients) client.connection.stream.destroy();
      await Promise.all(asked);
      const startedMs = performance.now();
      // Both pods are looked at together, but a backend counts only from a certain age on, which the second may reach a moment later.
      const told = (live: LivePool): boolean =>
        conditionOf(live, 'BudgetSatisfied')?.reason === 'OrphanedBackends' &&
        (live.status?.pods ?? []).every(({ orphans }) => orphans === 1);
      const live = await waitForPool(namespace, POOL, 'the orphans of every pod to be told', told);
      measured(`${seconds(performance.now() - startedMs)} later: ${message(live)}`);
      for (const pod of live.status?.pods ?? []) assert.ok(message(live).includes(`${pod.name} 1`), message(live));
      assert.equal(conditionOf(live, 'Ready')?.status, 'True');
      await stage.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(300)' and pid <> pg_backend_pid()",
      );
      const after = await waitForCondition(namespace, POOL, 'BudgetSatisfied', 'True', { timeoutMs: 40_000 });
      assert.ok((after.status?.pods ?? []).every((pod) => pod.orphans === undefined));
    } finally {
      await stage.sql(`alter role ${APP.name} reset client_connection_check_interval`);
    }
  });

  it('has no such backends where PostgreSQL looks for dead clients, as the poolers tell it to', async () => {
    await stage.settle(stage.pool().withBudget(13).withParameters({ server_idle_timeout: 1 }));
    await until('no server connection of before', async () => (await backends()) === 0 || undefined, 20_000, 200);
    const clients = (await stage.clientsOfEachPod()).map(withoutErrors);
    const asked = clients.map((client) => client.query('select pg_sleep(300)').catch(() => undefined));
    await until('the queries to run', async () => (await sleepers()) === clients.length || undefined, 10_000, 100);
    for (const client of clients) client.connection.stream.destroy();
    await Promise.all(asked);
    const startedMs = performance.now();
    await until('their backends to end', async () => (await sleepers()) === 0 || undefined, 10_000, 50);
    measured(`backends of dead clients ended after ${seconds(performance.now() - startedMs)}`);
  });

  const sleepers = async (): Promise<number> => count("query like '%pg_sleep(300)' and pid <> pg_backend_pid()");
  const backends = async (): Promise<number> => count(`usename = '${APP.name}'`);
  const count = async (which: string): Promise<number> =>
    Number((await stage.sql(`select count(*) as n from pg_stat_activity where ${which}`))[0]?.['n'] ?? -1);

  it('can be put back to what it was', async () => {
    await applyPool(stage.pool().withBudget(20));
    const live = await waitForPool(
      namespace,
      POOL,
      'all being well',
      (pool) => atRest(pool) && conditionOf(pool, 'BudgetSatisfied')?.status === 'True',
    );
    assert.equal(live.status?.budget?.budget, 20);
  });
});

function withoutErrors(client: pg.Client): pg.Client {
  client.on('error', () => undefined);
  return client;
}
