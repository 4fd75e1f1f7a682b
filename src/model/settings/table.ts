// THE table of PgBouncer's settings (1.26): schema, validation, rendering, read-back and the reference page follow from it.
import { AUTH_SETTINGS } from './auth.ts';
import { NETWORK_SETTINGS } from './network.ts';
import { POOL_SETTINGS } from './pools.ts';
import { PROCESS_SETTINGS } from './process.ts';
import { QUERY_SETTINGS } from './queries.ts';
import type { Setting } from './setting.ts';
import { TIMEOUT_SETTINGS } from './timeouts.ts';
import { TLS_SETTINGS } from './tls.ts';

const rows: readonly Setting[] = [
  ...POOL_SETTINGS,
  ...TIMEOUT_SETTINGS,
  ...QUERY_SETTINGS,
  ...AUTH_SETTINGS,
  ...TLS_SETTINGS,
  ...NETWORK_SETTINGS,
  ...PROCESS_SETTINGS,
];

/** Every setting of PgBouncer 1.26 by name, sorted. To support a new one, add its row to the file of its theme. */
export const SETTINGS: ReadonlyMap<string, Setting> = new Map(
  rows.map((row) => [row.name, row] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
);

/** Those that may stand under spec.pooler.parameters, sorted by name. */
export const USER_SETTINGS: readonly Setting[] = [...SETTINGS.values()].filter((setting) => setting.owner === 'user');
