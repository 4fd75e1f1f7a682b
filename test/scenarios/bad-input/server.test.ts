// A PostgreSQL that can't be reached or refuses the login: nothing is called proved, no pod of a running fleet is told of it.
import assert from 'node:assert/strict';
import { startClusterPostgres } from '../../support/cluster-postgres.ts';
import { ORDER_TABLES } from '../../support/load.ts';
import { applyBasicAuth, applyPool, conditionOf, describeStatus, readPool, waitForPool } from '../../support/pool.ts';
import type { LivePool, PoolConfigBuilder } from '../../support/pool.ts';
import { podIdentities, poolPods } from '../../support/pool-children.ts';
import { APP, DATABASE, MONITOR, Stage } from '../../support/stage.ts';
import { assertNaming, Fleet, messageOf, tells, type Told } from './fleet.ts';

const WRONG = 'wrong-sesame';
const BARRED = { name: 'barred', password: 'barred-sesame' };
const fault = (reason: Told['reason']): Told => ({ type: 'ServerReachable', status: 'False', reason });

describe('a fleet whose server can not be used', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let fleet: Fleet;

  before(async () => {
    stage = held.use(await Stage.set({ prefix: 'bad-server', roles: [BARRED] }));
    namespace = stage.namespace;
    await stage.sql(`ALTER ROLE ${BARRED.name} NOLOGIN`);
    await applyBasicAuth(namespace, 'barred', BARRED.name, BARRED.password);
    fleet = held.use(await Fleet.prove(stage, stage.pool()));
  });

  after(() => held.disposeAsync());

  const restorePool = (): Promise<unknown> => applyPool(fleet.pool);
  const onServer = (server: object): PoolConfigBuilder =>
    fleet.pool.with({ server: { ...fleet.pool.build().spec.server, ...server } });

  it('stays on its server when the port is wrong', async () => {
    await fleet.meets({
      bad: () => applyPool(onServer({ port: 5999 })),
      tells: fault('ServerUnreachable'),
      naming: [`${stage.postgres.host}:5999`, 'spec.server.host and port', 'does not answer'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('stays on its server when the name does not exist', async () => {
    const host = `no-such-db.${namespace}.svc`;
    await fleet.meets({
      bad: () => applyPool(onServer({ host })),
      tells: fault('ServerUnreachable'),
      naming: [`${host}:5432`, 'spec.server.host and port'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('stays on its server when another one has other passwords, and when it lacks a database', async () => {
    const role = { ...APP, password: WRONG };
    const barren = await startClusterPostgres({ namespace, name: 'barren', roles: [role, MONITOR] });
    const input = { bad: () => applyPool(onServer({ host: barren.host })), fleet: 'blocked' as const };
    await fleet.meets({ ...input, tells: fault('PasswordRefused'), naming: ['orders-app'], correct: restorePool });
    const direct = await barren.connect();
    await direct.query(`ALTER ROLE ${APP.name} PASSWORD '${APP.password}'`).finally(() => direct.end());
    await fleet.meets({ ...input, tells: fault('DatabaseMissing'), naming: [DATABASE], correct: restorePool });
  });

  it('stays on plain text when TLS is asked for and not offered', async () => {
    await fleet.meets({
      bad: () => applyPool(onServer({ tls: { mode: 'require' } })),
      tells: fault('TlsNotOffered'),
      naming: [stage.postgres.host, 'offers no TLS', 'spec.server.tls.mode'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('asks nothing of the API server when that is named, whatever answers there, and tells no more than of a server that is down', async () => {
    await fleet.meets({
      // With TLS it would answer, and be told from a closed port by what it answers.
      bad: () => applyPool(onServer({ host: 'kubernetes.default.svc', port: 443, tls: { mode: 'require' } })),
      tells: fault('ServerUnreachable'),
      naming: ['kubernetes.default.svc:443'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('keeps its password when the server refuses the one in the Secret, and names the Secret', async () => {
    await fleet.meets({
      bad: () => applyBasicAuth(namespace, 'orders-app', APP.name, WRONG),
      tells: fault('PasswordRefused'),
      naming: [`user ${APP.name}`, `database ${DATABASE}`, 'Secret orders-app', 'refuses the password'],
      fleet: 'blocked',
      correct: () => applyBasicAuth(namespace, 'orders-app', APP.name, APP.password),
    });
  });

  it('keeps its users when one is added that may not log in', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withUsers('orders-app', 'barred')),
      tells: fault('LoginRefused'),
      naming: [`user ${BARRED.name}`, 'refuses the login'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('keeps its databases when one is added that does not exist', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withDatabases(DATABASE, { name: 'stock', database: 'no_such_database' })),
      tells: fault('DatabaseMissing'),
      naming: ['database no_such_database', 'spec.databases[].database', /Create it/],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('takes the database up when it is created after all', async () => {
    await applyPool(fleet.pool.withDatabases(DATABASE, { name: 'stock', database: 'late_database' }));
    await tells(namespace, fleet.name, fault('DatabaseMissing'));
    const pods = await podIdentities(namespace, fleet.name);
    await stage.sql('CREATE DATABASE late_database');
    await fleet.whole();
    const client = await stage.client(APP, 'stock');
    await client.query('SELECT 1');
    await client.end();
    await restorePool();
    await fleet.whole();
    assert.deepEqual(await podIdentities(namespace, fleet.name), pods);
  });

  it('has let no password out', async () => {
    await fleet.keptSecret([APP.password, MONITOR.password, BARRED.password, WRONG]);
  });

  describe('and that is new', () => {
    const podsAreUp = async (name: string): Promise<LivePool> =>
      await waitForPool(namespace, name, 'two pods that are ready', (live) => {
        assert.notEqual(conditionOf(live, 'Ready')?.status, 'True', describeStatus(live));
        return (live.status?.pods ?? []).filter((pod) => pod.state === 'Serving').length === 2;
      });

    /** Built, explained, and nothing of it called proved. */
    async function waits(name: string, reason: Told['reason'], naming: readonly string[]): Promise<void> {
      await podsAreUp(name);
      const live = await tells(namespace, name, fault(reason));
      assertNaming(live, { tells: fault(reason), naming });
      const ready = await tells(namespace, name, { type: 'Ready', status: 'False', reason });
      assert.equal(messageOf(ready, 'Ready'), messageOf(ready, 'ServerReachable'));
      assert.equal(ready.status?.readyReplicas, 0);
      assert.equal(conditionOf(ready, 'ConfigApplied')?.status, 'False');
      const { pods = [], serverHash } = ready.status ?? {};
      assert.deepEqual([...pods.map((pod) => pod.configHash), serverHash], [undefined, undefined, undefined]);
    }

    const uids = async (name: string): Promise<readonly string[]> =>
      (await poolPods(namespace, name)).map((pod) => pod.metadata.uid);

    it('is built and waits for a server that is not there yet, and is Ready by itself when it comes', async () => {
      const host = `late-db.${namespace}.svc`;
      const pool = stage.pool('waiting').onServer(host, { monitorSecretRef: { name: 'monitor' } });
      await applyPool(pool);
      await waits('waiting', 'ServerUnreachable', [`${host}:5432`, 'spec.server.host and port']);
      const pods = await uids('waiting');
      await startClusterPostgres({
        ...{ namespace, name: 'late-db', roles: [APP, MONITOR], databases: [DATABASE], sql: ORDER_TABLES },
      });
      await tells(namespace, 'waiting', { type: 'Ready', status: 'True', reason: 'Proved' });
      assert.deepEqual(await uids('waiting'), pods);
      const client = await stage.client(APP, DATABASE, 'waiting');
      await client.query('SELECT 1');
      await client.end();
    });

    it('is built and waits for the right password, and is Ready by itself when the Secret has it', async () => {
      await applyBasicAuth(namespace, 'new-app', APP.name, WRONG);
      await applyPool(stage.pool('locked').withUsers('new-app').withBudget(8));
      await waits('locked', 'PasswordRefused', [`user ${APP.name}`, 'Secret new-app']);
      const pods = await podIdentities(namespace, 'locked');
      await applyBasicAuth(namespace, 'new-app', APP.name, APP.password);
      await tells(namespace, 'locked', { type: 'Ready', status: 'True', reason: 'Proved' });
      assert.deepEqual(await podIdentities(namespace, 'locked'), pods);
      const { status } = await readPool(namespace, 'locked');
      assert.equal(status?.readyReplicas, 2);
    });
  });
});
