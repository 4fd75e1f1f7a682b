// The certificate that clients see: what a Secret must hold, and what is said of one that can't be used.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isoTime } from '../../src/model/iso-time.ts';
import type { SecretReading } from '../../src/model/observation.ts';
import { readPoolerCertificate } from '../../src/plan/policies/pooler-certificate.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { observation, poolConfig, secret } from '../support/observation.ts';

const DAY_MS = 86_400_000;

describe('the certificate that clients see', () => {
  let folder: string;
  let authority: Authority;
  let own: Certificate;
  let other: Certificate;
  const now = Date.now();

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pooler-certificate-'));
    authority = await makeAuthority(folder);
    own = await authority.issue({ commonName: 'pooler', hosts: ['shop-pooler'] });
    other = await authority.issue({ commonName: 'other' });
  });

  after(() => {
    rmSync(folder, { recursive: true });
  });

  function read(reading: SecretReading | undefined, nowMs = now, inUse?: string) {
    const pool = poolConfig({ pooler: { tls: { mode: 'require', certSecretRef: { name: 'shop-tls' } } } });
    const secrets = new Map(reading === undefined ? [] : [['shop-tls', reading]]);
    const tls = inUse === undefined ? undefined : { mode: 'require' as const, certFile: inUse, keyFile: '' };
    return readPoolerCertificate(observation(pool, { secrets, nowMs }), tls);
  }

  const pair = (certificate: string, key: string): SecretReading => secret({ 'tls.crt': certificate, 'tls.key': key });
  const keyOf = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });

  it('becomes two files that are named after their content', () => {
    const { certificate } = read(pair(own.certificate, own.key));
    assert.ok(certificate);
    const { tls, files } = certificate;
    assert.match(tls.certFile, /^client-[0-9a-f]{12}\.crt$/);
    assert.deepEqual([files.get(tls.certFile)?.reveal(), files.get(tls.keyFile)?.reveal()], [own.certificate, own.key]);
    assert.deepEqual([...files.keys()], [tls.certFile, tls.certFile.replace('.crt', '.key')]);
    assert.notEqual(read(pair(other.certificate, other.key)).certificate?.tls.certFile, tls.certFile);
  });

  it('is not looked for where there is no TLS', () => {
    for (const tls of [undefined, { mode: 'disable' as const }]) {
      const pool = poolConfig(tls === undefined ? {} : { pooler: { tls } });
      assert.deepEqual(readPoolerCertificate(observation(pool), undefined), { certificate: undefined });
    }
  });

  it('may bring those along that signed it, after itself', () => {
    assert.ok(read(pair(`${own.certificate}${authority.certificate}`, own.key)).certificate);
    const { finding } = read(pair(`${authority.certificate}${own.certificate}`, own.key));
    assert.match(finding?.message ?? '', /must stand first in "tls.crt"/);
  });

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
  for (const [what, reading, reason, words] of refused) {
    it(`is refused: ${what}`, () => {
      const { finding, certificate } = read(reading());
      assert.equal(certificate, undefined);
      assert.deepEqual([finding?.condition, finding?.reason, finding?.blocking], ['ConfigApplied', reason, true]);
      assert.match(finding?.message ?? '', words);
      assert.match(finding?.message ?? '', /^spec\.pooler\.tls\.certSecretRef: Secret shop-tls/);
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
    const inUse = read(good).certificate?.tls.certFile;
    assert.ok(read(good, later, inUse).certificate);
    assert.ok(read(pair(other.certificate, other.key), later, inUse).finding);
  });
});
