// Renders what is meant, reads it by PgBouncer's rules, and compares: what was meant is there, once, and nothing besides.
import assert from 'node:assert/strict';
import type { DatabaseEntry, PoolerModel } from '../../src/model/pooler-model.ts';
import { ADMIN_USER, PROOF_USER } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { SETTINGS } from '../../src/model/settings/table.ts';
import { renderIni } from '../../src/render/ini.ts';
import { proofPassword, renderUserlist, userlistNames, type UserlistUser } from '../../src/render/userlist.ts';
import { connectionPairs, parseIni, parseUserlist, secretKind, shownNumber } from '../support/pgbouncer-grammar.ts';

const PLACE = { secretsFolder: '/etc/poolsmith/files' };
const KEYS = {
  adminPassword: new SecretText('admin-password'),
  proofKey: new SecretText('0123456789abcdef0123456789abcdef'),
};
/** Its neighbours are hard to read themselves: a quote that gets loose on one line would close on theirs. */
export const SUBJECT: DatabaseEntry = { name: 'm', host: 'db', port: 5432, dbname: 'm', poolMode: 'transaction' };
export const NEIGHBOURS: readonly DatabaseEntry[] = [
  { name: '# "a" = [x]', host: 'db', port: 5432, dbname: "o'hare; 'x' pool_size=1", poolMode: 'session' },
  { name: 'zz', host: '::1', port: 5433, dbname: "'", poolMode: 'transaction', connectQuery: 'select \'x\', "y" -- ' },
];
export const OTHER_USERS: readonly UserlistUser[] = [
  { name: '; "a" "b"', secret: new SecretText('"; x') },
  { name: 'zz', secret: new SecretText("'x' \\\" ") },
];

export function poolerModel(changes: Partial<PoolerModel> = {}): PoolerModel {
  return {
    databases: [...NEIGHBOURS, SUBJECT],
    userlistFile: 'userlist-0123456789ab.txt',
    serverTls: { mode: 'require', caFile: 'ca-1.crt' },
    settings: {},
    ...changes,
  };
}

/** Keys of [pgbouncer] that no user can change, as they stand in a file without a hostile text. */
const OWN_LINES = new Map(parseIni(textOf(poolerModel()))[1]?.entries);

function textOf(model: PoolerModel): string {
  return renderIni(model, Object.fromEntries(model.databases.map(({ name }) => [name, 3])), PLACE).text;
}

/** Renders the model and reads the file as PgBouncer would: what the model has, once, and nothing besides. */
export function readsBack(model: PoolerModel): void {
  const [databases, pgbouncer, ...more] = parseIni(textOf(model));
  assert.equal(`${databases?.name} ${pgbouncer?.name} ${more.length}`, 'databases pgbouncer 0', 'the sections');
  const lines = new Map(databases?.entries);
  same(databases?.entries.length, model.databases.length, 'the number of databases');
  for (const { name, host, port, dbname, poolMode, connectQuery } of model.databases) {
    const query = connectQuery === undefined ? [] : [['connect_query', connectQuery]];
    const way = [['host', host], ...[['port', String(port)]], ['dbname', dbname]];
    const size = { pool_size: '3', max_db_connections: '3', pool_mode: poolMode };
    const meant = [...way, ...Object.entries(size), ...query];
    const line = lines.get(name);
    assert.ok(
      line !== undefined && Buffer.byteLength(name) <= 63 && !['pgbouncer', '*'].includes(name),
      `no such name`,
    );
    same(connectionPairs(line), meant, `the line of ${JSON.stringify(name)}`);
  }
  const entries = pgbouncer?.entries ?? [];
  const settings = new Map(entries);
  same(entries.length, settings.size, 'the number of settings, each once');
  same(entries.length, OWN_LINES.size + Object.keys(model.settings).length, 'the number of settings');
  for (const [key, text] of Object.entries(model.settings)) same(shown(key, settings.get(key)), text, key);
  for (const [key, text] of OWN_LINES) {
    const own = key === 'server_tls_sslmode' ? model.serverTls.mode : text;
    if (key !== 'syslog_ident') same(settings.get(key), own, key);
  }
}

/** As `deepEqual`, and twenty times as fast on small lists. */
export function same(got: unknown, want: unknown, what: string): void {
  if (JSON.stringify(got) !== JSON.stringify(want)) assert.deepEqual(got, want, `${what}: read ${JSON.stringify(got)}`);
}

function shown(key: string, text: string | undefined): string | undefined {
  const type = SETTINGS.get(key)?.type;
  if (text === undefined || type === undefined || type === 'string' || type === 'enum') return text;
  return shownNumber(type === 'bool' ? 'int' : type, text);
}

/** The same for a userlist, whose removed users have an empty secret. */
export function readsUsers(users: readonly UserlistUser[], removed: readonly string[] = []): void {
  const { text, hash } = renderUserlist(users, KEYS, removed);
  const read = parseUserlist(text.reveal());
  const gone = removed.filter((name) => users.every((user) => user.name !== name));
  const meant = [...users.map(({ name, secret }) => [name, secret.reveal()]), ...gone.map((name) => [name, ''])];
  same(read.at(0), [ADMIN_USER, 'admin-password'], 'the operator');
  same(read.at(-1), [PROOF_USER, proofPassword(hash, KEYS.proofKey).reveal()], 'the proving user');
  same(read.slice(1, -1).sort(), meant.sort(), 'the users');
  same(new Map(read).size, read.length, 'the number of users, of whom the last line would count');
  const names = userlistNames(text.reveal());
  same([...names].sort(), meant.map(([name]) => name).sort(), 'the names that the operator finds again');
  for (const [, secret] of read) {
    assert.equal(
      secretKind(secret),
      secret.startsWith('SCRAM-SHA-256$') ? 'scram' : 'plain',
      'what the secret is taken for',
    );
  }
}
