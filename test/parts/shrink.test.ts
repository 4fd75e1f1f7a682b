// Busy pools made smaller on the real PgBouncer with the files that the operator renders: one database of several, one user of two, after a crash.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { DatabaseEntry, Sizes } from '../../src/model/pooler-model.ts';
import type { PoolRow } from '../../src/model/pooler-view.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { drainToSize } from '../../src/pgbouncer/lifetime-drain.ts';
import { compareReadBack } from '../../src/render/read-back.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { until } from '../support/until.ts';
import { APP, HOST, startRendered, type RenderedPooler } from './rendered-pooler.ts';
import { asSuperuser, connectApp, type AppClient } from './stage.ts';

const OTHER = { name: 'other', secret: new SecretText('other-password') };
const DRAIN_PROCESS = join(import.meta.dirname, 'lifetime-drain-process.ts');

describe('shrinking busy pools', function () {
  this.timeout(60_000);
  let postgres: PostgresServer;
  let pooler: RenderedPooler;
  let clients: AppClient[] = [];

  before(async () => {
    postgres = await startPostgres();
    for (const { name, secret } of [APP, OTHER])
      await asSuperuser(postgres, 'postgres', `create role ${name} login password '${secret.reveal()}'`);
  });
  after(async () => {
    await postgres.stop();
  });
  beforeEach(async () => {
    pooler = await startRendered();
  });
  afterEach(async () => {
    await Promise.all(clients.map(async (client) => client.end()));
    clients = [];
    await pooler[Symbol.asyncDispose]();
  });

  const entry = (name: string): DatabaseEntry => {
    return { name, host: HOST, port: postgres.port, dbname: 'postgres', poolMode: 'transaction' };
  };

  async function load(sizes: Sizes, drainable?: readonly string[]) {
    const databases = Object.keys(sizes).map(entry);
    const shield = drainable === undefined ? {} : { drainable };
    return pooler.load({ databases, sizes, users: [APP, OTHER], ...shield });
  }

  async function connect(database: string, { name, secret } = APP): Promise<AppClient> {
    const client = await connectApp(pooler.server.port, database, name, secret.reveal());
    clients.push(client);
    return client;
  }

  const servers = (rows: readonly PoolRow[], database: string): number =>
    rows.filter((row) => row.database === database).reduce((sum, row) => sum + row.servers, 0);

  const open = async (sizes: Sizes): Promise<void> => {
    await until(
      'every pool is at its size',
      async () => {
        const pools = await pooler.console.pools();
        return Object.entries(sizes).every(([database, size]) => servers(pools, database) === size);
      },
      { timeoutMs: 15_000 },
    );
  };

  const short = (): number => 0.001 + Math.random() * 0.02;

  /** Clients that always have a next transaction of so many seconds. */
  async function busy(database: string, count: number, { user = APP, seconds = short } = {}) {
    const tally = { done: 0, failures: [] as string[] };
    let stopped = false;
    const all: AppClient[] = [];
    for (let n = 0; n < count; n += 1) all.push(await connect(database, user));
    const loops = all.map(async ({ pg }) => {
      while (!stopped) {
        try {
          await pg.query(`begin; select pg_sleep(${seconds().toFixed(4)}); commit`);
          tally.done += 1;
        } catch (error) {
          tally.failures.push(`${database}, ${user.name}: ${String(error)}`);
          return;
        }
      }
    });
    const stop = async (): Promise<readonly string[]> => {
      stopped = true;
      await Promise.all(loops);
      return tally.failures;
    };
    return { tally, stop };
  }

  /** Twice as many clients as servers; answers how to end them, and then what has failed. */
  async function saturate(sizes: Sizes): Promise<() => Promise<readonly string[]>> {
    const loads: Awaited<ReturnType<typeof busy>>[] = [];
    for (const [database, size] of Object.entries(sizes)) loads.push(await busy(database, 2 * size));
    await open(sizes);
    return async () => (await Promise.all(loads.map(async ({ stop }) => stop()))).flat();
  }

  /** PgBouncer's own lines about servers of a database. */
  const logged = async (database: string, what: string): Promise<number> =>
    (await pooler.server.log())
      .split('\n')
      .filter((line) => line.includes(` S-0x`) && line.includes(`: ${database}/`) && line.includes(what)).length;

  it('closes servers of the database that shrinks, just as many as are too many, and none of the others', async () => {
    const sizes = { a: 12, b: 8, c: 4 };
    await load(sizes);
    const stop = await saturate(sizes);
    const ini = await load({ ...sizes, a: 6 }, ['a']);
    const result = await drainToSize(pooler.console, {
      ...{ targets: { a: 6 }, fromSizes: { a: 12 }, alone: true, deadlineMs: 15_000 },
    });
    const view = await pooler.console.read();
    const failures = await stop();
    assert.ok(result.settled);
    assert.deepEqual(compareReadBack(ini, view), []);
    assert.deepEqual(failures, []);
    assert.ok(servers(view.pools, 'a') <= 6);
    assert.equal(await logged('b', 'closing because'), 0);
    assert.equal(await logged('c', 'closing because'), 0);
    assert.ok((await logged('a', 'server lifetime over')) >= 6);
  });

  it('takes one server from a pool that has just grown, without waiting for its servers to age', async () => {
    await load({ a: 20 });
    const stop = await saturate({ a: 20 });
    await load({ a: 19 }, ['a']);
    // A server is closed when it is older than the lifetime; at half a second a closing that would be 9.5 s.
    const result = await drainToSize(pooler.console, {
      ...{ targets: { a: 19 }, fromSizes: { a: 20 }, alone: true, deadlineMs: 5_000 },
    });
    const failures = await stop();
    assert.ok(result.settled, `not in ${result.tookMs} ms`);
    assert.deepEqual(failures, []);
  });

  it('cuts no transaction of 2 s: it settles when enough of them have ended, and tries as often as it takes', async () => {
    await load({ a: 4 });
    const { tally, stop } = await busy('a', 4, { seconds: () => 2 });
    await open({ a: 4 });
    await load({ a: 2 }, ['a']);
    const seen: number[] = [];
    let tries = 0;
    for (let settled = false; !settled; tries += 1) {
      ({ settled } = await drainToSize(pooler.console, {
        ...{ targets: { a: 2 }, fromSizes: { a: 4 }, alone: true, deadlineMs: 250 },
      }));
      assert.equal((await pooler.console.read()).config.get('server_lifetime'), '3600');
      seen.push(servers(await pooler.console.pools(), 'a'));
    }
    const endedUntilThen = tally.done;
    const failures = await stop();
    assert.deepEqual(failures, []);
    assert.ok(tries > 1, 'no try reached its deadline');
    assert.ok(endedUntilThen >= 2, `only ${endedUntilThen} transactions had ended`);
    assert.deepEqual(
      seen,
      seen.toSorted((one, other) => other - one),
      'it grew in between',
    );
  });

  it('leaves a short lifetime where its process is killed; the next one sees and repairs it, and ends the shrink', async () => {
    await load({ a: 8, b: 4 });
    const holders = await Promise.all(Array.from({ length: 4 }, async () => connect('a')));
    for (const { pg } of holders) await pg.query('begin; select 1');
    const stop = await saturate({ a: 8, b: 4 });
    const ini = await load({ a: 3, b: 4 }, ['a']);
    const draining = spawn(process.execPath, [DRAIN_PROCESS, String(pooler.server.port), '{"a":3}', '{"a":8}'], {
      stdio: 'inherit',
    });
    // The four open transactions keep it from settling.
    await until(
      'the drain is under way',
      async () => (await pooler.console.read()).config.get('server_lifetime') !== '3600',
      { timeoutMs: 15_000 },
    );
    draining.kill('SIGKILL');
    await once(draining, 'exit');
    const found = compareReadBack(ini, await pooler.console.read());
    assert.deepEqual(
      found.map(({ key, want }) => [key, want]),
      [['server_lifetime', '3600']],
    );
    await load({ a: 3, b: 4 }, ['a']);
    assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
    const rest = drainToSize(pooler.console, {
      ...{ targets: { a: 3 }, fromSizes: { a: 8 }, alone: true, deadlineMs: 30_000 },
    });
    for (const { pg } of holders) await pg.query('commit');
    assert.ok((await rest).settled);
    const view = await pooler.console.read();
    const failures = await stop();
    assert.ok(servers(view.pools, 'a') <= 3);
    assert.deepEqual(compareReadBack(ini, view), []);
    assert.deepEqual(failures, []);
    assert.equal(await logged('b', 'closing because'), 0);
  });

  it('counts the pools of all users of a database together, and leaves none of them without a server', async () => {
    await load({ a: 12 });
    // The smaller one first: nobody logs in to a database whose servers are all taken by another user.
    const few = await busy('a', 4, { user: OTHER });
    const many = await busy('a', 24);
    await open({ a: 12 });
    const rows = async () => (await pooler.console.pools()).filter(({ database }) => database === 'a');
    await load({ a: 4 }, ['a']);
    const { settled } = await drainToSize(pooler.console, {
      ...{ targets: { a: 4 }, fromSizes: { a: 12 }, alone: true, deadlineMs: 15_000 },
    });
    const counts = [servers(await rows(), 'a')];
    const doneThen = [many.tally.done, few.tally.done] as const;
    // Neither ever has a server to spare, so whoever has none now would have none for ever.
    await until('both users work on', async () => {
      counts.push(servers(await rows(), 'a'));
      return many.tally.done > doneThen[0] + 50 && few.tally.done > doneThen[1] + 20;
    });
    const { config } = await pooler.console.read();
    const failures = [...(await many.stop()), ...(await few.stop())];
    assert.ok(settled);
    assert.equal((await rows()).length, 2);
    assert.ok(Math.max(...counts) <= 4, `${Math.max(...counts)} servers for a cap of 4`);
    assert.deepEqual(failures, []);
    assert.equal(config.get('max_user_connections'), '0');
  });
});
