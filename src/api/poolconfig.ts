// A PoolConfig read with its defaults: what the API server fills in, for objects that have not been there yet too.
import type { ClientTlsMode } from '../model/pooler-model.ts';
import type { Count } from '../sizing/concurrency.ts';
import type { WorkloadWish } from '../sizing/demand.ts';
import type { AuthUser, ConcurrencyFromEnv, Database, PoolConfig, Workload } from './poolconfig.gen.ts';

/** The defaults of the CRD; a test compares them with it. */
export const DEFAULTS = {
  serverPort: 5432,
  caKey: 'ca.crt',
  usernameKey: 'username',
  passwordKey: 'password',
  monitorDatabase: 'postgres',
  reserve: 0,
  poolMode: 'transaction',
  weight: 1,
  replicas: 2,
  drainWindow: '30s',
  drainTimeout: '5m',
  serviceType: 'ClusterIP',
  servicePort: 5432,
} as const;

/** True for an object of our API that can be read at all: it has a name and a spec. */
export function isPoolConfig(value: unknown): value is PoolConfig {
  if (!isRecord(value) || value['kind'] !== 'PoolConfig') return false;
  const { apiVersion, metadata, spec } = value;
  return (
    typeof apiVersion === 'string' &&
    apiVersion.startsWith('poolsmith.dev/') &&
    isRecord(metadata) &&
    typeof metadata['name'] === 'string' &&
    isRecord(spec)
  );
}

export function serverPort(pool: PoolConfig): number {
  return pool.spec.server.port ?? DEFAULTS.serverPort;
}

/** Where the monitor role logs in and which keys hold its name and password; undefined without one. */
export function monitorLogin(pool: PoolConfig): (SecretKeys & { readonly database: string }) | undefined {
  const reference = pool.spec.server.monitorSecretRef;
  if (reference === undefined) return undefined;
  return {
    secretName: reference.name,
    usernameKey: reference.usernameKey ?? DEFAULTS.usernameKey,
    passwordKey: reference.passwordKey ?? DEFAULTS.passwordKey,
    database: reference.database ?? DEFAULTS.monitorDatabase,
  };
}

export type SecretKeys = { readonly secretName: string; readonly usernameKey: string; readonly passwordKey: string };

export function userKeys(user: AuthUser): SecretKeys {
  return {
    secretName: user.secretRef.name,
    usernameKey: user.usernameKey ?? DEFAULTS.usernameKey,
    passwordKey: user.passwordKey ?? DEFAULTS.passwordKey,
  };
}

/** Name, key and mode of the CA that vouches for the server; undefined where the mode needs none. */
export function serverCa(pool: PoolConfig): { readonly secretName: string; readonly key: string } | undefined {
  const reference = pool.spec.server.tls.caSecretRef;
  return reference === undefined ? undefined : { secretName: reference.name, key: reference.key ?? DEFAULTS.caKey };
}

/** The Secret with the certificate that PostgreSQL is shown; undefined where it is shown none. */
export function serverCertSecret(pool: PoolConfig): string | undefined {
  const { mode, certSecretRef } = pool.spec.server.tls;
  return mode === 'disable' ? undefined : certSecretRef?.name;
}

/** How clients are to speak TLS, and the Secret with the certificate that they see; undefined for plain text. */
export function poolerTls(pool: PoolConfig): { readonly mode: ClientTlsMode; readonly secretName: string } | undefined {
  const { mode, certSecretRef } = pool.spec.pooler?.tls ?? {};
  if (mode === undefined || mode === 'disable' || certSecretRef === undefined) return undefined;
  return { mode, secretName: certSecretRef.name };
}

/** Name and key of the CA that vouches for clients; undefined where they show no certificates. */
export function clientCa(pool: PoolConfig): { readonly secretName: string; readonly key: string } | undefined {
  const reference = poolerTls(pool) === undefined ? undefined : pool.spec.pooler?.tls?.clientCaSecretRef;
  return reference === undefined ? undefined : { secretName: reference.name, key: reference.key ?? DEFAULTS.caKey };
}

/** Every Secret that the PoolConfig refers to, each once, sorted: what the operator watches, and no other. */
export function referencedSecrets(pool: PoolConfig): readonly string[] {
  const { server, auth } = pool.spec;
  const names = [
    ...auth.users.map((user) => user.secretRef.name),
    server.tls.caSecretRef?.name,
    serverCertSecret(pool),
    server.monitorSecretRef?.name,
    poolerTls(pool)?.secretName,
    clientCa(pool)?.secretName,
  ];
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}

export type NamedDatabase = Required<Omit<Database, 'poolSize'>> & Pick<Database, 'poolSize'>;

/** The databases with their defaults, in the order of the spec. */
export function databasesOf(pool: PoolConfig): readonly NamedDatabase[] {
  return pool.spec.databases.map((database) => ({
    ...database,
    database: database.database ?? database.name,
    poolMode: database.poolMode ?? DEFAULTS.poolMode,
    weight: database.weight ?? DEFAULTS.weight,
  }));
}

export function wantedReplicas(pool: PoolConfig): number {
  return pool.spec.fleet?.replicas ?? DEFAULTS.replicas;
}

/** How long leaving clients are waited for, and when the pod must be gone; milliseconds, timeout ≥ window > 0. */
export function drainTimes(pool: PoolConfig): { readonly windowMs: number; readonly timeoutMs: number } {
  const drain = pool.spec.fleet?.drain;
  const windowMs = parseDurationMs(drain?.window ?? DEFAULTS.drainWindow) ?? 30_000;
  const timeoutMs = parseDurationMs(drain?.timeout ?? DEFAULTS.drainTimeout) ?? 300_000;
  return { windowMs, timeoutMs: Math.max(windowMs, timeoutMs) };
}

/** The workload as sizing understands it; undefined for one that is neither ref with threads nor name with clients. */
export function workloadWish(workload: Workload): WorkloadWish | undefined {
  const { ref, name, threads, workers, clients, databases } = workload;
  const uses = databases === undefined ? {} : { databases };
  if (ref !== undefined && threads !== undefined) {
    return { ref, threads: count(threads), ...(workers === undefined ? {} : { workers: count(workers) }), ...uses };
  }
  if (name !== undefined && clients !== undefined) return { name, clients, ...uses };
  return undefined;
}

function count(concurrency: number | ConcurrencyFromEnv): Count {
  return typeof concurrency === 'number' ? { integer: concurrency } : concurrency;
}

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1000 } as const;

/** Milliseconds of a duration such as 30s, 5m or 1h30m; undefined for any other text. */
export function parseDurationMs(text: string): number | undefined {
  if (!/^(?:[0-9]{1,5}[hms])+$/.test(text)) return undefined;
  let totalMs = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)([hms])/g)) {
    totalMs += Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
  }
  return totalMs;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
