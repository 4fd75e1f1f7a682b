// Thousands of hostile texts through the real PgBouncer: what it shows, and whom it lets in, is what was meant and nothing else.
import assert from 'node:assert/strict';
import pg from 'pg';
import type { DatabaseEntry, PoolerModel } from '../../src/model/pooler-model.ts';
import { ADMIN_USER, PROOF_USER } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { pooledSettings } from '../../src/model/settings/defaults.ts';
import { USER_SETTINGS } from '../../src/model/settings/table.ts';
import type { ParameterValue } from '../../src/model/settings/validate.ts';
import { compareReadBack } from '../../src/render/read-back.ts';
import type { UserlistUser } from '../../src/render/userlist.ts';
import { secretKind } from '../support/pgbouncer-grammar.ts';
import { Draw } from '../support/random.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { WRITABLE_FIELDS } from '../render/writable-fields.ts';
import { HOST, openConsole, startRendered, usersOf, type RenderedPooler } from './rendered-pooler.ts';

const SEED = Number(process.env['SEED'] ?? 1);
const DATABASES = 200;
const RELOADS = 5;
const VALUES_OF_A_SETTING = 25;
const USERS = 200;
const LOGINS = 120;

const LONGEST = ['"'.repeat(1024), 'x'.repeat(1024), 'é'.repeat(512), `${"'".repeat(1023)}\\`];

/** What a client sends is prepared (RFC 4013): only a text that stays as it is can be logged in with, and no SCRAM secret at all. */
function canBeTyped(secret: string): boolean {
  return (
    /^[\p{L}\p{N}\p{P}\p{Sm}\p{Sc} ]+$/u.test(secret) &&
    secret.normalize('NFKC') === secret &&
    secretKind(secret) === 'plain'
  );
}

/** Different values that the renderer takes for a field; that it reads them rightly itself is for the pure tests. */
function acceptedOf(fieldName: string, count: number, draw: Draw): ParameterValue[] {
  const field = WRITABLE_FIELDS.find(({ name }) => name === fieldName);
  assert.ok(field, fieldName);
  const found = new Set<ParameterValue>();
  for (let tries = 0; found.size < count && tries < 60 * count; tries += 1) {
    const value = field.draw(draw);
    if (field.accepts(value)) found.add(value);
  }
  return [...found];
}

function textsOf(fieldName: string, count: number, draw: Draw): string[] {
  const texts = acceptedOf(fieldName, count, draw).map(String);
  assert.equal(texts.length, count, `${fieldName}: too few different texts`);
  return texts;
}

