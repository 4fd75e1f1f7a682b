// Turns what the monitor role and the trial logins met into conditions; each class of fault has one remedy.
import { monitorLogin, serverPort } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';
import type { ServerFault } from '../../model/server-view.ts';
import { QUARANTINE_MS } from '../gone-pods.ts';
import { readUsers } from './users-are-readable.ts';

/** Fault → what it means and what to do. No text of the server's own ever goes into a condition. */
const REMEDY = {
  ServerUnreachable: 'does not answer. Check spec.server.host and port, the network policy, and that PostgreSQL runs',
  PasswordRefused: 'refuses the password. Put the current password into the Secret',
  CertificateNotTrusted:
    'shows a certificate that the CA does not vouch for. Check spec.server.tls.caSecretRef and, with verify-full, that the certificate names the host',
  CertificateRefused:
    'asks for a certificate, or refuses the one that it is shown. Check spec.server.tls.certSecretRef: an authority of the server (ssl_ca_file) must have signed it, and it must not have expired',
  TlsNotOffered: 'offers no TLS. Switch ssl on there, or set spec.server.tls.mode to disable',
  DatabaseMissing: 'has no such database. Create it, or correct spec.databases[].database',
  TooManyConnections: 'has no connection left. Lower spec.budget or raise max_connections',
  LoginRefused: 'refuses the login (role or pg_hba.conf). Let the role log in from the pooler pods',
  VersionTooOld: 'is older than PostgreSQL 13, the oldest supported',
} as const satisfies Record<ServerFault, string>;

/** The reason of the closed table that stands for a fault. */
export const FAULT_REASON = {
  ServerUnreachable: 'ServerUnreachable',
  PasswordRefused: 'PasswordRefused',
  CertificateNotTrusted: 'CertificateNotTrusted',
  CertificateRefused: 'CertificateRefused',
  TlsNotOffered: 'TlsNotOffered',
  DatabaseMissing: 'DatabaseMissing',
  TooManyConnections: 'ServerAllowsLess',
  LoginRefused: 'LoginRefused',
  VersionTooOld: 'ServerVersionTooOld',
} as const satisfies Record<ServerFault, string>;

/** `secretName`: where the refused password came from, when that is known. */
export function faultMessage(observation: Observation, fault: ServerFault, who?: string, secretName?: string): string {
  const { pool } = observation;
  const login = who === undefined ? '' : ` (${who})`;
  const named = fault === 'PasswordRefused' && secretName !== undefined ? ` ${secretName}` : '';
  return `${pool.spec.server.host}:${serverPort(pool)}${login} ${REMEDY[fault]}${named}.`;
}

/**
 * The monitor's and the trials' findings, the most telling first. In a fleet that runs, a failed trial blocks: no pod is told what would fail
 * there too. A new fleet is built all the same and waits for its server.
 */
export function serverFindings(observation: Observation, fleetRuns: boolean): readonly Finding[] {
  const failed = observation.trials.filter((trial) => trial.outcome !== 'ok');
  const { users } = readUsers(observation);
  const findings: Finding[] = failed.map((trial) => {
    const fault = trial.outcome as ServerFault;
    return {
      condition: 'ServerReachable',
      reason: FAULT_REASON[fault],
      message: faultMessage(
        observation,
        fault,
        `user ${trial.user}, database ${trial.database}`,
        users.find((user) => user.name === trial.user)?.from,
      ),
      blocking: fleetRuns,
    };
  });
  const server = observation.server;
  if (server?.reachable === false) {
    findings.push({
      condition: 'ServerReachable',
      reason: FAULT_REASON[server.fault],
      message: faultMessage(observation, server.fault, 'monitor role', monitorLogin(observation.pool)?.secretName),
      blocking: false,
    });
  }
  if (server?.reachable === true && !server.seesOthers) {
    findings.push({
      condition: 'BudgetSatisfied',
      reason: 'MonitorLacksPrivilege',
      message: lacksPrivilege(observation),
      blocking: false,
    });
  }
  return findings;
}

function lacksPrivilege({ pool, secrets }: Observation): string {
  const login = monitorLogin(pool);
  const reading = secrets.get(login?.secretName ?? '');
  const role = reading?.state === 'present' ? reading.data.get(login?.usernameKey ?? '')?.reveal() : undefined;
  const named = `"${(role ?? '').replaceAll('"', '""')}"`;
  return `spec.server.monitorSecretRef: the role ${named} of Secret ${login?.secretName ?? ''} lacks the rights of pg_monitor: it is not a member of it, or does not inherit from it. So backends can't be counted, others' connections are not taken off the budget, and the share of a lost pod stays out of use for ${QUARANTINE_MS / 1000} s. Run: GRANT pg_monitor TO ${named}`;
}
