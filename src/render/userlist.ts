// Writes the file of users and their secrets, named after its content, with the login that proves which one is loaded.
import { createHmac } from 'node:crypto';
import { ADMIN_USER, PROOF_USER, RESERVED_USERS } from '../model/reserved-names.ts';
import { SecretText } from '../model/secret-text.ts';
import { byteLength, isSafeText } from '../model/settings/validate.ts';
import { RenderError } from './render-error.ts';

export type UserlistUser = { readonly name: string; readonly secret: SecretText };

/** The operator's own credentials: its console password, and the key that ties names and proofs to contents. */
export type UserlistKeys = { readonly adminPassword: SecretText; readonly proofKey: SecretText };

export type RenderedUserlist = {
  /** `userlist-<12 hex>.txt`; says nothing of the content to those without the key. */
  readonly fileName: string;
  readonly text: SecretText;
  /** Of all lines but the proving user's, 64 hex digits; may be public, like the file name made from it. */
  readonly hash: string;
};

/** Roles have at most 63 bytes; PgBouncer takes 127, doubled quotes included. */
const NAME_BYTES = 63;
/** Far above any secret, tried up to 4000. */
const SECRET_BYTES = 1024;

/**
 * The operator, the users and the removed ones. A removed user keeps a line with an empty secret: without a line
 * PgBouncer would go on letting in whoever has logged in since its start. Order of the input does not matter.
 *
 * `companion` is the name of a file that nothing shows to be loaded: both are written at once, so where the proving user is let in by this userlist,
 * that file was there, too.
 * @throws RenderError naming the user, never the secret.
 */
export function renderUserlist(
  users: readonly UserlistUser[],
  keys: UserlistKeys,
  removed: readonly string[] = [],
  companion?: string,
): RenderedUserlist {
  const names = new Set<string>();
  const lines = users
    .map(({ name, secret }) => {
      const field = userField(name);
      if (names.has(name)) throw new RenderError(field, 'it is there twice');
      names.add(name);
      return userLine(checkedName(name, field), checkedSecret(secret, field));
    })
    .concat(
      [...new Set(removed)]
        .filter((name) => !names.has(name))
        .map((name) => userLine(checkedName(name, userField(name)), '')),
    )
    .sort();
  const body = [
    userLine(ADMIN_USER, checkedSecret(keys.adminPassword, userField(ADMIN_USER))),
    ...lines,
    ...(companion === undefined ? [] : [`; with ${companion}`]),
  ].join('\n');
  const hash = keyedHash(keys.proofKey, 'userlist', body);
  const proof = userLine(PROOF_USER, proofPassword(hash, keys.proofKey).reveal());
  return {
    fileName: `userlist-${hash.slice(0, 12)}.txt`,
    text: new SecretText(`${body}\n${proof}\n`),
    hash,
  };
}

const SCRAM_BEGINNING = 'SCRAM-SHA-256$';
const SCRAM_SECRET =
  /^SCRAM-SHA-256[$][1-9][0-9]{0,8}:(?![$])([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?[$][A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/;

/** As PostgreSQL stores it. One that is cut off or changed PgBouncer takes for the password itself, and lets in whoever has read it. */
export function isScramSecret(text: string): boolean {
  return SCRAM_SECRET.test(text);
}

/** Meant as a SCRAM secret, and none. */
export function isBrokenScramSecret(text: string): boolean {
  return text.startsWith(SCRAM_BEGINNING) && !isScramSecret(text);
}

/** Names of the users that a rendered file speaks of, the removed ones included; the operator's own are left out. */
export function userlistNames(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const name = /^"((?:[^"]|"")+)" "/.exec(line)?.[1]?.replaceAll('""', '"');
    return name === undefined || RESERVED_USERS.includes(name) ? [] : [name];
  });
}

/** Users that a rendered file lets in no more, by a line with an empty secret; the operator's own are never among them. */
export function removedIn(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const name = /^"((?:[^"]|"")+)" ""$/.exec(line)?.[1]?.replaceAll('""', '"');
    return name === undefined ? [] : [name];
  });
}

/** Password of the proving user while the userlist with this hash, or these first 12 digits of it, is loaded. */
export function proofPassword(hash: string, key: SecretText): SecretText {
  return new SecretText(keyedHash(key, 'proof', hash.slice(0, 12)));
}

/** The digits of the hash that a userlist's file name shows, for `proofPassword`; undefined for other files. */
export function userlistHash(fileName: string): string | undefined {
  return /^userlist-([0-9a-f]{12})[.]txt$/.exec(fileName)?.[1];
}

/** Keyed, because a plain hash would let anyone who sees the name try passwords. */
function keyedHash(key: SecretText, purpose: 'userlist' | 'proof', text: string): string {
  if (key.reveal().length < 16) throw new RenderError('proofKey', 'it must have at least 16 characters');
  return createHmac('sha256', key.reveal()).update(`${purpose}\n${text}`).digest('hex');
}

function userLine(name: string, secret: string): string {
  return `"${name.replaceAll('"', '""')}" "${secret.replaceAll('"', '""')}"`;
}

function userField(name: string): string {
  return `user ${JSON.stringify(name.toWellFormed())}`;
}

function checkedName(name: string, field: string): string {
  if (name === '') throw new RenderError(field, 'the name is empty');
  if (RESERVED_USERS.includes(name)) throw new RenderError(field, 'the name is reserved for the pooler itself');
  if (!isSafeText(name)) throw new RenderError(field, 'the name has a control character');
  if (byteLength(name) > NAME_BYTES) throw new RenderError(field, `the name has more than ${NAME_BYTES} bytes`);
  return name;
}

function checkedSecret(secret: SecretText, field: string): string {
  const text = secret.reveal();
  if (text === '') throw new RenderError(field, 'the secret is empty');
  if (!isSafeText(text)) throw new RenderError(field, 'the secret has a control character');
  if (byteLength(text) > SECRET_BYTES) throw new RenderError(field, `the secret has more than ${SECRET_BYTES} bytes`);
  // PgBouncer would take it for a hash, with which SCRAM can't log anybody in.
  if (/^md5[0-9a-f]{32}$/i.test(text)) throw new RenderError(field, 'the secret looks like an MD5 hash');
  if (isBrokenScramSecret(text)) throw new RenderError(field, 'the secret begins as a SCRAM secret and is none');
  return text;
}
