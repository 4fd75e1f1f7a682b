// What one PgBouncer is told to be, before it becomes text: the same model renders boot.ini (floors) and live.ini (grants).

export type PoolMode = 'transaction' | 'session' | 'statement';
export type ServerTlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

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
  readonly serverTls: { readonly mode: ServerTlsMode; readonly caFile?: string };
  /** Settings of `[pgbouncer]` that are the user's or ours by default: name → text as PgBouncer reads it. */
  readonly settings: Readonly<Record<string, string>>;
};

/** Database name → server connections that one pod may open to it. Always ≥ 1: PgBouncer reads 0 as unlimited. */
export type Sizes = Readonly<Record<string, number>>;

/** A rendered file with everything that must read back equal once PgBouncer has loaded it. */
export type RenderedIni = {
  readonly text: string;
  /** First 16 hex digits of the SHA-256 of the text above the last line; PgBouncer shows it as `syslog_ident`. */
  readonly hash: string;
  /** Every `[pgbouncer]` key that is written → the value SHOW CONFIG must show. */
  readonly config: ReadonlyMap<string, string>;
  readonly databases: readonly ExpectedDatabase[];
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
