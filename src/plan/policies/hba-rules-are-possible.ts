// Says which rule of spec.auth.hba can't work: a typing error would lock out, or let in, in silence.
import { databasesOf } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';
import type { PoolUser } from './users-are-readable.ts';

/** `users`: those that could be read; while some could not, nobody is called unknown. */
export function hbaFinding({ pool }: Observation, users: readonly PoolUser[]): Finding | undefined {
  const { hba = [], users: declared } = pool.spec.auth;
  const databases = new Set(databasesOf(pool).map(({ name }) => name));
  const known = users.length === declared.length ? new Set(users.map(({ name }) => name)) : undefined;
  for (const [index, rule] of hba.entries()) {
    const field = `spec.auth.hba[${index}]`;
    const database = rule.databases?.find((name) => !databases.has(name));
    if (database !== undefined)
      return invalid(`${field}.databases names ${JSON.stringify(database)}, which spec.databases does not declare.`);
    const user = rule.users?.find((name) => known?.has(name) === false);
    if (user !== undefined)
      return invalid(`${field}.users names ${JSON.stringify(user)}, which is no user of spec.auth.users.`);
    // A SCRAM secret logs in to the server only with what the client proves by its password.
    const passwordless = users.find(({ name, plain }) => !plain && rule.users?.includes(name) !== false);
    if (rule.method === 'cert' && passwordless !== undefined)
      return invalid(
        `${field}.method is cert, and Secret ${passwordless.from} holds a SCRAM secret: whoever comes without a password needs the password itself there, for the server.`,
      );
  }
  return undefined;
}

function invalid(message: string): Finding {
  return { condition: 'ConfigApplied', reason: 'InvalidSpec', message, blocking: true };
}
