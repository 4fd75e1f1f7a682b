// A PostgreSQL in a namespace of the cluster, with a direct way to it from this machine; it can be stopped, frozen and started with its data.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import type { Authority } from './certificates.ts';
import { applyObjects, cluster, kubectl } from './kubectl.ts';
import { postgresObjects } from './postgres-objects.ts';

export type Role = Readonly<{
  name: string;
  password: string;
  /** As in CREATE ROLE, e.g. `CONNECTION LIMIT 80`. LOGIN is given. */
  options?: string;
  /** Roles that it is a member of, e.g. `pg_monitor`. */
  memberOf?: readonly string[];
}>;

export type ClusterPostgresOptions = Readonly<{
  namespace: string;
  /** Of the pod and its Service. Default `db`. */
  name?: string;
  maxConnections?: number;
  /** Share of a processor that it is given before others; without it every other pod goes first. */
  cpuRequest?: string;
  /** More settings, as for `postgres -c name=value`. */
  settings?: Readonly<Record<string, string>>;
  roles?: readonly Role[];
  /** Owned by the first role. */
  databases?: readonly string[];
  /** SQL that the first role runs in the first database. */
  sql?: string;
  /** TLS with a certificate of this authority, for the Service's names. */
  tls?: Readonly<{
    authority: Authority;
    /** Refuses plain text. */ required?: boolean;
    /** Instead of the Service's. */ hosts?: readonly string[];
    /** Asks everybody but the superuser for a certificate of the authority, too; with `required`. */
    clientCertificates?: boolean;
  }>;
}>;

export type ClusterPostgres = Readonly<{
  namespace: string;
  name: string;
  /** The name that pods use. */
  host: string;
  /** Where this machine reaches it, past every pooler. */
  address: (database?: string, role?: Role) => Promise<pg.ClientConfig>;
  /** A new connection past every pooler; the superuser's unless a role is given. */
  connect: (database?: string, role?: Role) => Promise<pg.Client>;
  /** Ends the server (`fast` closes connections, `immediate` is a crash) and keeps it down; new connections are refused. */
  stop: (mode?: 'fast' | 'immediate') => Promise<void>;
  /** Starts it again, with its data, at the same address. */
  start: () => Promise<void>;
  /** Restarts it (fast) with other settings, which stay until the next such restart. No blanks in names and values. */
  restartWith: (settings: Readonly<Record<string, string>>) => Promise<void>;
  /** Nothing answers any more, connections stay open: a hung server. */
  freeze: () => Promise<void>;
  thaw: () => Promise<void>;
}>;

export const SUPERUSER: Role = { name: 'postgres', password: 'superuser-password' };
const START_LIMIT_MS = 60_000;

/** Starts it and waits until it answers this machine. */
export async function startClusterPostgres(options: ClusterPostgresOptions): Promise<ClusterPostgres> {
  const { namespace, name = 'db' } = options;
  await applyObjects(await postgresObjects({ ...options, name, superuser: SUPERUSER }));
  const exec = (script: string): Promise<string> => kubectl(['exec', '-n', namespace, name, '--', 'sh', '-c', script]);
  const address = async (database = 'postgres', role = SUPERUSER): Promise<pg.ClientConfig> => ({
    ...{ host: await podAddress(namespace, name), port: 5432, database, user: role.name, password: role.password },
    ...(options.tls === undefined ? {} : { ssl: { rejectUnauthorized: false } }),
  });
  const connect = async (database?: string, role?: Role): Promise<pg.Client> => {
    const client = new pg.Client({ ...(await address(database, role)), connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const answers = async (): Promise<true> => {
    await (await connect()).end();
    return true;
  };
  const isUp = async (): Promise<void> => {
    await until(`PostgreSQL ${namespace}/${name}`, answers, START_LIMIT_MS);
    await until(`${namespace}/${name} to be ready`, () => isReady(namespace, name), START_LIMIT_MS);
  };
  await isUp();
  return {
    ...{ namespace, name, host: `${name}.${namespace}.svc`, address, connect },
    stop: async (mode = 'fast') => {
      await exec(`: >/tmp/stay-down; pg_ctl --pgdata="$PGDATA" --silent --wait --mode=${mode} stop`);
    },
    start: async () => {
      await exec('rm -f /tmp/stay-down');
      await isUp();
    },
    restartWith: async (changed) => {
      const flags = Object.entries(changed).map(([key, value]) => `-c ${key}=${value}`);
      await exec(`: >/tmp/stay-down; pg_ctl --pgdata="$PGDATA" --silent --wait --mode=fast stop`);
      await exec(`echo '${flags.join(' ')}' >/tmp/more-settings; rm -f /tmp/stay-down`);
      await isUp();
    },
    // -1: all processes but the first one (the supervising shell) and the one that asks.
    freeze: async () => {
      await exec('kill -STOP -1');
    },
    thaw: async () => {
      await exec('kill -CONT -1');
      await isUp();
    },
  };
}

async function podAddress(namespace: string, name: string): Promise<string> {
  const found = async (): Promise<string | undefined> =>
    (await (await cluster()).find(RESOURCES.Pod, namespace, name))?.status?.podIP;
  return await until(`an address of ${namespace}/${name}`, found, START_LIMIT_MS);
}

async function isReady(namespace: string, name: string): Promise<true | undefined> {
  const pod = await (await cluster()).get(RESOURCES.Pod, namespace, name);
  const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (ready?.status === 'True') return true;
  await sleep(50);
  return undefined;
}
