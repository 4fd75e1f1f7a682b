// Reads the certificates that the poolers show, to clients and to the server, or says why one can't be used.
import type { KeyObject, X509Certificate } from 'node:crypto';
import type { Reason } from '../../api/reasons.ts';
import { poolerTls, serverCertSecret } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import { contentHash } from '../../model/canonical.ts';
import { isoTime } from '../../model/iso-time.ts';
import type { Observation } from '../../model/observation.ts';
import { readCertificates, readPrivateKey } from '../../model/pem.ts';
import type { SecretText } from '../../model/secret-text.ts';

/** Keys of a Secret of type kubernetes.io/tls. */
const CERTIFICATE_KEY = 'tls.crt';
const PRIVATE_KEY = 'tls.key';
/** OpenSSL of today refuses smaller ones at its usual security level. */
const LEAST_RSA_BITS = 2048;
/** Whoever issues certificates has a clock of their own. */
const CLOCK_SKEW_MS = 300_000;

/** A certificate and its key, with the file names that their content gives them. */
export type OwnCertificate = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly certificate: SecretText;
  readonly key: SecretText;
};

export type OwnCertificateReading = {
  readonly own: OwnCertificate | undefined;
  readonly finding: Finding | undefined;
};

type Wanted = { readonly field: string; readonly prefix: string; readonly secretName: string };
type Pair = OwnCertificate & { readonly first: X509Certificate };
type PairReading = { readonly pair: Pair } | { readonly finding: Finding };

/**
 * What clients are shown; `inUse`: the certificate's file that the fleet runs with. That it expires there is told by a condition of its own, and
 * holds up no other change.
 */
export function readPoolerCertificate(observation: Observation, inUse: string | undefined): OwnCertificateReading {
  const secretName = poolerTls(observation.pool)?.secretName;
  if (secretName === undefined) return { own: undefined, finding: undefined };
  return readTimely(observation, { field: 'spec.pooler.tls.certSecretRef', prefix: 'client', secretName }, inUse);
}

/** What PostgreSQL is shown; `inUse` as above. */
export function readServerCertificate(observation: Observation, inUse: string | undefined): OwnCertificateReading {
  const wanted = towardsServer(observation);
  return wanted === undefined ? { own: undefined, finding: undefined } : readTimely(observation, wanted, inUse);
}

/** What PostgreSQL is shown, whether its time has come, has passed, or not; undefined where there is none that could be shown. */
export function serverCertificateAtAnyTime(observation: Observation): OwnCertificate | undefined {
  const wanted = towardsServer(observation);
  const reading = wanted === undefined ? undefined : readPair(observation, wanted);
  return reading !== undefined && 'pair' in reading ? reading.pair : undefined;
}

function towardsServer({ pool }: Observation): Wanted | undefined {
  const secretName = serverCertSecret(pool);
  return secretName === undefined
    ? undefined
    : { field: 'spec.server.tls.certSecretRef', prefix: 'server', secretName };
}

function readTimely(observation: Observation, wanted: Wanted, inUse: string | undefined): OwnCertificateReading {
  const reading = readPair(observation, wanted);
  if ('finding' in reading) return { own: undefined, finding: reading.finding };
  const { first, ...own } = reading.pair;
  const problem = own.certFile === inUse ? undefined : timeProblem(first, observation.nowMs);
  return problem === undefined
    ? { own, finding: undefined }
    : { own: undefined, finding: refusal('CertificateInvalid', `${placeOf(wanted)}: ${problem}`) };
}

function readPair(observation: Observation, wanted: Wanted): PairReading {
  const where = placeOf(wanted);
  const refuse = (reason: Reason, message: string): PairReading => ({ finding: refusal(reason, message) });
  const reading = observation.secrets.get(wanted.secretName);
  if (reading?.state !== 'present')
    return refuse('SecretMissing', `${where} does not exist in this namespace. Create it, or name another one.`);
  const [certificate, key] = [reading.data.get(CERTIFICATE_KEY), reading.data.get(PRIVATE_KEY)];
  if (certificate === undefined || key === undefined) {
    const missing = certificate === undefined ? CERTIFICATE_KEY : PRIVATE_KEY;
    return refuse('SecretKeyMissing', `${where} has no key "${missing}". A Secret of type kubernetes.io/tls has both.`);
  }
  const certificates = readCertificates(certificate.reveal());
  if (typeof certificates === 'string')
    return refuse('CertificateInvalid', `${where}, key "${CERTIFICATE_KEY}": ${certificates}`);
  const privateKey = readPrivateKey(key.reveal());
  if (typeof privateKey === 'string')
    return refuse('CertificateInvalid', `${where}, key "${PRIVATE_KEY}": ${privateKey}`);
  const problem = pairProblem(certificates, privateKey);
  if (problem !== undefined) return refuse('CertificateInvalid', `${where}: ${problem}`);
  const name = `${wanted.prefix}-${contentHash([certificate.reveal(), key.reveal()])}`;
  return { pair: { certFile: `${name}.crt`, keyFile: `${name}.key`, certificate, key, first: certificates[0] } };
}

function placeOf({ field, secretName }: Wanted): string {
  return `${field}: Secret ${secretName}`;
}

function refusal(reason: Reason, message: string): Finding {
  return { condition: 'ConfigApplied', reason, message, blocking: true };
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
