// The certificates that poolers show, to clients and to the server: what a Secret must hold, and what is said of one that can't be used.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isoTime } from '../../src/model/iso-time.ts';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import type { SecretReading } from '../../src/model/observation.ts';
import { readPoolerCertificate, readServerCertificate } from '../../src/plan/policies/own-certificates.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { observation, poolConfig, secret } from '../support/observation.ts';

const DAY_MS = 86_400_000;

describe('a certificate that poolers show', () => {
  let folder: string;
  let authority: Authority;
  let own: Certificate;
  let other: Certificate;
  const now = Date.now();

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'own-certificates-'));
    authority = await makeAuthority(folder);
    own = await authority.issue({ commonName: 'pooler', hosts: ['shop-pooler'] });
    other = await authority.issue({ commonName: 'other' });
  });

  after(() => {
    rmSync(folder, { recursive: true });
  });

  const pair = (certificate: string, key: string): SecretReading => secret({ 'tls.crt': certificate, 'tls.key': key });
  const keyOf = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });

  const FIELDS: readonly (readonly [
    field: string,
    prefix: string,
    read: typeof readPoolerCertificate,
    asked: Partial<PoolConfigSpec>,
    without: readonly Partial<PoolConfigSpec>[],
  ])[] = [
    [
      'spec.pooler.tls.certSecretRef',
      'client',
      readPoolerCertificate,
      { pooler: { tls: { mode: 'require', certSecretRef: { name: 'shop-tls' } } } },
      [{}, { pooler: { tls: { mode: 'disable' } } }],
    ],
    [
      'spec.server.tls.certSecretRef',
      'server',
      readServerCertificate,
      { server: { host: 'db.shop.svc', tls: { mode: 'require', certSecretRef: { name: 'shop-tls' } } } },
      [
        { server: { host: 'db.shop.svc', tls: { mode: 'require' } } },
        { server: { host: 'db.shop.svc', tls: { mode: 'disable', certSecretRef: { name: 'shop-tls' } } } },
      ],
    ],
  ];

  const refused: readonly (readonly [string, () => SecretReading | undefined, string, RegExp])[] = [
    ['a Secret that is missing', () => undefined, 'SecretMissing', /Secret shop-tls does not exist/],
    ['a Secret without a key', () => secret({ 'tls.crt': own.certificate }), 'SecretKeyMissing', /no key "tls\.key"/],
    ['a Secret without a certificate', () => secret({ 'tls.key': own.key }), 'SecretKeyMissing', /no key "tls\.crt"/],
    ['an empty certificate', () => pair('', own.key), 'CertificateInvalid', /"tls\.crt": holds no PEM certificate/],
    ['an empty key', () => pair(own.certificate, ''), 'CertificateInvalid', /"tls\.key": holds no PEM private key/],
    [
      'another’s key',
      () => pair(own.certificate, other.key),
      'CertificateInvalid',
      /does not belong to the certificate/,
    ],
    ['the two exchanged', () => pair(own.key, own.certificate), 'CertificateInvalid', /holds no PEM certificate/],
    [
      'garbage between the marks',
      () => pair('-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n', own.key),
      'CertificateInvalid',
      /not a certificate/,
    ],
    [
      'a certificate that is cut off',
      () => pair(own.certificate.slice(0, 200), own.key),
      'CertificateInvalid',
      /not a certificate/,
    ],
    [
      'garbage for a key',
      () => pair(own.certificate, '-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n'),
      'CertificateInvalid',
      /not a private key/,
    ],
    [
      'a key with a passphrase',
      () => pair(own.certificate, keyOf('pkcs8', '-topk8', '-in', own.keyFile, '-passout', 'pass:sesame')),
      'CertificateInvalid',
      /encrypted with a passphrase/,
    ],
    [
      'a small RSA key',
      () => {
        const keyFile = join(folder, 'small.key');
        const subject = ['-subj', '/CN=small', '-keyout', keyFile, '-days', '2'];
        const text = keyOf('req', '-x509', '-newkey', 'rsa:1024', '-nodes', ...subject);
        return pair(text, keyOf('rsa', '-in', keyFile));
      },
      'CertificateInvalid',
      /RSA key has 1024 bits; at least 2048/,
    ],
  ];

  for (const [field, prefix, readFrom, asked, without] of FIELDS) {
    const read = (reading: SecretReading | undefined, nowMs = now, inUse?: string) => {
      const secrets = new Map(reading === undefined ? [] : [['shop-tls', reading]]);
      return readFrom(observation(poolConfig(asked), { secrets, nowMs }), inUse);
    };

    describe(`of ${field}`, () => {
      it('becomes two files that are named after their content', () => {
        const { own: used } = read(pair(own.certificate, own.key));
        assert.ok(used);
        assert.match(used.certFile, new RegExp(`^${prefix}-[0-9a-f]{12}\\.crt$`));
        assert.equal(used.keyFile, used.certFile.replace('.crt', '.key'));
        assert.deepEqual([used.certificate.reveal(), used.key.reveal()], [own.certificate, own.key]);
        assert.notEqual(read(pair(other.certificate, other.key)).own?.certFile, used.certFile);
      });

      it('is not looked for where it is not asked for', () => {
        for (const spec of without)
          assert.deepEqual(readFrom(observation(poolConfig(spec)), undefined), { own: undefined, finding: undefined });
      });

      it('may bring those along that signed it, after itself', () => {
        assert.ok(read(pair(`${own.certificate}${authority.certificate}`, own.key)).own);
        const { finding } = read(pair(`${authority.certificate}${own.certificate}`, own.key));
        assert.match(finding?.message ?? '', /must stand first in "tls.crt"/);
      });

      for (const [what, reading, reason, words] of refused) {
        it(`is refused: ${what}`, () => {
          const { finding, own: used } = read(reading());
          assert.equal(used, undefined);
          assert.deepEqual([finding?.condition, finding?.reason, finding?.blocking], ['ConfigApplied', reason, true]);
          assert.match(finding?.message ?? '', words);
          assert.match(finding?.message ?? '', new RegExp(`^${field.replaceAll('.', '[.]')}: Secret shop-tls`));
          for (const key of [own.key, other.key]) assert.ok(!(finding?.message ?? '').includes(key.slice(40, 80)));
        });
      }

      it('is refused when it has expired or is not valid yet, but not while the fleet runs with it', () => {
        const later = now + 3 * DAY_MS;
        const good = pair(own.certificate, own.key);
        assert.match(
          read(good, later).finding?.message ?? '',
          new RegExp(`expired on ${isoTime(now + 2 * DAY_MS).slice(0, 10)}`),
        );
        assert.match(read(good, now - DAY_MS).finding?.message ?? '', /is not valid before/);
        const inUse = read(good).own?.certFile;
        assert.ok(read(good, later, inUse).own);
        assert.ok(read(pair(other.certificate, other.key), later, inUse).finding);
      });
    });
  }
});
