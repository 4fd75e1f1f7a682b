// A client on node-postgres: a pool of one connection, as applications use it.
import pg from 'pg';
import {
  BE_BUSY,
  CONNECT_LIMIT_MS,
  failed,
  WRITE_TOKEN,
  type Client,
  type ClientOptions,
  type Stage,
} from './transaction.ts';

export function nodePostgresClient({ maxLifetimeMs, ...address }: ClientOptions): Client {
  const pool = new pg.Pool({
    ...address,
    max: 1,
    maxLifetimeSeconds: (maxLifetimeMs ?? 0) / 1000,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    idleTimeoutMillis: 0,
  });
  pool.on('error', () => undefined);
  return {
    transact: async ({ client, seq, acknowledged }, busyMs) => {
      let connection: pg.PoolClient | undefined;
      let failure: Error | undefined;
      let stage: Stage = 'before';
      // Without a listener a connection that is closed while checked out ends the whole process.
      const onError = (error: Error): void => {
        failure ??= error;
      };
      try {
        connection = await pool.connect();
        connection.on('error', onError);
        await connection.query('BEGIN');
        stage = 'inside';
        await connection.query(WRITE_TOKEN, [client, seq, acknowledged]);
        await connection.query(BE_BUSY, [busyMs / 1000]);
        stage = 'committing';
        await connection.query('COMMIT');
        return { isDone: true };
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error));
        return failed(error, stage);
      } finally {
        connection?.off('error', onError);
        connection?.release(failure);
      }
    },
    end: () => pool.end(),
  };
}
