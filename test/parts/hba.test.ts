// Who may come from where, on the real PgBouncer: the rules as we write them, certificates of clients, and names that look like syntax.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { PROOF_USER } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { proveLogin } from '../../src/pgbouncer/server-login.ts';
import { renderHba, type HbaLine } from '../../src/render/hba.ts';
import { compareReadBack } from '../../src/render/read-back.ts';
import { proofPassword, renderUserlist, userlistHash, type UserlistUser } from '../../src/render/userlist.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { APP, HOST, KEYS, startRendered, type RenderedPooler } from './rendered-pooler.ts';
import { asSuperuser, startRelay } from './stage.ts';

const NASTY = [
  'all',
  'replication',
  'sameuser',
  '+admins',
  '@/etc/passwd',
  'a b',
  'c"d',
  'e,f',
  '#g',
  'ü',
  '127.0.0.1',
];
const OTHER: UserlistUser = { name: 'other', secret: new SecretText('other-password') };

type Way = Readonly<{ database?: string; tls?: boolean; certificate?: Certificate | undefined; from?: string }>;

describe('rules for who may come from where', function () {
  this.timeout(60_000);
  let folder: string;
  let authority: Authority;
  let own: Certificate;
  let postgres: PostgresServer;
  let pooler: RenderedPooler;
  const users: readonly UserlistUser[] = [
    APP,
    OTHER,
    ...NASTY.map((name) => ({ name, secret: new SecretText(`secret of ${name}`) })),
  ];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hba-'));
    authority = await makeAuthority(folder);
    own = await authority.issue({ commonName: 'pooler', hosts: [HOST] });
    postgres = await startPostgres({});
    const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
    await asSuperuser(
      postgres,
      'postgres',
      ...users.map(({ name, secret }) => `create role ${quoted(name)} login password '${secret.reveal()}'`),
      'create database app',
    );
    pooler = await startRendered();
  });

  after(async () => {
    await pooler[Symbol.asyncDispose]();
    await postgres.stop();
    await rm(folder, { recursive: true });
  });

  const changes = (hba: readonly HbaLine[] | undefined) => ({
    users,
    databases: ['app', 'second'].map((name) => ({
      ...{ name, host: HOST, port: postgres.port, dbname: 'app', poolMode: 'transaction' as const },
    })),
    clientTls: { mode: 'prefer' as const, certificate: own, authority: authority.certificate },
    ...(hba === undefined ? {} : { hba }),
  });

  /** Who the server says it is, or with which words it was refused. */
  async function ask(user: UserlistUser, way: Way = {}): Promise<string> {
    const { database = 'app', tls = false, certificate, from = HOST } = way;
    // Another of the host's own addresses, as another client would have.
    await using relay = from === HOST ? undefined : await startRelay(pooler.server.port, { from });
    const client = new pg.Client({
      ...{ host: HOST, port: relay?.port ?? pooler.server.port, connectionTimeoutMillis: 5_000 },
      ...{ user: user.name, password: user.secret.reveal(), database },
      ssl: tls && { ca: authority.certificate, cert: certificate?.certificate, key: certificate?.key },
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ me: string }>('select current_user as me');
      return rows[0]?.me ?? '';
    } catch (error) {
      return `refused: ${(error as Error).message}`;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  it('read back as they were rendered, come and go by RELOAD, and never lock the operator out', async () => {
    const nobody: HbaLine = { type: 'host', method: 'reject' };
    for (const hba of [undefined, [nobody], undefined]) {
      const ini = await pooler.load(changes(hba));
      await pooler.console.disconnect();
      assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
      const answer = await ask(APP);
      if (hba === undefined) assert.equal(answer, APP.name);
      else assert.match(answer, /^refused/);
    }
  });

  it('decide by the first that fits; who fits none is refused', async () => {
    await pooler.load(
      changes([
        { type: 'host', databases: ['second'], users: [APP.name], method: 'reject' },
        { type: 'host', users: [APP.name], method: 'scram-sha-256' },
      ]),
    );
    assert.equal(await ask(APP), APP.name);
    assert.match(await ask(APP, { database: 'second' }), /^refused/);
    assert.match(await ask(OTHER), /^refused/);
    assert.match(await ask({ ...APP, secret: OTHER.secret }), /^refused/);
  });

  it('tell addresses apart, in both notations', async () => {
    await pooler.load(
      changes([
        { type: 'host', address: '127.0.0.2/32', method: 'reject' },
        { type: 'host', address: '127.0.0.0/8', users: [APP.name], method: 'scram-sha-256' },
        { type: 'host', address: 'fd00::/8', method: 'scram-sha-256' },
      ]),
    );
    assert.equal(await ask(APP), APP.name);
    assert.equal(await ask(APP, { from: '127.0.0.3' }), APP.name);
    assert.match(await ask(APP, { from: '127.0.0.2' }), /^refused/);
    assert.match(await ask(OTHER), /^refused/);
  });

  it('tell TLS from plain text', async () => {
    await pooler.load(
      changes([
        { type: 'hostssl', users: [APP.name], method: 'scram-sha-256' },
        { type: 'hostnossl', users: [OTHER.name], method: 'scram-sha-256' },
      ]),
    );
    assert.deepEqual([await ask(APP, { tls: true }), await ask(OTHER)], [APP.name, OTHER.name]);
    for (const answer of [await ask(APP), await ask(OTHER, { tls: true })]) assert.match(answer, /^refused/);
  });

  it('let a user in by the certificate that names it, and nobody by another one or none', async () => {
    await pooler.load(changes([{ type: 'hostssl', users: [APP.name], method: 'cert' }]));
    const named = await authority.issue({ commonName: APP.name });
    const another = await authority.issue({ commonName: OTHER.name });
    const stranger = await (await makeAuthority(join(folder, 'stranger'))).issue({ commonName: APP.name });
    const wrong = { ...APP, secret: new SecretText('no password') };
    assert.equal(await ask(wrong, { tls: true, certificate: named }), APP.name);
    for (const certificate of [another, stranger, undefined])
      assert.match(await ask(APP, { tls: true, certificate }), /^refused/);
  });

  it('take names that look like syntax for names', async () => {
    for (const name of NASTY) {
      await pooler.load(changes([{ type: 'host', users: [name], method: 'scram-sha-256' }]));
      assert.equal(await ask({ name, secret: new SecretText(`secret of ${name}`) }), name);
      assert.match(await ask(OTHER), /^refused/, `other came in where ${name} may`);
    }
  });

  it('are proved with their userlist, which goes by another name with other rules', async () => {
    const byPassword: readonly HbaLine[] = [{ type: 'host', method: 'scram-sha-256' }];
    const nobody: readonly HbaLine[] = [{ type: 'host', method: 'reject' }];
    const fileWith = (hba: readonly HbaLine[]): string =>
      renderUserlist(users, KEYS, [], renderHba(hba).fileName).fileName;
    const provedAs = (hba: readonly HbaLine[]): Promise<boolean> =>
      proveLogin({
        address: { host: HOST, port: pooler.server.port },
        user: PROOF_USER,
        password: proofPassword(userlistHash(fileWith(hba)) ?? '', KEYS.proofKey),
        timeoutMs: 2_000,
      });
    await pooler.load(changes(byPassword));
    assert.deepEqual([await provedAs(byPassword), await provedAs(nobody)], [true, false]);
    await pooler.load(changes(nobody));
    assert.deepEqual([await provedAs(byPassword), await provedAs(nobody)], [false, true]);
  });
});