describe('hostile texts in the real PgBouncer', function () {
  this.timeout(120_000);
  let pooler: RenderedPooler;
  const tried = new Map<string, number>();

  before(async () => {
    pooler = await startRendered();
  });

  after(async () => {
    await pooler[Symbol.asyncDispose]();
    const counts = [...tried].map(([what, count]) => `${count} ${what}`);
    const total = [...tried.values()].reduce((sum, count) => sum + count, 0);
    console.log(`    seed ${SEED}: ${total} texts read by PgBouncer (${counts.join(', ')})`);
  });

  const tally = (what: string, count: number): void => void tried.set(what, (tried.get(what) ?? 0) + count);

  it('shows the names, databases and hosts of a thousand lines, and no other line', async () => {
    const draw = new Draw(SEED);
    const names = textsOf('databases[].name', DATABASES * RELOADS, draw);
    const dbnames = textsOf('databases[].dbname', names.length, draw);
    const hosts = textsOf('databases[].host', names.length, draw);
    const modes = ['transaction', 'session', 'statement'] as const;
    for (let at = 0; at < names.length; at += DATABASES) {
      const databases = names.slice(at, at + DATABASES).map((name, index): DatabaseEntry => ({
        ...{ name, host: hosts[at + index] ?? '', dbname: dbnames[at + index] ?? '' },
        ...{ port: draw.integer(1, 65_535), poolMode: draw.pick(modes) },
      }));
      const ini = await pooler.load({ databases });
      const view = await pooler.console.read();
      assert.deepEqual(compareReadBack(ini, view), [], `SEED=${SEED}`);
      assert.equal(view.databases.length, databases.length);
    }
    tally('names of databases', names.length);
    tally('databases behind them', dbnames.length);
    tally('hosts', hosts.length);
  });

  it('shows every setting of users as it was written, beside all the others', async () => {
    const draw = new Draw(SEED + 1);
    const values = new Map(
      USER_SETTINGS.map(({ name }) => [name, acceptedOf(`parameters.${name}`, VALUES_OF_A_SETTING, draw)]),
    );
    for (let turn = 0; turn < VALUES_OF_A_SETTING; turn += 1) {
      const chosen = [...values].flatMap(([name, list]) =>
        list.slice(turn, turn + 1).map((value) => [name, value] as const),
      );
      const settings: PoolerModel['settings'] = pooledSettings(Object.fromEntries(chosen), 10);
      const ini = await pooler.load({ settings });
      assert.deepEqual(
        compareReadBack(ini, await pooler.console.read()),
        [],
        `SEED=${SEED} ${JSON.stringify(settings)}`,
      );
      for (const [name, value] of chosen) {
        const got = ini.config.get(name);
        assert.ok(got === value || Number(got) === Number(value), `${name} = ${JSON.stringify(value)}`);
      }
      tally('values of settings', chosen.length);
    }
  });

  it('knows the users of a userlist by their names, and no other user', async () => {
    const draw = new Draw(SEED + 2);
    const names = textsOf('users[].name', USERS * RELOADS, draw);
    const secrets = textsOf('users[].secret', names.length, draw);
    const admin = await openConsole(pooler);
    // PgBouncer forgets no name before it ends.
    const known = new Set([ADMIN_USER, PROOF_USER, 'pgbouncer', 'app']);
    for (let at = 0; at < names.length; at += USERS) {
      const users = names.slice(at, at + USERS).map((name, index): UserlistUser => ({
        ...{ name, secret: new SecretText(secrets[at + index] ?? '') },
      }));
      const removed = textsOf('users that are gone', 20, draw);
      await pooler.load({ users, removed });
      for (const name of [...users.map((user) => user.name), ...removed]) known.add(name);
      assert.deepEqual(await usersOf(admin), [...known].sort(), `SEED=${SEED}`);
      tally('users that are gone', removed.length);
    }
    await admin.end();
    tally('names of users', names.length);
  });

  describe('with a server behind it', () => {
    let postgres: PostgresServer;

    before(async () => {
      // PgBouncer is on trial: the server lets in whom it lets through.
      postgres = await startPostgres({ hba: ['host all all 127.0.0.1/32 trust'] });
    });

    after(async () => {
      await postgres.stop();
    });

    it('lets users in with their own passwords, and with no other', async () => {
      const draw = new Draw(SEED + 3);
      const names = textsOf('users[].name', LOGINS, draw);
      const secrets = [...LONGEST, ...textsOf('users[].secret', 3 * LOGINS, draw).filter(canBeTyped)];
      const users = names.map((name, index) => ({ name, secret: new SecretText(secrets[index] ?? '') }));
      const superuser = new pg.Client({ connectionString: postgres.superuserUrl });
      await superuser.connect();
      for (const name of names) await superuser.query(`create role ${pg.escapeIdentifier(name)} login`);
      await superuser.end();
      const main: DatabaseEntry = {
        name: 'main',
        host: HOST,
        port: postgres.port,
        dbname: 'postgres',
        poolMode: 'transaction',
      };
      await pooler.load({ databases: [main], users, size: 8 });
      for (const { name, secret } of users) {
        const where = `SEED=${SEED} ${JSON.stringify([name, secret.reveal()])}`;
        assert.equal(await loggedIn(pooler.server.port, name, secret.reveal()), name, where);
        const wrong = await loggedIn(pooler.server.port, name, `${secret.reveal()}x`).catch(String);
        assert.match(wrong ?? '', /SASL authentication failed/, where);
      }
      tally('passwords', users.length);
    });
  });
});

async function loggedIn(port: number, user: string, password: string): Promise<string | undefined> {
  const client = new pg.Client({ host: HOST, port, database: 'main', user, password });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<{ who: string }>('select current_user::text as who')).rows[0]?.who;
  } finally {
    await client.end();
  }
}
