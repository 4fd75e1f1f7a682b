// Counts PostgreSQL's backends many times a second over a direct connection, and keeps the peaks.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { until } from './until.ts';

/** One look. `total` leaves out the sampler itself and the roles that it was told to ignore. */
export type BackendSample = Readonly<{
  atMs: number;
  total: number;
  byAddress: Readonly<Record<string, number>>;
  byDatabase: Readonly<Record<string, number>>;
  byRole: Readonly<Record<string, number>>;
}>;

/** What was seen since the lap before. A long gap means that a short peak could have been missed. */
export type Lap = Readonly<{
  peak: number;
  peakSample: BackendSample | undefined;
  samples: number;
  longestGapMs: number;
}>;

export type SamplerOptions = Readonly<{
  /** Pause between two looks. */
  everyMs?: number;
  /** Roles whose backends are nobody's business: the operator's monitor, the test's own connections. */
  ignoreRoles?: readonly string[];
}>;

const RECONNECT_MS = 100;
const QUERY = {
  name: 'backends',
  text: `SELECT coalesce(host(client_addr), 'local') AS address, coalesce(datname, '') AS database,
    coalesce(usename, '') AS role, count(*)::int AS count
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND coalesce(usename, '') <> ALL ($1::text[])
    GROUP BY 1, 2, 3`,
};

type Row = Readonly<{ address: string; database: string; role: string; count: number }>;

/** Runs from `start` to `stop`; survives a server that goes away and comes back. */
export class BackendSampler implements AsyncDisposable {
  readonly #address: pg.ClientConfig;
  readonly #everyMs: number;
  readonly #ignoreRoles: readonly string[];
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #samples: BackendSample[] = [];
  #lapStart = 0;
  #last: BackendSample | undefined;

  private constructor(address: pg.ClientConfig, { everyMs = 100, ignoreRoles = [] }: SamplerOptions) {
    this.#address = address;
    this.#everyMs = everyMs;
    this.#ignoreRoles = ignoreRoles;
  }

  /** Resolves with the first sample taken. `address` is PostgreSQL itself, as a role with pg_monitor. */
  static async start(address: pg.ClientConfig, options: SamplerOptions = {}): Promise<BackendSampler> {
    const sampler = new BackendSampler(address, options);
    const first = await connect(address);
    await sampler.#look(first);
    sampler.#running = sampler.#run(first);
    return sampler;
  }

  get last(): BackendSample | undefined {
    return this.#last;
  }

  get samples(): readonly BackendSample[] {
    return this.#samples;
  }

  /** The most backends in any sample since `sinceMs` (performance.now()); since the start by default. */
  peak(sinceMs = 0): number {
    return Math.max(0, ...this.#samples.filter((sample) => sample.atMs >= sinceMs).map((sample) => sample.total));
  }

  /** Ends the present lap and begins the next one. */
  lap(): Lap {
    const samples = this.#samples.slice(this.#lapStart);
    this.#lapStart = this.#samples.length;
    let peakSample: BackendSample | undefined;
    let longestGapMs = 0;
    for (const [index, sample] of samples.entries()) {
      if (peakSample === undefined || sample.total > peakSample.total) peakSample = sample;
      const former = samples[index - 1];
      if (former !== undefined) longestGapMs = Math.max(longestGapMs, sample.atMs - former.atMs);
    }
    return { peak: peakSample?.total ?? 0, peakSample, samples: samples.length, longestGapMs };
  }

  /** Resolves once a sample of this lap has at least `count`; the load may take a while to need them all. @throws when none has in time. */
  async reaches(count: number, timeoutMs = 20_000): Promise<void> {
    const peak = (): number => Math.max(0, ...this.#samples.slice(this.#lapStart).map((sample) => sample.total));
    await until(`${count} backends at once`, () => peak() >= count, { timeoutMs, everyMs: this.#everyMs });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(first: pg.Client): Promise<void> {
    const { signal } = this.#stopping;
    let client: pg.Client | undefined = first;
    while (!signal.aborted) {
      try {
        client ??= await connect(this.#address);
        await this.#look(client);
        await sleep(this.#everyMs, undefined, { signal }).catch(() => undefined);
      } catch {
        await client?.end().catch(() => undefined);
        client = undefined;
        await sleep(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    await client?.end().catch(() => undefined);
  }

  async #look(client: pg.Client): Promise<void> {
    const { rows } = await client.query<Row>({ ...QUERY, values: [this.#ignoreRoles] });
    const sum = (key: 'address' | 'database' | 'role'): Record<string, number> => {
      const sums: Record<string, number> = {};
      for (const row of rows) sums[row[key]] = (sums[row[key]] ?? 0) + row.count;
      return sums;
    };
    const total = rows.reduce((count, row) => count + row.count, 0);
    const by = { byAddress: sum('address'), byDatabase: sum('database'), byRole: sum('role') };
    this.#last = { atMs: performance.now(), total, ...by };
    this.#samples.push(this.#last);
  }
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
  return client;
}
