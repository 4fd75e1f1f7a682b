// A PostgreSQL that asks whoever connects for a certificate: the fleet shows one, which is renewed under load and refused without harm.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Server } from '../../src/api/poolconfig.gen.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { startClusterPostgres, type ClusterPostgres } from '../support/cluster-postgres.ts';
import { applyObjects, cluster } from '../support/kubectl.ts';
import { ORDER_TABLES } from '../support/load.ts';
import { applyPool, type PoolConfigBuilder } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { APP, DATABASE, measured, MONITOR, seconds, Stage } from '../support/stage.ts';
import { applyTlsSecret } from '../support/tls-secret.ts';
import { Fleet, tells, type Told } from './bad-input/fleet.ts';

const SECRET = 'db-login';
const RENEWALS = 3;
const refused: Told = { type: 'ServerReachable', status: 'False', reason: 'CertificateRefused' };

describe('a server that asks for a certificate', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let authority: Authority;
  let stranger: Authority;
  let first: Certificate;
  let postgres: ClusterPostgres;
  let fleet: Fleet;

  const pool = (certSecretRef?: { name: string }, name?: string): PoolConfigBuilder => {
    const tls: Server['tls'] = { mode: 'verify-full', caSecretRef: { name: 'db-ca' } };
    return stage.pool(name).onServer(postgres.host, {
      tls: { ...tls, ...(certSecretRef === undefined ? {} : { certSecretRef }) },
      monitorSecretRef: { name: 'monitor' },
    });
  };

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-server-certificate-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    authority = await makeAuthority(join(folder, 'own'));
    stranger = await makeAuthority(join(folder, 'other'), 'another authority');
    first = await authority.issue({ commonName: 'poolers' });
    stage = held.use(await Stage.set({ prefix: 'server-certificate' }));
    namespace = stage.namespace;
    postgres = await startClusterPostgres({
      ...{ namespace, name: 'tls-db', tls: { authority, required: true, clientCertificates: true } },
      ...{ roles: [APP, MONITOR], databases: [DATABASE], sql: ORDER_TABLES },
    });
    const metadata = { namespace, name: 'db-ca' };
    const stringData = { 'ca.crt': authority.certificate };
    await applyObjects([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData }]);
    await applyTlsSecret(namespace, SECRET, first);
    fleet = held.use(await Fleet.prove(stage, pool({ name: SECRET })));
  });

  after(() => held.disposeAsync());

  /** The serial numbers that PostgreSQL has seen of everybody who is connected with one. */
  async function serials(): Promise<readonly string[]> {
    const direct = await postgres.connect();
    try {
      const { rows } = await direct.query<{ serial: string }>(
        'SELECT DISTINCT client_serial::text AS serial FROM pg_stat_ssl WHERE client_serial IS NOT NULL',
      );
      return rows.map(({ serial }) => serial);
    } finally {
      await direct.end();
    }
  }

  const serialOf = ({ certificate }: Certificate): string =>
    BigInt(`0x${new X509Certificate(certificate).serialNumber}`).toString();

  it('is shown it by the poolers and by the monitor', async () => {
    assert.deepEqual(await serials(), [serialOf(first)]);
  });

  it(`is shown a renewed one by all within seconds, ${RENEWALS} times, without a restart or a failure`, async () => {
    const pods = await podIdentities(namespace, fleet.name);
    const mark = fleet.load.mark();
    const tookMs: number[] = [];
    for (let round = 0; round < RENEWALS; round += 1) {
      const renewed = await authority.issue({ commonName: 'poolers' });
      const startedMs = performance.now();
      await applyTlsSecret(namespace, SECRET, renewed);
      const isShown = async (): Promise<true | undefined> => {
        const seen = await serials();
        return (seen.length === 1 && seen[0] === serialOf(renewed)) || undefined;
      };
      await until('the renewed certificate on every connection', isShown, 30_000, 100);
      tookMs.push(performance.now() - startedMs);
      await fleet.whole();
      await fleet.load.done(100);
    }
    measured(`Secret → no connection with the former certificate is left: ${tookMs.map(seconds).join(', ')}`);
    assert.deepEqual(await podIdentities(namespace, fleet.name), pods);
    const { done, failed } = fleet.load.since(mark);
    measured(`${done} transactions, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(fleet.load.tally.errors));
  });

  it('goes on being shown the former one when it refuses the new one, or when none is to be shown any more', async () => {
    const good = await authority.issue({ commonName: 'poolers' });
    await applyTlsSecret(namespace, SECRET, good);
    await until(
      'the good one on every connection',
      async () => (await serials())[0] === serialOf(good) || undefined,
      30_000,
    );
    const foreign = await stranger.issue({ commonName: 'poolers' });
    await fleet.meets({
      bad: () => applyTlsSecret(namespace, SECRET, foreign),
      tells: refused,
      naming: [`${postgres.host}:5432`, 'spec.server.tls.certSecretRef', 'ssl_ca_file'],
      fleet: 'blocked',
      correct: () => applyTlsSecret(namespace, SECRET, good),
    });
    await fleet.meets({
      bad: () => applyPool(pool()),
      tells: refused,
      naming: ['asks for a certificate', 'spec.server.tls.certSecretRef'],
      fleet: 'blocked',
      correct: () => applyPool(fleet.pool),
    });
    await fleet.meets({
      bad: async () => (await cluster()).delete(RESOURCES.Secret, namespace, SECRET),
      tells: { type: 'ConfigApplied', status: 'False', reason: 'SecretMissing' },
      naming: ['spec.server.tls.certSecretRef', `Secret ${SECRET}`, 'does not exist'],
      fleet: 'blocked',
      correct: () => applyTlsSecret(namespace, SECRET, good),
    });
  });

  it('is never called reached by a new fleet that shows none', async () => {
    await applyPool(pool(undefined, 'bare').withBudget(8));
    const live = await tells(namespace, 'bare', { ...refused, type: 'Ready' });
    assert.equal(live.status?.readyReplicas ?? 0, 0);
  });
});
