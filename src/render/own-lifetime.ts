// Which databases keep their server lifetime while another one is drained: those that have it on their own line.
import type { PoolerModel } from '../model/pooler-model.ts';
import { SETTINGS } from '../model/settings/table.ts';

/**
 * What to write on a database's line, undefined for nothing: the value that is in force anyway. PgBouncer takes only whole seconds there, so
 * with a server_lifetime of 1.5 no line has its own, and a drain of one database reaches all.
 */
export function ownLifetimeSeconds(
  model: PoolerModel,
  database: string,
  drainable: readonly string[] | undefined,
): number | undefined {
  if (drainable === undefined || drainable.includes(database)) return undefined;
  const seconds = Number(model.settings['server_lifetime'] ?? SETTINGS.get('server_lifetime')?.default);
  return Number.isInteger(seconds) && seconds >= 1 ? seconds : undefined;
}
