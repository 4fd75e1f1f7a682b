// The configuration that a simulated PgBouncer has in force: its settings, its databases, and the sizes that follow from both.
import type { PeerRow } from '../../../src/model/pooler-model.ts';
import type { ModelDatabase } from './pool-model.ts';
import { takeFile } from './config-file.ts';
import { SettingsInForce } from './settings-in-force.ts';

const POOL_MODES = ['transaction', 'session', 'statement'] as const;

type Limits = Readonly<
  Record<
    'retryMs' | 'lifetimeMs' | 'idleMs' | 'waitMs' | 'loginMs' | 'userMost' | 'databaseMost' | 'defaultSize',
    number
  >
>;

/** What loading a file did to the databases. `taken` false: PgBouncer refused it, at its bad line. */
export type Loaded = {
  readonly taken: boolean;
  /** The way to their server is another one now. */
  readonly moved: readonly ModelDatabase[];
  readonly removed: readonly ModelDatabase[];
};

export class ConfigurationInForce {
  readonly settings = new SettingsInForce();
  readonly databases = new Map<string, ModelDatabase>();
  /** By peer_id, as SHOW PEERS has them. */
  #peers: ReadonlyMap<number, PeerRow> = new Map();
  #limitsOf: { readonly view: ReadonlyMap<string, string>; readonly limits: Limits } | undefined;

  /** Settings as numbers, worked out once between changes. */
  get limits(): Limits {
    const { view } = this.settings;
    if (this.#limitsOf?.view !== view) {
      const ms = (name: string): number => this.settings.number(name) * 1_000;
      this.#limitsOf = {
        view,
        limits: {
          retryMs: ms('server_login_retry'),
          lifetimeMs: ms('server_lifetime'),
          idleMs: ms('server_idle_timeout'),
          waitMs: ms('query_wait_timeout'),
          loginMs: ms('client_login_timeout'),
          userMost: this.settings.number('max_user_connections'),
          databaseMost: this.settings.number('max_db_connections'),
          defaultSize: this.settings.number('default_pool_size'),
        },
      };
    }
    return this.#limitsOf.limits;
  }

  get peers(): readonly PeerRow[] {
    return [...this.#peers.values()].sort((a, b) => a.id - b.id);
  }

  poolSize(database: ModelDatabase): number {
    return database.poolSize ?? this.limits.defaultSize;
  }

  maxConnections(database: ModelDatabase): number {
    return database.maxConnections ?? this.limits.databaseMost;
  }

  lifetimeMs({ lifetimeSeconds = 0 }: ModelDatabase): number {
    return lifetimeSeconds > 0 ? lifetimeSeconds * 1_000 : this.limits.lifetimeMs;
  }

  /** At least so much time lies between two servers of a pool that are closed for their age. */
  lifetimeGapMs(database: ModelDatabase): number {
    const size = this.poolSize(database);
    return size > 0 ? this.lifetimeMs(database) / size : 0;
  }

  load(text: string, starting: boolean, badLine?: number): Loaded {
    const moved: ModelDatabase[] = [];
    const named = new Set<string>();
    const sections = new Set<string>();
    const peers = new Map<number, PeerRow>();
    const taken = takeFile(
      text,
      {
        section: (name) => {
          sections.add(name);
          if (name === 'pgbouncer' && !starting) this.settings.fallBack();
        },
        database: (name, connection) => {
          if (name === 'pgbouncer') return false;
          named.add(name);
          return this.#takeDatabase(name, connection, moved);
        },
        peer: (id, connection) => takePeer(peers, id, connection),
        setting: (name, value) => this.settings.load(name, value, starting),
      },
      badLine,
    );
    // Peers that the file does not name are dropped, also where it was refused further down.
    this.#peers = peers;
    if (!taken || !sections.has('pgbouncer')) return { taken: false, moved, removed: [] };
    // Only a file that was taken whole removes databases.
    const removed = [...this.databases.values()].filter(({ name }) => !named.has(name));
    for (const { name } of removed) this.databases.delete(name);
    return { taken: true, moved, removed };
  }

  #takeDatabase(name: string, connection: ReadonlyMap<string, string>, moved: ModelDatabase[]): boolean {
    const modeText = connection.get('pool_mode');
    const poolMode = POOL_MODES.find((mode) => mode === modeText);
    if (modeText !== undefined && poolMode === undefined) return false;
    if (poolMode === 'session' || poolMode === 'statement') throw new Error(`the model has no pool_mode ${poolMode}`);
    const size = (key: string): number | undefined => {
      const text = connection.get(key);
      return text === undefined ? undefined : Number.parseInt(text, 10) || 0;
    };
    const line = {
      host: connection.get('host'),
      port: Number.parseInt(connection.get('port') ?? '5432', 10),
      dbname: connection.get('dbname') ?? name,
      connectQuery: connection.get('connect_query'),
    };
    const sizes = {
      poolSize: size('pool_size'),
      maxConnections: size('max_db_connections'),
      lifetimeSeconds: size('server_lifetime'),
      poolMode,
    };
    const known = this.databases.get(name);
    if (known === undefined) {
      this.databases.set(name, { name, ...line, ...sizes, paused: false });
      return true;
    }
    const isMoved =
      known.host !== line.host ||
      known.port !== line.port ||
      known.dbname !== line.dbname ||
      known.connectQuery !== line.connectQuery;
    Object.assign(known, line, sizes);
    if (isMoved) moved.push(known);
    return true;
  }
}

/** False when PgBouncer refuses the line. */
function takePeer(peers: Map<number, PeerRow>, id: string, connection: ReadonlyMap<string, string>): boolean {
  const number = Number(id);
  if (!Number.isInteger(number) || number < 1 || number > 65_535) return false;
  const beyond = [...connection.keys()].find((key) => !['host', 'port', 'pool_size'].includes(key));
  if (beyond !== undefined) throw new Error(`the model knows no ${beyond} on a peer's line`);
  peers.set(number, {
    id: number,
    host: connection.get('host') ?? '',
    port: Number(connection.get('port') ?? 6432),
    poolSize: Number(connection.get('pool_size') ?? 20),
  });
  return true;
}
