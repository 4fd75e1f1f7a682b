// A client on postgres.js: one connection, named prepared statements, a lifetime of its own making.
import postgres from 'postgres';
import { CONNECT_LIMIT_MS, failed, type Client, type ClientOptions, type Stage } from './transaction.ts';

const END_SECONDS = 5;

export function postgresJsClient({ maxLifetimeMs, user, ...address }: ClientOptions): Client {
  const sql = postgres({
    ...address,
    username: user,
    max: 1,
    max_lifetime: maxLifetimeMs === undefined ? null : maxLifetimeMs / 1000,
    idle_timeout: 0,
    connect_timeout: CONNECT_LIMIT_MS / 1000,
    fetch_types: false,
    // It would wait longer and longer between its own tries; an application under load tries again soon.
    backoff: () => 0.2,
    onnotice: () => undefined,
  });
  return {
    transact: async ({ client, seq, acknowledged }, busyMs) => {
      const at: { stage: Stage } = { stage: 'before' };
      try {
        await sql.begin(async (inside) => {
          at.stage = 'inside';
          try {
            await inside`INSERT INTO placed (client, seq, acknowledged, item) VALUES (${client}, ${seq}, ${acknowledged}, 0)`;
            await inside`SELECT pg_sleep(${busyMs / 1000})`;
          } catch (error) {
            await rollbackIsPossible(error);
            throw error;
          }
          at.stage = 'committing';
        });
        return { isDone: true };
      } catch (error) {
        return failed(error, at.stage);
      }
    },
    end: () => sql.end({ timeout: END_SECONDS }),
  };
}

/**
 * The library sends ROLLBACK after whatever its callback throws, and on a closed connection that ends the process (a fault
 * of its version 3.4.9). So the callback does not end then: `begin` rejects by itself when the connection is closed.
 */
async function rollbackIsPossible(error: unknown): Promise<void> {
  if (error instanceof postgres.PostgresError && error.severity === 'ERROR') return;
  await new Promise<never>(() => undefined);
}
