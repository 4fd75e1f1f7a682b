// Another server for a loaded fleet: by its host, by where its name leads, after an outage, and in a pause.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type pg from 'pg';
import { until } from '../cluster/processes.ts';
import { startClusterPostgres, type ClusterPostgres } from '../support/cluster-postgres.ts';
import { applyObjects, clusterAccess, kubectl } from '../support/kubectl.ts';
import { ORDER_TABLES, type Load } from '../support/load.ts';
import { applyPool, waitForPool, type PoolConfigBuilder } from '../support/pool.ts';
import { APP, closing, DATABASE, measured, MONITOR, POOL, seconds, Stage } from '../support/stage.ts';

const run = promisify(execFile);
const NAME = 'primary';
const LOAD = { clients: 16, maxLifetimeSeconds: 0, holdMs: 10, pauseMs: 5 } as const;

describe('a fleet that gets another server', function () {
  this.timeout(180_000);
  let stage: Stage;
  let servers: readonly ClusterPostgres[];
  let direct: pg.Client[];

  before(async () => {
    stage = await Stage.set({ prefix: 'switch' });
    const second = await startClusterPostgres({
      ...{ namespace: stage.namespace, name: 'second', maxConnections: 100 },
      ...{ roles: [APP, MONITOR], databases: [DATABASE], sql: ORDER_TABLES },
    });
    servers = [stage.postgres, second];
    direct = await Promise.all(servers.map((server) => server.connect(DATABASE)));
  });

  after(async () => {
    await Promise.all(direct.map((client) => client.end().catch(() => undefined)));
    await stage[Symbol.asyncDispose]();
  });

  async function backends(server: 0 | 1): Promise<number> {
    const sql = 'SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1';
    return (await direct[server]?.query<{ count: number }>(sql, [APP.name]))?.rows[0]?.count ?? Number.NaN;
  }

  const on = (host: string): PoolConfigBuilder => stage.pool().onServer(host).withMonitor('monitor');

  /** A Service of one name for both, without a selector's delay: where it leads is one patch. */
  async function pointName(server: 0 | 1, headless: boolean): Promise<void> {
    const { name } = servers[server] ?? stage.postgres;
    const spec = { selector: { app: name }, ports: [{ name: 'postgres', port: 5432 }] };
    await applyObjects([
      {
        ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: stage.namespace, name: NAME } },
        spec: headless ? { ...spec, clusterIP: 'None' } : spec,
      },
    ]);
  }

  async function audited(load: Load): Promise<readonly number[]> {
    const { lost, double, torn } = await load.audit(...direct);
    return [lost, double, torn];
  }

  it('by its host: nothing fails, and no connection to the former one remains', async () => {
    await stage.settle(on(servers[0]?.host ?? ''));
    await using load = await stage.load(LOAD);
    const mark = load.mark();
    const startedMs = performance.now();
    await applyPool(on(servers[1]?.host ?? ''));
    await until('the first connection to the second', async () => (await backends(1)) > 0 || undefined, 20_000, 10);
    const firstMs = performance.now();
    await until('no connection to the first', async () => (await backends(0)) === 0 || undefined, 20_000, 10);
    const lastMs = performance.now();
    await stage.settle(on(servers[1]?.host ?? ''));
    const { failed, done, longestMs } = load.since(mark);
    measured(
      `first connection to the new server after ${seconds(firstMs - startedMs)}, last one to the old after ${seconds(lastMs - startedMs)}; ${done} transactions, longest ${seconds(longestMs)}, ${failed} failed`,
    );
    assert.equal(failed, 0, JSON.stringify(load.tally.errors));
    assert.deepEqual(await audited(load), [0, 0, 0]);
  });

  it('by where its name leads, with both up: all connections move by themselves, and nothing fails', async () => {
    await pointName(0, true);
    await stage.settle(on(`${NAME}.${stage.namespace}.svc`));
    await using load = await stage.load(LOAD);
    await until('the load to be on the first', async () => (await backends(0)) > 0 || undefined, 20_000, 50);
    const mark = load.mark();
    const startedMs = performance.now();
    await pointName(1, true);
    await until('the first connection to the second', async () => (await backends(1)) > 0 || undefined, 90_000, 20);
    const firstMs = performance.now();
    await until('no connection to the first', async () => (await backends(0)) === 0 || undefined, 90_000, 20);
    const lastMs = performance.now();
    const { failed, done, longestMs } = load.since(mark);
    measured(
      `the record was changed; first connection to the new server after ${seconds(firstMs - startedMs)}, last one to the old after ${seconds(lastMs - startedMs)}; ${done} transactions, longest ${seconds(longestMs)}, ${failed} failed`,
    );
    assert.equal(failed, 0, JSON.stringify(load.tally.errors));
    assert.deepEqual(await audited(load), [0, 0, 0]);
    await kubectl(['delete', 'service', NAME, '-n', stage.namespace]);
  });

  it('in a pause: no client writes to the former one after the first has written to the new one', async () => {
    await stage.settle(on(servers[0]?.host ?? ''));
    await using load = await stage.load(LOAD);
    const mark = load.mark();
    await poolsmith('pause', POOL, '--for', '30s');
    assert.equal(await backends(0), 0);
    const placed = await orders(0);
    // Written so that the pause stays as the command has declared it.
    const patch = JSON.stringify({ spec: { server: { host: servers[1]?.host } } });
    await kubectl(['patch', 'poolconfig', POOL, '-n', stage.namespace, '--type=merge', '-p', patch]);
    const { stdout } = await poolsmith('resume', POOL);
    assert.match(stdout, /Not paused\.\n$/);
    await load.done(100);
    const { failed, longestMs } = load.since(mark);
    measured(`switched over in a pause: longest transaction ${seconds(longestMs)}, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(load.tally.errors));
    assert.equal(await orders(0), placed, 'orders were placed at the former server after the pause had begun');
    assert.equal(await backends(0), 0);
    assert.deepEqual(await audited(load), [0, 0, 0]);
    await stage.settle(on(servers[1]?.host ?? ''));
  });

  for (const mode of ['fast', 'immediate'] as const) {
    it(`by waiting for the same one, which is stopped (${mode}) and started again: only what it was doing fails`, async () => {
      await stage.settle(on(servers[0]?.host ?? ''));
      await using load = await stage.load(LOAD);
      const mark = load.mark();
      await stage.postgres.stop(mode);
      const downMs = performance.now();
      await waitForPool(
        ...([stage.namespace, POOL, 'both pods to hold their clients'] as const),
        (live) => live.status?.outage?.pods.length === 2,
        10_000,
      );
      await load.quiet(1_000);
      const cut = load.since(mark).failed;
      await stage.postgres.start();
      const upMs = performance.now();
      await load.done(1);
      const firstMs = performance.now();
      await load.done(300);
      const { failed, unknown, longestMs } = load.since(mark);
      measured(
        `away for ${seconds(upMs - downMs)}; first success ${seconds(firstMs - upMs)} after it was back; ${cut} failed when it went, ${failed - cut} later, ${unknown} cut at COMMIT; longest transaction ${seconds(longestMs)} ${JSON.stringify(load.tally.errors)}`,
      );
      // Every client fails once at most: the transaction that was cut, or the query that met the end.
      assert.ok(cut <= 2 * LOAD.clients, `${cut} failed`);
      assert.equal(failed - cut, 0, JSON.stringify(load.tally.errors));
      await waitForPool(
        stage.namespace,
        POOL,
        'nobody held any more',
        (live) => live.status?.outage === undefined,
        10_000,
      );
      direct[0] = await stage.postgres.connect(DATABASE);
      assert.deepEqual(await audited(load), [0, 0, 0]);
    });
  }

  it('by a failover behind its Service: clients wait, and work with the new one', async () => {
    await pointName(0, false);
    await stage.settle(on(`${NAME}.${stage.namespace}.svc`));
    await using load = await stage.load(LOAD);
    const mark = load.mark();
    await stage.postgres.stop('immediate');
    const downMs = performance.now();
    await load.quiet(1_000);
    const cut = load.since(mark).failed;
    await pointName(1, false);
    const movedMs = performance.now();
    await load.done(1);
    const firstMs = performance.now();
    await load.done(300);
    const { failed, longestMs } = load.since(mark);
    measured(
      `failed over ${seconds(movedMs - downMs)} after the end of the first; first success ${seconds(firstMs - movedMs)} after that; ${cut} failed when it went, ${failed - cut} later; longest transaction ${seconds(longestMs)} ${JSON.stringify(load.tally.errors)}`,
    );
    assert.ok(cut <= 2 * LOAD.clients, `${cut} failed`);
    assert.equal(failed - cut, 0, JSON.stringify(load.tally.errors));
    await stage.postgres.start();
    direct[0] = await stage.postgres.connect(DATABASE);
    assert.equal(await backends(0), 0);
    assert.deepEqual(await audited(load), [0, 0, 0]);
  });

  async function orders(server: 0 | 1): Promise<number> {
    await using client = closing(await (servers[server] ?? stage.postgres).connect(DATABASE));
    const { rows } = await client.client.query<{ count: number }>('SELECT count(*)::int AS count FROM placed');
    return rows[0]?.count ?? Number.NaN;
  }

  async function poolsmith(...args: readonly string[]): Promise<{ stdout: string }> {
    const env = { ...process.env, KUBECONFIG: (await clusterAccess()).kubeconfig };
    return await run(process.execPath, ['src/main.ts', ...args, '-n', stage.namespace], { env });
  }
});
