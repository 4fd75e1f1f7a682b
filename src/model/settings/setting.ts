// What one row of the settings table says: what a setting holds, who may change it, and what it is for.

/** Values a setting may hold. Bounds are ours: PgBouncer itself takes nearly any number and wraps what overflows. */
export type SettingValues =
  | { readonly type: 'int' | 'uint'; readonly min: number; readonly max: number; readonly unit?: 'bytes' | 's' | 'ms' }
  /** Fractions are allowed below 1000 s, to a millisecond: SHOW CONFIG prints six digits. */
  | { readonly type: 'seconds'; readonly min: number; readonly max: number }
  /** PgBouncer reads these as integers: 0 and 1, never on, off, true or false. */
  | { readonly type: 'bool' }
  | { readonly type: 'enum'; readonly values: readonly string[] }
  | { readonly type: 'string'; readonly maxBytes: number };

/**
 * `user`: may stand under spec.pooler.parameters. `operator`: written by the operator itself. `forbidden`: stays at
 * PgBouncer's default. The last two say what to do instead: a field of the PoolConfig, or the reason there is none.
 */
export type SettingOwner =
  | { readonly owner: 'user' }
  | { readonly owner: 'operator' | 'forbidden'; readonly insteadUse: string }
  | { readonly owner: 'operator' | 'forbidden'; readonly because: string };

export type Setting = SettingValues &
  SettingOwner & {
    readonly name: string;
    /** As in SHOW CONFIG; undefined where PgBouncer has none (NULL): a reload never takes such a setting back. */
    readonly default: string | undefined;
    /** Which change PgBouncer takes up: at RELOAD, or only at its start. */
    readonly change: 'reload' | 'restart';
    /** A change reaches connections that are made after it; those that are open go on as they were. Absent: it is in force for all at once. */
    readonly reach?: 'newConnections';
    /** PgBouncer version that brought it; undefined for those too old to tell. */
    readonly since?: string;
    /** Its value can hold a password. */
    readonly secret?: true;
    readonly meaning: string;
  };

export const RESTART_ONLY = 'PgBouncer takes it up only at a restart; not settable in this release';

/** Longest value of a string parameter, and the longest that the CRD lets in. */
export const STRING_BYTES = 1024;

/**
 * Longest query that PgBouncer sends by itself: it builds the message in 512 bytes (measured on 1.26.1: with 507 a
 * connect_query leaves every client waiting, a server_reset_query closes each connection it should have cleaned).
 */
export const OWN_QUERY_BYTES = 506;
