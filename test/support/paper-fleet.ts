// A fleet on paper: carries out plans in memory, with pods that start, load and leave in their own time. For tests of planning alone.
import type { PoolConfig, PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { decodeDrainMark, decodeGrant } from '../../src/model/grant.ts';
import type { KubeObject } from '../../src/model/kube-object.ts';
import { ANNOTATION, LABEL, PLACE } from '../../src/model/names.ts';
import type {
  LoadRefusal,
  Observation,
  PodTemplateFacts,
  PodFacts,
  PoolerReading,
  ReplicaSetFacts,
  SecretReading,
} from '../../src/model/observation.ts';
import type { Action, Plan } from '../../src/model/plan.ts';
import type { PeerRow } from '../../src/model/pooler-model.ts';
import type { DatabaseRow, PoolRow } from '../../src/model/pooler-view.ts';
import type { ServerFault } from '../../src/model/server-view.ts';
import { SETTINGS } from '../../src/model/settings/table.ts';
import { planPool } from '../../src/plan/plan.ts';
import type { WorkloadFacts } from '../../src/sizing/demand.ts';
import { newPod, NOW_MS, observation, poolConfig } from './observation.ts';

type PaperPod = {
  facts: PodFacts;
  /** The text that PgBouncer loaded last; boot.ini when the container started. */
  loaded: string;
  /** It runs boot.ini: it has just started, or fell back after a refusal. */
  onBoot: boolean;
  refusal: LoadRefusal | undefined;
  clients: number;
  busy: number;
  /** Database → the largest size that was in force: so many servers its pool may still have. */
  opened: ReadonlyMap<string, number>;
  /** What SET has changed since the last load. */
  set: ReadonlyMap<string, string>;
  /** Databases that were paused since its container started. */
  paused: ReadonlySet<string>;
  /** Hosts that a login has reached through it. */
  reached: string;
};

export type Turn = { readonly nowMs: number; readonly plan: Plan };

/** Everything takes effect at once, except that a new pod starts in the turn after it was made and a projected file is there a turn later. */
export class PaperFleet {
  pool: PoolConfig;
  nowMs = NOW_MS;
  epoch = 7;
  secrets: Map<string, SecretReading>;
  workloads: Map<string, WorkloadFacts>;
  server: Observation['server'];
  trials: Observation['trials'] = [];
  /** Pods whose server connections have all gone at once. */
  readonly lost = new Set<string>();
  /** How often they were told to connect anew. */
  tries = 0;
  /** Pods with connections to a server that the host has left. */
  readonly strays = new Set<string>();
  /** Pod → removed users that still have clients there. */
  readonly lingering = new Map<string, readonly string[]>();
  /** Pods that show clients another certificate than their live.ini names. */
  readonly showsAnother = new Set<string>();
  /** Pods whose console does not answer. */
  readonly silent = new Set<string>();
  neighbours: Observation['neighbours'] = [];
  fleetAddresses: readonly string[] = [];
  /** By pod name. */
  orphans = new Map<string, number>();
  /** PgBouncer's word against a configuration, as a RELOAD would answer it. */
  refuses: (text: string) => string | undefined = () => undefined;
  /** What a login at the server meets through a pod that runs this text; undefined: it succeeds. */
  serverRefuses: (text: string) => ServerFault | undefined = () => undefined;
  /** Pods of templates that never start. */
  neverStarts: (pod: PodFacts) => boolean = () => false;
  /** False while transactions outlast every drain by lifetime. */
  drains = true;
  readonly turns: Turn[] = [];
  readonly #children = new Map<string, KubeObject>();
  readonly #sets = new Map<string, ReplicaSetFacts>();
  readonly #pods = new Map<string, PaperPod>();
  #serial = 0;

  constructor(spec: Partial<PoolConfigSpec> = {}) {
    this.pool = poolConfig(spec);
    const first = observation(this.pool);
    this.secrets = new Map(first.secrets);
    this.workloads = new Map(first.workloads);
  }

  get pods(): readonly PodFacts[] {
    return [...this.#pods.values()].map(({ facts }) => facts);
  }

  get children(): ReadonlyMap<string, KubeObject> {
    return this.#children;
  }

  edit(spec: Partial<PoolConfigSpec>): void {
    const { metadata } = this.pool;
    this.pool = {
      ...this.pool,
      metadata: { ...metadata, generation: metadata.generation + 1 },
      spec: { ...this.pool.spec, ...spec },
    };
  }

  connect(pod: string, clients: number, busy = 0): void {
    const found = this.#pods.get(pod);
    if (found === undefined) throw new Error(`there is no pod ${pod}`);
    found.clients = clients;
    found.busy = busy;
    found.opened = largerOf(found.opened, found.loaded);
  }

  /** As by PAUSE or RESUME on the pod's console. */
  pause(pod: string, databases: readonly string[], paused = true): void {
    const found = this.#pods.get(pod);
    if (found === undefined) throw new Error(`there is no pod ${pod}`);
    const others = [...found.paused].filter((name) => !databases.includes(name));
    found.paused = new Set(paused ? [...others, ...databases] : others);
  }

  /** As an administrator does by removing the label that the Service selects by. */
  takeOut(pod: string): void {
    const found = this.#pods.get(pod);
    if (found === undefined) throw new Error(`there is no pod ${pod}`);
    found.facts = { ...found.facts, serving: false };
  }

  /** As by SET on the pod's console: in force until the next load. */
  set(pod: string, key: string, value: string): void {
    const found = this.#pods.get(pod);
    if (found === undefined) throw new Error(`there is no pod ${pod}`);
    found.set = new Map([...found.set, [key, value]]);
  }

  /** Sizes that PgBouncer would allow right now, summed over every pod that exists. */
  inForce(): number {
    return [...this.#pods.values()]
      .flatMap(({ loaded }) => databasesIn(loaded))
      .reduce((sum, row) => sum + row.poolSize, 0);
  }

  loadedText(pod: string): string {
    return this.#pods.get(pod)?.loaded ?? '';
  }

  kill(pod: string): void {
    this.#pods.delete(pod);
    this.#replace();
  }

  #ask(pod: PaperPod): PoolerReading {
    if (pod.paused.size === 0) pod.reached = hostsIn(pod.loaded);
    const answer = reading(pod);
    return answer.ok
      ? {
          ...answer,
          lostServers: this.lost.has(pod.facts.name),
          ...(this.lingering.has(pod.facts.name) ? { lingering: this.lingering.get(pod.facts.name) ?? [] } : {}),
          serverProof: this.serverRefuses(pod.loaded) ?? answer.serverProof,
          ...(pod.loaded.includes('client_tls_cert_file')
            ? { certificateShown: !this.showsAnother.has(pod.facts.name) }
            : {}),
          ...(this.strays.has(pod.facts.name) ? { strays: { databases: ['orders'], tries: this.tries } } : {}),
        }
      : answer;
  }

  observe(): Observation {
    return observation(this.pool, {
      nowMs: this.nowMs,
      epoch: this.epoch,
      secrets: this.secrets,
      workloads: this.workloads,
      server: this.server,
      trials: this.trials,
      neighbours: this.neighbours,
      fleetAddresses: this.fleetAddresses,
      orphans: new Map([...this.orphans].map(([name, count]) => [`uid-${name}`, count])),
      children: this.#children,
      replicaSets: [...this.#sets.values()],
      pods: this.pods,
      poolers: new Map(
        [...this.#pods.values()]
          .filter(({ facts }) => facts.container.running && !this.silent.has(facts.name))
          .map((pod) => [pod.facts.uid, this.#ask(pod)]),
      ),
    });
  }

  /** One turn: plan, carry out, let the world move on. */
  turn(): Plan {
    const plan = planPool(this.observe());
    this.turns.push({ nowMs: this.nowMs, plan });
    this.pool = { ...this.pool, status: plan.status };
    this.#start();
    for (const action of plan.actions) this.#run(action);
    this.#replace();
    this.nowMs += Math.max(20, plan.requeueAfterMs ?? 1_000);
    return plan;
  }

  /** Turns until a plan has nothing to do and nothing to wait for. */
  settle(limit = 400): Plan {
    for (let index = 0; index < limit; index += 1) {
      const plan = this.turn();
      if (plan.actions.length === 0 && plan.requeueAfterMs === undefined) return plan;
    }
    const last = this.turns.at(-1)?.plan;
    throw new Error(
      `not at rest after ${limit} turns; last: ${JSON.stringify(last?.actions.map(({ kind, why }) => `${kind}: ${why}`))} requeue ${String(last?.requeueAfterMs)}`,
    );
  }

  #start(): void {
    for (const pod of this.#pods.values()) {
      if (pod.facts.container.running || this.neverStarts(pod.facts)) continue;
      this.#serial += 1;
      const container = {
        ...pod.facts.container,
        id: `container-${this.#serial}`,
        running: true,
        startedAtMs: this.nowMs,
        waitingReason: undefined,
      };
      pod.facts = { ...pod.facts, ip: `10.0.0.${this.#serial}`, ready: true, container };
      pod.loaded = this.#bootText();
      pod.onBoot = true;
    }
  }

  #bootText(): string {
    const data = this.#children.get('ConfigMap/orders-pooler')?.['data'] as Record<string, string> | undefined;
    if (data?.['boot.ini'] === undefined) throw new Error('a pod started before there was a boot.ini');
    return data['boot.ini'];
  }

  #run(action: Action): void {
    switch (action.kind) {
      case 'applyChild':
        this.#apply(action.object);
        return;
      case 'scaleReplicaSet': {
        const set = this.#sets.get(action.name);
        if (set !== undefined) this.#sets.set(action.name, { ...set, replicas: action.to });
        return;
      }
      case 'deleteReplicaSet':
        this.#sets.delete(action.name);
        return;
      case 'deletePod':
        this.#pods.delete(action.name);
        return;
      case 'patchPod':
        this.#patch(action);
        return;
      case 'loadLive':
        this.#load(action.pod);
        return;
      case 'endDrain':
        this.connect(action.pod, 0);
        return;
      case 'reconnectPools':
        this.strays.delete(action.pod);
        return;
      case 'closeUsers':
        if (this.drains || action.evenBusy) this.lingering.delete(action.pod);
        return;
      case 'pausePools':
      case 'resumePools':
        this.pause(action.pod, action.databases, action.kind === 'pausePools');
        return;
      case 'shrinkPools':
        if (this.drains) this.#pods.get(action.pod)!.busy = 0; // eslint-disable-line @typescript-eslint/no-non-null-assertion -- planned from a pod that exists
        return;
      case 'createCredentials':
        throw new Error('the fleet on paper has credentials from the start');
    }
  }

  #apply(object: KubeObject): void {
    if (object.kind !== 'ReplicaSet') {
      this.#children.set(`${object.kind}/${object.metadata.name}`, object);
      return;
    }
    const spec = object['spec'] as { replicas: number; template: PodTemplateFacts };
    const template = object.metadata.labels?.[LABEL.template] ?? '';
    const { name } = object.metadata;
    this.#sets.set(name, {
      name,
      uid: name,
      resourceVersion: '1',
      template,
      replicas: spec.replicas,
      observedReplicas: 0,
      podTemplate: spec.template,
      terminating: false,
      replicaFailure: undefined,
    });
  }

  #patch(action: Action & { kind: 'patchPod' }): void {
    const pod = this.#pods.get(action.name);
    if (pod === undefined) return;
    const { annotations, labels } = action;
    const value = <T>(key: string, decode: (text: string | undefined) => T, now: T): T =>
      key in annotations ? decode(annotations[key]) : now;
    const same = (text: string | undefined): string | undefined => text;
    pod.facts = {
      ...pod.facts,
      resourceVersion: String(Number(pod.facts.resourceVersion) + 1),
      serving: labels !== undefined && LABEL.serving in labels ? labels[LABEL.serving] === 'true' : pod.facts.serving,
      live: value(ANNOTATION.live, same, pod.facts.live),
      nonce: value(ANNOTATION.nonce, same, pod.facts.nonce),
      deletionCost: value(ANNOTATION.deletionCost, same, pod.facts.deletionCost),
      grant: value(ANNOTATION.grant, decodeGrant, pod.facts.grant),
      drain: value(ANNOTATION.drain, decodeDrainMark, pod.facts.drain),
      crowded: value(ANNOTATION.crowded, (text) => text !== undefined, pod.facts.crowded),
    };
  }

  #load(name: string): void {
    const pod = this.#pods.get(name);
    if (pod?.facts.live === undefined) return;
    const message = this.refuses(pod.facts.live);
    pod.refusal = message === undefined ? undefined : { ini: pod.facts.grant?.ini ?? '', message, atMs: this.nowMs };
    pod.onBoot = message !== undefined;
    pod.set = new Map();
    pod.loaded = message === undefined ? pod.facts.live : this.#bootText();
    pod.opened = largerOf(pod.opened, pod.loaded);
  }

  /** The ReplicaSet controller: makes missing pods, deletes surplus ones by deletion cost. */
  #replace(): void {
    for (const [name, set] of this.#sets) {
      const mine = [...this.#pods.values()].filter(({ facts }) => facts.template === set.template);
      const surplus = mine
        .sort((a, b) => Number(a.facts.deletionCost ?? 0) - Number(b.facts.deletionCost ?? 0))
        .slice(0, Math.max(0, mine.length - set.replicas));
      for (const { facts } of surplus) this.#pods.delete(facts.name);
      for (let missing = set.replicas - mine.length; missing > 0; missing -= 1) {
        this.#serial += 1;
        const facts = newPod(`${name}-${this.#serial}`, set.template, this.nowMs);
        this.#pods.set(facts.name, {
          facts,
          loaded: '',
          onBoot: true,
          refusal: undefined,
          clients: 0,
          busy: 0,
          opened: new Map(),
          set: new Map(),
          paused: new Set(),
          reached: '',
        });
      }
      this.#sets.set(name, { ...set, observedReplicas: set.replicas });
    }
  }
}

