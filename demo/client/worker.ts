// One process of the application, as a Puma worker: a connection pool of as many connections as it has threads.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { errorClassOf } from './order.ts';
import { emptyTally } from './tally.ts';
import { runThread } from './thread.ts';

const REPORT_EVERY_MS = 250;
const BOOT_RETRY_MS = 100;
const LAST_WORDS_MS = 5_000;

const name = process.env['WORKER_NAME'] ?? 'worker';
const threads = Number(process.env['RAILS_MAX_THREADS'] ?? 5);
const pauseMs = Number(process.env['PAUSE_MS'] ?? 100);
const lifetimeSeconds = Number(process.env['MAX_LIFETIME_SECONDS'] ?? 300);

// The address, the user and the database come from PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE.
const pool = new pg.Pool({
  max: threads,
  // Connections of all processes must not end their life in the same moment.
  maxLifetimeSeconds: lifetimeSeconds * (0.7 + 0.3 * Math.random()),
  connectionTimeoutMillis: 5_000,
  idleTimeoutMillis: 0,
});
// A connection that is closed while it lies in the pool: the pool drops it and opens another one when needed.
pool.on('error', () => undefined);

const tally = emptyTally();
const stopping = new AbortController();
process.on('SIGTERM', () => {
  stopping.abort();
});
// A terminal's Ctrl-C reaches the whole group; the first process decides.
process.on('SIGINT', () => undefined);

await bootWhenDatabaseAnswers();
const report = (): void => {
  if (process.connected) process.send?.({ kind: 'tally', tally });
};
const reporting = setInterval(report, REPORT_EVERY_MS);
await Promise.all(
  Array.from({ length: threads }, (_, index) =>
    runThread(pool, tally, { name: `${name}/${index + 1}`, pauseMs }, stopping.signal),
  ),
);
clearInterval(reporting);
await writeTally();
report();
await pool.end();
if (process.connected) process.disconnect();

/** An application that boots before its database is there waits, as an init container would; later failures count. */
async function bootWhenDatabaseAnswers(): Promise<void> {
  while (!stopping.signal.aborted) {
    try {
      await pool.query('SELECT 1');
      return;
    } catch (error) {
      process.send?.({ kind: 'waiting', reason: errorClassOf(error as Error) });
      await sleep(BOOT_RETRY_MS);
    }
  }
}

/** The last word about each thread's orders, where a check finds it after this pod is gone. */
async function writeTally(): Promise<void> {
  const deadlineMs = performance.now() + LAST_WORDS_MS;
  for (const [client, own] of Object.entries(tally.threads)) {
    let isWritten = false;
    while (!isWritten && performance.now() < deadlineMs) {
      try {
        await pool.query(
          'INSERT INTO tallies (client, acknowledged, unknown) VALUES ($1, $2, $3) ON CONFLICT (client) DO NOTHING',
          [client, own.acknowledged, own.unknown],
        );
        isWritten = true;
      } catch {
        await sleep(BOOT_RETRY_MS);
      }
    }
  }
}
