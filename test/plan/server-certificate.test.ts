// A fleet that shows PostgreSQL a certificate: tried straight at the server, then on one pod, proved by a login, and renewed like everything else.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Condition, PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { certificatesInUse } from '../../src/plan/certificates.ts';
import { storedFiles } from '../../src/plan/children.ts';
import { planPool } from '../../src/plan/plan.ts';
import { previewPool } from '../../src/plan/preview.ts';
import { readProvedRecord } from '../../src/plan/proved-record.ts';
import { serverHash, wantedTrials } from '../../src/plan/server-hash.ts';
import { serverTrust } from '../../src/plan/server-trust.ts';
import { makeAuthority, type Certificate } from '../support/certificates.ts';
import { secret } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const DAY_MS = 86_400_000;
const serverWith = (certSecretRef?: { name: string }): Pick<PoolConfigSpec, 'server'> => ({
  server: {
    ...{ host: 'db.shop.svc', port: 5432 },
    tls: { mode: 'require', ...(certSecretRef === undefined ? {} : { certSecretRef }) },
  },
});
const ASKED = serverWith({ name: 'orders-db-login' });

describe('the certificate that PostgreSQL is shown', () => {
  let folder: string;
  let first: Certificate;
  let second: Certificate;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'server-certificate-'));
    const authority = await makeAuthority(folder);
    first = await authority.issue({ commonName: 'pooler' });
    second = await authority.issue({ commonName: 'pooler', days: 90 });
  });

  after(() => {
    rmSync(folder, { recursive: true });
  });

  function give(fleet: PaperFleet, { certificate, key }: Pick<Certificate, 'certificate' | 'key'>): void {
    fleet.secrets.set('orders-db-login', secret({ 'tls.crt': certificate, 'tls.key': key }));
  }

  function fleetWith(certificate: Certificate): PaperFleet {
    const fleet = new PaperFleet({ fleet: { replicas: 3 } });
    // Certificates are made now.
    fleet.nowMs = Date.now();
    give(fleet, certificate);
    fleet.edit(ASKED);
    fleet.settle();
    return fleet;
  }

  function turns(fleet: PaperFleet, count: number): void {
    for (let turn = 0; turn < count; turn += 1) fleet.turn();
  }

  const certFileOf = (text: string | undefined): string | undefined =>
    /^server_tls_cert_file = .*\/(.+)$/m.exec(text ?? '')?.[1];
  const told = (fleet: PaperFleet): readonly (string | undefined)[] => fleet.pods.map(({ live }) => certFileOf(live));
  const stored = (fleet: PaperFleet): readonly string[] =>
    [...storedFiles(fleet.observe()).names].filter((name) => /^server-[0-9a-f]/.test(name)).sort();
  const conditionOf = (fleet: PaperFleet, type: string): Condition | undefined =>
    fleet.pool.status?.conditions?.find((condition) => condition.type === type);
  const bootFile = (fleet: PaperFleet): string | undefined =>
    certFileOf((fleet.children.get('ConfigMap/orders-pooler')?.['data'] as Record<string, string>)['boot.ini']);

  it('changes nothing in a fleet without it: the files of a former release stay byte for byte', () => {
    const fleet = new PaperFleet(serverWith());
    fleet.settle();
    for (const { live } of fleet.pods) {
      assert.deepEqual(live?.match(/^server_tls_.*$/gm), [
        'server_tls_sslmode = require',
        'server_tls_ca_file = ',
        'server_tls_protocols = secure',
      ]);
    }
    assert.deepEqual(stored(fleet), []);
    assert.deepEqual(serverTrust(fleet.observe()), { mode: 'require' });
  });

  it('is written with its key, above all that a user can set, and named alike in every pod and in boot.ini', () => {
    const fleet = fleetWith(first);
    const file = bootFile(fleet);
    assert.ok(file);
    assert.deepEqual(new Set(told(fleet)), new Set([file]));
    assert.deepEqual(stored(fleet), [file, file.replace('.crt', '.key')]);
    const lines = fleet.pods[0]?.live?.split('\n') ?? [];
    const place = (name: string): number => lines.findIndex((line) => line.startsWith(`${name} = `));
    assert.ok(place('server_tls_sslmode') < place('server_tls_cert_file'));
    assert.equal(place('server_tls_key_file'), place('server_tls_cert_file') + 1);
    assert.ok(place('server_tls_key_file') < place('max_client_conn'));
  });

  it('is renewed on one pod first, through which a login must succeed, then on the others, then in boot.ini', () => {
    const fleet = fleetWith(first);
    const former = bootFile(fleet);
    fleet.nowMs += 10_000;
    give(fleet, second);
    fleet.serverRefuses = (text) => (certFileOf(text) === former ? undefined : 'ServerUnreachable');
    for (let turn = 0; turn < 30 && told(fleet).every((file) => file === former); turn += 1) fleet.turn();
    assert.equal(told(fleet).filter((file) => file !== former).length, 1, 'more than one pod tried it');
    assert.equal(bootFile(fleet), former);
    assert.equal(stored(fleet).length, 4, 'the former files were taken from pods that name them');
    fleet.serverRefuses = () => undefined;
    fleet.settle();
    assert.equal(new Set([...told(fleet), bootFile(fleet)]).size, 1);
    assert.notEqual(bootFile(fleet), former);
    assert.equal(stored(fleet).length, 2);
    assert.equal(conditionOf(fleet, 'Ready')?.status, 'True');
  });

  it('goes back where the server refuses it through the pod that tries it', () => {
    const fleet = fleetWith(first);
    const former = bootFile(fleet);
    fleet.nowMs += 10_000;
    give(fleet, second);
    fleet.serverRefuses = (text) => (certFileOf(text) === former ? undefined : 'CertificateRefused');
    for (let turn = 0; turn < 30; turn += 1) {
      fleet.turn();
      fleet.nowMs += 1_000;
      if (fleet.pool.status?.refused !== undefined) break;
    }
    const { refused } = fleet.pool.status ?? {};
    assert.equal(refused?.setting, 'server login');
    assert.match(refused.message ?? '', /CertificateRefused/);
    turns(fleet, 10);
    assert.deepEqual(new Set(told(fleet)), new Set([former]));
  });

  it('is tried straight at the server before any pod is told, and a refusal there keeps it from all of them', () => {
    const fleet = fleetWith(first);
    const former = bootFile(fleet);
    assert.deepEqual(wantedTrials(fleet.observe()), []);
    give(fleet, second);
    const [wish] = wantedTrials(fleet.observe());
    assert.equal(wish?.user.name, 'orders_app');
    fleet.trials = [{ user: 'orders_app', database: 'orders_production', outcome: 'CertificateRefused' }];
    turns(fleet, 20);
    assert.deepEqual(new Set(told(fleet)), new Set([former]));
    const { reason, message } = conditionOf(fleet, 'ServerReachable') ?? {};
    assert.equal(reason, 'CertificateRefused');
    assert.match(message ?? '', /Check spec\.server\.tls\.certSecretRef/);
  });

  it('is shown by the operator’s own logins too, and another one calls for trial logins', () => {
    const fleet = fleetWith(first);
    const trust = serverTrust(fleet.observe());
    assert.deepEqual([trust.certPem, trust.keyPem?.reveal()], [first.certificate, first.key]);
    const former = serverHash(fleet.observe());
    give(fleet, second);
    assert.notEqual(serverHash(fleet.observe()), former);
    fleet.edit(serverWith());
    assert.notEqual(serverHash(fleet.observe()), former);
  });

  it('shows its key nowhere but in the mounted Secret', () => {
    const fleet = fleetWith(first);
    give(fleet, second);
    const body = (key: string): string => key.split('\n')[1] ?? '';
    for (let turn = 0; turn < 40; turn += 1) {
      const seen = fleet.observe();
      const { status, events, actions } = planPool(seen);
      const others = actions.filter((action) => !JSON.stringify(action).includes('"kind":"Secret"'));
      const words = JSON.stringify([status, events, others, previewPool(seen), serverTrust(seen).keyPem]);
      for (const { key } of [first, second]) {
        assert.ok(!words.includes(body(key)));
        assert.ok(!words.includes(Buffer.from(key).toString('base64').slice(0, 80)));
      }
      fleet.turn();
    }
    assert.equal(conditionOf(fleet, 'Ready')?.status, 'True');
  });

  it('is named by poolsmith plan where it changes, by its file', () => {
    const fleet = fleetWith(first);
    const former = bootFile(fleet);
    give(fleet, second);
    const line = previewPool(fleet.observe()).lines.find((text) => text.includes('server TLS'));
    assert.match(line ?? '', new RegExp(`RELOAD server TLS: require ${former} → require server-[0-9a-f]+\\.crt`));
  });

  const spoiled: readonly (readonly [string, (fleet: PaperFleet) => void, string])[] = [
    ['its Secret is removed', (fleet) => fleet.secrets.delete('orders-db-login'), 'SecretMissing'],
    ['its Secret is emptied', (fleet) => fleet.secrets.set('orders-db-login', secret({})), 'SecretKeyMissing'],
    [
      'the key is exchanged for another one',
      (fleet) => {
        give(fleet, { certificate: first.certificate, key: second.key });
      },
      'CertificateInvalid',
    ],
  ];
  for (const [what, spoil, reason] of spoiled) {
    it(`is gone on with when ${what}, by new pods and by the operator too`, () => {
      const fleet = fleetWith(first);
      const file = bootFile(fleet);
      spoil(fleet);
      turns(fleet, 20);
      assert.deepEqual(
        [conditionOf(fleet, 'Ready')?.reason, conditionOf(fleet, 'ConfigApplied')?.reason],
        [reason, reason],
      );
      fleet.kill(fleet.pods[0]?.name ?? '');
      turns(fleet, 30);
      assert.ok(fleet.pods.every(({ ready }) => ready));
      assert.deepEqual(new Set([...told(fleet), bootFile(fleet)]), new Set([file]));
      const trust = serverTrust(fleet.observe());
      assert.deepEqual([trust.certPem, trust.keyPem?.reveal()], [first.certificate, first.key]);
      assert.deepEqual(wantedTrials(fleet.observe()), []);
      give(fleet, first);
      fleet.settle();
      assert.equal(conditionOf(fleet, 'Ready')?.status, 'True');
    });
  }

  it('is told of before it expires and when it has, without holding up other changes', () => {
    const fleet = fleetWith(second);
    const says = (): string =>
      `${conditionOf(fleet, 'CertificatesValid')?.status} ${conditionOf(fleet, 'CertificatesValid')?.reason}`;
    assert.equal(says(), 'True CertificatesLast');
    const seen = fleet.observe();
    assert.deepEqual(
      certificatesInUse(seen, readProvedRecord(seen)).map(({ field }) => field),
      ['spec.server.tls.certSecretRef'],
    );
    fleet.nowMs += 77 * DAY_MS;
    fleet.settle();
    assert.equal(says(), 'False CertificateExpiring');
    fleet.nowMs += 14 * DAY_MS;
    fleet.edit({ pooler: { parameters: { query_wait_timeout: 7 } } });
    fleet.settle();
    assert.equal(says(), 'False CertificateExpired');
    assert.match(
      conditionOf(fleet, 'CertificatesValid')?.message ?? '',
      /spec\.server\.tls\.certSecretRef expired at 20.*A server that checks it refuses new connections/,
    );
    for (const { live } of fleet.pods) assert.match(live ?? '', /^query_wait_timeout = 7$/m);
    assert.equal(serverTrust(fleet.observe()).certPem, second.certificate);
    assert.equal(conditionOf(fleet, 'Ready')?.status, 'True');
  });

  it('is shown no more once the field is taken out, and its files go', () => {
    const fleet = fleetWith(first);
    fleet.edit(serverWith());
    assert.deepEqual(serverTrust(fleet.observe()), { mode: 'require' });
    assert.ok(wantedTrials(fleet.observe()).length > 0);
    fleet.settle();
    assert.deepEqual([...told(fleet), bootFile(fleet), ...stored(fleet)], [undefined, undefined, undefined, undefined]);
  });
});
