// Who may come from where: rules that are changed under load, and users that log in by certificate.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { HbaRule } from '../../src/api/poolconfig.gen.ts';
import { childNames, POOLER_PORT } from '../../src/model/names.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import type { Role } from '../support/cluster-postgres.ts';
import { applyObjects } from '../support/kubectl.ts';
import { applyBasicAuth, type PoolConfigBuilder } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { APP, DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';
import { applyTlsSecret } from '../support/tls-secret.ts';

const READER: Role = { name: 'reader', password: 'reader-password' };
const HOST = `${childNames(POOL).service}.shop.svc`;

describe('rules for who may come from where', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let authority: Authority;
  let clients: Authority;
  /** Where this machine comes from, as the pods see it. */
  let ownAddress: string;

  const pool = (hba?: readonly HbaRule[]): PoolConfigBuilder =>
    stage.pool().with({
      auth: {
        users: [{ secretRef: { name: 'orders-app' } }, { secretRef: { name: 'reader' } }],
        ...(hba === undefined ? {} : { hba: [...hba] }),
      },
      pooler: {
        tls: { mode: 'prefer', certSecretRef: { name: 'orders-tls' }, clientCaSecretRef: { name: 'clients-ca' } },
      },
    });

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-hba-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    authority = await makeAuthority(join(folder, 'server'));
    clients = await makeAuthority(join(folder, 'clients'), 'authority of clients');
    stage = held.use(await Stage.set({ prefix: 'hba', roles: [READER] }));
    namespace = stage.namespace;
    await applyBasicAuth(namespace, 'reader', READER.name, READER.password);
    await applyTlsSecret(namespace, 'orders-tls', await authority.issue({ commonName: 'pooler', hosts: [HOST] }));
    const metadata = { namespace, name: 'clients-ca' };
    await applyObjects([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { 'ca.crt': clients.certificate } }]);
    await stage.prove(pool());
    const [client] = await stage.clientsOfEachPod();
    assert.ok(client);
    ownAddress = (client as unknown as { connection: { stream: { localAddress: string } } }).connection.stream
      .localAddress;
    await client.end();
  });

  after(() => held.disposeAsync());

  /** Who each pod says that it is, or `refused`. */
  async function answers(
    role: Role,
    certificate?: Certificate,
    tls = certificate !== undefined,
  ): Promise<readonly string[]> {
    const addresses = await stage.podAddresses();
    return await Promise.all(
      addresses.map(async (host) => {
        const client = new pg.Client({
          ...{ host, port: POOLER_PORT, database: DATABASE, user: role.name, password: role.password },
          ...{ connectionTimeoutMillis: 3_000, query_timeout: 5_000 },
          ssl: tls && {
            ...{ ca: authority.certificate, servername: HOST, cert: certificate?.certificate, key: certificate?.key },
          },
        });
        client.on('error', () => undefined);
        try {
          await client.connect();
          const { rows } = await client.query<{ me: string }>('SELECT current_user AS me');
          return rows[0]?.me ?? '';
        } catch {
          return 'refused';
        } finally {
          await client.end().catch(() => undefined);
        }
      }),
    );
  }

  const both = (word: string): readonly string[] => [word, word];

  it('keep one user out and fail nobody else, by RELOAD, and let it in again when they are taken out', async () => {
    const pods = await podIdentities(namespace, POOL);
    await using load = await stage.load({ maxLifetimeSeconds: 1 });
    assert.deepEqual(await answers(READER), both(READER.name));
    const { tookMs } = await stage.prove(
      pool([{ users: [READER.name], address: `${ownAddress}/32`, method: 'reject' }, { method: 'scram-sha-256' }]),
    );
    measured(`rules: apply → proved in both pods ${seconds(tookMs)}`);
    assert.deepEqual(await answers(READER), both('refused'));
    assert.deepEqual(await answers(APP), both(APP.name));
    await stage.prove(
      pool([{ users: [READER.name], address: '192.0.2.0/24', method: 'reject' }, { method: 'scram-sha-256' }]),
    );
    assert.deepEqual(await answers(READER), both(READER.name));
    await stage.prove(pool());
    assert.deepEqual(await answers(READER), both(READER.name));
    await load.done(100);
    const { done, failed, errors } = await load.stop();
    measured(`${done} transactions, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(errors));
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });

  it('are proved although they let in nobody from where the operator is', async () => {
    await stage.prove(pool([{ method: 'reject' }]));
    assert.deepEqual(await answers(APP), both('refused'));
    await stage.prove(pool());
    assert.deepEqual(await answers(APP), both(APP.name));
  });

  it('let a user in by the certificate that names it, without a password, and by no other', async () => {
    await stage.prove(
      pool([
        { type: 'hostssl', users: [READER.name], method: 'cert' },
        { users: [APP.name], method: 'scram-sha-256' },
      ]),
    );
    const named = await clients.issue({ commonName: READER.name });
    const another = await clients.issue({ commonName: 'somebody' });
    const stranger = await authority.issue({ commonName: READER.name });
    assert.deepEqual(await answers({ ...READER, password: 'no password' }, named), both(READER.name));
    for (const certificate of [another, stranger])
      assert.deepEqual(await answers(READER, certificate), both('refused'));
    assert.deepEqual(await answers(READER, undefined, true), both('refused'));
    assert.deepEqual(await answers(READER), both('refused'));
    assert.deepEqual(await answers(APP), both(APP.name));
  });
});
