// Proofs by login against the real PgBouncer and PostgreSQL: what passes RELOAD and read-back must still be found out here.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecretText } from '../../src/model/secret-text.ts';
import type { AdminConsole } from '../../src/pgbouncer/console.ts';
import { AdminError } from '../../src/pgbouncer/errors.ts';
import { markServers, proveLogin, proveServerLogin, tryServerLogin } from '../../src/pgbouncer/server-login.ts';
import type { ServerLoginProved } from '../../src/pgbouncer/server-login.ts';
import { makeAuthority } from '../support/certificates.ts';
import type { Authority } from '../support/certificates.ts';
import { startPgbouncer, startPostgres } from '../support/servers.ts';
import type { PgbouncerServer, PostgresServer } from '../support/servers.ts';
import {
  adminOf,
  APP_PASSWORD,
  asSuperuser,
  connectApp,
  databaseLine,
  HOST,
  iniText,
  prepareDatabase,
  PROOF_PASSWORD,
  PROOF_USER,
  startRelay,
  until,
  USERLIST,
} from './stage.ts';
import type { AppClient } from './stage.ts';

const USERS = `${USERLIST}"stranger" "stranger-secret"\n"limited" "${APP_PASSWORD}"\n"nologin" "${APP_PASSWORD}"\n`;

