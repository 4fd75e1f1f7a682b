// TLS that can't be had: no pod is told of a certificate authority that does not vouch for the server, and nothing is called proved.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ANNOTATION } from '../../../src/model/names.ts';
import { makeAuthority, type Authority } from '../../support/certificates.ts';
import { startClusterPostgres, type ClusterPostgres } from '../../support/cluster-postgres.ts';
import { applyObjects } from '../../support/kubectl.ts';
import { ORDER_TABLES } from '../../support/load.ts';
import { applyPool, conditionOf, describeStatus, readPool, waitForPool } from '../../support/pool.ts';
import type { PoolConfigBuilder } from '../../support/pool.ts';
import { podIdentities, poolPods } from '../../support/pool-children.ts';
import { settingInForce } from '../../support/pooler-console.ts';
import { serviceAddress } from '../../support/service.ts';
import { APP, DATABASE, MONITOR, Stage } from '../../support/stage.ts';
import { assertNaming, Fleet, tells, type Told } from './fleet.ts';

const CA_SECRET = 'db-ca';
const config = (reason: Told['reason']): Told => ({ type: 'ConfigApplied', status: 'False', reason });
const distrust: Told = { type: 'ServerReachable', status: 'False', reason: 'CertificateNotTrusted' };

describe('a fleet whose server certificate can not be verified', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let fleet: Fleet;
  let postgres: ClusterPostgres;
  let authority: Authority;
  let stranger: Authority;
  let expired: string;

  const putCa = (data: Readonly<Record<string, string>>, name = CA_SECRET): Promise<void> =>
    applyObjects([{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, stringData: data }]);
  const trusted = (host: string, secretName = CA_SECRET, name?: string): PoolConfigBuilder =>
    stage.pool(name).onServer(host, {
      tls: { mode: 'verify-full', caSecretRef: { name: secretName } },
      monitorSecretRef: { name: 'monitor' },
    });

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-bad-tls-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    authority = await makeAuthority(join(folder, 'own'));
    stranger = await makeAuthority(join(folder, 'other'), 'another authority');
    expired = (await stranger.issue({ commonName: 'expired', days: -1 })).certificate;
    stage = held.use(await Stage.set({ prefix: 'bad-tls' }));
    namespace = stage.namespace;
    postgres = await startClusterPostgres({
      ...{ namespace, name: 'tls-db', tls: { authority, required: true } },
      ...{ roles: [APP, MONITOR], databases: [DATABASE], sql: ORDER_TABLES },
    });
    await putCa({ 'ca.crt': authority.certificate });
    fleet = held.use(await Fleet.prove(stage, trusted(postgres.host)));
  });

  after(() => held.disposeAsync());

  const restorePool = (): Promise<unknown> => applyPool(fleet.pool);
  const restoreCa = (): Promise<void> => putCa({ 'ca.crt': authority.certificate });

  it('goes on when the Secret of the authority does not exist', async () => {
    await fleet.meets({
      bad: () => applyPool(trusted(postgres.host, 'no-such-ca')),
      tells: config('SecretMissing'),
      naming: ['spec.server.tls.caSecretRef', 'Secret no-such-ca', 'does not exist', /Create it/],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('goes on when that Secret lacks the key', async () => {
    await putCa({ 'other.crt': authority.certificate }, 'keyless-ca');
    await fleet.meets({
      bad: () => applyPool(trusted(postgres.host, 'keyless-ca')),
      tells: config('SecretKeyMissing'),
      naming: ['Secret keyless-ca', '"ca.crt"', 'caSecretRef.key'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('goes on when the key holds no certificate', async () => {
    await fleet.meets({
      bad: () => putCa({ 'ca.crt': 'not a certificate at all\n' }),
      tells: config('CertificateInvalid'),
      naming: [`Secret ${CA_SECRET}`, '"ca.crt"', 'no PEM certificate'],
      fleet: 'blocked',
      correct: restoreCa,
    });
  });

  it('goes on when the certificate in it is damaged', async () => {
    const damaged = authority.certificate.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
    await fleet.meets({
      bad: () => putCa({ 'ca.crt': damaged }),
      tells: config('CertificateInvalid'),
      naming: [`Secret ${CA_SECRET}`, 'not a certificate'],
      fleet: 'blocked',
      correct: restoreCa,
    });
  });

  it('goes on when a good certificate is followed by a damaged one', async () => {
    const torn = '-----BEGIN CERTIFICATE-----\nnot-base-64\n-----END CERTIFICATE-----\n';
    await fleet.meets({
      bad: () => putCa({ 'ca.crt': `${authority.certificate}${torn}` }),
      tells: config('CertificateInvalid'),
      naming: [`Secret ${CA_SECRET}`, 'not a certificate'],
      fleet: 'blocked',
      correct: restoreCa,
    });
  });

  it('goes on when the certificate in it has expired, and says when', async () => {
    await fleet.meets({
      bad: () => putCa({ 'ca.crt': expired }),
      tells: config('CertificateInvalid'),
      naming: [`Secret ${CA_SECRET}`, /expired on \d{4}-\d\d-\d\d/],
      fleet: 'blocked',
      correct: restoreCa,
    });
  });

  it('stays with its authority when another one is named that did not sign the certificate', async () => {
    await fleet.meets({
      bad: () => putCa({ 'ca.crt': stranger.certificate }),
      tells: distrust,
      naming: [`${postgres.host}:5432`, 'does not vouch for', 'spec.server.tls.caSecretRef'],
      fleet: 'blocked',
      correct: restoreCa,
    });
  });

  it('stays with its host name when the certificate does not name the new one', async () => {
    const { host } = await serviceAddress(namespace, 'tls-db');
    await fleet.meets({
      bad: () => applyPool(trusted(host)),
      tells: distrust,
      naming: [`${host}:5432`, 'verify-full', 'names the host'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('does not fall back to plain text when the new server offers no TLS', async () => {
    await fleet.meets({
      bad: () => applyPool(trusted(stage.postgres.host)),
      tells: { type: 'ServerReachable', status: 'False', reason: 'TlsNotOffered' },
      naming: [`${stage.postgres.host}:5432`, 'offers no TLS'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('takes a new authority up without a restart when it vouches for the server', async () => {
    const pods = await podIdentities(namespace, fleet.name);
    const former = (await readPool(namespace, fleet.name)).status?.configHash;
    await putCa({ 'ca.crt': `${stranger.certificate}${authority.certificate}` });
    await waitForPool(namespace, fleet.name, 'another configuration', (live) => live.status?.configHash !== former);
    await fleet.whole();
    assert.deepEqual(await podIdentities(namespace, fleet.name), pods);
    const mark = fleet.load.mark();
    await restoreCa();
    await waitForPool(namespace, fleet.name, 'the former configuration', (live) => live.status?.configHash === former);
    await fleet.whole();
    await fleet.load.done(40);
    assert.equal(fleet.load.since(mark).failed, 0, JSON.stringify(fleet.load.tally.errors));
  });

  it('never calls a new fleet proved while its authority does not vouch for the server', async () => {
    await putCa({ 'ca.crt': stranger.certificate }, 'new-ca');
    await applyPool(trusted(postgres.host, 'new-ca', 'doubtful').withBudget(8));
    const seen: string[] = [];
    await waitForPool(namespace, 'doubtful', 'two pods that are ready', (live) => {
      seen.push(conditionOf(live, 'Ready')?.status ?? '');
      return (live.status?.pods ?? []).filter((pod) => pod.state === 'Serving').length === 2;
    });
    const live = await tells(namespace, 'doubtful', { ...distrust, type: 'Ready' });
    assertNaming(live, { tells: distrust, naming: [`${postgres.host}:5432`, 'spec.server.tls.caSecretRef'] });
    assert.ok(!seen.includes('True'), 'it was called Ready');
    assert.equal(live.status?.readyReplicas, 0, describeStatus(live));
    assert.equal(conditionOf(live, 'ConfigApplied')?.status, 'False');
    const pods = await podIdentities(namespace, 'doubtful');
    await putCa({ 'ca.crt': authority.certificate }, 'new-ca');
    await tells(namespace, 'doubtful', { type: 'Ready', status: 'True', reason: 'Proved' });
    assert.deepEqual(await podIdentities(namespace, 'doubtful'), pods);
    const modes = Object.values(await settingInForce(namespace, 'doubtful', 'server_tls_sslmode'));
    assert.deepEqual(modes, ['verify-full', 'verify-full']);
    for (const pod of await poolPods(namespace, 'doubtful'))
      assert.ok(pod.metadata.annotations?.[ANNOTATION.live] !== undefined);
  });

  it('has let no password out', async () => {
    await fleet.keptSecret([APP.password, MONITOR.password]);
  });
});
