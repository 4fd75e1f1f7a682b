// The two drains under load on the real PgBouncer: shrinking a saturated pool, and ending a pooler's life without cutting a transaction.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { endDrain } from '../../src/pgbouncer/end-drain.ts';
import { drainToSize } from '../../src/pgbouncer/lifetime-drain.ts';
import { startPostgres } from '../support/servers.ts';
import type { PgbouncerServer, PostgresServer } from '../support/servers.ts';
import {
  adminOf,
  asSuperuser,
  connectApp,
  databaseLine,
  iniText,
  prepareDatabase,
  startPooler,
  until,
} from './stage.ts';
import type { AppClient } from './stage.ts';

describe('drain by lifetime', function () {
  this.timeout(60_000);
  let postgres: PostgresServer;
  let pooler: PgbouncerServer;

  before(async () => {
    postgres = await startPostgres({ maxConnections: 100 });
    await prepareDatabase(postgres);
  });
  after(async () => {
    await postgres.stop();
  });
  afterEach(async () => {
    await pooler.stop();
  });

  /** `count` clients that always have a query for each database, until the work is done. */
  async function busy(load: Readonly<Record<string, number>>, work: () => Promise<void>) {
    const tally = { done: 0, failures: [] as string[], longestMs: 0 };
    const clients: (readonly [AppClient, string])[] = [];
    for (const [database, count] of Object.entries(load)) {
      for (let n = 0; n < count; n += 1) {
        clients.push([await connectApp(pooler.port, database), database]);
      }
    }
    let stop = false;
    const loops = clients.map(async ([{ pg }]) => {
      while (!stop) {
        const started = performance.now();
        try {
          await pg.query('select pg_sleep(0.01)');
          tally.done += 1;
          tally.longestMs = Math.max(tally.longestMs, performance.now() - started);
        } catch (error) {
          tally.failures.push(String(error));
          return;
        }
      }
    });
    try {
      await work();
    } finally {
      stop = true;
      await Promise.all(loops);
      await Promise.all(clients.map(([client]) => client.end()));
    }
    return tally;
  }

  const backends = async (): Promise<number> => {
    const rows = await asSuperuser<{ n: number }>(
      postgres,
      'postgres',
      "select count(*)::int as n from pg_stat_activity where usename = 'app'",
    );
    return rows[0]?.n ?? -1;
  };

  async function shrink(
    sizes: Readonly<Record<string, readonly [number, number]>>,
    load: Readonly<Record<string, number>>,
  ) {
    const lines = (which: 0 | 1): string[] =>
      Object.entries(sizes).map(([name, size]) => databaseLine(name, postgres.port, size[which]));
    pooler = await startPooler(lines(0));
    const admin = adminOf(pooler);
    const pick = (which: 0 | 1) => Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, size[which]]));
    let result = { settled: false, tookMs: -1 };
    let left = -1;
    let perDatabase: Record<string, number> = {};
    const tally = await busy(load, async () => {
      const total = Object.values(sizes).reduce((sum, [from]) => sum + from, 0);
      await until(
        'all servers open',
        async () => (await admin.pools()).reduce((sum, { servers }) => sum + servers, 0) === total,
        15_000,
      );
      await pooler.writeFile('live.ini', iniText(pooler, lines(1)));
      await admin.loadFile(`${pooler.dir}/live.ini`);
      result = await drainToSize(admin, { targets: pick(1), fromSizes: pick(0), deadlineMs: 15_000 });
      perDatabase = Object.fromEntries((await admin.pools()).map(({ database, servers }) => [database, servers]));
      left = await backends();
    });
    const lifetime = (await admin.read()).config.get('server_lifetime');
    await admin.close();
    return { result, tally, left, perDatabase, lifetime, targets: pick(1) };
  }

  it('takes a saturated pool from 20 to 5 without a failed query, and restores the lifetime', async () => {
    const { result, tally, left, lifetime } = await shrink({ app: [20, 5] }, { app: 40 });
    assert.ok(result.settled);
    assert.deepEqual(tally.failures, []);
    assert.ok(tally.done > 0);
    assert.ok(left <= 5, `${left} backends`);
    assert.equal(lifetime, '3600');
    console.log(`      20 → 5 in ${result.tookMs} ms, longest query ${Math.round(tally.longestMs)} ms`);
  });

  it('takes several databases down together, and leaves one that does not shrink at its size', async () => {
    const { result, tally, perDatabase, lifetime } = await shrink(
      { app: [12, 3], second: [8, 6], still: [4, 4] },
      { app: 24, second: 16, still: 8 },
    );
    assert.ok(result.settled);
    assert.deepEqual(tally.failures, []);
    assert.ok((perDatabase['app'] ?? 99) <= 3 && (perDatabase['second'] ?? 99) <= 6);
    assert.ok((perDatabase['still'] ?? 99) <= 4);
    assert.equal(lifetime, '3600');
    console.log(`      12 → 3 and 8 → 6 in ${result.tookMs} ms, longest query ${Math.round(tally.longestMs)} ms`);
  });

  it('says so when it is not settled by the deadline, and restores the lifetime all the same', async () => {
    pooler = await startPooler([databaseLine('app', postgres.port, 3)]);
    const admin = adminOf(pooler);
    const holders = await Promise.all([connectApp(pooler.port), connectApp(pooler.port), connectApp(pooler.port)]);
    await Promise.all(holders.map(async ({ pg }) => pg.query('begin')));
    await Promise.all(holders.map(async ({ pg }) => pg.query('select 1')));
    const drain = { targets: { app: 1 }, fromSizes: { app: 3 } };
    assert.equal((await drainToSize(admin, { ...drain, deadlineMs: 300 })).settled, false);
    assert.equal((await admin.read()).config.get('server_lifetime'), '3600');
    const giveUp = new AbortController();
    const draining = drainToSize(admin, { ...drain, deadlineMs: 30_000, signal: giveUp.signal });
    await until('drain under way', async () => {
      const watcher = adminOf(pooler);
      const lifetime = (await watcher.read()).config.get('server_lifetime');
      await watcher.close();
      return lifetime !== '3600';
    });
    giveUp.abort(new Error('no longer needed'));
    await assert.rejects(draining, /no longer needed/);
    assert.equal((await admin.read()).config.get('server_lifetime'), '3600');
    await Promise.all(holders.map((holder) => holder.end()));
    await admin.close();
  });

  it('touches nothing when every database is at its size already', async () => {
    pooler = await startPooler([databaseLine('app', postgres.port, 3)]);
    const admin = adminOf(pooler);
    assert.equal(
      (await drainToSize(admin, { targets: { app: 3 }, fromSizes: { app: 3 }, deadlineMs: 1000 })).settled,
      true,
    );
    assert.ok(!(await pooler.log()).includes('RELOAD command issued'));
    await admin.close();
  });
});

