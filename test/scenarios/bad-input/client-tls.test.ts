// A certificate for clients that can't be used: the fleet goes on with the one it has, new pods too, and says what is wrong.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { makeAuthority, type Authority, type Certificate } from '../../support/certificates.ts';
import { cluster } from '../../support/kubectl.ts';
import { poolPods } from '../../support/pool-children.ts';
import { Stage } from '../../support/stage.ts';
import { applyTlsSecret } from '../../support/tls-secret.ts';
import { until } from '../../cluster/processes.ts';
import { Fleet, type Told } from './fleet.ts';

const SECRET = 'orders-tls';
const HOST = 'orders-pooler.shop.svc';
const FIELD = 'spec.pooler.tls.certSecretRef';
const config = (reason: Told['reason']): Told => ({ type: 'ConfigApplied', status: 'False', reason });

describe('a fleet whose certificate for clients can not be used', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let namespace: string;
  let fleet: Fleet;
  let authority: Authority;
  let good: Certificate;
  let other: Certificate;

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-bad-client-tls-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    authority = await makeAuthority(folder);
    good = await authority.issue({ commonName: 'pooler', hosts: [HOST] });
    other = await authority.issue({ commonName: 'other', hosts: [HOST] });
    const stage = held.use(await Stage.set({ prefix: 'bad-client-tls' }));
    namespace = stage.namespace;
    await put(good);
    const pool = stage.pool().with({ pooler: { tls: { mode: 'require', certSecretRef: { name: SECRET } } } });
    const ssl = { ca: authority.certificate, servername: HOST };
    fleet = held.use(await Fleet.prove(stage, pool, { ssl }));
  });

  after(() => held.disposeAsync());

  const put = (certificate: Pick<Certificate, 'certificate' | 'key'>): Promise<void> =>
    applyTlsSecret(namespace, SECRET, certificate);
  const correct = (): Promise<void> => put(good);
  const remove = async (): Promise<unknown> => (await cluster()).delete(RESOURCES.Secret, namespace, SECRET);

  it('goes on when the key does not belong to the certificate', async () => {
    await fleet.meets({
      bad: () => put({ certificate: good.certificate, key: other.key }),
      tells: config('CertificateInvalid'),
      naming: [FIELD, `Secret ${SECRET}`, '"tls.key"', 'does not belong', '"tls.crt"'],
      fleet: 'blocked',
      correct,
    });
  });

  it('goes on when the new certificate has expired', async () => {
    const expired = await authority.issue({ commonName: 'pooler', hosts: [HOST], days: -1 });
    await fleet.meets({
      bad: () => put(expired),
      tells: config('CertificateInvalid'),
      naming: [FIELD, `Secret ${SECRET}`, /expired on \d{4}-\d\d-\d\d/],
      fleet: 'blocked',
      correct,
    });
  });

  it('goes on when either is garbage, and tells nothing of the key', async () => {
    await fleet.meets({
      bad: () => put({ certificate: 'garbage', key: good.key }),
      tells: config('CertificateInvalid'),
      naming: [FIELD, '"tls.crt"', 'no PEM certificate'],
      fleet: 'blocked',
      correct,
    });
    const torn = good.key.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
    await fleet.meets({
      bad: () => put({ certificate: good.certificate, key: torn }),
      tells: config('CertificateInvalid'),
      naming: [FIELD, '"tls.key"', 'not a private key'],
      fleet: 'blocked',
      correct,
    });
    const lines = [good.key, other.key, torn].flatMap((key) => key.split('\n')).filter((line) => !line.includes('---'));
    await fleet.keptSecret(lines.filter((line) => line.length > 20));
  });

  it('goes on when the Secret is emptied', async () => {
    await fleet.meets({
      bad: () => put({ certificate: '', key: '' }),
      tells: config('CertificateInvalid'),
      naming: [FIELD, `Secret ${SECRET}`, 'no PEM certificate'],
      fleet: 'blocked',
      correct,
    });
  });

  it('goes on when the Secret is removed while in use', async () => {
    await fleet.meets({
      bad: remove,
      tells: config('SecretMissing'),
      naming: [FIELD, `Secret ${SECRET}`, 'does not exist', /Create it/],
      fleet: 'blocked',
      correct,
    });
  });

  it('makes new pods with the certificate that it has while the Secret is gone', async () => {
    await remove();
    const [victim] = await poolPods(namespace, fleet.name);
    assert.ok(victim);
    await (await cluster()).delete(RESOURCES.Pod, namespace, victim.metadata.name);
    const isReplaced = async (): Promise<true | undefined> => {
      const pods = await poolPods(namespace, fleet.name);
      const ready = pods.filter(({ status }) => status?.containerStatuses?.some((one) => one.ready) === true);
      return (ready.length === 2 && pods.every(({ metadata }) => metadata.uid !== victim.metadata.uid)) || undefined;
    };
    await until('two pods that serve, one of them new', isReplaced, 60_000, 200);
    await correct();
    await fleet.whole();
  });
});
