// The tests' own tools on the real cluster, without the operator: they must notice what they are there to notice.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { BackendSampler } from './backends.ts';
import { makeAuthority } from './certificates.ts';
import { ensureImages } from './cluster-images.ts';
import { startClusterPostgres, SUPERUSER, type ClusterPostgres, type Role } from './cluster-postgres.ts';
import { startHandMadePooler } from './hand-made-pooler.ts';
import { killContainer } from './kill.ts';
import { closeCluster, cluster, clusterAccess } from './kubectl.ts';
import { auditOrders, Load, ORDER_TABLES, type LoadOptions } from './load.ts';
import { serviceAddress } from './service.ts';
import { createNamespace, type TestNamespace } from './namespace.ts';

const APP: Role = { name: 'orders_app', password: 'app-password' };
const MONITOR: Role = { name: 'monitor', password: 'monitor-password', memberOf: ['pg_monitor'] };
const DATABASE = 'orders';
const POOL_SIZE = 4;
const CLIENTS = 12;

describe('support for tests on a cluster', function () {
  this.timeout(120_000);
  let space: TestNamespace | undefined;
  let namespace: string;
  let postgres: ClusterPostgres;
  let pooler: LoadOptions;

  before(async function () {
    const access = await clusterAccess().catch(() => undefined);
    if (access === undefined) this.skip();
    await ensureImages(['postgres', 'pgbouncer']);
    space = await createNamespace({ prefix: 'support', enforceRestricted: true });
    const roles = [APP, MONITOR];
    namespace = space.name;
    postgres = await startClusterPostgres({
      namespace,
      roles,
      databases: [DATABASE],
      sql: ORDER_TABLES,
      maxConnections: 40,
    });
    const { name: user, password } = APP;
    const name = 'pooler';
    await startHandMadePooler({
      namespace,
      name,
      serverHost: postgres.host,
      database: DATABASE,
      user,
      password,
      poolSize: POOL_SIZE,
    });
    pooler = {
      ...(await serviceAddress(namespace, name)),
      database: DATABASE,
      user,
      password,
      clients: CLIENTS,
      maxLifetimeSeconds: 2,
    };
  });

  after(async () => {
    await space?.[Symbol.asyncDispose]();
    await closeCluster();
  });

  it('counts transactions, and finds every acknowledged one in the table exactly once', async () => {
    await using direct = closing(await postgres.connect(DATABASE, APP));
    await using load = await Load.start(pooler);
    await load.done(500);
    const tally = await load.stop();
    assert.equal(tally.failed, 0, JSON.stringify(tally.errors));
    assert.equal(Object.keys(tally.threads).length, CLIENTS);
    const audit = await load.audit(direct.client);
    assert.deepEqual(audit, { acknowledged: tally.done, found: tally.done, lost: 0, double: 0, unknown: 0, torn: 0 });
  });

  it('notices a lost, a doubled and a torn transaction', async () => {
    await using direct = closing(await postgres.connect(DATABASE, APP));
    await using load = await Load.start(pooler);
    await load.done(50);
    await load.stop();
    const [client = ''] = Object.keys(load.tally.threads);
    const [, other = ''] = Object.keys(load.tally.threads);
    await direct.client.query('DELETE FROM placed WHERE client = $1 AND seq = 1', [client]);
    await direct.client.query('INSERT INTO placed SELECT * FROM placed WHERE client = $1 AND seq = 1', [other]);
    await direct.client.query('UPDATE stock SET sold = sold + 5 WHERE item = 1');
    const { lost, double, torn } = await load.audit(direct.client);
    assert.deepEqual({ lost, double, torn }, { lost: 1, double: 1, torn: 5 });
  });

  it('sees as many backends as the pooler may open, and not the roles it is to ignore', async () => {
    await using monitoring = closing(await postgres.connect('postgres', MONITOR));
    await monitoring.client.query('SELECT 1');
    await using sampler = await BackendSampler.start(await postgres.address('postgres', MONITOR), {
      everyMs: 20,
      ignoreRoles: [MONITOR.name, SUPERUSER.name],
    });
    await using load = await Load.start({ ...pooler, holdMs: 20, pauseMs: 1 });
    sampler.lap();
    await load.done(200);
    const lap = sampler.lap();
    assert.equal(lap.peak, POOL_SIZE);
    assert.deepEqual(lap.peakSample?.byRole, { [APP.name]: POOL_SIZE });
    assert.ok(lap.samples > 10, `only ${lap.samples} samples`);
    assert.ok(lap.longestGapMs < 1000, `a gap of ${lap.longestGapMs} ms`);
  });

  it('reports the errors of a pooler whose process is killed, and loses nothing', async () => {
    await using direct = closing(await postgres.connect(DATABASE, APP));
    await using load = await Load.start(pooler);
    const before = await auditOrders([direct.client], {});
    const id = await killContainer(namespace, 'pooler', 'pgbouncer');
    await until('a failed transaction', () => load.tally.failed > 0 || undefined, 20_000);
    const restarted = async (): Promise<true | undefined> => {
      const { status } = await (await cluster()).get(RESOURCES.Pod, namespace, 'pooler');
      const state = status?.containerStatuses?.[0];
      return state?.ready === true && state.containerID !== `containerd://${id}` ? true : undefined;
    };
    await until('the container to be back', restarted, 30_000);
    await load.done(100);
    const audit = await load.audit(direct.client);
    assert.ok(Object.keys(load.tally.errors).length > 0);
    assert.equal(audit.lost, 0);
    assert.equal(audit.double, 0);
    assert.equal(audit.torn, before.torn);
  });

  it('stops a PostgreSQL for as long as wanted, and starts it with its data at the same address', async () => {
    const address = await postgres.address(DATABASE, APP);
    const count = async (): Promise<number> => {
      await using direct = closing(await postgres.connect(DATABASE, APP));
      const { rows } = await direct.client.query<{ count: string }>('SELECT count(*) FROM placed');
      return Number(rows[0]?.count);
    };
    const rows = await count();
    assert.ok(rows > 0);
    await postgres.stop('immediate');
    await assert.rejects(() => postgres.connect(), /ECONNREFUSED/);
    await postgres.start();
    assert.equal(await count(), rows);
    assert.deepEqual(await postgres.address(DATABASE, APP), address);
  });

  it('freezes a PostgreSQL, so that nothing answers until it thaws', async () => {
    await using direct = closing(await postgres.connect(DATABASE, APP));
    await postgres.freeze();
    try {
      const silent = new pg.Client({ ...(await postgres.address()), connectionTimeoutMillis: 500 });
      silent.on('error', () => undefined);
      await assert.rejects(() => silent.connect(), /timeout/);
    } finally {
      await postgres.thaw();
    }
    assert.equal((await direct.client.query('SELECT 1 AS one')).rowCount, 1);
  });

  it('starts a PostgreSQL that speaks TLS only, with a certificate of the test’s authority', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'poolsmith-authority-'));
    try {
      const authority = await makeAuthority(folder);
      const tls = { authority, required: true };
      const { host, address } = await startClusterPostgres({
        namespace,
        name: 'tls-db',
        tls,
        roles: [APP],
      });
      const where = await address('postgres', APP);
      const plain = new pg.Client({ ...where, ssl: false });
      await assert.rejects(() => plain.connect(), /no pg_hba.conf entry.*no encryption/);
      const client = new pg.Client({ ...where, ssl: { ca: authority.certificate, servername: host } });
      await client.connect();
      await client.end();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** Ends the connection at the end of its block. */
function closing(client: pg.Client): AsyncDisposable & { readonly client: pg.Client } {
  return { client, [Symbol.asyncDispose]: () => client.end() };
}
