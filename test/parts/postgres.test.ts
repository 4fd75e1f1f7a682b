// The monitor and the login trial against real PostgreSQL servers: limits, holders of connections, TLS as libpq means it, and every fault by its class.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { ServerTlsMode } from '../../src/model/pooler-model.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import type { ServerView } from '../../src/model/server-view.ts';
import { tryLogin } from '../../src/postgres/login-trial.ts';
import type { LoginTrial } from '../../src/postgres/login-trial.ts';
import { ServerMonitor } from '../../src/postgres/server-monitor.ts';
import type { ServerMonitorOptions } from '../../src/postgres/server-monitor.ts';
import { makeAuthority } from '../support/certificates.ts';
import type { Authority } from '../support/certificates.ts';
import { startPostgres } from '../support/servers.ts';
import type { PostgresServer } from '../support/servers.ts';
import { APP_PASSWORD, asSuperuser, connectApp, HOST, prepareDatabase, startRelay, until } from './stage.ts';
import type { AppClient } from './stage.ts';

const MONITOR_PASSWORD = 'monitor-secret-55aa';
const SECOND_HOST = '127.0.0.2';
/** The servers of the tests are on loopback, which the real guard forbids. */
const anyAddress = (): boolean => true;

describe('PostgreSQL adapter', function () {
  this.timeout(60_000);
  let folder: string;
  let trusted: Authority;
  let other: Authority;
  let postgres: PostgresServer;
  let plain: PostgresServer;
  let misnamed: PostgresServer;
  let silent: Server;
  const open: ServerMonitor[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'poolsmith-ca-'));
    trusted = await makeAuthority(join(folder, 'trusted'));
    other = await makeAuthority(join(folder, 'other'), 'another authority');
    const right = await trusted.issue({ commonName: 'server', hosts: [HOST] });
    const elsewhere = await trusted.issue({ commonName: 'server', hosts: ['elsewhere.example'] });
    const hba = [
      'host rejected all all reject',
      'hostssl tlsonly all all scram-sha-256',
      'host postgres,app,nosuch all all scram-sha-256',
    ];
    const settings = { superuser_reserved_connections: '3', reserved_connections: '2' };
    postgres = await startPostgres({ tls: right, hba, settings, maxConnections: 20 });
    plain = await startPostgres();
    misnamed = await startPostgres({ tls: elsewhere });
    for (const server of [postgres, plain, misnamed]) {
      await prepareDatabase(server);
      await asSuperuser(
        server,
        'postgres',
        `create role monitor login password '${MONITOR_PASSWORD}' in role pg_monitor`,
        `create role unprivileged login password '${MONITOR_PASSWORD}'`,
        `create role dormant login noinherit password '${MONITOR_PASSWORD}' in role pg_monitor`,
        `create role limited login connection limit 0 password '${MONITOR_PASSWORD}'`,
        `create role nologin password '${MONITOR_PASSWORD}'`,
        'create database rejected',
        'create database tlsonly',
      );
    }
    silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, HOST, resolve));
  });
  after(async () => {
    silent.close();
    await Promise.all([postgres.stop(), plain.stop(), misnamed.stop(), rm(folder, { recursive: true })]);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((monitor) => monitor.close()));
  });

  function monitor(options: Partial<ServerMonitorOptions> = {}): ServerMonitor {
    const made = new ServerMonitor({
      host: HOST,
      port: postgres.port,
      tls: { mode: 'verify-full', caPem: trusted.certificate },
      user: 'monitor',
      password: new SecretText(MONITOR_PASSWORD),
      database: 'postgres',
      guard: anyAddress,
      ...options,
    });
    open.push(made);
    return made;
  }

  const trial = async (options: Partial<LoginTrial>): Promise<string> => {
    const result = await tryLogin({
      host: HOST,
      port: postgres.port,
      tls: { mode: 'disable' },
      user: 'app',
      password: new SecretText(APP_PASSWORD),
      database: 'app',
      timeoutMs: 2000,
      guard: anyAddress,
      ...options,
    });
    return result.ok ? 'ok' : result.fault;
  };

  function seen(view: ServerView) {
    assert.ok(view.reachable, JSON.stringify(view));
    return view;
  }

  it('reads the limits, the reserved slots included', async () => {
    const { limits, seesOthers } = seen(await monitor().observe());
    assert.ok(limits.versionNumber >= 160_000);
    assert.deepEqual(
      { ...limits, versionNumber: 0 },
      { versionNumber: 0, maxConnections: 20, superuserReserved: 3, reserved: 2 },
    );
    assert.equal(seesOthers, true);
  });

  it('counts client backends by address, user and database, without its own and without background workers', async () => {
    const clients = [await connectApp(postgres.port), await connectApp(postgres.port)];
    await using relay = await startRelay(postgres.port, { from: SECOND_HOST });
    const far = await connectApp(relay.port);
    const watching = monitor();
    const view = seen(await watching.observe());
    const byAddress = [...view.backends].sort((a, b) => (a.clientAddress ?? '').localeCompare(b.clientAddress ?? ''));
    assert.deepEqual(byAddress, [
      { clientAddress: HOST, user: 'app', database: 'app', count: 2 },
      { clientAddress: SECOND_HOST, user: 'app', database: 'app', count: 1 },
    ]);
    await Promise.all([...clients.map((client) => client.end()), far.end()]);
    await until('none left', async () => seen(await watching.observe()).backends.length === 0);
  });

  it("marks those that call themselves the operator's own, and lists the backends of one address that are old enough", async () => {
    await using relay = await startRelay(postgres.port, { from: SECOND_HOST });
    const far = await connectApp(relay.port);
    const { rows } = await far.pg.query<{ pid: number }>('select pg_backend_pid() as pid');
    const [other, watching] = [monitor(), monitor()];
    seen(await other.observe());
    const view = seen(await watching.observe());
    assert.deepEqual(view.backends.map(({ user, count, operators }) => [user, count, operators]).sort(), [
      ['app', 1, undefined],
      ['monitor', 1, true],
    ]);
    const young = await watching.backendsFrom(SECOND_HOST, 60_000);
    assert.deepEqual(young, []);
    const pids = (await watching.backendsFrom(SECOND_HOST, 0))?.map(({ pid }) => pid);
    assert.deepEqual(pids, [rows[0]?.pid]);
    await assert.rejects(watching.backendsFrom("127.0.0.1'; select 1", 0), /no IP address/);
    await far.end();
    await until('none left', async () => (await watching.backendsFrom(SECOND_HOST, 0))?.length === 0);
  });

  it('keeps one connection over many observations, and replaces a lost one', async () => {
    const watching = monitor();
    for (let round = 0; round < 50; round += 1) {
      seen(await watching.observe());
    }
    const mine = "from pg_stat_activity where application_name = 'poolsmith-monitor'";
    const count = async (): Promise<unknown> =>
      (await asSuperuser(postgres, 'postgres', `select count(*)::int as n ${mine}`))[0];
    assert.deepEqual(await count(), { n: 1 });
    await asSuperuser(postgres, 'postgres', `select pg_terminate_backend(pid, 2000) ${mine}`);
    seen(await watching.observe());
    assert.deepEqual(await count(), { n: 1 });
  });

  it('says that it sees nobody else without the privileges of pg_monitor, inherited ones only', async () => {
    const client = await connectApp(postgres.port);
    for (const user of ['unprivileged', 'dormant']) {
      const view = seen(await monitor({ user }).observe());
      assert.equal(view.seesOthers, false, user);
      assert.equal(view.limits.maxConnections, 20);
    }
    assert.equal(seen(await monitor().observe()).seesOthers, true);
    await client.end();
  });

  it('turns every trouble of the server into a result', async () => {
    const fault = async (options: Partial<ServerMonitorOptions>): Promise<string> => {
      const view = await monitor({ connectTimeoutMs: 500, queryTimeoutMs: 500, ...options }).observe();
      return view.reachable ? 'reachable' : view.fault;
    };
    assert.equal(await fault({}), 'reachable');
    assert.equal(await fault({ port: 1 }), 'ServerUnreachable');
    assert.equal(await fault({ host: 'nosuch.invalid' }), 'ServerUnreachable');
    assert.equal(await fault({ port: (silent.address() as AddressInfo).port }), 'ServerUnreachable');
    assert.equal(await fault({ password: new SecretText('wrong') }), 'PasswordRefused');
    assert.equal(await fault({ password: new SecretText('') }), 'PasswordRefused');
    assert.equal(await fault({ database: 'nosuch' }), 'DatabaseMissing');
    assert.equal(await fault({ user: 'limited' }), 'TooManyConnections');
    assert.equal(await fault({ tls: { mode: 'verify-full', caPem: other.certificate } }), 'CertificateNotTrusted');
    assert.equal(await fault({ port: plain.port }), 'TlsNotOffered');
  });

  it('reports a server that stands still and one that went away, and finds it again', async () => {
    await using relay = await startRelay(postgres.port);
    const watching = monitor({ port: relay.port, connectTimeoutMs: 400, queryTimeoutMs: 400 });
    seen(await watching.observe());
    relay.turnTo(1);
    await asSuperuser(
      postgres,
      'postgres',
      "select pg_terminate_backend(pid, 2000) from pg_stat_activity where application_name = 'poolsmith-monitor'",
    );
    assert.deepEqual(await watching.observe(), { reachable: false, fault: 'ServerUnreachable' });
    relay.turnTo((silent.address() as AddressInfo).port);
    const started = performance.now();
    assert.deepEqual(await watching.observe(), { reachable: false, fault: 'ServerUnreachable' });
    assert.ok(performance.now() - started < 2000);
    relay.turnTo(postgres.port);
    seen(await watching.observe());
  });

  it('refuses a server older than it knows', async () => {
    await using old = await startServerOfVersion(120_022);
    const view = await monitor({ port: old.port, tls: { mode: 'disable' } }).observe();
    assert.deepEqual(view, { reachable: false, fault: 'VersionTooOld' });
  });

  it('stops when its caller gives up, and prints no password', async () => {
    const watching = monitor({ port: (silent.address() as AddressInfo).port });
    const giveUp = new AbortController();
    const observing = watching.observe(giveUp.signal);
    giveUp.abort(new Error('no longer needed'));
    await assert.rejects(observing, /no longer needed/);
    assert.ok(!inspect(watching, { depth: 9, showHidden: true }).includes(MONITOR_PASSWORD));
  });

  it('verifies as much of the certificate as the mode asks for', async () => {
    const table: Record<string, string> = {};
    for (const mode of ['disable', 'require', 'verify-ca', 'verify-full'] as const satisfies readonly ServerTlsMode[]) {
      const ca = { mode, caPem: trusted.certificate };
      table[`${mode}, right certificate`] = await trial({ tls: ca });
      table[`${mode}, other name`] = await trial({ tls: ca, port: misnamed.port });
      table[`${mode}, other authority`] = await trial({ tls: { mode, caPem: other.certificate } });
      table[`${mode}, public authorities`] = await trial({ tls: { mode } });
      table[`${mode}, no TLS offered`] = await trial({ tls: ca, port: plain.port });
    }
    const row = (mode: ServerTlsMode, ...outcomes: string[]) =>
      ['right certificate', 'other name', 'other authority', 'public authorities', 'no TLS offered'].map(
        (name, index) => [`${mode}, ${name}`, outcomes[index]],
      );
    assert.deepEqual(
      table,
      Object.fromEntries([
        ...row('disable', 'ok', 'ok', 'ok', 'ok', 'ok'),
        ...row('require', 'ok', 'ok', 'ok', 'ok', 'TlsNotOffered'),
        ...row('verify-ca', 'ok', 'ok', 'CertificateNotTrusted', 'CertificateNotTrusted', 'TlsNotOffered'),
        ...row(
          'verify-full',
          'ok',
          'CertificateNotTrusted',
          'CertificateNotTrusted',
          'CertificateNotTrusted',
          'TlsNotOffered',
        ),
      ]),
    );
    assert.equal(await trial({ tls: { mode: 'verify-ca', caPem: 'not a certificate' } }), 'CertificateNotTrusted');
  });

  it('names why a login failed', async () => {
    const result = await tryLogin({
      ...{
        host: HOST,
        port: postgres.port,
        tls: { mode: 'disable' },
        user: 'app',
        database: 'app',
        timeoutMs: 2000,
        guard: anyAddress,
      },
      password: new SecretText(APP_PASSWORD),
    });
    assert.ok(result.ok && result.versionNumber >= 160_000);
    assert.equal(await trial({ password: new SecretText('wrong') }), 'PasswordRefused');
    assert.equal(await trial({ user: 'stranger' }), 'PasswordRefused');
    assert.equal(await trial({ database: 'nosuch' }), 'DatabaseMissing');
    assert.equal(await trial({ database: 'rejected' }), 'LoginRefused');
    assert.equal(await trial({ database: 'tlsonly' }), 'LoginRefused');
    assert.equal(await trial({ user: 'nologin', password: new SecretText(MONITOR_PASSWORD) }), 'LoginRefused');
    assert.equal(await trial({ user: 'limited', password: new SecretText(MONITOR_PASSWORD) }), 'TooManyConnections');
    assert.equal(await trial({ port: 1 }), 'ServerUnreachable');
    assert.equal(await trial({ host: 'nosuch.invalid' }), 'ServerUnreachable');
    assert.equal(await trial({ port: (silent.address() as AddressInfo).port, timeoutMs: 200 }), 'ServerUnreachable');
  });

  it('tells a full server from a missing one', async () => {
    const clients: AppClient[] = [];
    while ((await trial({})) === 'ok') {
      assert.ok(clients.length < 20);
      clients.push(await connectApp(postgres.port));
    }
    assert.equal(await trial({}), 'TooManyConnections');
    await Promise.all(clients.map((client) => client.end()));
    await until('room again', async () => (await trial({})) === 'ok');
  });

  it('connects to no address of its own machine, neither by number nor by name', async () => {
    let touched = 0;
    const listener = createServer(() => (touched += 1));
    await new Promise<void>((resolve) => listener.listen(0, HOST, resolve));
    const { port } = listener.address() as AddressInfo;
    for (const host of [HOST, 'localhost', SECOND_HOST, '0.0.0.0', '::1', '::ffff:127.0.0.1', '2130706433', '0x7f.1']) {
      const guarded = {
        host,
        port,
        user: 'app',
        password: new SecretText('x'),
        database: 'app',
        tls: { mode: 'disable' as const },
      };
      assert.deepEqual(
        await tryLogin({ ...guarded, timeoutMs: 1000 }),
        { ok: false, fault: 'ServerUnreachable' },
        host,
      );
      const watching = new ServerMonitor(guarded);
      assert.deepEqual(await watching.observe(), { reachable: false, fault: 'ServerUnreachable' }, host);
      await watching.close();
    }
    assert.equal(touched, 0);
    assert.equal(await trial({ port, timeoutMs: 200 }), 'ServerUnreachable');
    assert.equal(touched, 1, 'without the guard the listener is reached, so the guard is what kept it untouched');
    listener.close();
  });
});

