// Says why the Secret of the monitor role can't be used; without it the fleet would silently be sized and verified blindly.
import { monitorLogin } from '../../api/poolconfig.ts';
import type { Reason } from '../../api/reasons.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';

export function monitorFinding({ pool, secrets }: Observation): Finding | undefined {
  const login = monitorLogin(pool);
  if (login === undefined) return undefined;
  const where = `spec.server.monitorSecretRef: Secret ${login.secretName}`;
  const blocked = (reason: Reason, message: string): Finding => ({
    condition: 'ConfigApplied',
    reason,
    message: `${where} ${message}`,
    blocking: true,
  });
  const reading = secrets.get(login.secretName);
  if (reading?.state !== 'present') {
    return blocked('SecretMissing', 'does not exist in this namespace. Create it, or name another one.');
  }
  const missing = [login.usernameKey, login.passwordKey].find((key) => !reading.data.has(key));
  if (missing === undefined) return undefined;
  return blocked(
    'SecretKeyMissing',
    `has no key "${missing}". Add it, or set usernameKey and passwordKey to the keys it has.`,
  );
}