describe('server login proofs', function () {
  this.timeout(60_000);
  let folder: string;
  let trusted: Authority;
  let other: Authority;
  let postgres: PostgresServer;
  let plain: PostgresServer;
  let misnamed: PostgresServer;
  let silent: Server;
  let pooler: PgbouncerServer;
  let admin: AdminConsole;

  const tls = (caFile = 'ca.crt', mode = 'verify-full'): string[] => [
    `server_tls_sslmode = ${mode}`,
    `server_tls_ca_file = ${pooler.dir}/${caFile}`,
  ];
  const address = (): { host: string; port: number } => ({ host: HOST, port: pooler.port });
  const line = (name: string, port: number, dbname: string): string =>
    `${name} = host=${HOST} port=${port} dbname=${dbname} pool_size=3`;
  const tryAs = (database: string, user = 'app', password = APP_PASSWORD, timeoutMs = 5000) =>
    tryServerLogin({ address: address(), database, user, password: new SecretText(password), timeoutMs });

  async function change(databases: readonly string[], settings: readonly string[]): Promise<ReadonlySet<string>> {
    await pooler.writeFile('live.ini', iniText(pooler, databases, settings));
    const since = await markServers(admin);
    await admin.loadFile(`${pooler.dir}/live.ini`, { quietWithinMs: 1000 });
    return since;
  }

  async function prove(
    since: ReadonlySet<string>,
    role: 'proof' | 'application' = 'proof',
    timeoutMs = 4000,
  ): Promise<ServerLoginProved> {
    const [user, password] = role === 'proof' ? [PROOF_USER, PROOF_PASSWORD] : ['app', APP_PASSWORD];
    return proveServerLogin({
      console: admin,
      address: address(),
      database: 'app',
      user,
      password: new SecretText(password),
      role,
      since,
      timeoutMs,
    });
  }

  /** Clients that are never idle, more than the pool has servers. */
  async function saturate(work: () => Promise<void>): Promise<{ done: number; failures: string[] }> {
    const clients = await Promise.all(Array.from({ length: 9 }, () => connectApp(pooler.port)));
    const tally = { done: 0, failures: [] as string[] };
    let stop = false;
    const loops = clients.map(async ({ pg }) => {
      while (!stop) {
        await pg.query('select pg_sleep(0.005)').then(
          () => (tally.done += 1),
          (error: unknown) => {
            tally.failures.push(String(error));
            stop = true;
          },
        );
      }
    });
    await until('saturated', async () => (await admin.pools()).some(({ clientsWaiting }) => clientsWaiting > 0));
    try {
      await work();
    } finally {
      stop = true;
      await Promise.all(loops);
      await Promise.all(clients.map((client: AppClient) => client.end()));
    }
    return tally;
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'poolsmith-ca-'));
    trusted = await makeAuthority(join(folder, 'trusted'));
    other = await makeAuthority(join(folder, 'other'), 'another authority');
    const right = await trusted.issue({ commonName: 'server', hosts: [HOST] });
    const elsewhere = await trusted.issue({ commonName: 'server', hosts: ['elsewhere.example'] });
    const hba = ['host rejected all 127.0.0.1/32 reject', 'host all all 127.0.0.1/32 scram-sha-256'];
    postgres = await startPostgres({ tls: right, hba });
    plain = await startPostgres({ hba });
    misnamed = await startPostgres({ tls: elsewhere, hba });
    for (const server of [postgres, plain, misnamed]) {
      await prepareDatabase(server);
      await asSuperuser(
        server,
        'postgres',
        'create database rejected',
        `create role limited login connection limit 0 password '${APP_PASSWORD}'`,
        `create role nologin password '${APP_PASSWORD}'`,
      );
    }
    silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, HOST, resolve));
  });
  after(async () => {
    silent.close();
    await Promise.all([postgres.stop(), plain.stop(), misnamed.stop(), rm(folder, { recursive: true })]);
  });
  beforeEach(async () => {
    pooler = await startPgbouncer({
      iniText: ({ port, dir }) =>
        iniText(
          { port, dir },
          [
            databaseLine('app', postgres.port, 3),
            line('missing', postgres.port, 'nosuch'),
            line('rejected', postgres.port, 'rejected'),
            line('refused', 1, 'app'),
            line('silent', (silent.address() as AddressInfo).port, 'app'),
            `unknown = host=nosuch.invalid port=${postgres.port} dbname=app`,
            line('notls', plain.port, 'app'),
            line('misnamed', misnamed.port, 'app'),
          ],
          ['server_tls_sslmode = verify-full', `server_tls_ca_file = ${dir}/ca.crt`],
        ),
      files: {
        'userlist.txt': USERS,
        'ca.crt': trusted.certificate,
        'ca-again.crt': trusted.certificate,
        'ca-other.crt': other.certificate,
      },
    });
    admin = adminOf(pooler);
  });
  afterEach(async () => {
    await admin.close();
    await pooler.stop();
  });

  it('proves which userlist is loaded by a login to the console, and throws only for the network', async () => {
    const as = (password: string, port = pooler.port) =>
      proveLogin({
        address: { host: HOST, port },
        user: PROOF_USER,
        password: new SecretText(password),
        timeoutMs: 1000,
      });
    assert.equal(await as(PROOF_PASSWORD), true);
    assert.equal(await as('former'), false);
    await pooler.writeFile('userlist.txt', USERS.replace(PROOF_PASSWORD, 'the next one'));
    await admin.reload();
    assert.equal(await as('the next one'), true);
    assert.equal(await as(PROOF_PASSWORD), false);
    await assert.rejects(as(PROOF_PASSWORD, 1), (error) => error instanceof AdminError && error.kind === 'unreachable');
  });

  it('sorts what a client is told when the server refuses', async () => {
    const faults: Record<string, string> = {};
    const note = async (name: string, ...login: Parameters<typeof tryAs>): Promise<void> => {
      const result = await tryAs(...login);
      faults[name] = result.ok ? 'ok' : result.fault;
    };
    await note('right', 'app');
    await note('database missing', 'missing');
    await note('rejected by pg_hba.conf', 'rejected');
    await note('role missing', 'app', 'stranger', 'stranger-secret');
    await note('proving user', 'app', PROOF_USER, PROOF_PASSWORD);
    await note('no connection left', 'app', 'limited');
    await note('role may not log in', 'app', 'nologin');
    await note('unknown to the pooler', 'nosuch');
    await note('wrong password at the pooler', 'app', 'app', 'wrong');
    assert.deepEqual(faults, {
      right: 'ok',
      'database missing': 'DatabaseMissing',
      'rejected by pg_hba.conf': 'LoginRefused',
      'role missing': 'PasswordRefused',
      'proving user': 'PasswordRefused',
      'no connection left': 'TooManyConnections',
      'role may not log in': 'LoginRefused',
      'unknown to the pooler': 'PoolerRefused',
      'wrong password at the pooler': 'PoolerRefused',
    });
  });

  it('gives up by its own deadline where PgBouncer keeps its clients waiting: the network and TLS show only as silence', async () => {
    const names = ['refused', 'silent', 'unknown', 'notls', 'misnamed'];
    const results = await Promise.all(names.map((name) => tryAs(name, PROOF_USER, PROOF_PASSWORD, 1500)));
    assert.deepEqual(
      results.map((result) => (result.ok ? 'ok' : result.fault)),
      names.map(() => 'Timeout'),
    );
  });

  it('throws when the pooler itself is away', async () => {
    const login = {
      address: { host: HOST, port: 1 },
      database: 'app',
      user: 'app',
      password: new SecretText(APP_PASSWORD),
      timeoutMs: 500,
    };
    await assert.rejects(tryServerLogin(login), (error) => error instanceof AdminError && error.kind === 'unreachable');
  });

  for (const role of ['proof', 'application'] as const) {
    it(`proves a good change on an idle pool with the ${role} user`, async () => {
      await tryAs('app');
      const since = await change([databaseLine('app', postgres.port, 3)], tls('ca-again.crt'));
      const result = await prove(since, role);
      assert.ok(result.proved, JSON.stringify(result));
      assert.ok(result.tookMs < 2500, `took ${result.tookMs} ms`);
    });

    it(`does not prove a wrong CA on an idle pool with the ${role} user, although RELOAD said OK`, async () => {
      await tryAs('app');
      const since = await change([databaseLine('app', postgres.port, 3)], tls('ca-other.crt'));
      assert.deepEqual(await prove(since, role, 2500), { proved: false, fault: 'Timeout' });
    });
  }

  it('is not taken in by a connection from before the change', async () => {
    const client = await connectApp(pooler.port);
    await client.pg.query('begin');
    await client.pg.query('select 1');
    const since = await change([databaseLine('app', postgres.port, 3)], tls('ca-other.crt'));
    assert.equal((await prove(since, 'application', 1500)).proved, false);
    await client.pg.query('commit');
    await client.end();
  });

  it('is not taken in by an attempt that was under way before the change', async () => {
    const port = (silent.address() as AddressInfo).port;
    await change([databaseLine('app', port, 3)], tls());
    const hanging = tryAs('app', PROOF_USER, PROOF_PASSWORD, 800);
    await until('an attempt under way', async () => (await admin.servers()).some(({ state }) => state === 'new'));
    const since = await change([databaseLine('app', postgres.port, 3)], tls());
    const result = await prove(since, 'proof', 8000);
    assert.ok(result.proved, JSON.stringify(result));
    assert.deepEqual(await hanging, { ok: false, fault: 'Timeout', fresh: true });
  });

  it('proves again and again, each time by a login made since, also after a refusal that PgBouncer could remember', async () => {
    for (let round = 0; round < 3; round += 1) {
      const since = await change(
        [databaseLine('app', postgres.port, 3)],
        tls(round % 2 === 0 ? 'ca-again.crt' : 'ca.crt'),
      );
      assert.ok((await prove(since)).proved);
    }
    const since = await change([databaseLine('app', postgres.port, 3)], tls('ca-other.crt'));
    assert.equal((await prove(since, 'proof', 2500)).proved, false);
  });

  it('proves a good change under saturation by the traffic itself, without a failed query', async () => {
    await tryAs('app');
    const tally = await saturate(async () => {
      const since = await change([databaseLine('app', postgres.port, 3)], tls('ca-again.crt', 'verify-ca'));
      const result = await prove(since);
      assert.ok(result.proved, JSON.stringify(result));
      assert.ok(result.tookMs < 1000, `took ${result.tookMs} ms`);
    });
    assert.deepEqual(tally.failures, []);
    assert.ok(tally.done > 0);
  });

  it('fails no query when the way to the server changes again and again while server connections come and go', async () => {
    // Slow logins, so that one is under way most of the time.
    await using relay = await startRelay(postgres.port, { delayMs: 40 });
    const lines = [databaseLine('app', relay.port, 3)];
    const settings = (round: number): string[] => [
      ...tls(round % 2 === 0 ? 'ca.crt' : 'ca-again.crt'),
      'server_lifetime = 0.2',
    ];
    await change(lines, settings(0));
    const tally = await saturate(async () => {
      for (let round = 1; round <= 10; round += 1) {
        await change(lines, settings(round));
        await until('all replaced', async () => {
          const servers = await admin.servers();
          return servers.length === 3 && servers.every(({ closeNeeded }) => !closeNeeded);
        });
        await until('a login under way', async () =>
          (await admin.pools()).some(({ serversLogin }) => serversLogin > 0),
        );
      }
    });
    assert.deepEqual(tally.failures, []);
    assert.ok(tally.done > 0);
  });

  it('finds a wrong CA under saturation out', async () => {
    await tryAs('app');
    await saturate(async () => {
      const since = await change([databaseLine('app', postgres.port, 3)], tls('ca-other.crt'));
      assert.equal((await prove(since, 'proof', 2000)).proved, false);
      assert.equal((await admin.clients()).filter(({ user }) => user === PROOF_USER).length, 0);
      await change([databaseLine('app', postgres.port, 3)], tls());
      assert.ok((await prove(new Set(), 'proof', 4000)).proved);
    });
  });

  it('takes an old connection for proof only where nothing that leads to the server has changed', async () => {
    await tryAs('app');
    const since = await change([databaseLine('app', postgres.port, 2)], [...tls(), 'query_wait_timeout = 7']);
    const unchanged = await prove(since, 'application');
    assert.ok(
      unchanged.proved && unchanged.by === 'UnchangedServer' && unchanged.tookMs < 1000,
      JSON.stringify(unchanged),
    );
    const later = await change([databaseLine('app', postgres.port, 2, "connect_query='select 1'")], tls());
    const changed = await prove(later, 'application');
    assert.ok(changed.proved && changed.by === 'NewServer', JSON.stringify(changed));
  });

  it('names the cause to a real user', async () => {
    await tryAs('app');
    const since = await change([`app = host=${HOST} port=${postgres.port} dbname=nosuch pool_size=3`], tls());
    assert.deepEqual(await prove(since, 'application'), { proved: false, fault: 'DatabaseMissing' });
  });

  it('lets go when its caller gives up, and leaves no client behind', async () => {
    const since = await change([databaseLine('app', (silent.address() as AddressInfo).port, 3)], tls());
    const giveUp = new AbortController();
    const proving = proveServerLogin({
      console: admin,
      address: address(),
      database: 'app',
      user: PROOF_USER,
      password: new SecretText(PROOF_PASSWORD),
      role: 'proof',
      since,
      timeoutMs: 5000,
      signal: giveUp.signal,
    });
    await until('an attempt under way', async () => (await admin.servers()).length > 0);
    giveUp.abort(new Error('no longer needed'));
    await assert.rejects(proving, /no longer needed/);
    await until('no client', async () => (await admin.clients()).length === 0);
  });
});
