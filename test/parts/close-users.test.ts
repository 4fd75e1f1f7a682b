// Connections of removed users on the real PgBouncer: those between two transactions are closed, the others when they are, or when it must be.
import assert from 'node:assert/strict';
import pg from 'pg';
import { SecretText } from '../../src/model/secret-text.ts';
import { closeUsers } from '../../src/pgbouncer/close-users.ts';
import type { UserlistUser } from '../../src/render/userlist.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { APP, HOST, startRendered, type RenderedPooler } from './rendered-pooler.ts';
import { asSuperuser, until } from './stage.ts';

const READER: UserlistUser = { name: 'Reader "1"', secret: new SecretText('reader-password') };

describe('the connections of a removed user', function () {
  this.timeout(60_000);
  let postgres: PostgresServer;
  let pooler: RenderedPooler;

  before(async () => {
    postgres = await startPostgres({});
    await asSuperuser(
      postgres,
      'postgres',
      `create role ${APP.name} login password '${APP.secret.reveal()}'`,
      `create role "Reader ""1""" login password '${READER.secret.reveal()}'`,
      'create database app',
    );
    pooler = await startRendered();
    await load([APP, READER]);
  });

  after(async () => {
    await pooler[Symbol.asyncDispose]();
    await postgres.stop();
  });

  async function load(users: readonly UserlistUser[]): Promise<void> {
    const entry = { name: 'app', host: HOST, port: postgres.port, dbname: 'app', poolMode: 'transaction' as const };
    await pooler.load({ databases: [entry], users, removed: [READER.name] });
  }

  type Connected = Readonly<{ client: pg.Client; isClosed: () => boolean }>;

  async function connected({ name, secret }: UserlistUser): Promise<Connected> {
    const client = new pg.Client({
      ...{ host: HOST, port: pooler.server.port, user: name, password: secret.reveal(), database: 'app' },
    });
    let closed = false;
    client.on('error', () => (closed = true));
    client.on('end', () => (closed = true));
    await client.connect();
    await client.query('select 1');
    return { client, isClosed: () => closed };
  }

  it('are counted by user, also of one that is removed, and closed unless a transaction runs', async () => {
    const [idle, busy, other] = [await connected(READER), await connected(READER), await connected(APP)];
    await busy.client.query('begin');
    await load([APP]);
    const counts = await pooler.console.clientsByUser();
    assert.deepEqual([counts.get(READER.name), counts.get(APP.name)], [2, 1]);
    const users = [READER.name];
    assert.equal(await closeUsers(pooler.console, { users, evenBusy: false }), 1);
    await until('the idle one to be closed', idle.isClosed);
    assert.deepEqual((await busy.client.query<{ one: number }>('select 1 as one')).rows, [{ one: 1 }]);
    await busy.client.query('commit');
    assert.equal(await closeUsers(pooler.console, { users, evenBusy: false }), 1);
    await until('the other to be closed after its transaction', busy.isClosed);
    assert.equal((await pooler.console.clientsByUser()).get(READER.name), 0);
    await other.client.query('select 1');
    assert.equal(other.isClosed(), false);
    await other.client.end();
  });

  it('are closed in a transaction, too, when it must be', async () => {
    await load([APP, READER]);
    const busy = await connected(READER);
    await busy.client.query('begin');
    await load([APP]);
    assert.equal(await closeUsers(pooler.console, { users: [READER.name], evenBusy: true }), 1);
    await until('it to be closed', busy.isClosed);
  });
});
