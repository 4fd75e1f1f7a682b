// The admin console adapter against the real PgBouncer.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { SecretText } from '../../src/model/secret-text.ts';
import { AdminConsole } from '../../src/pgbouncer/console.ts';
import { Consoles, consoleKey } from '../../src/pgbouncer/consoles.ts';
import { AdminError } from '../../src/pgbouncer/errors.ts';
import { startPostgres } from '../support/servers.ts';
import type { PgbouncerServer, PostgresServer } from '../support/servers.ts';
import { makeAuthority } from '../support/certificates.ts';
import {
  ADMIN_PASSWORD,
  adminOf,
  connectApp,
  databaseLine,
  HOST,
  iniText,
  prepareDatabase,
  startPooler,
  startRelay,
  until,
} from './stage.ts';

async function failure(work: Promise<unknown>): Promise<AdminError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof AdminError, `an AdminError, not ${inspect(error)}`);
    return error;
  }
  assert.fail('it should have failed');
}

describe('admin console', function () {
  this.timeout(60_000);
  let postgres: PostgresServer;
  let pooler: PgbouncerServer;
  let admin: AdminConsole;
  const lines = (): string[] => [databaseLine('app', postgres.port, 5), databaseLine("'my db'", postgres.port, 5)];
  const fileOf = (name: string): string => `${pooler.dir}/${name}`;

  before(async () => {
    postgres = await startPostgres();
    await prepareDatabase(postgres);
  });
  after(async () => {
    await postgres.stop();
  });
  beforeEach(async () => {
    pooler = await startPooler(lines());
    admin = adminOf(pooler);
  });
  afterEach(async () => {
    await admin.close();
    await pooler.stop();
  });

  it('reads version, settings, databases, pools, counters and clients in one view without its own', async () => {
    const client = await connectApp(pooler.port);
    await client.pg.query('select 1');
    const view = await admin.read();
    assert.match(view.version, /^1\.2\d\.\d+$/);
    assert.equal(view.config.get('server_login_retry'), '1');
    assert.equal(view.config.get('auth_user'), undefined);
    assert.deepEqual(
      view.databases.map(({ name, poolSize, maxConnections }) => [name, poolSize, maxConnections]).sort(),
      [
        ['app', 5, 5],
        ['my db', 5, 5],
      ],
    );
    assert.deepEqual(
      view.pools.map(({ database, user, servers, clientsActive }) => [database, user, servers, clientsActive]),
      [['app', 'app', 1, 1]],
    );
    assert.equal(view.stats.find(({ database }) => database === 'app')?.transactions, 1);
    assert.equal(view.clients, 1);
    await client.end();
  });

  it('keeps one connection through 200 readings, each a few milliseconds', async () => {
    const tookMs: number[] = [];
    for (let round = 0; round < 200; round += 1) {
      const started = performance.now();
      await admin.read();
      tookMs.push(performance.now() - started);
    }
    const logins = (await pooler.log()).split('\n').filter((line) => line.includes('login attempt: db=pgbouncer'));
    assert.equal(logins.length, 1);
    const median = tookMs.sort((a, b) => a - b)[100] ?? Infinity;
    assert.ok(median < 5, `median of a reading: ${median} ms`);
  });

  it('answers commands that were given at once one after the other', async () => {
    const views = await Promise.all(Array.from({ length: 20 }, () => admin.read()));
    assert.ok(views.every((view) => view.databases.length === 2));
    assert.equal((await pooler.log()).split('login attempt: db=pgbouncer').length - 1, 1);
  });

  it('loads another file, and reports a refusal in words of PgBouncer', async () => {
    await pooler.writeFile(
      'live.ini',
      iniText(pooler, [databaseLine('app', postgres.port, 2)], ['syslog_ident = abc']),
    );
    await admin.loadFile(fileOf('live.ini'));
    const view = await admin.read();
    assert.equal(view.config.get('conffile'), fileOf('live.ini'));
    assert.equal(view.config.get('syslog_ident'), 'abc');
    assert.equal(view.databases[0]?.poolSize, 2);

    await pooler.writeFile('bad.ini', iniText(pooler, ['app = host=127.0.0.1 nosuchkey=1']));
    const refused = await failure(admin.loadFile(fileOf('bad.ini')));
    assert.equal(refused.kind, 'refused');
    assert.match(refused.message, /RELOAD failed/);
    assert.equal((await failure(admin.loadFile(fileOf('missing.ini')))).kind, 'refused');

    await admin.loadFile(fileOf('live.ini'));
    assert.equal((await admin.read()).config.get('syslog_ident'), 'abc');
    assert.equal(
      (await pooler.log()).split('login attempt: db=pgbouncer').length - 1,
      1,
      'a refusal costs no connection',
    );
  });

  it('holds logins back around a change of the server, and lets go of them even when the file is refused', async () => {
    const held = async (): Promise<(string | undefined)[]> => {
      const { config } = await admin.read();
      return [config.get('max_user_connections'), config.get('server_lifetime')];
    };
    await admin.set('max_user_connections', '7');
    await admin.set('server_lifetime', '99');
    assert.equal((await failure(admin.loadFile(fileOf('missing.ini'), { quietWithinMs: 500 }))).kind, 'refused');
    assert.deepEqual(await held(), ['7', '99']);
    await admin.loadFile(fileOf('pgbouncer.ini'), { quietWithinMs: 500 });
    assert.deepEqual(await held(), ['0', '3600']);
  });

  it('sets any text up to the length that PgBouncer takes, and nothing that could be a second command', async () => {
    for (const value of [
      "it's",
      "'; SHUTDOWN; --",
      'a"b\\c % é',
      '',
      ' spaced ',
      "'".repeat(126),
      'x'.repeat(253),
      '-5',
    ]) {
      await admin.set('syslog_ident', value);
      assert.equal((await admin.read()).config.get('syslog_ident'), value);
    }
    for (const value of ['x'.repeat(254), "'".repeat(127), 'é'.repeat(127), 'a\nb', 'a\0b']) {
      assert.equal((await failure(admin.set('syslog_ident', value))).kind, 'refused');
    }
    await admin.set('server_lifetime', '0.25');
    assert.equal((await admin.read()).config.get('server_lifetime'), '0.25');
    assert.equal((await failure(admin.set('server_lifetime', '-1'))).kind, 'refused');
    assert.equal((await failure(admin.set('nosuchsetting', '1'))).kind, 'refused');
    assert.equal((await failure(admin.set('verbose = 1; x', '1'))).kind, 'refused');
  });

  it('waits with PAUSE for the open transaction, and later queries wait for RESUME', async () => {
    const client = await connectApp(pooler.port);
    const other = await connectApp(pooler.port);
    await client.pg.query('begin');
    await client.pg.query('create table paused (n int)');
    let paused = false;
    const pausing = admin.pause('app').then(() => {
      paused = true;
    });
    const watcher = adminOf(pooler);
    await until('PAUSE in force', async () =>
      (await watcher.databases()).some(({ name, paused: isPaused }) => name === 'app' && isPaused),
    );
    assert.equal(paused, false);
    const waiting = other.pg.query('select 1');
    await client.pg.query('commit');
    await pausing;
    assert.equal(
      (await watcher.pools()).reduce((sum, { serversActive }) => sum + serversActive, 0),
      0,
    );
    assert.equal((await watcher.pools()).find(({ database }) => database === 'app')?.clientsWaiting, 1);
    await watcher.resume('app');
    await waiting;
    await admin.pause('my db');
    await admin.resume('my db');
    assert.equal((await failure(admin.pause('nosuch'))).kind, 'refused');
    await Promise.all([client.end(), other.end(), watcher.close()]);
  });

  it('gives PAUSE up at its own deadline and leaves the database paused', async () => {
    const client = await connectApp(pooler.port);
    await client.pg.query('begin');
    await client.pg.query('select 1');
    assert.equal((await failure(admin.pause('app', { timeoutMs: 100 }))).kind, 'timeout');
    assert.equal((await admin.databases()).find(({ name }) => name === 'app')?.paused, true);
    await admin.resume('app');
    await client.pg.query('commit');
    await client.end();
  });

  it('takes the tag WAIT_CLOSE for an error, because PAUSE then waited for nothing', async () => {
    const client = await connectApp(pooler.port);
    await client.pg.query('begin');
    await client.pg.query('select 1');
    const raw = await connectApp(pooler.port, 'pgbouncer', 'admin', ADMIN_PASSWORD);
    const closing = raw.pg.query('WAIT_CLOSE app');
    await client.pg.query('commit');
    await closing;
    await client.pg.query('begin');
    await client.pg.query('select 1');
    const error = await failure(admin.pause('app'));
    assert.equal(error.kind, 'protocol');
    assert.match(error.message, /WAIT/);
    await admin.resume('app');
    await client.pg.query('commit');
    await Promise.all([client.end(), raw.end()]);
  });

  it('kills the named client and no other, and says so when it has gone', async () => {
    const [first, second] = [await connectApp(pooler.port), await connectApp(pooler.port)];
    await first.pg.query("set application_name = 'first'");
    const victim = (await admin.clients()).find(({ applicationName }) => applicationName === 'first');
    assert.ok(victim);
    assert.equal(await admin.killClient(victim.id), true);
    await until('the client noticed', () => first.lost.length > 0);
    assert.match(first.lost[0]?.message ?? '', /admin forced disconnect/);
    assert.equal(await admin.killClient(victim.id), false);
    await second.pg.query('select 1');
    assert.equal((await admin.read()).clients, 1);
    await Promise.all([first.end(), second.end()]);
  });

  it('survives a restart of the pooler: the next reading is of the new process', async () => {
    const first = await startPooler(lines(), ['syslog_ident = first']);
    await using relay = await startRelay(first.port);
    const console = adminOf(relay);
    assert.equal((await console.read()).config.get('syslog_ident'), 'first');
    await first.stop();
    assert.equal((await failure(console.read())).kind, 'unreachable');
    await using second = await startPooler(lines(), ['syslog_ident = second']);
    relay.turnTo(second.port);
    assert.equal((await console.read()).config.get('syslog_ident'), 'second');
    await console.close();
  });

  it('fails with a time-out, not a hang, when the pooler stands still, and works again afterwards', async () => {
    const quick = adminOf(pooler, { commandTimeoutMs: 300, connectTimeoutMs: 300 });
    await quick.read();
    process.kill(pooler.pid, 'SIGSTOP');
    try {
      const started = performance.now();
      assert.equal((await failure(quick.read())).kind, 'timeout');
      assert.equal((await failure(quick.read())).kind, 'timeout');
      assert.ok(performance.now() - started < 1500);
    } finally {
      process.kill(pooler.pid, 'SIGCONT');
    }
    assert.equal((await quick.read()).databases.length, 2);
    await quick.close();
  });

  it('stops at once when its caller gives up', async () => {
    process.kill(pooler.pid, 'SIGSTOP');
    const giveUp = new AbortController();
    const reading = admin.read(giveUp.signal);
    giveUp.abort(new Error('no longer needed'));
    await assert.rejects(reading, /no longer needed/);
    process.kill(pooler.pid, 'SIGCONT');
    assert.equal((await admin.read()).databases.length, 2);
  });

  it('names authentication and reachability apart, and shows a password in no error', async () => {
    const secret = 'never-print-this';
    const wrong = new AdminConsole({
      address: { host: HOST, port: pooler.port },
      user: 'admin',
      password: new SecretText(secret),
    });
    const refused = await failure(wrong.read());
    const nobody = await failure(
      new AdminConsole({ address: { host: HOST, port: 1 }, user: 'admin', password: new SecretText(secret) }).read(),
    );
    assert.equal(refused.kind, 'authentication');
    assert.equal(nobody.kind, 'unreachable');
    const setting = await failure(admin.set('nosuchsetting', secret));
    const echo = new AdminConsole({
      address: { host: HOST, port: pooler.port },
      user: 'admin',
      password: new SecretText(ADMIN_PASSWORD),
    });
    const echoed = await failure(echo.pause(ADMIN_PASSWORD.replaceAll('-', '_')));
    for (const error of [refused, nobody, setting, echoed]) {
      assert.ok(
        !inspect(error, { depth: 9 }).includes(secret) && !inspect(error, { depth: 9 }).includes(ADMIN_PASSWORD),
      );
    }
    assert.ok(!inspect(echo, { depth: 9, showHidden: true }).includes(ADMIN_PASSWORD));
    await Promise.all([wrong.close(), echo.close()]);
  });

  it('logs in by TLS where the listener asks for it, and keeps its console when a reload starts asking', async () => {
    await admin.read();
    const authority = await makeAuthority(`${postgres.dir}/${randomUUID()}`);
    const { certificate, key } = await authority.issue({ commonName: 'pooler', hosts: ['pooler.example'] });
    await pooler.writeFile('tls.crt', certificate);
    await pooler.writeFile('tls.key', key);
    await pooler.writeFile(
      'tls.ini',
      iniText(pooler, lines(), [
        'client_tls_sslmode = require',
        `client_tls_key_file = ${fileOf('tls.key')}`,
        `client_tls_cert_file = ${fileOf('tls.crt')}`,
      ]),
    );
    await admin.loadFile(fileOf('tls.ini'));
    assert.equal((await admin.read()).config.get('client_tls_sslmode'), 'require');
    const fresh = adminOf(pooler);
    assert.equal((await fresh.read()).config.get('client_tls_sslmode'), 'require');
    await fresh.close();
  });

  it('keeps one console a key, and closes those that are no longer wanted', async () => {
    const consoles = new Consoles();
    const options = {
      address: { host: HOST, port: pooler.port },
      user: 'admin',
      password: new SecretText(ADMIN_PASSWORD),
    };
    const identity = { podUid: 'u1', ip: HOST, passwordVersion: '1' };
    const keys = [
      consoleKey(identity),
      consoleKey({ ...identity, podUid: 'u2' }),
      consoleKey({ ...identity, passwordVersion: '2' }),
    ];
    const all = keys.map((key) => consoles.get(key, options));
    await Promise.all(all.map((console) => console.read()));
    assert.equal(consoles.get(keys[0] ?? '', options), all[0]);
    const open = async (): Promise<number> => (
      await admin.read(),
      (await pooler.log()).match(/closing because: client close request/g)?.length ?? 0
    );
    const before = await open();
    await consoles.retain(new Set(keys.slice(1)));
    assert.equal(consoles.size, 2);
    await until('one closed', async () => (await open()) === before + 1);
    assert.equal((await failure(all[0]?.read() ?? Promise.resolve())).kind, 'unreachable');
    await consoles.closeAll();
    await until('all closed', async () => (await open()) === before + 3);
  });
});
