// PAUSE and RESUME as a fleet uses them, on the real PgBouncer: clients wait, none fails, and servers are there again at once.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { pauseDatabases, resumeAll } from '../../src/pgbouncer/pause.ts';
import { LOGIN_HOLD } from '../../src/pgbouncer/login-hold.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { startPostgres } from '../support/servers.ts';
import type { PgbouncerServer, PostgresServer } from '../support/servers.ts';
import { adminOf, connectApp, databaseLine, prepareDatabase, startPooler, until } from './stage.ts';

const CLIENTS = 12;
const DATABASES = ['app', 'reports'] as const;
/** So long nothing must happen. */
const QUIET_MS = 150;

describe('a pooler that is paused', function () {
  this.timeout(60_000);
  let postgres: PostgresServer;
  let pooler: PgbouncerServer;

  before(async () => {
    postgres = await startPostgres({ maxConnections: 60 });
    await prepareDatabase(postgres);
    // A login that PAUSE drops would keep clients waiting for that long.
    const settings = ['server_login_retry = 15'];
    pooler = await startPooler(
      DATABASES.map((name) => databaseLine(name, postgres.port, 5)),
      settings,
    );
  });
  after(async () => {
    await pooler.stop();
    await postgres.stop();
  });

  it('ends no query and starts none until it is resumed, and then serves at once, ten times', async () => {
    const admin = adminOf(pooler);
    const { signal } = new AbortController();
    const tally = { done: 0, failures: [] as string[] };
    const clients = await Promise.all(
      DATABASES.flatMap((name) => Array.from({ length: CLIENTS }, () => connectApp(pooler.port, name))),
    );
    let stop = false;
    const loops = clients.map(async ({ pg }) => {
      while (!stop) {
        try {
          await pg.query('select pg_sleep(0.01)');
          tally.done += 1;
        } catch (error) {
          tally.failures.push(String(error));
          return;
        }
      }
    });
    const resumedMs: number[] = [];
    try {
      for (let round = 0; round < 10; round += 1) {
        const before = tally.done;
        await until('work to go on', () => Promise.resolve(tally.done > before + 50), 15_000);
        await pauseDatabases(admin, { databases: DATABASES, clock: systemClock, signal });
        const isQuiet = async (): Promise<boolean> => (await admin.pools()).every(({ servers }) => servers === 0);
        await until('servers to be closed', isQuiet, 5_000);
        assert.ok((await admin.databases()).every(({ paused }) => paused));
        const { config } = await admin.read();
        for (const key of Object.keys(LOGIN_HOLD)) assert.notEqual(config.get(key), LOGIN_HOLD[key], `${key} is left`);
        const atPause = tally.done;
        await delay(QUIET_MS);
        assert.equal(tally.done, atPause);
        const startedMs = performance.now();
        await resumeAll(admin, DATABASES);
        await until('a query to be done', () => Promise.resolve(tally.done > atPause), 10_000);
        resumedMs.push(Math.round(performance.now() - startedMs));
      }
    } finally {
      stop = true;
      await Promise.all(loops);
      await Promise.all(clients.map((client) => client.end()));
      await admin.close();
    }
    console.log(`      measured: first query after RESUME ${resumedMs.join(', ')} ms; ${tally.done} queries in all`);
    assert.deepEqual(tally.failures, []);
  });
});
