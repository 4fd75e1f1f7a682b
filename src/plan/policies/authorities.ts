// Reads the authorities that vouch for the server and for clients, or says why one can't be used.
import type { Reason } from '../../api/reasons.ts';
import { clientCa, serverCa } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import { isoTime } from '../../model/iso-time.ts';
import type { Observation } from '../../model/observation.ts';
import { lastsUntilMs, readCertificates } from '../../model/pem.ts';
import type { SecretText } from '../../model/secret-text.ts';

export type AuthorityReading = { readonly ca: SecretText | undefined; readonly finding: Finding | undefined };

/** The CA's text when the mode verifies; undefined when it needs none. */
export function readServerCa(observation: Observation): AuthorityReading {
  return readAuthority(observation, 'spec.server.tls.caSecretRef', serverCa(observation.pool));
}

/** Undefined where clients show no certificates. */
export function readClientCa(observation: Observation): AuthorityReading {
  return readAuthority(observation, 'spec.pooler.tls.clientCaSecretRef', clientCa(observation.pool));
}

function readAuthority(
  observation: Observation,
  field: string,
  reference: { readonly secretName: string; readonly key: string } | undefined,
): AuthorityReading {
  if (reference === undefined) return { ca: undefined, finding: undefined };
  const { secretName, key } = reference;
  const where = `${field}: Secret ${secretName}`;
  const blocked = (reason: Reason, message: string): AuthorityReading => ({
    ca: undefined,
    finding: { condition: 'ConfigApplied', reason, message, blocking: true },
  });
  const reading = observation.secrets.get(secretName);
  if (reading?.state !== 'present') {
    return blocked('SecretMissing', `${where} does not exist in this namespace. Create it, or name another one.`);
  }
  const ca = reading.data.get(key);
  if (ca === undefined) {
    return blocked(
      'SecretKeyMissing',
      `${where} has no key "${key}". Add it, or set ${field.replace(/.*[.]/, '')}.key to the key it has.`,
    );
  }
  const problem = authorityProblem(ca.reveal(), observation.nowMs);
  if (problem !== undefined) return blocked('CertificateInvalid', `${where}, key "${key}": ${problem}`);
  return { ca, finding: undefined };
}

function authorityProblem(text: string, nowMs: number): string | undefined {
  const certificates = readCertificates(text);
  if (typeof certificates === 'string') return certificates;
  const untilMs = lastsUntilMs(certificates);
  return untilMs < nowMs ? `the certificate expired on ${isoTime(untilMs)}.` : undefined;
}
