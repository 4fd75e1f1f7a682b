// What a pooler gets where the user says nothing: our own defaults, and the settings the operator always writes.
import { RESET_QUERY } from './own-queries.ts';
import { SETTINGS } from './table.ts';
import { parameterText, type ParameterValue } from './validate.ts';

/** A default that a user may override, written out so that another PgBouncer version can't change it. */
export type DefaultParameter = { readonly name: string; readonly value: ParameterValue; readonly reason: string };

export const DEFAULT_PARAMETERS: readonly DefaultParameter[] = [
  {
    name: 'client_login_timeout',
    value: 15,
    reason:
      'While the server is silent a login hangs for so long before the client hears of it; 60 s is longer than most wait.',
  },
  {
    name: 'dns_max_ttl',
    value: 2,
    reason:
      "A failover that moves a DNS record is followed soon; a lookup is made only for a new server connection. PgBouncer's own is 15.",
  },
  {
    name: 'ignore_startup_parameters',
    value: 'extra_float_digits',
    reason: 'JDBC sends it with every login, and PgBouncer refuses what it does not know.',
  },
  {
    name: 'max_prepared_statements',
    value: 200,
    reason: "PgBouncer's own since 1.24: drivers that prepare by name work in transaction mode.",
  },
  {
    name: 'query_wait_timeout',
    value: 120,
    reason:
      "PgBouncer's own: a short one ends clients in a peak; choose 4 where clients give up after 5 s anyway (ActiveRecord).",
  },
  {
    name: 'server_idle_timeout',
    value: 600,
    reason:
      "PgBouncer's own: idle servers cost the budget nothing, logins cost time; 120 frees them sooner after a peak.",
  },
  {
    name: 'server_login_retry',
    value: 1,
    reason: 'With 15 s a refused login keeps a growing pool small, and after a failover empty, for 15 s.',
  },
  {
    name: 'server_reset_query',
    value: RESET_QUERY,
    reason:
      'What DISCARD ALL does, step by step, and then what every server connection is told at its login, which DISCARD ALL undoes.',
  },
];

/** Client connections that a pod must accept: the others carry all of them when one is gone. PgBouncer's own 100 is less than most fleets have. */
export function defaultMaxClientConn(clients: number): number {
  const { min, max } = { min: 1000, max: 100_000 };
  return Math.min(max, Math.max(min, 2 * clients));
}

/**
 * Settings of a pooler: our defaults with the user's parameters over them, as text, sorted by name.
 * `clients` is the number of clients that the workloads can have at once.
 * @throws RangeError for parameters that `validateParameters` refuses.
 */
export function pooledSettings(
  parameters: Readonly<Record<string, ParameterValue>>,
  clients: number,
): Readonly<Record<string, string>> {
  const values = new Map<string, ParameterValue>([
    ['max_client_conn', defaultMaxClientConn(clients)],
    ...DEFAULT_PARAMETERS.map(({ name, value }) => [name, value] as const),
    ...Object.entries(parameters),
  ]);
  return Object.fromEntries(
    [...values]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => {
        const setting = SETTINGS.get(name);
        if (setting?.owner !== 'user') throw new RangeError(`${name} is not a parameter that users may set`);
        return [name, parameterText(setting, value)];
      }),
  );
}

/** A setting that is the same in every pooler, because a promise hangs on it. */
export type FixedSetting = { readonly name: string; readonly text: string; readonly reason: string };

/** Restart-only, so first: a reload passes over them. */
export const LISTEN_SETTINGS: readonly FixedSetting[] = [
  { name: 'listen_backlog', text: '4096', reason: '1900 connects at once take 0.25 s with it and 1 s with 128.' },
  {
    name: 'unix_socket_dir',
    text: '',
    reason: 'The root file system is read-only, and nobody is there to use a socket.',
  },
  { name: 'logfile', text: '', reason: 'Standard error only.' },
];

/** Below the keys of login and encryption, above the user's: what stands below a refused line falls to PgBouncer's defaults. */
export const LIMIT_SETTINGS: readonly FixedSetting[] = [
  {
    name: 'default_pool_size',
    text: '1',
    reason: 'Every database line has its own size; a forgotten one must not open 20.',
  },
  { name: 'min_pool_size', text: '0', reason: 'Connections without demand would take budget from other pods.' },
  { name: 'reserve_pool_size', text: '0', reason: 'The budget would not count them.' },
  {
    name: 'max_db_connections',
    text: '0',
    reason: 'The cap stands on each database line, which survives a refused reload.',
  },
  { name: 'max_user_connections', text: '0', reason: 'A cap for a drain; back to none with the next reload.' },
  { name: 'max_db_client_connections', text: '0', reason: 'A cap would shut out the login that proves the userlist.' },
  {
    name: 'max_user_client_connections',
    text: '0',
    reason: 'A cap would shut out the login that proves the userlist.',
  },
  { name: 'server_fast_close', text: '0', reason: 'It would cut session-mode clients whenever a pool shrinks.' },
  {
    name: 'verbose',
    text: '0',
    reason: 'A verbose log holds passwords; without a line a reload would not take it back.',
  },
];