/** A server that lets everybody in and answers every query with its version number: no PostgreSQL before 13 is at hand. */
async function startServerOfVersion(versionNumber: number): Promise<AsyncDisposable & { readonly port: number }> {
  const message = (type: string, body: Buffer): Buffer => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const int = (bytes: 2 | 4, value: number): Buffer => {
    const buffer = Buffer.alloc(bytes);
    buffer.writeIntBE(value, 0, bytes);
    return buffer;
  };
  const ready = message('Z', Buffer.from('I'));
  const values = {
    version_number: String(versionNumber),
    max_connections: '100',
    superuser_reserved: '3',
    reserved: '0',
    sees_others: '1',
  };
  const columns = Object.keys(values).map((name) =>
    Buffer.concat([Buffer.from(`${name}\0`), int(4, 0), int(2, 0), int(4, 25), int(2, -1), int(4, -1), int(2, 0)]),
  );
  const texts = Object.values(values).map((value) => Buffer.concat([int(4, value.length), Buffer.from(value)]));
  const answer = Buffer.concat([
    message('T', Buffer.concat([int(2, columns.length), ...columns])),
    message('D', Buffer.concat([int(2, texts.length), ...texts])),
    message('C', Buffer.from('SELECT 1\0')),
    ready,
  ]);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', int(4, 0)), ready]));
      socket.on('data', (data) => {
        if (data[0] === 'Q'.charCodeAt(0)) {
          socket.write(answer);
        }
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      return Promise.resolve();
    },
  };
}