function hostsIn(text: string): string {
  return [...new Set(databasesIn(text).map(({ host }) => host))].join(' ');
}

function reading(pod: PaperPod): PoolerReading {
  const { loaded, onBoot, clients, busy, opened, refusal, set, paused, reached } = pod;
  const databases = databasesIn(loaded).map((row) => ({ ...row, paused: paused.has(row.name) }));
  const config = new Map([...SETTINGS.values()].map((setting) => [setting.name, setting.default ?? '']));
  for (const [, name, text] of loaded.slice(loaded.indexOf('[pgbouncer]')).matchAll(/^([a-z0-9_]+) = ?(.*)$/gm))
    config.set(name ?? '', text ?? '');
  for (const [name, text] of set) config.set(name, text);
  config.set('conffile', onBoot ? PLACE.bootFile : PLACE.liveFile);
  const pools = databases.map((row): PoolRow => ({
    database: row.name,
    user: 'orders_app',
    clientsActive: row.paused ? busy : clients,
    clientsWaiting: row.paused ? clients - busy : 0,
    serversActive: Math.min(busy, row.poolSize),
    serversIdle: 0,
    serversLogin: 0,
    serversCancelling: 0,
    servers: Math.min(busy, opened.get(row.name) ?? row.poolSize),
    maxWaitMs: 0,
  }));
  return {
    ok: true,
    view: { version: '1.26.1', config, databases, pools, stats: [], peers: peersIn(loaded), clients },
    userlistProved: true,
    serverProof: reached === hostsIn(loaded) ? 'proved' : 'paused',
    ranLive: true,
    refusal,
  };
}

