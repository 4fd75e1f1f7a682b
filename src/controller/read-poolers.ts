// What every pooler says of itself, and what logins prove of it: one reading of each pod that can be asked.
import { databasesOf, drainTimes } from '../api/poolconfig.ts';
import type { Observation, OperatorCredentials, PodFacts, PoolerReading, ServerAddress } from '../model/observation.ts';
import type { PoolerView } from '../model/pooler-view.ts';
import type { PoolerConsole } from '../pgbouncer/console.ts';
import { AdminError } from '../pgbouncer/errors.ts';
import { storedFiles } from '../plan/children.ts';
import { consoleClosesAtMs } from '../plan/drain.ts';
import { removedFor } from '../plan/revoke.ts';
import { loadedIni, runsItsFile } from '../plan/pod-state.ts';
import type { PoolUser } from '../plan/policies/users-are-readable.ts';
import type { ObserverOptions } from './observe.ts';
import { consoleOf } from './pod-consoles.ts';

export async function readPoolers(
  options: ObserverOptions,
  base: Observation,
  users: readonly PoolUser[],
  leadsTo: ServerAddress | undefined,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, PoolerReading>> {
  const { credentials } = base;
  if (credentials === undefined) return new Map();
  const drain = drainTimes(base.pool);
  const askable = base.pods.filter(
    (pod) =>
      pod.ip !== undefined &&
      pod.container.running &&
      !pod.finished &&
      base.nowMs < (consoleClosesAtMs(pod, drain) ?? Infinity),
  );
  const readings = await Promise.all(
    askable.map(
      async (pod) => [pod.uid, await readPooler(options, base, pod, credentials, users, leadsTo, signal)] as const,
    ),
  );
  return new Map(readings);
}

async function readPooler(
  options: ObserverOptions,
  base: Observation,
  pod: PodFacts,
  credentials: OperatorCredentials,
  users: readonly PoolUser[],
  leadsTo: ServerAddress | undefined,
  signal: AbortSignal,
): Promise<PoolerReading> {
  const { prover, refusals } = options;
  try {
    const console = consoleOf(options.consoles, pod, credentials);
    const view = await console.read(signal);
    const refusal = refusals.get(pod.uid);
    // A refused file has the pod go back to boot.ini in the same container.
    const restartedUnseen =
      refusal === undefined && prover.restartedUnseen(pod, view.config.get('conffile'), base.nowMs);
    const answer = { ok: true, view, userlistProved: false, serverProof: 'untried', refusal, restartedUnseen } as const;
    const strays = await straysOf(
      console,
      view,
      base,
      leadsTo,
      options.addresses?.tries(pod.uid, leadsTo) ?? 0,
      signal,
    );
    const reading = {
      ...answer,
      ...(strays === undefined ? {} : { strays }),
      ranLive: prover.ranLive(pod, runsItsFile(answer, pod.grant)),
      lostServers: options.lost.look(pod.uid, view.pools, base.nowMs),
    };
    // Logins prove nothing about a configuration that is not loaded, and a pod on its way out needs no proof.
    const database = view.databases[0]?.name ?? databasesOf(base.pool)[0]?.name;
    if (
      pod.live === undefined ||
      database === undefined ||
      pod.terminatingSinceMs !== undefined ||
      loadedIni(reading) !== pod.grant?.ini
    )
      return reading;
    const userlistProved = await prover.userlist(pod, pod.live, credentials, signal);
    if (!userlistProved) return reading;
    const certificateShown = await prover.certificate(pod, pod.live, storedFiles(base).data, signal);
    const shown = certificateShown === undefined ? {} : { certificateShown };
    if (certificateShown === false) return { ...reading, userlistProved, ...shown };
    const lingering = await lingeringOf(console, removedFor(base, pod), signal);
    const paused = view.databases.some((row) => row.paused);
    const serverProof = paused
      ? prover.provedBefore(pod, pod.live)
      : await prover.server({
          pod,
          live: pod.live,
          console,
          users: loginsFromHere(base, users),
          credentials,
          database,
          nowMs: base.nowMs,
          signal,
        });
    return { ...reading, userlistProved, ...shown, ...(lingering.length === 0 ? {} : { lingering }), serverProof };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AdminError)) throw error;
    return { ok: false, fault: error.kind === 'refused' ? 'protocol' : error.kind };
  }
}

/** Asked only where the userlist speaks of removed users at all. */
async function lingeringOf(
  console: PoolerConsole,
  removed: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (removed.length === 0) return [];
  const clients = await console.clientsByUser(signal);
  return removed.filter((name) => (clients.get(name) ?? 0) > 0);
}

/** Rules may let users in from elsewhere only, or by certificate; the proving user comes in whatever they say. */
function loginsFromHere({ pool }: Observation, users: readonly PoolUser[]): readonly PoolUser[] {
  return pool.spec.auth.hba === undefined ? users : [];
}

type Strays = NonNullable<Extract<PoolerReading, { ok: true }>['strays']>;

/** Databases with connections to where the host led before. Asked for only while that is news: it costs a row for every connection. */
export async function straysOf(
  console: Pick<PoolerConsole, 'servers'>,
  { databases }: Pick<PoolerView, 'databases'>,
  { pool, nowMs }: Pick<Observation, 'pool' | 'nowMs'>,
  leadsTo: ServerAddress | undefined,
  tries: number,
  signal: AbortSignal,
): Promise<Strays | undefined> {
  if (leadsTo === undefined || nowMs - leadsTo.sinceMs > STRAYS_FOR_MS) return undefined;
  // Pods that have a resolver of their own, which leads them elsewhere, must not be sent back again and again.
  if (tries >= MOST_TRIES) return undefined;
  // A pod that has not been told of the present host yet is not there by mistake.
  const there = new Set(databases.flatMap(({ name, host }) => (host === pool.spec.server.host ? [name] : [])));
  const rows = await console.servers(signal);
  // What closes at the end of its transaction anyway needs nobody's help; helping again would close all others too.
  const strays = rows.filter(
    ({ database, address, closeNeeded }) => !closeNeeded && there.has(database) && address !== leadsTo.address,
  );
  if (strays.length === 0) return undefined;
  return { databases: [...new Set(strays.map(({ database }) => database))].sort(), tries };
}

/** After this every connection that moved late, behind a long transaction, has done so. */
const STRAYS_FOR_MS = 600_000;
/** The last of them half a minute after the first. */
const MOST_TRIES = 6;
