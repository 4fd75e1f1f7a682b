// Reads the certificate that clients see, which spec.pooler.tls names, or says why it can't be used.
import type { KeyObject, X509Certificate } from 'node:crypto';
import type { Reason } from '../../api/reasons.ts';
import { poolerTls } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import { contentHash } from '../../model/canonical.ts';
import { isoTime } from '../../model/iso-time.ts';
import type { Observation } from '../../model/observation.ts';
import { readCertificates, readPrivateKey } from '../../model/pem.ts';
import type { ClientTls } from '../../model/pooler-model.ts';
import type { SecretText } from '../../model/secret-text.ts';

/** Keys of a Secret of type kubernetes.io/tls. */
const CERTIFICATE_KEY = 'tls.crt';
const PRIVATE_KEY = 'tls.key';
/** OpenSSL of today refuses smaller ones at its usual security level. */
const LEAST_RSA_BITS = 2048;
/** Whoever issues certificates has a clock of their own. */
const CLOCK_SKEW_MS = 300_000;

export type PoolerCertificate = {
  readonly tls: ClientTls;
  readonly files: ReadonlyMap<string, SecretText>;
};

export type PoolerCertificateReading =
  | { readonly certificate: PoolerCertificate | undefined; readonly finding?: never }
  | { readonly certificate?: never; readonly finding: Finding };

/** `inUse`: what the fleet runs with. That it expires there is told by a condition of its own, and holds up no other change. */
export function readPoolerCertificate(
  observation: Observation,
  inUse: ClientTls | undefined,
): PoolerCertificateReading {
  const wanted = poolerTls(observation.pool);
  if (wanted === undefined) return { certificate: undefined };
  const { mode, secretName } = wanted;
  const where = `spec.pooler.tls.certSecretRef: Secret ${secretName}`;
  const refuse = (reason: Reason, message: string): PoolerCertificateReading => ({
    finding: { condition: 'ConfigApplied', reason, message, blocking: true },
  });
  const reading = observation.secrets.get(secretName);
  if (reading?.state !== 'present')
    return refuse('SecretMissing', `${where} does not exist in this namespace. Create it, or name another one.`);
  const [certificateText, keyText] = [reading.data.get(CERTIFICATE_KEY), reading.data.get(PRIVATE_KEY)];
  if (certificateText === undefined || keyText === undefined) {
    const missing = certificateText === undefined ? CERTIFICATE_KEY : PRIVATE_KEY;
    return refuse('SecretKeyMissing', `${where} has no key "${missing}". A Secret of type kubernetes.io/tls has both.`);
  }
  const certificates = readCertificates(certificateText.reveal());
  if (typeof certificates === 'string')
    return refuse('CertificateInvalid', `${where}, key "${CERTIFICATE_KEY}": ${certificates}`);
  const key = readPrivateKey(keyText.reveal());
  if (typeof key === 'string') return refuse('CertificateInvalid', `${where}, key "${PRIVATE_KEY}": ${key}`);
  const name = `client-${contentHash([certificateText.reveal(), keyText.reveal()])}`;
  const tls: ClientTls = { mode, certFile: `${name}.crt`, keyFile: `${name}.key` };
  const problem =
    pairProblem(certificates, key) ??
    (tls.certFile === inUse?.certFile ? undefined : timeProblem(certificates[0], observation.nowMs));
  if (problem !== undefined) return refuse('CertificateInvalid', `${where}: ${problem}`);
  return {
    certificate: {
      tls,
      files: new Map([
        [tls.certFile, certificateText],
        [tls.keyFile, keyText],
      ]),
    },
  };
}

function pairProblem(
  certificates: readonly [X509Certificate, ...X509Certificate[]],
  key: KeyObject,
): string | undefined {
  const [own, ...issuers] = certificates;
  if (!own.checkPrivateKey(key)) {
    return issuers.some((issuer) => issuer.checkPrivateKey(key))
      ? `the certificate that belongs to the key must stand first in "${CERTIFICATE_KEY}", before those that signed it.`
      : `the key in "${PRIVATE_KEY}" does not belong to the certificate in "${CERTIFICATE_KEY}".`;
  }
  const bits = key.asymmetricKeyType === 'rsa' ? key.asymmetricKeyDetails?.modulusLength : undefined;
  return bits !== undefined && bits < LEAST_RSA_BITS
    ? `its RSA key has ${bits} bits; at least ${LEAST_RSA_BITS} are needed.`
    : undefined;
}

function timeProblem({ validFromDate, validToDate }: X509Certificate, nowMs: number): string | undefined {
  if (validToDate.getTime() < nowMs) return `the certificate expired on ${isoTime(validToDate.getTime())}.`;
  if (validFromDate.getTime() > nowMs + CLOCK_SKEW_MS)
    return `the certificate is not valid before ${isoTime(validFromDate.getTime())}.`;
  return undefined;
}
