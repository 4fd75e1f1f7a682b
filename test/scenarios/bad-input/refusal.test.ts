// A configuration that passes every check of ours and that PgBouncer itself refuses: one pod tries it and goes back, the others never see it.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ANNOTATION } from '../../../src/model/names.ts';
import { makeAuthority, type Authority } from '../../support/certificates.ts';
import { startClusterPostgres } from '../../support/cluster-postgres.ts';
import { applyObjects } from '../../support/kubectl.ts';
import { ORDER_TABLES } from '../../support/load.ts';
import { poolPods } from '../../support/pool-children.ts';
import { APP, DATABASE, MONITOR, Stage } from '../../support/stage.ts';
import { Fleet } from './fleet.ts';

/** A revocation list that is none: Node's TLS passes over it, PgBouncer's refuses the whole file. */
const TORN_LIST = '-----BEGIN X509 CRL-----\nbm90IGEgcmV2b2NhdGlvbiBsaXN0\n-----END X509 CRL-----\n';

describe('a configuration that PgBouncer refuses', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let fleet: Fleet;
  let authority: Authority;

  const putCa = (text: string): Promise<void> => {
    const metadata = { namespace, name: 'db-ca' };
    return applyObjects([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { 'ca.crt': text } }]);
  };

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-refusal-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    authority = await makeAuthority(folder);
    stage = held.use(await Stage.set({ prefix: 'refusal' }));
    namespace = stage.namespace;
    const { host } = await startClusterPostgres({
      ...{ namespace, name: 'tls-db', tls: { authority, required: true } },
      ...{ roles: [APP, MONITOR], databases: [DATABASE], sql: ORDER_TABLES },
    });
    await putCa(authority.certificate);
    const tls = { mode: 'verify-full' as const, caSecretRef: { name: 'db-ca' } };
    // While the one pod tries, its clients wait some seconds: longer than load usually waits for a connection.
    const pool = stage.pool().onServer(host, { tls, monitorSecretRef: { name: 'monitor' } });
    fleet = held.use(await Fleet.prove(stage, pool, { connectTimeoutMs: 30_000 }));
  });

  after(() => held.disposeAsync());

  /** When each pod was last told a live.ini, and of which model. */
  const grants = async (): Promise<Readonly<Record<string, string>>> =>
    Object.fromEntries(
      (await poolPods(namespace, fleet.name)).map(({ metadata }) => {
        const { atMs, model } = JSON.parse(metadata.annotations?.[ANNOTATION.grant] ?? '{}') as {
          atMs: number;
          model: string;
        };
        return [metadata.name, `${model} at ${atMs}`];
      }),
    );

  it('goes back on the one pod that tried it, cuts no transaction there, is told, and reaches no other pod', async () => {
    const before = await grants();
    await fleet.meets({
      bad: () => putCa(`${authority.certificate}${TORN_LIST}`),
      tells: { type: 'ConfigApplied', status: 'False', reason: 'ConfigRefused' },
      naming: [
        'server login',
        /through orders-pooler-\S+ /,
        'Check spec.server and the Secrets',
        'last proved configuration',
      ],
      fleet: 'blocked',
      meanwhile: async (live) => {
        const now = await grants();
        const tried = Object.keys(now).filter((pod) => now[pod] !== before[pod]);
        assert.equal(tried.length, 1, `told: ${JSON.stringify(now)}, before: ${JSON.stringify(before)}`);
        assert.equal(live.status?.configHash, Object.values(before)[0]?.split(' ')[0]);
        assert.notEqual(live.status?.refused?.configHash, live.status?.configHash);
      },
      correct: () => putCa(authority.certificate),
      // PgBouncer refuses logins while those at its server fail; only the pod that tries does.
      newConnectionsMayMeet: /server login has been failing/,
    });
  });

  it('has let no password out', async () => {
    await fleet.keptSecret([APP.password, MONITOR.password]);
  });
});
