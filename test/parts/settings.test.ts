// The settings table and the rendered files against the real PgBouncer: what it shows is what we meant.
import assert from 'node:assert/strict';
import pg from 'pg';
import type { DatabaseEntry } from '../../src/model/pooler-model.ts';
import { ADMIN_USER, PROOF_USER } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { OWN_QUERY_BYTES, type Setting } from '../../src/model/settings/setting.ts';
import { SETTINGS, USER_SETTINGS } from '../../src/model/settings/table.ts';
import { parameterText, validateParameters } from '../../src/model/settings/validate.ts';
import { proveLogin } from '../../src/pgbouncer/server-login.ts';
import { renderIni } from '../../src/render/ini.ts';
import { compareReadBack } from '../../src/render/read-back.ts';
import { RenderError } from '../../src/render/render-error.ts';
import { proofPassword, renderUserlist, type UserlistUser } from '../../src/render/userlist.ts';
import { NASTY_TEXTS } from '../support/nasty-texts.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { APP, HOST, KEYS, startRendered, type RenderedPooler } from './rendered-pooler.ts';

async function login(
  port: number,
  database: string,
  user: string,
  password: string,
): Promise<pg.QueryResultRow | undefined> {
  const client = new pg.Client({ host: HOST, port, database, user, password });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (
      await client.query<pg.QueryResultRow>('select current_user::text as "user", current_database()::text as database')
    ).rows[0];
  } finally {
    await client.end();
  }
}

