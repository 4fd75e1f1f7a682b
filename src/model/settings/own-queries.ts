// What the operator has PgBouncer say to every server connection: notice when the client's end has gone, also in the middle of a query.

/**
 * Without it a backend whose pooler or client died goes on with its query, and PgBouncer opens another in its place. Only where the server has the
 * setting (PostgreSQL 14), its machine can do it (Linux), and nobody has set it already: elsewhere nothing is selected, and nothing fails.
 */
export const CONNECT_QUERY =
  "select set_config('client_connection_check_interval', '1s', false)" +
  " where current_setting('client_connection_check_interval', true) = '0' and version() like '%linux%'";

/**
 * DISCARD ALL would undo the above, and can't stand beside another statement. These are its parts, in the order of PostgreSQL's own description;
 * PgBouncer takes notice of DEALLOCATE ALL as it does of DISCARD ALL.
 */
export const RESET_QUERY = [
  'close all',
  'set session authorization default',
  'reset all',
  'deallocate all',
  'unlisten *',
  'select pg_advisory_unlock_all()',
  'discard plans',
  'discard temp',
  'discard sequences',
  CONNECT_QUERY,
].join('; ');