function largerOf(former: ReadonlyMap<string, number>, text: string): ReadonlyMap<string, number> {
  return new Map(databasesIn(text).map(({ name, poolSize }) => [name, Math.max(poolSize, former.get(name) ?? 0)]));
}

function peersIn(text: string): readonly PeerRow[] {
  const section = /^\[peers\]$([^[]*)/m.exec(text)?.[1] ?? '';
  return [...section.matchAll(/^(\d+) = host=(\S+) port=(\d+) pool_size=(\d+)$/gm)].map(
    ([, id, host = '', port, size]) => ({
      id: Number(id),
      host,
      port: Number(port),
      poolSize: Number(size),
    }),
  );
}

function databasesIn(text: string): readonly DatabaseRow[] {
  const section = text.slice(0, text.search(/^\[(peers|pgbouncer)\]$/m));
  return [...section.matchAll(/^'?([^\s=']+)'? = (.*)$/gm)].map(([, name = '', line = '']): DatabaseRow => {
    const field = (key: string): string => new RegExp(`(?:^| )${key}='?([^' ]*)'?`).exec(line)?.[1] ?? '';
    const size = Number(field('pool_size'));
    return {
      name,
      host: field('host'),
      port: Number(field('port')),
      database: field('dbname'),
      poolSize: size,
      maxConnections: size,
      currentConnections: 0,
      currentClientConnections: 0,
      poolMode: field('pool_mode') as DatabaseRow['poolMode'],
      serverLifetimeSeconds: Number(field('server_lifetime') || SETTINGS.get('server_lifetime')?.default),
      paused: false,
      disabled: false,
    };
  });
}
