// The certificates that a fleet runs with, and how long each is good for: read from the mounted files, whatever became of the Secrets they came from.
import type { Reason } from '../api/conditions.ts';
import { isoTime } from '../model/iso-time.ts';
import type { Observation } from '../model/observation.ts';
import { lastsUntilMs, readCertificates } from '../model/pem.ts';
import { storedFiles } from './children.ts';
import type { ProvedRecord } from './proved-record.ts';

/** Field → what happens once its certificate has expired. */
const EFFECTS = {
  'spec.pooler.tls.certSecretRef': 'Clients that check it end the connection',
  'spec.pooler.tls.clientCaSecretRef': 'Clients that show a certificate are refused',
  'spec.server.tls.caSecretRef': 'No new connection to the server can be made',
  'spec.server.tls.certSecretRef': 'A server that checks it refuses new connections',
} as const;

export type CertificateInUse = {
  /** The field that it came from. */
  readonly field: keyof typeof EFFECTS;
  readonly fromMs: number;
  /** When it expires, in milliseconds since 1970. */
  readonly untilMs: number;
};

/** What was proved last names them; those of a configuration that is being tried come with it. */
export function certificatesInUse(
  observation: Observation,
  record: Pick<ProvedRecord, 'model'> | undefined,
): readonly CertificateInUse[] {
  const { data } = storedFiles(observation);
  const read = (field: CertificateInUse['field'], file: string | undefined): readonly CertificateInUse[] => {
    const text = file === undefined ? undefined : data[file];
    const certificates =
      text === undefined ? undefined : readCertificates(Buffer.from(text, 'base64').toString('utf8'));
    if (certificates === undefined || typeof certificates === 'string') return [];
    const [own] = certificates;
    const untilMs = field.endsWith('.certSecretRef') ? own.validToDate.getTime() : lastsUntilMs(certificates);
    return [{ field, fromMs: own.validFromDate.getTime(), untilMs }];
  };
  return [
    ...read('spec.pooler.tls.certSecretRef', record?.model.clientTls?.certFile),
    ...read('spec.pooler.tls.clientCaSecretRef', record?.model.clientTls?.caFile),
    ...read('spec.server.tls.caSecretRef', record?.model.serverTls.caFile),
    ...read('spec.server.tls.certSecretRef', record?.model.serverTls.certFile),
  ];
}

/** What renews certificates does so when a third of their life is left, or 30 days: later than this it has failed. */
const WARNED_MS = 14 * 86_400_000;
const WARNED_SHARE = 0.2;

export type CertificatesVerdict = {
  readonly status: 'True' | 'False';
  readonly reason: Extract<Reason, 'CertificatesLast' | 'CertificateExpiring' | 'CertificateExpired'>;
  readonly message: string;
};

/** Of the one that expires first; undefined where there is none. */
export function certificatesVerdict(
  certificates: readonly CertificateInUse[],
  nowMs: number,
): CertificatesVerdict | undefined {
  const [first] = certificates.toSorted((a, b) => a.untilMs - b.untilMs);
  if (first === undefined) return undefined;
  const { field, fromMs, untilMs } = first;
  const what = `The certificate of ${field}`;
  if (untilMs <= nowMs) {
    const effect = EFFECTS[field];
    return {
      status: 'False',
      reason: 'CertificateExpired',
      message: `${what} expired at ${isoTime(untilMs)}. ${effect}; put a new one into the Secret.`,
    };
  }
  if (untilMs - nowMs < Math.min(WARNED_MS, WARNED_SHARE * (untilMs - fromMs))) {
    return {
      status: 'False',
      reason: 'CertificateExpiring',
      message: `${what} expires at ${isoTime(untilMs)}, and nobody has renewed it. Put a new one into the Secret.`,
    };
  }
  return {
    status: 'True',
    reason: 'CertificatesLast',
    message: `The first to expire is that of ${field}, at ${isoTime(untilMs)}.`,
  };
}
