// A PoolConfig is edited under load: every change is proved in every pod, without a restart and without a failed transaction.
import assert from 'node:assert/strict';
import { until } from '../cluster/processes.ts';
import { childNames } from '../../src/model/names.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { cluster } from '../support/kubectl.ts';
import type { Load } from '../support/load.ts';
import { applyBasicAuth, readPool, type PoolConfigBuilder } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { settingInForce, show, sizesInForce, sizesInStatus } from '../support/pooler-console.ts';
import { APP, closing, DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';

const SECOND = 'reports';
const HIGH = 16;
const LOW = 8;

describe('a PoolConfig that is edited', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;
  let pool: PoolConfigBuilder;
  let pods: Readonly<Record<string, string>>;

  before(async () => {
    stage = await Stage.set({ prefix: 'edit', databases: [SECOND] });
    namespace = stage.namespace;
    pool = stage.pool();
    await stage.prove(pool);
    pods = await podIdentities(namespace, POOL);
  });

  afterEach('no pod was restarted or replaced', async () => {
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });

  after(() => stage[Symbol.asyncDispose]());

  async function withoutFailure(load: Load, change: () => Promise<void>): Promise<void> {
    await change();
    await load.done(200);
    const { done, failed, errors } = await load.stop();
    measured(`${done} transactions, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(errors));
  }

  it('takes a changed parameter up in every pod, and keeps the connections of clients', async () => {
    await using connection = closing(await stage.client());
    await connection.client.query('SELECT 1');
    const former = (await readPool(namespace, POOL)).status?.configHash;
    await using load = await stage.load();
    await withoutFailure(load, async () => {
      pool = pool.withParameters({ server_idle_timeout: 90, query_wait_timeout: 20 });
      const { live, tookMs } = await stage.prove(pool);
      measured(`a parameter: apply → proved in both pods ${seconds(tookMs)}`);
      assert.notEqual(live.status?.configHash, former);
      for (const pod of live.status?.pods ?? []) assert.equal(pod.configHash, live.status?.configHash);
      assert.deepEqual(Object.values(await settingInForce(namespace, POOL, 'server_idle_timeout')), ['90', '90']);
      assert.deepEqual(Object.values(await settingInForce(namespace, POOL, 'query_wait_timeout')), ['20', '20']);
    });
    // pg has no reconnect of its own: an answer shows that this very connection is still there.
    await connection.client.query('SELECT 1');
  });

  it('has the proved parameter in boot.ini too, for the pods to come', async () => {
    const boot = async (): Promise<true | undefined> => {
      const { data } = await (await cluster()).get(RESOURCES.ConfigMap, namespace, childNames(POOL).configMap);
      return /^server_idle_timeout *= *'?90'?$/m.test(data?.['boot.ini'] ?? '') || undefined;
    };
    await until('the changed boot.ini', boot, 15_000);
  });

  it('goes back to the default when a parameter is removed', async () => {
    pool = stage.pool();
    await stage.prove(pool);
    const values = Object.values(await settingInForce(namespace, POOL, 'server_idle_timeout'));
    assert.equal(values.length, 2);
    for (const value of values) assert.notEqual(value, '90');
  });

  it('serves a database that is added, and keeps the budget while its share is found', async () => {
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 20, holdMs: 10, pauseMs: 2 });
    await withoutFailure(load, async () => {
      pool = pool.withDatabases(DATABASE, SECOND);
      const { tookMs } = await stage.prove(pool);
      measured(`a database: apply → proved in both pods ${seconds(tookMs)}`);
      await using connection = closing(await stage.client(APP, SECOND));
      const { rows } = await connection.client.query<{ name: string }>('SELECT current_database() AS name');
      assert.equal(rows[0]?.name, SECOND);
      await load.done(300);
    });
    const { peak, samples } = sampler.lap();
    measured(`at most ${peak} of ${HIGH} backends in ${samples} samples`);
    assert.ok(peak <= HIGH);
  });

  it('no longer serves a database that is removed, and gives its share to the other', async () => {
    const before =
      (await readPool(namespace, POOL)).status?.databases?.find(({ name }) => name === DATABASE)?.size ?? 0;
    await using load = await stage.load();
    await withoutFailure(load, async () => {
      pool = pool.withDatabases(DATABASE);
      const { live } = await stage.prove(pool);
      await assert.rejects(() => stage.client(APP, SECOND), /no such database|does not exist|not allowed/i);
      assert.ok((live.status?.databases?.find(({ name }) => name === DATABASE)?.size ?? 0) > before);
    });
    const names = Object.values(await show(namespace, POOL, 'DATABASES')).map((rows) => rows.map((row) => row['name']));
    assert.ok(
      names.every((all) => !all.includes(SECOND)),
      JSON.stringify(names),
    );
  });

  it('keeps to a lowered budget once nothing is under way, and to the higher one at all times', async () => {
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 24, holdMs: 15, pauseMs: 1 });
    await sampler.reaches(LOW + 1);
    const peakBefore = sampler.lap().peak;
    await withoutFailure(load, async () => {
      pool = pool.withBudget(LOW);
      const { live, tookMs } = await stage.settle(pool);
      const settledMs = performance.now();
      const inForce = Object.values(await sizesInForce(namespace, POOL)).reduce((sum, size) => sum + size, 0);
      assert.equal(live.status?.budget?.budget, LOW);
      assert.ok(inForce <= LOW, `settled while pools of ${inForce} are in force`);
      await load.done(300);
      const after = sampler.peak(settledMs);
      measured(`budget ${HIGH} → ${LOW} in ${seconds(tookMs)}: at most ${peakBefore} backends before, ${after} after`);
      assert.ok(after <= LOW, `${after} backends after it had settled`);
    });
    assert.ok(sampler.lap().peak <= HIGH);
  });

  it('uses a raised budget, and never more', async () => {
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 24, holdMs: 15, pauseMs: 1 });
    await withoutFailure(load, async () => {
      pool = pool.withBudget(HIGH);
      const startedMs = performance.now();
      await stage.prove(pool);
      const grown = async (): Promise<true | undefined> => {
        const { status } = await readPool(namespace, POOL);
        const said = sizesInStatus(status?.pods ?? []);
        const size = Object.values(said).reduce((sum, one) => sum + one, 0);
        return size > LOW && JSON.stringify(await sizesInForce(namespace, POOL)) === JSON.stringify(said)
          ? true
          : undefined;
      };
      await until('the raised sizes to be in force', grown, 20_000, 100);
      measured(`budget ${LOW} → ${HIGH} in force after ${seconds(performance.now() - startedMs)}`);
      await sampler.reaches(LOW + 1);
      await load.done(500);
    });
    const { peak } = sampler.lap();
    assert.ok(peak <= HIGH, `${peak} backends`);
  });

  it('takes up a rotated password: the new one is let in, the old one no more, and who is in stays', async () => {
    await using connection = closing(await stage.client());
    await connection.client.query('SELECT 1');
    const fresh = { ...APP, password: 'rotated-password' };
    await stage.sql(`ALTER ROLE ${APP.name} PASSWORD '${fresh.password}'`);
    const startedMs = performance.now();
    await applyBasicAuth(namespace, 'orders-app', fresh.name, fresh.password);
    const letIn = async (): Promise<true> => {
      await using late = closing(await stage.client(fresh));
      await late.client.query('SELECT 1');
      return true;
    };
    await until('the new password to be let in', letIn, 30_000, 100);
    measured(`a rotated password is let in after ${seconds(performance.now() - startedMs)}`);
    const refused = async (): Promise<true | undefined> => {
      const former = await stage.client(APP).catch((error: unknown) => error as Error);
      if (former instanceof Error) return /password|authentication/i.test(former.message) || undefined;
      await former.end();
      return undefined;
    };
    await until(
      'the old password to be refused by both pods',
      async () => (await refused()) && (await refused()),
      30_000,
      100,
    );
    await connection.client.query('SELECT 1');
    const { live } = await stage.prove(pool);
    assert.equal(live.status?.readyReplicas, 2);
  });
});
