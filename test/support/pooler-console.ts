// What a pod's PgBouncer itself says, asked past the operator: the second opinion on what status claims.
import pg from 'pg';
import { RESOURCES } from '../../src/kube/resources.ts';
import { childNames, POOLER_PORT } from '../../src/model/names.ts';
import { ADMIN_USER } from '../../src/model/reserved-names.ts';
import { cluster } from './kubectl.ts';
import { poolPods } from './pool-children.ts';

type Row = Readonly<Record<string, unknown>>;

/** Runs a SHOW command on every pod that runs and is not on its way out; answers its rows by pod. */
export async function show(
  namespace: string,
  pool: string,
  what: string,
): Promise<Readonly<Record<string, readonly Row[]>>> {
  const secret = await (await cluster()).get(RESOURCES.Secret, namespace, childNames(pool).operatorSecret);
  const password = Buffer.from(secret.data?.['admin-password'] ?? '', 'base64').toString('utf8');
  const pods = (await poolPods(namespace, pool)).filter(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined && status?.containerStatuses?.some(({ ready }) => ready) === true,
  );
  const answers = pods.map(async ({ metadata, status }) => {
    const client = await connected(status?.podIP ?? '', password);
    try {
      return [metadata.name, (await client.query<Row>(`SHOW ${what}`)).rows] as const;
    } finally {
      await client.end();
    }
  });
  return Object.fromEntries(await Promise.all(answers));
}

/** In plain text where that is let in, else with TLS. */
async function connected(host: string, password: string, ssl = false): Promise<pg.Client> {
  const client = new pg.Client({
    ...{ host, port: POOLER_PORT, database: 'pgbouncer', user: ADMIN_USER, password },
    ...{ connectionTimeoutMillis: 3_000, query_timeout: 3_000, ssl: ssl ? { rejectUnauthorized: false } : false },
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    if (ssl || !(error as Error).message.includes('SSL required')) throw error;
    return await connected(host, password, true);
  }
}

/** The value of one setting in every pod. */
export async function settingInForce(
  namespace: string,
  pool: string,
  key: string,
): Promise<Readonly<Record<string, string>>> {
  const config = await show(namespace, pool, 'CONFIG');
  const value = (rows: readonly Row[]): string =>
    String((rows.find((row) => row['key'] === key) ?? { value: '' })['value']);
  return Object.fromEntries(Object.entries(config).map(([pod, rows]) => [pod, value(rows)]));
}

/** The sizes in force, `pod/database` → connections. */
export async function sizesInForce(namespace: string, pool: string): Promise<Readonly<Record<string, number>>> {
  const databases = await show(namespace, pool, 'DATABASES');
  return Object.fromEntries(
    Object.entries(databases).flatMap(([pod, rows]) =>
      rows
        .filter((row) => row['name'] !== 'pgbouncer')
        .map((row) => [`${pod}/${String(row['name'])}`, Number(row['pool_size'])]),
    ),
  );
}

/** The sizes as status tells them, in the form of `sizesInForce`. */
export function sizesInStatus(
  pods: readonly {
    readonly name?: string;
    readonly sizes?: readonly { readonly database?: string; readonly size?: number }[];
  }[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    pods.flatMap(({ name, sizes = [] }) =>
      sizes.map(({ database, size }) => [`${name ?? ''}/${database ?? ''}`, size ?? 0]),
    ),
  );
}
