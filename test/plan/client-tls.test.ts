// A fleet that is given TLS towards its clients: files first, one pod first, proved by what clients are shown, and told before it expires.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planPool } from '../../src/plan/plan.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { secret } from '../support/observation.ts';
import { CertifiedFleet, type CertificateUse } from '../support/certified-fleet.ts';

const DAY_MS = 86_400_000;
const TLS = { tls: { mode: 'require', certSecretRef: { name: 'orders-tls' } } } as const;
const USE: CertificateUse = {
  spec: { pooler: TLS },
  secretName: 'orders-tls',
  line: 'client_tls_cert_file',
  prefix: 'client-',
};

describe('TLS towards clients', () => {
  let folder: string;
  let authority: Authority;
  let first: Certificate;
  let second: Certificate;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'client-tls-'));
    authority = await makeAuthority(folder);
    first = await authority.issue({ commonName: 'pooler' });
    second = await authority.issue({ commonName: 'pooler', days: 90 });
  });

  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('changes nothing in a fleet without it: the files of a former release stay byte for byte', () => {
    const fleet = new CertifiedFleet(USE);
    fleet.settle();
    for (const { live } of fleet.pods) assert.doesNotMatch(live ?? '', /client_tls_(cert|key|protocols|ciphers)/);
  });

  it('is run from the first moment by a new fleet, and Ready says so only when clients are shown the certificate', () => {
    const fleet = new CertifiedFleet(USE);
    fleet.nowMs = Date.now();
    fleet.give(first);
    fleet.edit({ pooler: TLS });
    for (let turn = 0; turn < 20 && fleet.pods.length === 0; turn += 1) fleet.turn();
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    fleet.take(30);
    assert.equal(fleet.condition('Ready')?.status, 'False');
    fleet.showsAnother.clear();
    fleet.settle();
    assert.equal(fleet.condition('Ready')?.status, 'True');
    assert.deepEqual([...new Set([...fleet.told(), fleet.bootFile()])].length, 1);
    assert.equal(fleet.stored().length, 2);
  });

  it('is renewed on one pod first, whose clients must be shown the new one, then on the others, then in boot.ini', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const former = fleet.bootFile();
    fleet.nowMs += 10_000;
    fleet.give(second);
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    fleet.take(20);
    assert.equal(fleet.told().filter((file) => file !== former).length, 1, 'more than one pod tried it');
    assert.equal(fleet.bootFile(), former);
    assert.equal(fleet.stored().length, 4, 'the former files were taken from pods that name them');
    fleet.showsAnother.clear();
    fleet.settle();
    assert.equal(new Set([...fleet.told(), fleet.bootFile()]).size, 1);
    assert.notEqual(fleet.bootFile(), former);
    assert.deepEqual(
      fleet.stored().map((name) => name.replace(/\.(crt|key)$/, '')),
      [fleet.bootFile()?.replace('.crt', ''), fleet.bootFile()?.replace('.crt', '')],
    );
  });

  it('keeps the files of a certificate that is replaced while one pod tries it, for as long as that pod names them', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const former = fleet.bootFile();
    fleet.nowMs += 10_000;
    fleet.give(second);
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    const tried = (): string | undefined => fleet.told().find((file) => file !== former);
    for (let turn = 0; turn < 30 && tried() === undefined; turn += 1) fleet.turn();
    const file = tried();
    assert.ok(file);
    fleet.give(first);
    while (fleet.told().includes(file)) {
      assert.ok(fleet.stored().includes(file));
      fleet.turn();
    }
    fleet.showsAnother.clear();
    fleet.settle();
    assert.deepEqual(fleet.stored(), [former, former?.replace('.crt', '.key')]);
  });

  it('goes back where a pod goes on showing the former certificate', () => {
    const fleet = CertifiedFleet.settled(USE, first);
    const former = fleet.bootFile();
    fleet.nowMs += 10_000;
    fleet.give(second);
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    for (let turn = 0; turn < 40; turn += 1) {
      fleet.turn();
      fleet.nowMs += 1_000;
    }
    const { refused } = fleet.pool.status ?? {};
    assert.equal(refused?.setting, 'certificate');
    assert.deepEqual(new Set(fleet.told()), new Set([former]));
  });

  const spoiled: readonly (readonly [string, (fleet: CertifiedFleet) => void, string])[] = [
    ['its Secret is removed', (fleet) => fleet.secrets.delete('orders-tls'), 'SecretMissing'],
    ['its Secret is emptied', (fleet) => fleet.secrets.set('orders-tls', secret({})), 'SecretKeyMissing'],
    [
      'the key is exchanged for another one',
      (fleet) => {
        fleet.give({ certificate: first.certificate, key: second.key });
      },
      'CertificateInvalid',
    ],
  ];
  for (const [what, spoil, reason] of spoiled) {
    it(`goes on with what it has when ${what}, new pods too`, () => {
      const fleet = CertifiedFleet.settled(USE, first);
      const file = fleet.bootFile();
      spoil(fleet);
      fleet.take(20);
      assert.deepEqual([fleet.condition('Ready')?.reason, fleet.condition('ConfigApplied')?.reason], [reason, reason]);
      fleet.kill(fleet.pods[0]?.name ?? '');
      fleet.take(30);
      assert.ok(fleet.pods.every(({ ready }) => ready));
      assert.deepEqual(new Set([...fleet.told(), fleet.bootFile()]), new Set([file]));
      assert.equal(fleet.stored().length, 2);
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
    fleet.nowMs += 77 * DAY_MS;
    const { events } = planPool(fleet.observe());
    assert.deepEqual(
      events.filter(({ reason }) => reason === 'CertificateExpiring').map(({ type }) => type),
      ['Warning'],
    );
    fleet.settle();
    assert.equal(says(), 'False CertificateExpiring');
    fleet.nowMs += 14 * DAY_MS;
    fleet.edit({ pooler: { ...TLS, parameters: { query_wait_timeout: 7 } } });
    fleet.settle();
    assert.equal(says(), 'False CertificateExpired');
    assert.match(fleet.condition('CertificatesValid')?.message ?? '', /spec\.pooler\.tls\.certSecretRef expired at 20/);
    for (const { live } of fleet.pods) assert.match(live ?? '', /^query_wait_timeout = 7$/m);
    assert.equal(fleet.condition('Ready')?.status, 'True');
  });

  it('has no condition in a fleet without certificates', () => {
    const fleet = new CertifiedFleet(USE);
    fleet.settle();
    assert.equal(fleet.condition('CertificatesValid'), undefined);
  });
});
