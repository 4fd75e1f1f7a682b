// Another server for a loaded fleet: by its host, by its DNS name, and the same one started again.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { until } from '../cluster/processes.ts';
import { startClusterPostgres, type ClusterPostgres } from '../support/cluster-postgres.ts';
import { applyPool, readPool } from '../support/pool.ts';
import { APP, closing, DATABASE, measured, MONITOR, POOL, seconds, Stage } from '../support/stage.ts';
import { ORDER_TABLES } from '../support/load.ts';

describe('a fleet that gets another server', function () {
  this.timeout(180_000);
  let stage: Stage;
  let second: ClusterPostgres;
  let direct: readonly pg.Client[];

  before(async () => {
    stage = await Stage.set({ prefix: 'switch' });
    second = await startClusterPostgres({
      namespace: stage.namespace,
      name: 'second',
      maxConnections: 100,
      roles: [APP, MONITOR],
      databases: [DATABASE],
      sql: ORDER_TABLES,
    });
    direct = [await stage.postgres.connect(DATABASE), await second.connect(DATABASE)];
  });

  after(async () => {
    await Promise.all(direct.map((client) => client.end()));
    await stage[Symbol.asyncDispose]();
  });

  async function backends(server: number): Promise<number> {
    const sql = 'SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1';
    return (await direct[server]?.query<{ count: number }>(sql, [APP.name]))?.rows[0]?.count ?? Number.NaN;
  }

  it('by its host: nothing fails, and no connection to the former one remains', async () => {
    await stage.settle(stage.pool());
    await using load = await stage.load({ clients: 16, maxLifetimeSeconds: 0, holdMs: 10, pauseMs: 5 });
    const mark = load.mark();
    const startedMs = performance.now();
    await applyPool(stage.pool().onServer(second.host));
    await until('the first connection to the second', async () => (await backends(1)) > 0 || undefined, 20_000, 10);
    const firstMs = performance.now();
    await until('no connection to the first', async () => (await backends(0)) === 0 || undefined, 20_000, 10);
    const lastMs = performance.now();
    await stage.settle(stage.pool().onServer(second.host));
    await sleep(0);
    const { failed, done, longestMs } = load.since(mark);
    measured(
      `first connection to the new server after ${seconds(firstMs - startedMs)}, last one to the old after ${seconds(lastMs - startedMs)}; ${done} transactions, longest ${seconds(longestMs)}, ${failed} failed`,
    );
    console.log(
      JSON.stringify(load.tally.errors),
      (await readPool(stage.namespace, POOL)).status?.conditions?.map((c) => `${c.type}=${c.status} ${c.reason}`),
    );
    const audit = await load.audit(...direct);
    assert.deepEqual([failed, audit.lost, audit.double, audit.torn], [0, 0, 0, 0]);
  });

  for (const mode of ['fast', 'immediate'] as const)
    it(`restart ${mode}`, async () => {
      await stage.settle(stage.pool());
      await using load = await stage.load({ clients: 16, maxLifetimeSeconds: 0, holdMs: 10, pauseMs: 5 });
      const mark = load.mark();
      await stage.postgres.stop(mode);
      const downMs = performance.now();
      await sleep(3000);
      const inOutage = load.since(mark);
      await stage.postgres.start();
      const upMs = performance.now();
      await load.done(1);
      const firstMs = performance.now();
      await load.done(200);
      const { failed, done, longestMs, unknown } = load.since(mark);
      measured(
        `down ${seconds(upMs - downMs)}; failed in outage ${inOutage.failed}; first success ${seconds(firstMs - upMs)} after; ${done} done, longest ${seconds(longestMs)}, ${failed} failed, ${unknown} unknown ${JSON.stringify(load.tally.errors)}`,
      );
      const client = closing(await stage.postgres.connect(DATABASE));
      const audit = await load.audit(client.client, ...direct.slice(1));
      await client[Symbol.asyncDispose]();
      assert.deepEqual([audit.lost, audit.double, audit.torn], [0, 0, 0]);
    });
});
