// node-postgres, as the other clients here.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const THREADS = 4;
const { LIFETIME_SECONDS = '' } = process.env;
const tally = { done: 0, failed: 0, errors: {} as Record<string, number> };
let stopping = false;

const pool = new pg.Pool({
  max: THREADS,
  ...(LIFETIME_SECONDS === '' ? {} : { maxLifetimeSeconds: Number(LIFETIME_SECONDS) }),
  idleTimeoutMillis: 0,
});
pool.on('error', () => undefined);

async function work(): Promise<void> {
  while (!stopping) {
    try {
      const client = await pool.connect();
      let failure: Error | undefined;
      client.on('error', onError);
      try {
        await client.query('BEGIN');
        await client.query('SELECT pg_sleep(0.005)');
        await client.query('COMMIT');
      } catch (error) {
        failure = error as Error;
        throw error;
      } finally {
        client.off('error', onError);
        client.release(failure);
      }
      tally.done += 1;
    } catch (error) {
      tally.failed += 1;
      const text = (error as Error).message.slice(0, 80);
      tally.errors[text] = (tally.errors[text] ?? 0) + 1;
      await sleep(100);
    }
    await sleep(20);
  }
}

function onError(): void {
  // Without a listener a connection that is closed while it is checked out ends the process.
}

const threads = Array.from({ length: THREADS }, work);
while (tally.done < THREADS) await sleep(10);
console.log('ready');
process.stdin.resume();
process.stdin.on('end', () => {
  stopping = true;
  void Promise.all(threads)
    .then(() => pool.end())
    .then(() => {
      console.log(JSON.stringify(tally));
    });
});
