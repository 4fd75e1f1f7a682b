// The operator as a whole: what it is made of, in which order it starts, and in which order it stops.
import { randomBytes } from 'node:crypto';
import { releaseHeld } from './controller/release-held.ts';
import { Reconciler } from './controller/reconcile.ts';
import type { Refusals } from './controller/observe.ts';
import { LostServers } from './controller/lost-servers.ts';
import { Prover } from './controller/prover.ts';
import { OrphanWatch } from './controller/orphan-watch.ts';
import { ServerAddresses } from './controller/server-addresses.ts';
import { Servers } from './controller/servers.ts';
import { foreignAddressesBut } from './postgres/address-guard.ts';
import { World } from './controller/world.ts';
import { KubeClient } from './kube/client.ts';
import { EventRecorder } from './kube/events.ts';
import { LeaderElector } from './kube/lease.ts';
import type { LiveObject } from './kube/resources.ts';
import { FIELD_MANAGER } from './model/names.ts';
import { Consoles } from './pgbouncer/consoles.ts';
import { systemClock } from './runtime/clock.ts';
import { Controller } from './runtime/controller.ts';
import { WorkQueue } from './runtime/work-queue.ts';
import { TelemetryServer } from './telemetry/http.ts';
import { createLogger, type LogLevel } from './telemetry/logger.ts';
import { Metrics } from './telemetry/metrics.ts';

export type OperatorOptions = {
  readonly namespaces: readonly string[];
  readonly logLevel: LogLevel;
  readonly leaderElect: boolean;
  readonly leaseNamespace: string;
  readonly leaseName: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly httpPort: number;
  readonly poolerImage: string;
  /** Identity of this process in the Lease: the pod's uid, so that a restarted container retakes it at once. */
  readonly identity: string;
  /** Of the API server as pods reach it: no PoolConfig can have the operator log in there. */
  readonly apiAddresses: readonly string[];
};

/** A watch tells something at least this often (bookmarks come about once a minute). */
const MAX_SILENCE_MS = 11 * 60_000;
const WORKERS = 4;
/** A turn that takes longer than this is stuck: every call in it has a far shorter time-out. */
const STUCK_MS = 120_000;

/** Runs until `stop` is aborted; resolves when everything has ended and the Lease is free. Rejects when it can't start or loses its lead. */
export async function runOperator(options: OperatorOptions, stop: AbortSignal): Promise<void> {
  const log = createLogger(options.logLevel);
  const clock = systemClock;
  const random = (): number => Math.random();
  let elector: LeaderElector | undefined;
  const metrics = new Metrics(() => !options.leaderElect || elector?.isLeader() === true);
  const client = KubeClient.fromKubeConfig({
    log,
    fieldManager: FIELD_MANAGER,
    qps: 100,
    burst: 200,
    onAnswer: ({ verb, resource, status }) => {
      metrics.called(verb, resource, status);
    },
  });
  const queue = new WorkQueue({ clock, random });
  const world = new World({
    client,
    clock,
    log,
    random,
    namespaces: options.namespaces,
    onChange: (key, source) => {
      queue.add(key, source === 'list' ? 'low' : 'normal');
    },
  });
  const consoles = new Consoles();
  const servers = new Servers((key) => {
    queue.add(key);
  }, foreignAddressesBut(options.apiAddresses));
  const addresses = new ServerAddresses(clock, (key) => {
    queue.add(key);
  });
  const events = new EventRecorder({
    client,
    clock,
    log,
    random,
    controller: 'poolsmith.dev/operator',
    instance: options.identity,
  });
  const refusals: Refusals = new Map();
  // Without election every start counts as a new leadership; seconds since 2025 only grow.
  const ownEpoch = Math.floor((clock.now() - Date.UTC(2025, 0, 1)) / 1000);
  const reconciler = new Reconciler({
    client,
    world,
    consoles,
    servers,
    prover: new Prover(),
    lost: new LostServers(),
    addresses,
    orphans: new OrphanWatch(servers),
    newSecret: (bytes) => randomBytes(bytes).toString('base64url'),
    refusals,
    foreign: new Map<string, ReadonlyMap<string, LiveObject>>(),
    clock,
    events,
    log,
    defaultImage: options.poolerImage,
    epoch: () => (options.leaderElect ? elector?.epoch : ownEpoch),
    onPlanned: (key, observation, plan) => {
      metrics.saw(key, observation, plan);
    },
    onForgotten: (key) => {
      metrics.forget(key);
    },
  });
  const controller = new Controller({
    queue,
    clock,
    workers: WORKERS,
    log,
    reconcile: (key, signal) => reconciler.reconcile(key, signal),
    onReconciled: ({ outcome, durationMs }) => {
      metrics.reconciled(outcome, durationMs);
    },
  });
  const http = new TelemetryServer({
    port: options.httpPort,
    metrics: () => metrics.text(),
    health: () =>
      queue.metrics().longestRunningMs > STUCK_MS ? 'a turn has been running for over two minutes' : undefined,
    readiness: () =>
      world.isFresh(MAX_SILENCE_MS) ? undefined : 'the view of the cluster is not complete or not fresh',
  });

  const lost = Promise.withResolvers<never>();
  const ended = Promise.withResolvers<undefined>();
  stop.addEventListener(
    'abort',
    () => {
      ended.resolve(undefined);
    },
    { once: true },
  );
  let hasLed = false as boolean;
  const lead = (): void => {
    if (!options.leaderElect) {
      hasLed = true;
      controller.start();
      return;
    }
    elector = new LeaderElector({
      client,
      clock,
      log,
      random,
      namespace: options.leaseNamespace,
      name: options.leaseName,
      identity: options.identity,
      leaseDurationMs: options.leaseDurationMs,
      renewDeadlineMs: options.renewDeadlineMs,
      retryPeriodMs: options.retryPeriodMs,
      onStartedLeading: (epoch, signal) => {
        log.info('leading', { epoch });
        hasLed = true;
        for (const pool of world.pools.list()) queue.add(`${pool.metadata.namespace}/${pool.metadata.name}`);
        controller.start(signal);
      },
      onStoppedLeading: (epoch) => {
        // Whatever this process remembers may be out of date from here on: a fresh process takes its place.
        if (!stop.aborted) lost.reject(new Error(`leadership of epoch ${epoch} was lost`));
      },
    });
    elector.start();
  };

  // What has started by then must be stopped also when a signal comes before the caches are complete.
  try {
    await http.start();
    log.info('operator starting', {
      identity: options.identity,
      server: client.server,
      namespaces: options.namespaces,
    });
    world.start();
    await world.waitForSync(stop);
    log.info('caches are complete', { pools: world.pools.list().length });
    lead();
    await Promise.race([ended.promise, lost.promise]);
  } finally {
    log.info('operator stopping');
    await controller.stop();
    if (hasLed) await releaseHeld({ world, consoles });
    await world.stop();
    await elector?.stop();
    await events.stop();
    addresses.stop();
    await consoles.closeAll();
    await servers.closeAll();
    await client.close();
    await http.stop();
    log.info('operator stopped');
  }
}
