// A fleet that is given TLS towards its clients: files first, one pod first, proved by what clients are shown, and told before it expires.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Condition } from '../../src/api/poolconfig.gen.ts';
import { planPool } from '../../src/plan/plan.ts';
import { storedFiles } from '../../src/plan/children.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { secret } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const DAY_MS = 86_400_000;
const TLS = { tls: { mode: 'require', certSecretRef: { name: 'orders-tls' } } } as const;

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

  function give(fleet: PaperFleet, { certificate, key }: Pick<Certificate, 'certificate' | 'key'>): void {
    fleet.secrets.set('orders-tls', secret({ 'tls.crt': certificate, 'tls.key': key }));
  }

  function fleetWith(certificate: Certificate): PaperFleet {
    const fleet = new PaperFleet({ fleet: { replicas: 3 } });
    // Certificates are made now.
    fleet.nowMs = Date.now();
    give(fleet, certificate);
    fleet.edit({ pooler: TLS });
    fleet.settle();
    return fleet;
  }

  function turns(fleet: PaperFleet, count: number): void {
    for (let turn = 0; turn < count; turn += 1) fleet.turn();
  }

  const certFileOf = (text: string | undefined): string | undefined =>
    /^client_tls_cert_file = .*\/(.+)$/m.exec(text ?? '')?.[1];
  const told = (fleet: PaperFleet): readonly (string | undefined)[] => fleet.pods.map(({ live }) => certFileOf(live));
  const stored = (fleet: PaperFleet): readonly string[] =>
    [...storedFiles(fleet.observe()).names].filter((name) => name.startsWith('client-')).sort();
  const conditionOf = (fleet: PaperFleet, type: string): Condition | undefined =>
    fleet.pool.status?.conditions?.find((condition) => condition.type === type);
  const bootFile = (fleet: PaperFleet): string | undefined =>
    certFileOf((fleet.children.get('ConfigMap/orders-pooler')?.['data'] as Record<string, string>)['boot.ini']);

  it('changes nothing in a fleet without it: the files of a former release stay byte for byte', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    for (const { live } of fleet.pods) assert.doesNotMatch(live ?? '', /client_tls_(cert|key|protocols|ciphers)/);
  });

  it('is run from the first moment by a new fleet, and Ready says so only when clients are shown the certificate', () => {
    const fleet = new PaperFleet();
    fleet.nowMs = Date.now();
    give(fleet, first);
    fleet.edit({ pooler: TLS });
    for (let turn = 0; turn < 20 && fleet.pods.length === 0; turn += 1) fleet.turn();
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    turns(fleet, 30);
    assert.equal(conditionOf(fleet, 'Ready')?.status, 'False');
    fleet.showsAnother.clear();
    fleet.settle();
    assert.equal(conditionOf(fleet, 'Ready')?.status, 'True');
    assert.deepEqual([...new Set([...told(fleet), bootFile(fleet)])].length, 1);
    assert.equal(stored(fleet).length, 2);
  });

  it('is renewed on one pod first, whose clients must be shown the new one, then on the others, then in boot.ini', () => {
    const fleet = fleetWith(first);
    const former = bootFile(fleet);
    fleet.nowMs += 10_000;
    give(fleet, second);
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    turns(fleet, 20);
    assert.equal(told(fleet).filter((file) => file !== former).length, 1, 'more than one pod tried it');
    assert.equal(bootFile(fleet), former);
    assert.equal(stored(fleet).length, 4, 'the former files were taken from pods that name them');
    fleet.showsAnother.clear();
    fleet.settle();
    assert.equal(new Set([...told(fleet), bootFile(fleet)]).size, 1);
    assert.notEqual(bootFile(fleet), former);
    assert.deepEqual(
      stored(fleet).map((name) => name.replace(/\.(crt|key)$/, '')),
      [bootFile(fleet)?.replace('.crt', ''), bootFile(fleet)?.replace('.crt', '')],
    );
  });

  it('keeps the files of a certificate that is replaced while one pod tries it, for as long as that pod names them', () => {
    const fleet = fleetWith(first);
    const former = bootFile(fleet);
    fleet.nowMs += 10_000;
    give(fleet, second);
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    const tried = (): string | undefined => told(fleet).find((file) => file !== former);
    for (let turn = 0; turn < 30 && tried() === undefined; turn += 1) fleet.turn();
    const file = tried();
    assert.ok(file);
    give(fleet, first);
    while (told(fleet).includes(file)) {
      assert.ok(stored(fleet).includes(file));
      fleet.turn();
    }
    fleet.showsAnother.clear();
    fleet.settle();
    assert.deepEqual(stored(fleet), [former, former?.replace('.crt', '.key')]);
  });

  it('goes back where a pod goes on showing the former certificate', () => {
    const fleet = fleetWith(first);
    const former = bootFile(fleet);
    fleet.nowMs += 10_000;
    give(fleet, second);
    for (const { name } of fleet.pods) fleet.showsAnother.add(name);
    for (let turn = 0; turn < 40; turn += 1) {
      fleet.turn();
      fleet.nowMs += 1_000;
    }
    const { refused } = fleet.pool.status ?? {};
    assert.equal(refused?.setting, 'certificate');
    assert.deepEqual(new Set(told(fleet)), new Set([former]));
  });

  const spoiled: readonly (readonly [string, (fleet: PaperFleet) => void, string])[] = [
    ['its Secret is removed', (fleet) => fleet.secrets.delete('orders-tls'), 'SecretMissing'],
    ['its Secret is emptied', (fleet) => fleet.secrets.set('orders-tls', secret({})), 'SecretKeyMissing'],
    [
      'the key is exchanged for another one',
      (fleet) => {
        give(fleet, { certificate: first.certificate, key: second.key });
      },
      'CertificateInvalid',
    ],
  ];
  for (const [what, spoil, reason] of spoiled) {
    it(`goes on with what it has when ${what}, new pods too`, () => {
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
      assert.equal(stored(fleet).length, 2);
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
    assert.match(
      conditionOf(fleet, 'CertificatesValid')?.message ?? '',
      /spec\.pooler\.tls\.certSecretRef expired at 20/,
    );
    for (const { live } of fleet.pods) assert.match(live ?? '', /^query_wait_timeout = 7$/m);
    assert.equal(conditionOf(fleet, 'Ready')?.status, 'True');
  });

  it('has no condition in a fleet without certificates', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    assert.equal(conditionOf(fleet, 'CertificatesValid'), undefined);
  });
});
