// The sampler's own process: looks at pg_stat_activity many times a second, whatever keeps the load busy. A thread would be held up by each fork of the load's process.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { nowMs, type Sample } from './recording.ts';
import { hastenBackend, hastenThisProcess } from './sampler-priority.ts';

/** `lost`: backends of this address that began before that are those of a killed PgBouncer. */
export type SamplerOrder =
  | Readonly<{ kind: 'start'; addresses: readonly pg.ClientConfig[]; ignoreRoles: readonly string[]; everyMs: number }>
  | Readonly<{ kind: 'lost'; address: string; beforeMs: number }>
  | Readonly<{ kind: 'stop' }>;

const RECONNECT_MS = 50;
const QUERY = {
  name: 'backends',
  rowMode: 'array' as const,
  text: `SELECT coalesce(host(client_addr), 'local'), extract(epoch FROM backend_start)::float8 * 1000
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND coalesce(usename, '') <> ALL ($1::text[])`,
};

const stopping = new AbortController();
const lost: { readonly address: string; readonly beforeMs: number }[] = [];

process.on('message', (order: SamplerOrder) => {
  switch (order.kind) {
    case 'start':
      void run(order.addresses, order.ignoreRoles, order.everyMs);
      break;
    case 'lost':
      lost.push(order);
      break;
    case 'stop':
      stopping.abort();
      break;
  }
});
// Whoever asked for samples is gone.
process.on('disconnect', () => {
  stopping.abort();
});

async function run(
  addresses: readonly pg.ClientConfig[],
  ignoreRoles: readonly string[],
  everyMs: number,
): Promise<void> {
  const { signal } = stopping;
  await hastenThisProcess();
  let clients: readonly pg.Client[] = [];
  while (!signal.aborted) {
    try {
      if (clients.length === 0) clients = await Promise.all(addresses.map(connect));
      tell(sumOf(await Promise.all(clients.map((client) => look(client, ignoreRoles)))));
      await sleep(everyMs);
    } catch (error) {
      for (const client of clients) client.end().catch(() => undefined);
      clients = [];
      if (isRefusal(error)) tell({ atMs: nowMs(), byAddress: {}, orphans: 0, isRefused: true });
      await sleep(RECONNECT_MS);
    }
  }
  for (const client of clients) await client.end().catch(() => undefined);
  if (process.connected) process.disconnect();
}

function tell(sample: Sample): void {
  if (process.connected) process.send?.(sample);
}

/** A connection that moves from one server to the other may be seen at both: counted twice rather than missed. */
function sumOf(samples: readonly Sample[]): Sample {
  const byAddress: Record<string, number> = {};
  for (const sample of samples)
    for (const [from, count] of Object.entries(sample.byAddress)) byAddress[from] = (byAddress[from] ?? 0) + count;
  return { atMs: nowMs(), byAddress, orphans: samples.reduce((sum, { orphans }) => sum + orphans, 0) };
}

async function look(client: pg.Client, ignoreRoles: readonly string[]): Promise<Sample> {
  const { rows } = await client.query<[string, number]>({ ...QUERY, values: [ignoreRoles] });
  const byAddress: Record<string, number> = {};
  let orphans = 0;
  for (const [from, startedMs] of rows) {
    byAddress[from] = (byAddress[from] ?? 0) + 1;
    if (lost.some((one) => one.address === from && startedMs < one.beforeMs)) orphans += 1;
  }
  return { atMs: nowMs(), byAddress, orphans };
}

async function connect(address: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({
    ...address,
    application_name: 'backend sampler',
    connectionTimeoutMillis: 2_000,
    query_timeout: 5_000,
  });
  client.on('error', () => undefined);
  await client.connect();
  await hastenBackend(client);
  return client;
}

/** Refused by a server that is down (nobody listens) or on its way down or up: then there are no backends to count. */
function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === 'ECONNREFUSED' || code === '57P03';
}
