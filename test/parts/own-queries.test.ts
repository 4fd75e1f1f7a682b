// What PgBouncer says to its server connections for us: that they notice dead clients, on every server, and after every reset.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { CONNECT_QUERY, RESET_QUERY } from '../../src/model/settings/own-queries.ts';
import { pooledSettings } from '../../src/model/settings/defaults.ts';
import type { DatabaseEntry, PoolMode } from '../../src/model/pooler-model.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { APP, HOST, startRendered, type RenderedPooler } from './rendered-pooler.ts';
import { asSuperuser, startRelay, until } from './stage.ts';

const SETTING = 'client_connection_check_interval';
/** A name that no PostgreSQL knows, as an older one does not know the real one. */
const UNKNOWN = 'client_connection_check_nothing';
/** Where the poolers' connections come from, so that they can be told from the test's own. */
const POOLER_HOST = '127.0.0.2';
const DEATHS = 25;
const DEATH_EVERY_MS = 100;
const SLEEP = 'select pg_sleep(30)';

describe('queries of our own on server connections', function () {
  this.timeout(120_000);
  let postgres: PostgresServer;
  let pooler: RenderedPooler;
  let relay: Awaited<ReturnType<typeof startRelay>>;

  before(async () => {
    postgres = await startPostgres({ maxConnections: 120, hba: ['host all all 127.0.0.0/8 scram-sha-256'] });
    await asSuperuser(
      postgres,
      'postgres',
      `create role ${APP.name} login password '${APP.secret.reveal()}'`,
      `create database app owner ${APP.name}`,
    );
    relay = await startRelay(postgres.port, { from: POOLER_HOST });
    pooler = await startRendered();
  });
  after(async () => {
    await pooler[Symbol.asyncDispose]();
    await relay[Symbol.asyncDispose]();
    await postgres.stop();
  });

  const entry = (poolMode: PoolMode, connectQuery?: string): DatabaseEntry => ({
    ...{ name: 'app', host: HOST, port: relay.port, dbname: 'app', poolMode },
    ...(connectQuery === undefined ? {} : { connectQuery }),
  });

  async function load(
    poolMode: PoolMode,
    connectQuery?: string,
    parameters: Record<string, string> = {},
  ): Promise<void> {
    await pooler.load({
      databases: [entry(poolMode, connectQuery)],
      settings: pooledSettings(parameters, 10),
      size: 5,
    });
    // What was opened under the former configuration must not answer for this one.
    await until('no former connection', async () => {
      await pooler.console.reload();
      return (await pooler.console.servers()).every((server) => !server.closeNeeded);
    });
  }

  async function client(): Promise<pg.Client> {
    const made = new pg.Client({
      ...{ host: HOST, port: pooler.server.port, database: 'app', user: APP.name, password: APP.secret.reveal() },
    });
    made.on('error', () => undefined);
    await made.connect();
    return made;
  }

  async function ask(sql: string): Promise<Record<string, unknown>> {
    const asking = await client();
    try {
      return (await asking.query<Record<string, unknown>>(sql)).rows[0] ?? {};
    } finally {
      await asking.end();
    }
  }

  const interval = async (): Promise<unknown> =>
    (await ask(`select current_setting('${SETTING}', true) as value`))['value'];

  /** Backends of the pooler that PostgreSQL runs now. */
  const running = async (): Promise<number> => {
    const from = `from pg_stat_activity where client_addr = '${POOLER_HOST}' and backend_type = 'client backend'`;
    const [row] = await asSuperuser<{ n: number }>(postgres, 'postgres', `select count(*)::int as n ${from}`);
    return row?.n ?? 0;
  };

  const endAll = async (): Promise<void> => {
    const whose = `where client_addr = '${POOLER_HOST}'`;
    await asSuperuser(postgres, 'postgres', `select pg_terminate_backend(pid) from pg_stat_activity ${whose}`);
    await until('no backend of the pooler', async () => (await running()) === 0);
  };

  it('have every new connection check whether its client is still there', async () => {
    await load('transaction', CONNECT_QUERY);
    assert.equal(await interval(), '1s');
  });

  it('are repeated by the reset that ends a session, and undone by DISCARD ALL', async () => {
    await load('session', CONNECT_QUERY);
    const pids = [await ask('select pg_backend_pid() as pid'), await ask('select pg_backend_pid() as pid')];
    assert.deepEqual(pids[0], pids[1], 'the connection did not survive its reset');
    assert.equal(await interval(), '1s');
    await load('session', CONNECT_QUERY, { server_reset_query: 'DISCARD ALL', server_idle_timeout: '601' });
    await endAll();
    assert.equal(await interval(), '1s', 'the first session has it from the login');
    assert.equal(await interval(), '0', 'DISCARD ALL keeps it after all: then nothing needs repeating');
  });

  it('reset what DISCARD ALL resets', async () => {
    await load('session', CONNECT_QUERY);
    const first = await client();
    const { rows } = await first.query<{ pid: number }>('select pg_backend_pid() as pid');
    for (const sql of [
      'create temp table leftover (x int)',
      "set statement_timeout = '77s'",
      'prepare leftover_plan as select 1',
      'listen leftover_channel',
      'select pg_advisory_lock(77)',
      'declare leftover_cursor cursor with hold for select 1',
    ])
      await first.query(sql);
    await first.end();
    const left = await ask(`select pg_backend_pid() as pid,
      current_setting('statement_timeout') as timeout,
      (select count(*)::int from pg_class where relname = 'leftover') as tables,
      (select count(*)::int from pg_prepared_statements) as plans,
      (select count(*)::int from pg_listening_channels()) as channels,
      (select count(*)::int from pg_locks where locktype = 'advisory') as locks,
      (select count(*)::int from pg_cursors where name = 'leftover_cursor') as cursors`);
    const nothing = { tables: 0, plans: 0, channels: 0, locks: 0, cursors: 0 };
    assert.deepEqual(left, { pid: rows[0]?.pid, timeout: '0', ...nothing });
  });

  it('leave prepared statements working where connections are reset after each transaction', async () => {
    await load('transaction', CONNECT_QUERY, { server_reset_query_always: '1' });
    const made = await client();
    for (let round = 0; round < 20; round += 1) {
      const { rows } = await made.query<{ n: string }>({
        name: 'kept',
        text: 'select $1::int + 1 as n',
        values: [round],
      });
      assert.equal(Number(rows[0]?.n), round + 1);
    }
    await made.end();
    assert.equal(await interval(), '1s');
  });

  it('do nothing and fail nowhere on a server that does not know the setting, in either mode', async () => {
    const logBefore = (await postgres.log()).length;
    const older = (query: string): string => query.replaceAll(SETTING, UNKNOWN);
    assert.notEqual(older(CONNECT_QUERY), CONNECT_QUERY);
    for (const mode of ['transaction', 'session'] as const) {
      await load(mode, older(CONNECT_QUERY), {
        server_reset_query: older(RESET_QUERY),
        server_reset_query_always: '1',
      });
      const first = await ask('select pg_backend_pid() as pid');
      assert.deepEqual(await ask('select pg_backend_pid() as pid'), first, 'the connection was closed by its reset');
      assert.equal(await interval(), '0');
    }
    assert.doesNotMatch((await postgres.log()).slice(logBefore), /ERROR/);
  });

  it('leave a value that the server has already', async () => {
    await asSuperuser(postgres, 'postgres', `alter role ${APP.name} set ${SETTING} = '7s'`);
    try {
      await load('session', CONNECT_QUERY, { server_idle_timeout: '599' });
      await endAll();
      assert.equal(await interval(), '7s');
      assert.equal(await interval(), '7s');
    } finally {
      await asSuperuser(postgres, 'postgres', `alter role ${APP.name} reset ${SETTING}`);
    }
  });

  it('keep clients that die in the middle of a query from piling up backends', async () => {
    const peaks: number[] = [];
    for (const query of [undefined, CONNECT_QUERY]) {
      await load('transaction', query);
      await endAll();
      let peak = 0;
      for (let death = 0; death < DEATHS; death += 1) {
        const dying = await client();
        const asked = dying.query(SLEEP).catch(() => undefined);
        const free = async (): Promise<boolean> =>
          (await pooler.console.pools()).some((pool) => pool.database === 'app' && pool.serversActive > 0);
        await until('the query to run', free);
        const ended = new Promise((resolve) => dying.connection.stream.once('close', resolve));
        dying.connection.stream.destroy();
        await Promise.all([asked, ended]);
        await until('PgBouncer to have noticed', async () => !(await free()));
        peak = Math.max(peak, await running());
        // The pace of the deaths is what both runs have in common, whatever this machine does else.
        await delay(DEATH_EVERY_MS);
      }
      peaks.push(peak);
      if (query === undefined) assert.equal(await running(), DEATHS, 'without it every death leaves its backend');
      else await until('all orphans to have ended', async () => (await running()) <= 1, 6_000);
    }
    console.log(
      `      measured: ${DEATHS} deaths in a pool of 5 left at most ${peaks[0]} backends without it, ${peaks[1]} with it`,
    );
    assert.ok((peaks[1] ?? 0) < (peaks[0] ?? 0), JSON.stringify(peaks));
    await endAll();
  });
});
