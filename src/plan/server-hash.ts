// One hash of all that decides whether a login at the server succeeds; a new one calls for trial logins before any pod is told.
import { databasesOf, serverPort } from '../api/poolconfig.ts';
import { contentHash } from '../model/canonical.ts';
import type { Observation } from '../model/observation.ts';
import { readUsers, type PoolUser } from './policies/users-are-readable.ts';
import { serverTrust } from './server-trust.ts';

/** Passwords and keys enter only through a keyed hash, so that the value in status tells nothing about them. */
export function serverHash(observation: Observation): string | undefined {
  const { pool, credentials } = observation;
  if (credentials === undefined) return undefined;
  const { users } = readUsers(observation);
  const { mode, caPem, certPem, keyPem } = serverTrust(observation);
  return contentHash({
    key: credentials.proofKey.reveal(),
    host: pool.spec.server.host,
    port: serverPort(pool),
    tls: mode,
    ca: caPem,
    certificate: certPem === undefined ? undefined : [certPem, keyPem?.reveal()],
    databases: databasesOf(pool)
      .map((database) => database.database)
      .sort(),
    users: users.map((user) => [user.name, user.secret.reveal()]),
  });
}

export type TrialWish = { readonly user: PoolUser; readonly database: string };

/** The logins to try straight at the server: every user once, and every database once; none while the last proof still stands. */
export function wantedTrials(observation: Observation): readonly TrialWish[] {
  const hash = serverHash(observation);
  if (hash === undefined || hash === observation.pool.status?.serverHash) return [];
  const users = readUsers(observation).users.filter((user) => user.plain);
  const databases = [...new Set(databasesOf(observation.pool).map((database) => database.database))];
  const [firstUser] = users;
  const [firstDatabase] = databases;
  if (firstUser === undefined || firstDatabase === undefined) return [];
  return [
    ...users.map((user) => ({ user, database: firstDatabase })),
    ...databases.slice(1).map((database) => ({ user: firstUser, database })),
  ];
}
