// Reads the CA that spec.server.tls names, or says why it can't be used.
import { X509Certificate } from 'node:crypto';
import type { Reason } from '../../api/reasons.ts';
import { serverCa } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';
import type { SecretText } from '../../model/secret-text.ts';

/** Up to the next mark of any kind, so that a block without its end is one of them, and is refused below. */
const BLOCK = /-----BEGIN CERTIFICATE-----(?:(?!-----)[^])*(?:-----END CERTIFICATE-----)?/g;

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
  const problem = certificateProblem(ca.reveal(), observation.nowMs);
  if (problem !== undefined) return blocked('CertificateInvalid', `${where}, key "${key}": ${problem}`);
  return { ca, finding: undefined };
}

function certificateProblem(text: string, nowMs: number): string | undefined {
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length === 0) return 'holds no PEM certificate (-----BEGIN CERTIFICATE-----).';
  const ends: Date[] = [];
  for (const block of blocks) {
    try {
      ends.push(new X509Certificate(block).validToDate);
    } catch {
      return 'holds a PEM block that is not a certificate.';
    }
  }
  // One authority is often replaced by two in one file, of which the former may have expired meanwhile.
  const [last] = ends.sort((x, y) => y.getTime() - x.getTime());
  if (last !== undefined && last.getTime() < nowMs) return `the certificate expired on ${last.toISOString()}.`;
  return undefined;
}
