// Cancel requests as libpq sends them: on a connection of their own, which is answered by nothing but its end.
import { once } from 'node:events';
import { connect } from 'node:net';
import type pg from 'pg';

/** What the server gave a client at its login, and a cancel request has to name. */
export type CancelKey = { readonly processID: number; readonly secretKey: number };

/** A query under way that nobody waits for. `ended`: the code of its error; `slept on` where nothing cancelled it. */
export type Sleeper = { readonly key: CancelKey; readonly ended: Promise<string> };

const CANCEL_REQUEST = 80_877_102;
/** SQLSTATE of a query that was cancelled on request. */
export const QUERY_CANCELED = '57014';

export async function cancel(host: string, port: number, { processID, secretKey }: CancelKey): Promise<void> {
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(CANCEL_REQUEST, 4);
  message.writeInt32BE(processID, 8);
  message.writeInt32BE(secretKey, 12);
  const socket = connect(port, host);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(message);
  await once(socket.resume(), 'close');
}

/** Has a connected client sleep at the server. */
export function sleepFor(client: pg.Client, seconds: number): Sleeper {
  const ended = client.query(`select pg_sleep(${seconds})`).then(
    () => 'slept on',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
  const { processID, secretKey } = client as unknown as CancelKey;
  return { key: { processID, secretKey }, ended };
}
