// What one PgBouncer is told to be, before it becomes text: the same model renders boot.ini (floors) and live.ini (grants).

export const POOL_MODES = ['transaction', 'session', 'statement'] as const;
export type PoolMode = (typeof POOL_MODES)[number];
export const SERVER_TLS_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
export type ServerTlsMode = (typeof SERVER_TLS_MODES)[number];

/** What clients may or must speak; plain text alone is the absence of `ClientTls`. */
export const CLIENT_TLS_MODES = ['prefer', 'require'] as const;
export type ClientTlsMode = (typeof CLIENT_TLS_MODES)[number];
/** File names inside the mounted Secret. */
export type ClientTls = {
  readonly mode: ClientTlsMode;
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities of clients' certificates; absent: they show none. */
  readonly caFile?: string;
};

/** How PostgreSQL is spoken to; file names inside the mounted Secret. */
export type ServerTlsFiles = {
  readonly mode: ServerTlsMode;
  readonly caFile?: string;
  /** The certificate that PostgreSQL is shown, and its key: both or neither. */
  readonly certFile?: string;
  readonly keyFile?: string;
};

/** One `[databases]` line without its size. Every field is written out, so that a reload never falls back to a default. */
export type DatabaseEntry = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly dbname: string;
  readonly poolMode: PoolMode;
  readonly connectQuery?: string;
};

/** The configuration shared by all pods of a fleet: everything but the sizes. Plain data, so it can be stored as JSON beside boot.ini. */
export type PoolerModel = {
  readonly databases: readonly DatabaseEntry[];
  /** File names (no folder) inside the mounted Secret, versioned by content. */
  readonly userlistFile: string;
  /** Who may come from where; absent: every user from anywhere, by password. */
  readonly hbaFile?: string;
  readonly serverTls: ServerTlsFiles;
  /** Absent: clients speak plain text. */
  readonly clientTls?: ClientTls;
  /** Settings of `[pgbouncer]` that are the user's or ours by default: name → text as PgBouncer reads it. */
  readonly settings: Readonly<Record<string, string>>;
};

/** Every file of the mounted Secret that the model names. */
export function filesOf({ userlistFile, hbaFile, serverTls, clientTls }: PoolerModel): readonly string[] {
  const towardsServer = [serverTls.caFile, serverTls.certFile, serverTls.keyFile];
  const towardsClients = [clientTls?.certFile, clientTls?.keyFile, clientTls?.caFile];
  return [userlistFile, hbaFile, ...towardsServer, ...towardsClients].filter((file) => file !== undefined);
}

/** Database name → server connections that one pod may open to it. Always ≥ 1: PgBouncer reads 0 as unlimited. */
export type Sizes = Readonly<Record<string, number>>;

/** peer_id → address of the pod that has it. */
export type Peers = Readonly<Record<string, string>>;

/** What one pod is among its fellows. A cancel request carries the number of the pod that it is for, and whoever gets it passes it on. */
export type Peering = {
  /** From 1 to 65,535, no other pod's. */
  readonly id: number;
  readonly peers: Peers;
};

/** What live.ini has for one pod alone, beside the sizes. */
export type OwnLines = {
  /** Databases that the short lifetime of a drain reaches; the others have their own on their line. Absent: it reaches all. */
  readonly drainable?: readonly string[];
  /** Absent: it knows no fellows. */
  readonly peering?: Peering;
  /** Clients wait for as long as a pause may last: query_wait_timeout is raised for it. */
  readonly patience?: true;
};

/** A rendered file with everything that must read back equal once PgBouncer has loaded it. */
export type RenderedIni = {
  readonly text: string;
  /** First 16 hex digits of the SHA-256 of the text above the last line; PgBouncer shows it as `syslog_ident`. */
  readonly hash: string;
  /** Every `[pgbouncer]` key that is written → the value SHOW CONFIG must show. */
  readonly config: ReadonlyMap<string, string>;
  readonly databases: readonly ExpectedDatabase[];
  /** What SHOW PEERS must show, by peer_id. */
  readonly peers: readonly PeerRow[];
};

/** A row of SHOW PEERS; `poolSize`: cancel requests that may be under way to it at once. */
export type PeerRow = {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly poolSize: number;
};

/** The columns of SHOW DATABASES that a database line determines. */
export type ExpectedDatabase = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly poolMode: PoolMode;
  readonly poolSize: number;
  readonly maxConnections: number;
  /** Only where the line has one of its own. */
  readonly serverLifetimeSeconds?: number;
};
