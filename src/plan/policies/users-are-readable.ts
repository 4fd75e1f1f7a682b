// Turns the Secrets of spec.auth.users into users, or says which Secret or key is missing or unusable.
import type { Reason } from '../../api/reasons.ts';
import { userKeys } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';
import { RESERVED_USERS } from '../../model/reserved-names.ts';
import type { SecretText } from '../../model/secret-text.ts';
import { isBrokenScramSecret, isScramSecret } from '../../render/userlist.ts';

export type PoolUser = {
  readonly name: string;
  readonly secret: SecretText;
  /** True when the secret is a password that can be logged in with; false for a SCRAM secret. */
  readonly plain: boolean;
  /** The Secret it came from. */
  readonly from: string;
};

/** PgBouncer reads at most 127 bytes of a user name, PostgreSQL keeps 63. */
const NAME_BYTES = 63;

export function readUsers(observation: Observation): { users: readonly PoolUser[]; findings: readonly Finding[] } {
  const users: PoolUser[] = [];
  const findings: Finding[] = [];
  const refuse = (reason: Reason, message: string): void => {
    findings.push({ condition: 'ConfigApplied', reason, message, blocking: true });
  };
  for (const [index, entry] of observation.pool.spec.auth.users.entries()) {
    const { secretName, usernameKey, passwordKey } = userKeys(entry);
    const where = `spec.auth.users[${index}].secretRef: Secret ${secretName}`;
    const reading = observation.secrets.get(secretName);
    if (reading?.state !== 'present') {
      refuse('SecretMissing', `${where} does not exist in this namespace. Create it, or name another one.`);
      continue;
    }
    const name = entry.username ?? reading.data.get(usernameKey)?.reveal();
    const secret = reading.data.get(passwordKey);
    if (name === undefined || secret === undefined) {
      const missing = name === undefined ? usernameKey : passwordKey;
      refuse(
        'SecretKeyMissing',
        `${where} has no key "${missing}". Add it, or set usernameKey and passwordKey to the keys it has.`,
      );
      continue;
    }
    const problem = nameProblem(name, users) ?? secretProblem(secret.reveal());
    if (problem !== undefined) {
      refuse('SecretInvalid', `${where}: ${problem}`);
      continue;
    }
    users.push({ name, secret, plain: !isScramSecret(secret.reveal()), from: secretName });
  }
  return { users, findings };
}

function nameProblem(name: string, earlier: readonly PoolUser[]): string | undefined {
  if (name === '') return 'the user name is empty.';
  if (isGarbled(name)) return 'the user name is not UTF-8 text; write it again in UTF-8.';
  if (hasControlCharacter(name)) return 'the user name holds a control character (a trailing newline, perhaps).';
  if (Buffer.byteLength(name, 'utf8') > NAME_BYTES) return `the user name is longer than ${NAME_BYTES} bytes.`;
  if (RESERVED_USERS.includes(name))
    return `the user name "${name}" is reserved for the pooler itself; use another role.`;
  const twin = earlier.find((user) => user.name === name);
  return twin === undefined
    ? undefined
    : `the user "${name}" is already given by Secret ${twin.from}; name each user once.`;
}

function secretProblem(secret: string): string | undefined {
  if (secret === '') return 'the password is empty.';
  if (isGarbled(secret)) return 'the password is not UTF-8 text; choose one of letters, digits and signs, in UTF-8.';
  if (hasControlCharacter(secret)) return 'the password holds a control character (a trailing newline, perhaps).';
  // PgBouncer takes such a text for a hash, and then no login works.
  if (/^md5[0-9a-f]{32}$/.test(secret))
    return 'the password has the form of an MD5 hash; give the password itself or a SCRAM secret.';
  if (isBrokenScramSecret(secret))
    return 'the password begins as a SCRAM secret and is none (cut off, perhaps); copy it again from pg_authid.';
  return undefined;
}

/** Each byte that is not UTF-8 was read as U+FFFD: nobody could log in, and of random bytes hardly anything would be left to guess. */
function isGarbled(text: string): boolean {
  return text.includes('\ufffd');
}

function hasControlCharacter(text: string): boolean {
  return /[\u0000-\u001f\u007f]/.test(text);
}
