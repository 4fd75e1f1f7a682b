// Waiting for the fleet as the PoolConfig's status tells it, and asking the pods themselves whether it is true.
import pg from 'pg';
import { RESOURCES } from '../src/kube/resources.ts';
import { childNames, POOLER_PORT } from '../src/model/names.ts';
import { ADMIN_USER } from '../src/model/reserved-names.ts';
import { cluster } from '../test/support/kubectl.ts';
import { poolPods } from '../test/support/pool-children.ts';
import { conditionOf, waitForPool, type LivePool } from '../test/support/pool.ts';
import { check, NAMESPACE, POOL, type World } from './world.ts';

/** Waits for Ready=True of the spec as it stands, with every wanted pod serving and proved, and whatever else `and` asks for. */
export async function fleetIsProved(
  world: World,
  and: (pool: LivePool) => boolean = () => true,
  timeoutMs = 60_000,
): Promise<LivePool> {
  const holds = (pool: LivePool): boolean => {
    const ready = conditionOf(pool, 'Ready');
    const { pods = [], observedGeneration, configHash } = pool.status ?? {};
    const { replicas = 2 } = pool.spec.fleet ?? {};
    const serving = pods.filter((pod) => pod.state === 'Serving');
    return (
      ready?.status === 'True' &&
      ready.observedGeneration === pool.metadata.generation &&
      observedGeneration === pool.metadata.generation &&
      configHash !== undefined &&
      serving.length === replicas &&
      serving.every((pod) => pod.configHash !== undefined) &&
      grantedTo(pool) === pool.status?.databases?.[0]?.size &&
      and(pool)
    );
  };
  const pool = await waitForPool(NAMESPACE, POOL, 'Ready, with every pod proved', holds, timeoutMs);
  world.last.pool = pool;
  return pool;
}

/** Server connections granted to the serving pods together. */
export function grantedTo(pool: LivePool): number {
  const serving = (pool.status?.pods ?? []).filter((pod) => pod.state === 'Serving');
  return serving.flatMap((pod) => pod.sizes ?? []).reduce((sum, { size }) => sum + size, 0);
}

export function describeSizes(pool: LivePool): string {
  const pods = (pool.status?.pods ?? []).filter((pod) => pod.state === 'Serving');
  const shares = pods.map((pod) => (pod.sizes ?? []).map(({ size }) => size).join('+'));
  return `${grantedTo(pool)} server connections: ${shares.join(' + ')} on ${pods.length} pods`;
}

/** Rows of a SHOW command by pod, from the admin console of every pooler pod, past the operator. */
export async function askPoolers(
  command: string,
): Promise<Readonly<Record<string, readonly Record<string, unknown>[]>>> {
  const kube = await cluster();
  const secret = await kube.get(RESOURCES.Secret, NAMESPACE, childNames(POOL).operatorSecret);
  const { user, password } = adminLogin(secret.data ?? {});
  const answers: Record<string, readonly Record<string, unknown>[]> = {};
  for (const { metadata, status } of await poolPods(NAMESPACE, POOL)) {
    if (metadata.deletionTimestamp !== undefined || status?.podIP === undefined) continue;
    const address = { host: status.podIP, port: POOLER_PORT, database: 'pgbouncer', user, password };
    const client = new pg.Client({ ...address, connectionTimeoutMillis: 3_000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      const { rows } = await client.query<Record<string, unknown>>(command);
      answers[metadata.name] = rows;
    } finally {
      await client.end();
    }
  }
  return answers;
}

/** What PgBouncer itself says, beside what the status says. */
export async function poolersAgree(pool: LivePool): Promise<void> {
  const databases = await askPoolers('SHOW DATABASES');
  for (const pod of pool.status?.pods ?? []) {
    for (const { database, size } of pod.sizes ?? []) {
      const row = databases[pod.name]?.find((one) => one['name'] === database);
      check(
        Number(row?.['pool_size']) === size,
        `PgBouncer on ${pod.name} says pool_size=${String(row?.['pool_size'])} for ${database}, the status ${size}`,
      );
    }
  }
}

function adminLogin(data: Readonly<Record<string, string>>): { user: string; password: string } {
  const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
  return { user: ADMIN_USER, password: text('admin-password') };
}
