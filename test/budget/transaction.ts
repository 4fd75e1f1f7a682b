// One transaction as both client libraries run it: begin, write a token, be busy inside for a while, commit.
import { errorClassOf } from '../../demo/client/order.ts';

/** `acknowledged`: how many of the client's former tokens PostgreSQL confirmed. */
export type Token = Readonly<{ client: string; seq: number; acknowledged: number }>;

/** Into the table of the demo's orders, which has no unique key: a token that was written twice has to show. */
export const WRITE_TOKEN = 'INSERT INTO placed (client, seq, acknowledged, item) VALUES ($1, $2, $3, 0)';
/** The time inside is spent in the server, as by a slow query. */
export const BE_BUSY = 'SELECT pg_sleep($1)';

/** How far an attempt had come: nothing answered yet, inside, or COMMIT sent and not answered. */
export type Stage = 'before' | 'inside' | 'committing';

export type Result =
  Readonly<{ isDone: true }> | Readonly<{ isDone: false; stage: Stage; errorClass: string; isClosed: boolean }>;

/** One client with one connection of its own, whatever the library. */
export interface Client {
  /** Never rejects for what the network or the database does. */
  transact: (token: Token, busyMs: number) => Promise<Result>;
  end: () => Promise<void>;
}

/** `maxLifetimeMs` undefined: the connection is never given up. */
export type ClientOptions = Readonly<{
  host: string;
  port: number;
  database: string;
  user: string;
  password: string;
  maxLifetimeMs: number | undefined;
}>;

export const CONNECT_LIMIT_MS = 10_000;

/** PgBouncer's word to clients that KILL closes; a closed socket has no severity. Other FATAL answers tell of a failure. */
const CLOSED_ON_PURPOSE = 'admin forced disconnect';

/** An ERROR answered to COMMIT means that it surely was not committed. */
export function failed(error: unknown, stage: Stage): Result {
  const failure = error instanceof Error ? error : new Error(String(error));
  const { severity_local: local, severity = local } = failure as { severity?: string; severity_local?: string };
  return {
    isDone: false,
    stage: stage === 'committing' && severity === 'ERROR' ? 'inside' : stage,
    errorClass: `${stage}: ${errorClassOf(failure)}`,
    isClosed: severity === undefined || failure.message.includes(CLOSED_ON_PURPOSE),
  };
}
