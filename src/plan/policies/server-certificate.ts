// Reads the CA that spec.server.tls names, or says why it can't be used.
import type { Reason } from '../../api/reasons.ts';
import { serverCa } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import { isoTime } from '../../model/iso-time.ts';
import type { Observation } from '../../model/observation.ts';
import { lastsUntilMs, readCertificates } from '../../model/pem.ts';
import type { SecretText } from '../../model/secret-text.ts';

/** The CA's text when the mode verifies; undefined when it needs none. */
export function readServerCa(observation: Observation): { ca: SecretText | undefined; finding: Finding | undefined } {
  const reference = serverCa(observation.pool);
  if (reference === undefined) return { ca: undefined, finding: undefined };
  const { secretName, key } = reference;
  const where = `spec.server.tls.caSecretRef: Secret ${secretName}`;
  const blocked = (reason: Reason, message: string): { ca: undefined; finding: Finding } => ({
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
      `${where} has no key "${key}". Add it, or set caSecretRef.key to the key it has.`,
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
