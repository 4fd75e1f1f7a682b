// One transaction of the demo's application: places an order under a token that lets anybody check it later.
import pg from 'pg';

/**
 * Numbers the orders of one thread. `acknowledged` is how many of the thread's former orders PostgreSQL confirmed:
 * with it the table proves by itself that nothing was lost, whatever became of the client.
 */
export type Token = Readonly<{ client: string; seq: number; acknowledged: number }>;

export type Attempt =
  | Readonly<{ kind: 'done'; tookMs: number }>
  /** `committed` is unknown when the connection broke after COMMIT was sent. */
  | Readonly<{ kind: 'failed'; tookMs: number; errorClass: string; committed: 'no' | 'unknown' }>;

/** Rows of `stock`; enough that threads seldom wait for each other's row. */
const ITEMS = 1000;

/** No unique key on the tokens: an order that was placed twice has to show. */
export const ORDER_TABLES = `
CREATE TABLE placed (client text NOT NULL, seq bigint NOT NULL, acknowledged bigint NOT NULL, item int NOT NULL);
CREATE TABLE stock (item int PRIMARY KEY, sold bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
INSERT INTO stock (item) SELECT generate_series(0, ${ITEMS - 1});
CREATE TABLE tallies (client text PRIMARY KEY, acknowledged bigint NOT NULL, unknown bigint[] NOT NULL);
`;

/** Never throws for what the network or the database does. `holdMs`: think time inside the transaction. */
export async function placeOrder(pool: pg.Pool, token: Token, holdMs = 0): Promise<Attempt> {
  const startedMs = performance.now();
  let client: pg.PoolClient | undefined;
  let failure: Error | undefined;
  let isCommitSent = false;
  // Without a listener a connection that is closed while checked out ends the whole process.
  const onError = (error: Error): void => {
    failure ??= error;
  };
  try {
    client = await pool.connect();
    client.on('error', onError);
    const item = Math.floor(Math.random() * ITEMS);
    await client.query('BEGIN');
    await client.query('INSERT INTO placed (client, seq, acknowledged, item) VALUES ($1, $2, $3, $4)', [
      token.client,
      token.seq,
      token.acknowledged,
      item,
    ]);
    await client.query('SELECT sold FROM stock WHERE item = $1', [item]);
    if (holdMs > 0) await new Promise((resolve) => setTimeout(resolve, holdMs));
    await client.query('UPDATE stock SET sold = sold + 1 WHERE item = $1', [item]);
    isCommitSent = true;
    await client.query('COMMIT');
    return { kind: 'done', tookMs: performance.now() - startedMs };
  } catch (error) {
    failure ??= error instanceof Error ? error : new Error(String(error));
    const isAnswer = error instanceof pg.DatabaseError && error.severity === 'ERROR';
    return {
      kind: 'failed',
      tookMs: performance.now() - startedMs,
      errorClass: errorClassOf(failure),
      committed: isCommitSent && !isAnswer ? 'unknown' : 'no',
    };
  } finally {
    client?.off('error', onError);
    client?.release(failure);
  }
}

/** What kind of error it was, without what differs each time. */
export function errorClassOf(error: Error): string {
  const { code } = error as { code?: unknown };
  const text = error.message.replace(/\d+(\.\d+){3}(:\d+)?/g, 'ADDRESS').slice(0, 80);
  return typeof code === 'string' && !text.includes(code) ? `${code} ${text}` : text;
}