function quoteIdent(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

function entry(name: string, dbname = name, port = 5432): DatabaseEntry {
  return { name, host: HOST, port, dbname, poolMode: 'transaction' };
}

/** The texts that fit a name of 63 bytes and that the renderer does not refuse. */
function accepted(texts: readonly string[], attempt: (text: string) => unknown): readonly string[] {
  return texts.filter((text) => {
    try {
      attempt(text);
      return true;
    } catch (error) {
      assert.ok(error instanceof RenderError, String(error));
      return false;
    }
  });
}

describe('settings and rendered files on the real PgBouncer', function () {
  this.timeout(120_000);
  let pooler: RenderedPooler;
  let postgres: PostgresServer;

  before(async () => {
    // PgBouncer is on trial here: the server lets in whom it lets through.
    const hba = ['host all all 127.0.0.1/32 trust'];
    [pooler, postgres] = await Promise.all([startRendered(), startPostgres({ hba })]);
  });

  after(async () => {
    await pooler[Symbol.asyncDispose]();
    await postgres.stop();
  });

  it('shows the very keys, defaults and changeable flags of our table', async () => {
    const client = new pg.Client({
      host: HOST,
      port: pooler.server.port,
      database: 'pgbouncer',
      user: ADMIN_USER,
      password: KEYS.adminPassword.reveal(),
    });
    await client.connect();
    const { rows } = await client.query<{ key: string; default: string | null; changeable: string }>('SHOW CONFIG');
    await client.end();
    assert.deepEqual(
      rows.map((row) => ({
        name: row.key,
        default: row.default ?? undefined,
        change: row.changeable === 'yes' ? 'reload' : 'restart',
      })),
      [...SETTINGS.values()].map(({ name, default: own, change }) => ({ name, default: own, change })),
    );
  });

  it('runs what was rendered from its first second', async () => {
    const ini = await pooler.load({ databases: [entry('orders')] });
    assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
  });

  const corners: readonly (readonly [string, (setting: Setting) => string | number])[] = [
    ['lowest', (setting) => ('min' in setting ? setting.min : setting.type === 'string' ? '' : 0)],
    [
      'highest',
      (setting) => ('max' in setting ? setting.max : setting.type === 'string' ? 'x'.repeat(setting.maxBytes) : 1),
    ],
    [
      'middle',
      (setting) =>
        'max' in setting
          ? Math.floor((setting.min + setting.max) / 2)
          : setting.type === 'string'
            ? "select 'é; # \"%'"
            : 1,
    ],
    ['fractional', (setting) => (setting.type === 'seconds' ? '999.999' : (setting.default ?? ''))],
    [
      'small fractional',
      (setting) => (setting.type === 'seconds' && setting.min === 0 ? '0.290' : (setting.default ?? '')),
    ],
  ];
  for (const [which, valueOf] of corners) {
    it(`reads back every setting of users at its ${which} value`, async () => {
      const settings = Object.fromEntries(
        USER_SETTINGS.map((setting) => [setting.name, parameterText(setting, valueOf(setting))]),
      );
      const ini = await pooler.load({ databases: [entry('orders')], settings });
      assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
      assert.equal(
        USER_SETTINGS.every(({ name }) => ini.config.has(name)),
        true,
      );
    });
  }

  it('is right to take only 0 and 1 for a switch: PgBouncer refuses words', async () => {
    const { text } = await pooler.load({});
    await pooler.server.writeFile('pgbouncer.ini', text.replace('syslog_ident', 'log_connections = off\nsyslog_ident'));
    await assert.rejects(pooler.console.reload(), /RELOAD failed/);
    await pooler.load({});
  });

  it('finds by read-back what somebody set by hand and no reload takes back', async () => {
    const ini = await pooler.load({});
    await pooler.console.set('auth_user', 'evil');
    await pooler.console.reload();
    const found = compareReadBack(ini, await pooler.console.read());
    assert.deepEqual(found, [{ where: 'config', key: 'auth_user', want: '', got: 'evil' }]);
    await pooler.console.set('auth_user', '');
    assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
  });

  it('reads back hundreds of nasty names as databases, on both sides', async () => {
    const attempt = (text: string): unknown =>
      renderIni(
        { databases: [entry(text)], userlistFile: 'u.txt', serverTls: { mode: 'disable' }, settings: {} },
        { [text]: 1 },
        { secretsFolder: '/x' },
      );
    const names = accepted(NASTY_TEXTS, attempt);
    assert.ok(names.length >= 300, `${names.length} names`);
    const databases = names.map((name, index) => entry(name, names[(index + 7) % names.length]));
    const ini = await pooler.load({ databases });
    const view = await pooler.console.read();
    assert.equal(view.databases.length, names.length);
    assert.deepEqual(compareReadBack(ini, view), []);
  });

  it('reads back every nasty dbname and connect_query under a plain name', async () => {
    const databases = NASTY_TEXTS.map((text, index) => ({
      ...entry(`db${index}`, text),
      connectQuery: `select '${text}'`,
    }));
    const ini = await pooler.load({ databases });
    assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
  });

  it('takes a nasty host for itself or not at all', async () => {
    const attempt = (host: string): unknown =>
      renderIni(
        { databases: [{ ...entry('d'), host }], userlistFile: 'u.txt', serverTls: { mode: 'disable' }, settings: {} },
        { d: 1 },
        { secretsFolder: '/x' },
      );
    const hosts = [...accepted(NASTY_TEXTS, attempt), 'db.shop.svc', '10.0.0.1', '2001:db8::1'];
    const ini = await pooler.load({ databases: hosts.map((host, index) => ({ ...entry(`db${index}`), host })) });
    assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
  });

  it('reads back every nasty text as a parameter that validation lets through', async () => {
    const names = USER_SETTINGS.filter(({ type }) => type === 'string').map(({ name }) => name);
    const texts = NASTY_TEXTS.filter((text) =>
      names.every((name) => validateParameters({ [name]: text }).length === 0),
    );
    assert.ok(texts.length >= 300, `${texts.length} texts`);
    for (const [index] of texts.entries()) {
      const settings = Object.fromEntries(
        names.map((name, offset) => [name, texts[(index + offset) % texts.length] ?? '']),
      );
      const ini = await pooler.load({ settings });
      assert.deepEqual(compareReadBack(ini, await pooler.console.read()), [], JSON.stringify(settings));
    }
  });

  describe('with the server behind it', () => {
    it('lets hundreds of nasty users in with their own nasty passwords only', async () => {
      const attempt = (text: string): unknown => renderUserlist([{ name: text, secret: new SecretText(text) }], KEYS);
      // Lone invisible characters normalise to an empty password, which no SCRAM client can send.
      const texts = accepted(NASTY_TEXTS, attempt).filter((text) => /[^\u00ad\u200b\ufeff]/.test(text));
      assert.ok(texts.length >= 300, `${texts.length} users`);
      const users = texts.map((name, index) => ({
        name,
        secret: new SecretText(texts[(index + 11) % texts.length] ?? ''),
      }));
      const superuser = new pg.Client({ connectionString: postgres.superuserUrl });
      await superuser.connect();
      await superuser.query(users.map(({ name }) => `create role ${quoteIdent(name)} login`).join(';'));
      await superuser.end();
      await pooler.load({ databases: [entry('main', 'postgres', postgres.port)], users, size: 8 });
      const check = async ({ name, secret }: UserlistUser, wrongToo: boolean): Promise<void> => {
        const row = await login(pooler.server.port, 'main', name, secret.reveal());
        assert.deepEqual(row, { user: name, database: 'postgres' }, JSON.stringify(name));
        if (!wrongToo) return;
        const wrong = login(pooler.server.port, 'main', name, `${secret.reveal()}x`);
        await assert.rejects(wrong, /SASL authentication failed/, JSON.stringify(name));
      };
      for (let at = 0; at < users.length; at += 4) {
        await Promise.all(users.slice(at, at + 4).map((user, index) => check(user, index === 0)));
      }
    });

    it('reaches databases with nasty names through other nasty names', async () => {
      const names = [
        "it''s",
        'a"b',
        'semi;colon',
        '#hash',
        '%include',
        '[pgbouncer]',
        'back\\slash',
        'a=b',
        'Ünïcode 日本',
        ' blanks ',
        '$1',
        "x' host='evil",
      ];
      const superuser = new pg.Client({ connectionString: postgres.superuserUrl });
      await superuser.connect();
      await superuser.query(`create role app login`);
      for (const name of names) await superuser.query(`create database ${quoteIdent(name)} template template0`);
      await superuser.end();
      const aliases = names.map((name) => name.replaceAll("'", '’').split('').reverse().join(''));
      await pooler.load({ databases: names.map((name, index) => entry(aliases[index] ?? '', name, postgres.port)) });
      for (const [index, name] of names.entries()) {
        assert.deepEqual(await login(pooler.server.port, aliases[index] ?? '', 'app', 'app-password'), {
          user: 'app',
          database: name,
        });
      }
    });

    it('runs a connect_query and a reset query of the greatest length that we allow', async () => {
      const longest = (query: string): string => `${query} --${'x'.repeat(OWN_QUERY_BYTES - query.length - 3)}`;
      const settings = {
        server_reset_query: longest('discard all'),
        server_check_query: longest('select 1'),
        server_check_delay: '0',
      };
      const database = {
        ...entry('main', 'postgres', postgres.port),
        poolMode: 'session' as const,
        connectQuery: longest("set application_name = 'set-by-connect-query'"),
      };
      await pooler.load({ databases: [database], settings, size: 1 });
      const backendOfOneClient = async (): Promise<number | undefined> => {
        const client = new pg.Client({
          host: HOST,
          port: pooler.server.port,
          database: 'main',
          user: 'app',
          password: 'app-password',
        });
        await client.connect();
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
        await client.end();
        return rows[0]?.pid;
      };
      const first = await backendOfOneClient();
      assert.ok(first);
      assert.equal(await backendOfOneClient(), first, 'the reset query was sent, so the connection could be kept');
    });

    it('shows by the proving login which userlist is loaded', async () => {
      const address = { host: HOST, port: pooler.server.port };
      const [former, next] = [[APP], [APP, { name: 'web', secret: new SecretText('web-password') }]].map((users) => ({
        users,
        hash: renderUserlist(users, KEYS).hash,
      }));
      assert.ok(former && next);
      const proves = async (hash: string): Promise<boolean> =>
        await proveLogin({ address, user: PROOF_USER, password: proofPassword(hash, KEYS.proofKey), timeoutMs: 3000 });
      await pooler.load({ users: former.users });
      assert.deepEqual([await proves(former.hash), await proves(next.hash)], [true, false]);
      await pooler.load({ users: next.users });
      assert.deepEqual([await proves(former.hash), await proves(next.hash)], [false, true]);
    });

    it('keeps a removed user out that had logged in before', async () => {
      const databases = [entry('main', 'postgres', postgres.port)];
      await pooler.load({ databases });
      await login(pooler.server.port, 'main', 'app', 'app-password');
      await pooler.load({ databases, users: [], removed: ['app'] });
      await assert.rejects(login(pooler.server.port, 'main', 'app', 'app-password'), /SASL authentication failed/);
      await assert.rejects(login(pooler.server.port, 'main', 'app', ''), /authentication|password/i);
    });
  });
});
