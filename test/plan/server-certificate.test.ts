// A fleet that shows PostgreSQL a certificate: tried straight at the server, then on one pod, proved by a login, and renewed like everything else.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { certificatesInUse } from '../../src/plan/certificates.ts';
import { planPool } from '../../src/plan/plan.ts';
import { previewPool } from '../../src/plan/preview.ts';
import { readProvedRecord } from '../../src/plan/proved-record.ts';
import { serverHash, wantedTrials } from '../../src/plan/server-hash.ts';
import { serverTrust } from '../../src/plan/server-trust.ts';
import { makeAuthority, type Certificate } from '../support/certificates.ts';
import { secret } from '../support/observation.ts';
import { CertifiedFleet, type CertificateUse } from '../support/certified-fleet.ts';

const DAY_MS = 86_400_000;
const serverWith = (certSecretRef?: { name: string }): Pick<PoolConfigSpec, 'server'> => ({
  server: {
    ...{ host: 'db.shop.svc', port: 5432 },
    tls: { mode: 'require', ...(certSecretRef === undefined ? {} : { certSecretRef }) },
  },
});
const ASKED = serverWith({ name: 'orders-db-login' });
const USE: CertificateUse = {
  spec: ASKED,
  secretName: 'orders-db-login',
  line: 'server_tls_cert_file',
  prefix: 'server-',
};

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

  it('changes nothing in a fleet without it: the files of a former release stay byte for byte', () => {
    const fleet = new CertifiedFleet(USE, serverWith());
    fleet.settle();
    for (const { live } of fleet.pods) {
      assert.deepEqual(live?.match(/^server_tls_.*$/gm), [
        'server_tls_sslmode = require',
        'server_tls_ca_file = ',
        'server_tls_protocols = secure',
      ]);
    }
    assert.deepEqual(fleet.stored(), []);
    assert.deepEqual(serverTrust(fleet.observe()), { mode: 'require' });
  });

  it('is written with its key, above all that a user can set, and named alike in every pod and in boot.ini', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const file = fleet.bootFile();
    assert.ok(file);
    assert.deepEqual(new Set(fleet.told()), new Set([file]));
    assert.deepEqual(fleet.stored(), [file, file.replace('.crt', '.key')]);
    const lines = fleet.pods[0]?.live?.split('\n') ?? [];
    const place = (name: string): number => lines.findIndex((line) => line.startsWith(`${name} = `));
    assert.ok(place('server_tls_sslmode') < place('server_tls_cert_file'));
    assert.equal(place('server_tls_key_file'), place('server_tls_cert_file') + 1);
    assert.ok(place('server_tls_key_file') < place('max_client_conn'));
  });

  it('is renewed on one pod first, through which a login must succeed, then on the others, then in boot.ini', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const former = fleet.bootFile();
    fleet.nowMs += 10_000;
    fleet.give(second);
    fleet.serverRefuses = (text) => (fleet.fileIn(text) === former ? undefined : 'ServerUnreachable');
    for (let turn = 0; turn < 30 && fleet.told().every((file) => file === former); turn += 1) fleet.turn();
    assert.equal(fleet.told().filter((file) => file !== former).length, 1, 'more than one pod tried it');
    assert.equal(fleet.bootFile(), former);
    assert.equal(fleet.stored().length, 4, 'the former files were taken from pods that name them');
    fleet.serverRefuses = () => undefined;
    fleet.settle();
    assert.equal(new Set([...fleet.told(), fleet.bootFile()]).size, 1);
    assert.notEqual(fleet.bootFile(), former);
    assert.equal(fleet.stored().length, 2);
    assert.equal(fleet.condition('Ready')?.status, 'True');
  });

  it('goes back where the server refuses it through the pod that tries it', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const former = fleet.bootFile();
    fleet.nowMs += 10_000;
    fleet.give(second);
    fleet.serverRefuses = (text) => (fleet.fileIn(text) === former ? undefined : 'CertificateRefused');
    for (let turn = 0; turn < 30; turn += 1) {
      fleet.turn();
      fleet.nowMs += 1_000;
      if (fleet.pool.status?.refused !== undefined) break;
    }
    const { refused } = fleet.pool.status ?? {};
    assert.equal(refused?.setting, 'server login');
    assert.match(refused.message ?? '', /CertificateRefused/);
    fleet.take(10);
    assert.deepEqual(new Set(fleet.told()), new Set([former]));
  });

  it('is tried straight at the server before any pod is told, and a refusal there keeps it from all of them', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const former = fleet.bootFile();
    assert.deepEqual(wantedTrials(fleet.observe()), []);
    fleet.give(second);
    const [wish] = wantedTrials(fleet.observe());
    assert.equal(wish?.user.name, 'orders_app');
    fleet.trials = [{ user: 'orders_app', database: 'orders_production', outcome: 'CertificateRefused' }];
    fleet.take(20);
    assert.deepEqual(new Set(fleet.told()), new Set([former]));
    const { reason, message } = fleet.condition('ServerReachable') ?? {};
    assert.equal(reason, 'CertificateRefused');
    assert.match(message ?? '', /Check spec\.server\.tls\.certSecretRef/);
  });

  it('is shown by the operator’s own logins too, and another one calls for trial logins', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const trust = serverTrust(fleet.observe());
    assert.deepEqual([trust.certPem, trust.keyPem?.reveal()], [first.certificate, first.key]);
    const former = serverHash(fleet.observe());
    fleet.give(second);
    assert.notEqual(serverHash(fleet.observe()), former);
    fleet.edit(serverWith());
    assert.notEqual(serverHash(fleet.observe()), former);
  });

  it('shows its key nowhere but in the mounted Secret', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    fleet.give(second);
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
    assert.equal(fleet.condition('Ready')?.status, 'True');
  });

  it('is named by poolsmith plan where it changes, by its file', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const former = fleet.bootFile();
    fleet.give(second);
    const line = previewPool(fleet.observe()).lines.find((text) => text.includes('server TLS'));
    assert.match(line ?? '', new RegExp(`RELOAD server TLS: require ${former} → require server-[0-9a-f]+\\.crt`));
  });

  const spoiled: readonly (readonly [string, (fleet: CertifiedFleet) => void, string])[] = [
    ['its Secret is removed', (fleet) => fleet.secrets.delete('orders-db-login'), 'SecretMissing'],
    ['its Secret is emptied', (fleet) => fleet.secrets.set('orders-db-login', secret({})), 'SecretKeyMissing'],
    [
      'the key is exchanged for another one',
      (fleet) => {
        fleet.give({ certificate: first.certificate, key: second.key });
      },
      'CertificateInvalid',
    ],
  ];
  for (const [what, spoil, reason] of spoiled) {
    it(`is gone on with when ${what}, by new pods and by the operator too`, () => {
      const fleet = CertifiedFleet.settled(USE, first);
      const file = fleet.bootFile();
      spoil(fleet);
      fleet.take(20);
      assert.deepEqual([fleet.condition('Ready')?.reason, fleet.condition('ConfigApplied')?.reason], [reason, reason]);
      fleet.kill(fleet.pods[0]?.name ?? '');
      fleet.take(30);
      assert.ok(fleet.pods.every(({ ready }) => ready));
      assert.deepEqual(new Set([...fleet.told(), fleet.bootFile()]), new Set([file]));
      const trust = serverTrust(fleet.observe());
      assert.deepEqual([trust.certPem, trust.keyPem?.reveal()], [first.certificate, first.key]);
      assert.deepEqual(wantedTrials(fleet.observe()), []);
      fleet.give(first);
      fleet.settle();
      assert.equal(fleet.condition('Ready')?.status, 'True');
    });
  }

  it('is told of before it expires and when it has, without holding up other changes', () => {
    const fleet = CertifiedFleet.settled(USE, second);
    const says = (): string =>
      `${fleet.condition('CertificatesValid')?.status} ${fleet.condition('CertificatesValid')?.reason}`;
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
      fleet.condition('CertificatesValid')?.message ?? '',
      /spec\.server\.tls\.certSecretRef expired at 20.*A server that checks it refuses new connections/,
    );
    for (const { live } of fleet.pods) assert.match(live ?? '', /^query_wait_timeout = 7$/m);
    assert.equal(serverTrust(fleet.observe()).certPem, second.certificate);
    assert.equal(fleet.condition('Ready')?.status, 'True');
  });

  it('is shown no more once the field is taken out, and its files go', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    fleet.edit(serverWith());
    assert.deepEqual(serverTrust(fleet.observe()), { mode: 'require' });
    assert.ok(wantedTrials(fleet.observe()).length > 0);
    fleet.settle();
    assert.deepEqual(
      [...fleet.told(), fleet.bootFile(), ...fleet.stored()],
      [undefined, undefined, undefined, undefined],
    );
  });
});
