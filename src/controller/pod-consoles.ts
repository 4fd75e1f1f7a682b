// The admin console of each pod, as it is kept: by pod, address and password.
import { contentHash } from '../model/canonical.ts';
import { POOLER_PORT } from '../model/names.ts';
import type { OperatorCredentials, PodFacts } from '../model/observation.ts';
import { ADMIN_USER } from '../model/reserved-names.ts';
import type { PoolerConsole } from '../pgbouncer/console.ts';
import { consoleKey, type PoolerConsoles } from '../pgbouncer/consoles.ts';

/** The kept console of a pod; another password is another console. */
export function consoleKeyOf({ uid, ip = '' }: Pick<PodFacts, 'uid' | 'ip'>, credentials: OperatorCredentials): string {
  return consoleKey({ podUid: uid, ip, passwordVersion: contentHash(credentials.adminPassword.reveal()) });
}

export function consoleOf(
  consoles: PoolerConsoles,
  pod: Pick<PodFacts, 'uid' | 'ip'>,
  credentials: OperatorCredentials,
): PoolerConsole {
  const ip = pod.ip ?? '';
  const key = consoleKeyOf(pod, credentials);
  return consoles.get(key, {
    address: { host: ip, port: POOLER_PORT },
    user: ADMIN_USER,
    password: credentials.adminPassword,
  });
}
