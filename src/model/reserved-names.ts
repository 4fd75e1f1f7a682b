// Names that PgBouncer or the operator needs for itself; no user or database of a PoolConfig may have them.

/** Logs in to the admin consoles as the operator. */
export const ADMIN_USER = 'poolsmith-admin';
/** Logs in to the admin consoles only to show which userlist is loaded: its password follows from the userlist. */
export const PROOF_USER = 'poolsmith-proof';
/** `pgbouncer` is the program's own name for its console user. */
export const RESERVED_USERS: readonly string[] = [ADMIN_USER, PROOF_USER, 'pgbouncer'];
/** `pgbouncer` is the admin console, `*` admits every database there is. */
export const RESERVED_DATABASES: readonly string[] = ['pgbouncer', '*'];
