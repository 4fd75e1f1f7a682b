// The operator's metrics in one table: what each means, and how the last plan of every PoolConfig gives its values.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Observation } from '../model/observation.ts';
import type { Plan } from '../model/plan.ts';
import { certificatesInUse } from '../plan/certificates.ts';
import { othersNow } from '../plan/others.ts';
import { readProvedRecord } from '../plan/proved-record.ts';

type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };
type Seen = { readonly observation: Observation; readonly plan: Plan };

type GaugeRow = {
  readonly help: string;
  readonly labels: readonly string[];
  readonly samples: (seen: Seen) => readonly Sample[];
};

/** Gauges per PoolConfig; a new one is a new row. `namespace` and `pool` are added to the labels of every row. */
export const POOL_GAUGES: Readonly<Record<string, GaugeRow>> = {
  poolsmith_budget_connections: {
    help: 'Server connections that the fleet may hold, the reserve taken off.',
    labels: [],
    samples: ({ plan }) => one(plan.status.budget?.budget),
  },
  poolsmith_granted_connections: {
    help: 'Server connections granted to the pods.',
    labels: [],
    samples: ({ plan }) => one(plan.status.size),
  },
  poolsmith_server_backends: {
    help: 'Backends that PostgreSQL shows from the addresses of the pods (needs a monitor role).',
    labels: [],
    samples: ({ observation }) => {
      const { server, pods } = observation;
      if (server?.reachable !== true) return [];
      const addresses = new Set(pods.map((pod) => pod.ip));
      return one(
        server.backends
          .filter((group) => addresses.has(group.clientAddress))
          .reduce((sum, group) => sum + group.count, 0),
      );
    },
  },
  poolsmith_orphaned_backends: {
    help: 'Backends that PostgreSQL still runs for a pod although its pooler no longer has them (needs a monitor role).',
    labels: ['pod'],
    samples: ({ observation }) =>
      observation.server?.reachable === true
        ? observation.pods.map(({ name, uid }) => ({
            labels: { pod: name },
            value: observation.orphans?.get(uid) ?? 0,
          }))
        : [],
  },
  poolsmith_server_other_backends: {
    help: "Backends of the server that are no fleet's of this operator, where they can be told apart (needs a monitor role).",
    labels: [],
    samples: ({ observation }) => {
      const others = othersNow(observation);
      return others === undefined || others === 'untold' ? [] : one(others.total);
    },
  },
  poolsmith_server_max_connections: {
    help: 'max_connections of the server, as last read.',
    labels: [],
    samples: ({ plan }) => one(plan.status.budget?.maxConnections),
  },
  poolsmith_ready: {
    help: '1 when every serving pod is proved to run the observed generation.',
    labels: [],
    samples: ({ plan }) =>
      one(plan.status.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True' ? 1 : 0),
  },
  poolsmith_certificate_expiry_timestamp_seconds: {
    help: 'When a certificate that the fleet runs with expires, in seconds since 1970, by the field that it came from.',
    labels: ['certificate'],
    samples: ({ observation }) =>
      certificatesInUse(observation, readProvedRecord(observation)).map(({ field, untilMs }) => ({
        labels: { certificate: field },
        value: Math.floor(untilMs / 1000),
      })),
  },
  poolsmith_pods: {
    help: 'Pods by state.',
    labels: ['state'],
    samples: ({ plan }) => {
      const counts = new Map<string, number>();
      for (const pod of plan.status.pods ?? []) counts.set(pod.state ?? '', (counts.get(pod.state ?? '') ?? 0) + 1);
      return [...counts].map(([state, value]) => ({ labels: { state }, value }));
    },
  },
  poolsmith_pool_size: {
    help: 'Server connections that a pod may open to a database, as it is in force.',
    labels: ['pod', 'database'],
    samples: (seen) =>
      views(seen).flatMap(({ pod, view }) =>
        view.databases.map((row) => ({ labels: { pod, database: row.name }, value: row.poolSize })),
      ),
  },
  poolsmith_pool_servers: {
    help: 'Server connections that a pod has open to a database, logins included; its limit is poolsmith_pool_size.',
    labels: ['pod', 'database'],
    samples: (seen) => perDatabase(seen, (rows) => rows.reduce((sum, row) => sum + row.servers, 0)),
  },
  poolsmith_pool_servers_active: {
    help: 'Server connections in a transaction.',
    labels: ['pod', 'database'],
    samples: (seen) => perDatabase(seen, (rows) => rows.reduce((sum, row) => sum + row.serversActive, 0)),
  },
  poolsmith_pool_clients: {
    help: 'Clients of a pod and database, waiting ones included.',
    labels: ['pod', 'database'],
    samples: (seen) =>
      perDatabase(seen, (rows) => rows.reduce((sum, row) => sum + row.clientsActive + row.clientsWaiting, 0)),
  },
  poolsmith_pool_clients_waiting: {
    help: 'Clients that wait for a server connection.',
    labels: ['pod', 'database'],
    samples: (seen) => perDatabase(seen, (rows) => rows.reduce((sum, row) => sum + row.clientsWaiting, 0)),
  },
  poolsmith_pool_longest_wait_seconds: {
    help: 'How long the first waiting client has waited; clients are dropped at poolsmith_pod_query_wait_timeout_seconds.',
    labels: ['pod', 'database'],
    samples: (seen) => perDatabase(seen, (rows) => Math.max(0, ...rows.map((row) => row.maxWaitMs)) / 1000),
  },
  poolsmith_pod_clients: {
    help: 'Clients of a pod; its limit is poolsmith_pod_clients_limit.',
    labels: ['pod'],
    samples: (seen) => views(seen).map(({ pod, view }) => ({ labels: { pod }, value: view.clients })),
  },
  poolsmith_pod_clients_limit: {
    help: 'max_client_conn of a pod.',
    labels: ['pod'],
    samples: (seen) =>
      views(seen).map(({ pod, view }) => ({ labels: { pod }, value: Number(view.config.get('max_client_conn') ?? 0) })),
  },
  poolsmith_pod_query_wait_timeout_seconds: {
    help: 'query_wait_timeout of a pod: the limit of poolsmith_pool_longest_wait_seconds; 0 is none.',
    labels: ['pod'],
    samples: (seen) =>
      views(seen).map(({ pod, view }) => ({
        labels: { pod },
        value: Number(view.config.get('query_wait_timeout') ?? 0),
      })),
  },
};

function one(value: number | undefined): readonly Sample[] {
  return value === undefined ? [] : [{ labels: {}, value }];
}

type View = {
  readonly pod: string;
  readonly view: Extract<NonNullable<ReturnType<Observation['poolers']['get']>>, { ok: true }>['view'];
};

function views({ observation }: Seen): readonly View[] {
  return observation.pods.flatMap((pod) => {
    const reading = observation.poolers.get(pod.uid);
    return reading?.ok === true ? [{ pod: pod.name, view: reading.view }] : [];
  });
}

function perDatabase(seen: Seen, value: (rows: View['view']['pools']) => number): readonly Sample[] {
  return views(seen).flatMap(({ pod, view }) =>
    view.databases.map(({ name }) => ({
      labels: { pod, database: name },
      value: value(view.pools.filter((row) => row.database === name)),
    })),
  );
}

/** Holds the last observation and plan of every PoolConfig and gives them out at each scrape; nothing is measured by scraping. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #seen = new Map<string, Seen>();
  readonly #actions: Counter<'kind'>;
  readonly #reconciles: Histogram<'outcome'>;
  readonly #calls: Counter<'verb' | 'resource' | 'status'>;

  constructor(leading: () => boolean) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#actions = new Counter({
      name: 'poolsmith_actions_total',
      help: 'Actions planned, by kind.',
      labelNames: ['kind'],
      registers,
    });
    this.#reconciles = new Histogram({
      name: 'poolsmith_reconcile_seconds',
      help: 'Duration of a turn, by outcome.',
      labelNames: ['outcome'],
      buckets: [0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 10],
      registers,
    });
    this.#calls = new Counter({
      name: 'poolsmith_api_calls_total',
      help: 'Calls to the Kubernetes API.',
      labelNames: ['verb', 'resource', 'status'],
      registers,
    });
    new Gauge({
      name: 'poolsmith_leader',
      help: '1 while this replica leads.',
      registers,
      collect() {
        this.set(leading() ? 1 : 0);
      },
    });
    for (const [name, row] of Object.entries(POOL_GAUGES)) this.#register(name, row);
  }

  saw(key: string, observation: Observation, plan: Plan): void {
    this.#seen.set(key, { observation, plan });
    for (const action of plan.actions) this.#actions.inc({ kind: action.kind });
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }

  reconciled(outcome: string, durationMs: number): void {
    this.#reconciles.observe({ outcome }, durationMs / 1000);
  }

  called(verb: string, resource: string, status: number): void {
    this.#calls.inc({ verb, resource, status: String(status) });
  }

  async text(): Promise<string> {
    return this.#registry.metrics();
  }

  #register(name: string, row: GaugeRow): void {
    const seen = this.#seen;
    new Gauge({
      name,
      help: row.help,
      labelNames: ['namespace', 'pool', ...row.labels],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [key, last] of seen) {
          const slash = key.indexOf('/');
          const base = { namespace: key.slice(0, slash), pool: key.slice(slash + 1) };
          for (const { labels, value } of row.samples(last)) this.set({ ...base, ...labels }, value);
        }
      },
    });
  }
}