describe('end of a drain', function () {
  this.timeout(60_000);
  let postgres: PostgresServer;
  let leaving: PgbouncerServer;
  let staying: PgbouncerServer;

  before(async () => {
    postgres = await startPostgres({ maxConnections: 100 });
    await prepareDatabase(postgres);
    await asSuperuser(postgres, 'app', 'create table tokens (token text not null)', 'alter table tokens owner to app');
  });
  after(async () => {
    await postgres.stop();
  });
  beforeEach(async () => {
    const lines = [
      databaseLine('app', postgres.port, 6),
      databaseLine('second', postgres.port, 4),
      databaseLine("'un-used'", postgres.port, 1),
    ];
    leaving = await startPooler(lines);
    staying = await startPooler(lines);
  });
  afterEach(async () => {
    await Promise.all([leaving.stop(), staying.stop()]);
  });

  it('cuts no transaction under load: no token lost or doubled, one closed connection a client, then SIGTERM ends it at once', async () => {
    let stop = false;
    const closedConnections: number[] = [];
    const cut: string[] = [];
    const acknowledged: string[] = [];
    /** Moves on to the other pooler when its connection is closed, and repeats what was not begun. */
    const work = async (id: number): Promise<void> => {
      const database = id % 3 === 0 ? 'second' : 'app';
      let client = await connectApp(leaving.port, database);
      closedConnections[id] = 0;
      for (let n = 0; !stop; n += 1) {
        const token = `${id}-${n}`;
        for (let begun = false, done = false; !done;) {
          try {
            await client.pg.query('begin');
            begun = true;
            await client.pg.query('insert into tokens values ($1)', [token]);
            await client.pg.query('select pg_sleep(0.005)');
            await client.pg.query('commit');
            done = true;
            acknowledged.push(token);
          } catch (error) {
            closedConnections[id] = (closedConnections[id] ?? 0) + 1;
            if (begun) {
              cut.push(`${token}: ${String(error)}`);
              done = true;
            }
            await client.end();
            client = await connectApp(staying.port, database);
          }
        }
        if (id % 4 === 0) {
          await delay(7);
        }
      }
      await client.end();
    };
    const clients = Array.from({ length: 24 }, (_, id) => work(id));
    await until('all at work', () => acknowledged.length > 200, 15_000);
    const admin = adminOf(leaving);
    const result = await endDrain(admin, { databases: ['app', 'second', 'un-used'], deadlineMs: 3000 });
    const atEnd = acknowledged.length;
    assert.ok(result.ended, JSON.stringify(result));
    assert.ok(result.closedClients <= 24 && result.closedClients > 0);
    const started = performance.now();
    process.kill(leaving.pid, 'SIGTERM');
    await leaving.exited;
    const exitMs = performance.now() - started;
    await until('the clients work on elsewhere', () => acknowledged.length > atEnd + 200, 15_000);
    stop = true;
    await Promise.all(clients);
    assert.deepEqual(cut, []);
    assert.ok(
      closedConnections.every((count) => count <= 1),
      closedConnections.join(),
    );
    assert.ok(exitMs < 1500, `exit took ${exitMs} ms`);
    const rows = await asSuperuser<{ token: string }>(postgres, 'app', 'select token from tokens');
    const stored = rows.map(({ token }) => token);
    assert.equal(new Set(stored).size, stored.length, 'a token is there twice');
    assert.deepEqual(
      acknowledged.filter((token) => !new Set(stored).has(token)),
      [],
      'a token was lost',
    );
    console.log(
      `      ended in ${result.tookMs} ms, ${result.closedClients} clients closed, exit ${Math.round(exitMs)} ms, ${stored.length} transactions`,
    );
  });

  it('resumes everything and closes nobody when a transaction outlasts the deadline', async () => {
    const slow = await connectApp(leaving.port);
    const other = await connectApp(leaving.port, 'second');
    await other.pg.query('select 1');
    await slow.pg.query('begin');
    await slow.pg.query('select 1');
    const admin = adminOf(leaving);
    const result = await endDrain(admin, { databases: ['app', 'second', 'un-used'], deadlineMs: 300 });
    assert.deepEqual(result, { ended: false, activeServers: 1 });
    assert.ok((await admin.databases()).every(({ paused }) => !paused));
    await slow.pg.query('commit');
    await slow.pg.query('select 1');
    await other.pg.query('select 1');
    assert.deepEqual([...slow.lost, ...other.lost], []);
    await Promise.all([slow.end(), other.end(), admin.close()]);
  });

  it('fails no query and freezes no pool when it gives up again and again while server connections come and go', async () => {
    const holder = await connectApp(leaving.port, 'second');
    await holder.pg.query('begin');
    await holder.pg.query('select 1');
    const admin = adminOf(leaving);
    await admin.set('server_lifetime', '0.3');
    // A login that PAUSE dropped would show as a pool that stands still for so long.
    await admin.set('server_login_retry', '8');
    const failures: string[] = [];
    let done = 0;
    let stop = false;
    const loops = Array.from({ length: 12 }, async () => {
      const { pg, end } = await connectApp(leaving.port);
      while (!stop) {
        try {
          await pg.query('select pg_sleep(0.002)');
          done += 1;
        } catch (error) {
          failures.push(String(error));
          return;
        }
      }
      await end();
    });
    await until('at work', () => done > 100, 15_000);
    for (let round = 0; round < 25; round += 1) {
      const before = done;
      const result = await endDrain(admin, { databases: ['app', 'second'], deadlineMs: 40 });
      assert.equal(result.ended, false);
      await until('at work again', () => done > before + 50 || failures.length > 0, 6000);
    }
    stop = true;
    await Promise.all(loops);
    assert.deepEqual(failures, []);
    assert.equal((await admin.read()).config.get('max_user_connections'), '0');
    assert.equal((await admin.read()).config.get('server_lifetime'), '0.3');
    await holder.pg.query('commit');
    await Promise.all([holder.end(), admin.close()]);
  });

  it('waits for an open transaction and lets it commit', async () => {
    const client = await connectApp(leaving.port);
    await client.pg.query('begin');
    await client.pg.query("insert into tokens values ('slow')");
    const admin = adminOf(leaving);
    const draining = endDrain(admin, { databases: ['app'], deadlineMs: 5000 });
    const watcher = adminOf(leaving);
    await until('paused', async () => (await watcher.databases()).some(({ name, paused }) => name === 'app' && paused));
    await delay(200);
    await client.pg.query('commit');
    const result = await draining;
    assert.ok(result.ended && result.closedClients === 1);
    await until('the client was closed', () => client.lost.length > 0);
    assert.match(client.lost[0]?.message ?? '', /admin forced disconnect/);
    const rows = await asSuperuser(postgres, 'app', "select 1 from tokens where token = 'slow'");
    assert.equal(rows.length, 1);
    await Promise.all([client.end(), watcher.close()]);
  });

  it('resumes when its caller gives up', async () => {
    const client = await connectApp(leaving.port);
    await client.pg.query('begin');
    await client.pg.query('select 1');
    const admin = adminOf(leaving);
    const giveUp = new AbortController();
    const draining = endDrain(admin, { databases: ['app'], deadlineMs: 30_000, signal: giveUp.signal });
    const watcher = adminOf(leaving);
    await until('paused', async () => (await watcher.databases()).some(({ name, paused }) => name === 'app' && paused));
    giveUp.abort(new Error('no longer needed'));
    await assert.rejects(draining, /no longer needed/);
    assert.ok((await watcher.databases()).every(({ paused }) => !paused));
    await client.pg.query('commit');
    await Promise.all([client.end(), watcher.close(), admin.close()]);
  });

  it('ends a pooler after a WAIT_CLOSE too, where PAUSE no longer waits', async () => {
    const client = await connectApp(leaving.port);
    const raw = await connectApp(leaving.port, 'pgbouncer', 'admin', 'admin-secret-9f2c');
    await raw.pg.query('WAIT_CLOSE app');
    await raw.end();
    await client.pg.query('begin');
    await client.pg.query('select 1');
    const admin = adminOf(leaving);
    assert.deepEqual(await endDrain(admin, { databases: ['app'], deadlineMs: 200 }), {
      ended: false,
      activeServers: 1,
    });
    await client.pg.query('commit');
    assert.ok((await endDrain(admin, { databases: ['app'], deadlineMs: 2000 })).ended);
    await client.end();
  });
});
