// Cancel requests behind a Service: whichever pod gets one, the query that it is for is cancelled.
import assert from 'node:assert/strict';
import pg from 'pg';
import type { DatabaseEntry } from '../../src/model/pooler-model.ts';
import { cancel, QUERY_CANCELED, sleepFor, type Sleeper } from '../support/cancel.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { APP, HOST, startRendered, type RenderedPooler } from './rendered-pooler.ts';
import { asSuperuser } from './stage.ts';

const POOLERS = 3;
const CANCELS = 24;

describe('poolers that know each other', function () {
  this.timeout(120_000);
  let postgres: PostgresServer;
  let poolers: readonly RenderedPooler[];

  before(async () => {
    postgres = await startPostgres({ maxConnections: 120 });
    await asSuperuser(
      postgres,
      'postgres',
      `create role ${APP.name} login password '${APP.secret.reveal()}'`,
      `create database app owner ${APP.name}`,
    );
    poolers = await Promise.all(Array.from({ length: POOLERS }, startRendered));
    for (const [index, pooler] of poolers.entries()) await tell(pooler, index, POOLERS);
  });

  after(async () => {
    await Promise.all(poolers.map((pooler) => pooler[Symbol.asyncDispose]()));
    await postgres.stop();
  });

  /** Its number, and the first `count` poolers as its fellows. */
  async function tell(pooler: RenderedPooler, index: number, count: number): Promise<void> {
    const entry: DatabaseEntry = {
      ...{ name: 'app', host: HOST, port: postgres.port, dbname: 'app', poolMode: 'transaction' },
    };
    const others = Array.from({ length: count }, (_, other) => other).filter((other) => other !== index);
    const ini = await pooler.load({
      databases: [entry],
      size: CANCELS,
      peering: { id: index + 1, peers: Object.fromEntries(others.map((other) => [other + 1, HOST])) },
      peerPort: (id) => poolers[id - 1]?.server.port ?? 0,
    });
    const { peers, config } = await pooler.console.read();
    assert.equal(config.get('peer_id'), String(index + 1));
    assert.deepEqual(
      peers.map(({ id, host, poolSize }) => [id, host, poolSize]),
      ini.peers.map(({ id, host, poolSize }) => [id, host, poolSize]),
    );
  }

  async function sleeper(pooler: RenderedPooler): Promise<Sleeper & { end: () => Promise<void> }> {
    const client = new pg.Client({
      ...{ host: HOST, port: pooler.server.port, user: APP.name, password: APP.secret.reveal(), database: 'app' },
    });
    await client.connect();
    return { ...sleepFor(client, 20), end: () => client.end() };
  }

  async function running(): Promise<number> {
    const [row] = await asSuperuser<{ n: number }>(
      postgres,
      'app',
      "select count(*)::int as n from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'",
    );
    return row?.n ?? 0;
  }

  async function untilRunning(count: number): Promise<void> {
    while ((await running()) < count) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  it('pass each cancel request on to the one that has the query', async () => {
    for (let index = 0; index < CANCELS; index += 1) {
      const [owner, other] = [poolers[index % POOLERS], poolers[(index + 1 + (index % (POOLERS - 1))) % POOLERS]];
      assert.ok(owner !== undefined && other !== undefined && owner !== other);
      const query = await sleeper(owner);
      await untilRunning(1);
      await cancel(HOST, other.server.port, query.key);
      assert.equal(await query.ended, QUERY_CANCELED);
      await query.end();
    }
  });

  it('find one that was added by RELOAD, and lose nothing when one is taken off', async () => {
    const [first, second, third] = poolers;
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    await tell(first, 0, 2);
    await tell(second, 1, 2);
    const query = await sleeper(second);
    await untilRunning(1);
    await cancel(HOST, first.server.port, query.key);
    assert.equal(await query.ended, QUERY_CANCELED);
    await query.end();
    await tell(first, 0, POOLERS);
    const added = await sleeper(third);
    await untilRunning(1);
    await cancel(HOST, first.server.port, added.key);
    assert.equal(await added.ended, QUERY_CANCELED);
    await added.end();
  });
});
