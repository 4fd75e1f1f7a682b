// PostgreSQL's own view of our pods, and when it is no view: behind address translation every pod would look idle.
import { serverPort } from '../api/poolconfig.ts';
import type { Observation } from '../model/observation.ts';
import { establishedServers } from '../model/pooler-view.ts';
import type { BackendGroup } from '../model/server-view.ts';
import { readProvedRecord } from './proved-record.ts';

/**
 * The backends that PostgreSQL shows; undefined when they can't be told apart by pod: no monitor role, one that does not see others' rows,
 * or poolers that hold connections while PostgreSQL shows none from any pod's address (address translation in between).
 */
export function seenBackends(observation: Observation): readonly BackendGroup[] | undefined {
  const { server } = observation;
  if (server?.reachable !== true || !server.seesOthers || isOfAnotherServer(observation)) return undefined;
  const addresses = new Set(observation.pods.map((pod) => pod.ip));
  const shown = server.backends.some(
    (group) => group.clientAddress !== undefined && addresses.has(group.clientAddress),
  );
  return shown || heldByPoolers(observation) === 0 ? server.backends : undefined;
}

/** While a new address is declared and not proved yet, the monitor looks there, and the pods still use the former server. */
function isOfAnotherServer(observation: Observation): boolean {
  const [database] = readProvedRecord(observation)?.model.databases ?? [];
  if (database === undefined) return false;
  const { pool } = observation;
  return database.host !== pool.spec.server.host || database.port !== serverPort(pool);
}

/** Connections from one address, whatever role and database they are for. */
export function backendsFrom(backends: readonly BackendGroup[], address: string | undefined): number {
  if (address === undefined) return 0;
  return backends.filter((group) => group.clientAddress === address).reduce((sum, group) => sum + group.count, 0);
}

/** Server connections that the poolers themselves report, those still logging in left out. */
export function heldByPoolers(observation: Observation): number {
  return establishedServers(
    [...observation.poolers.values()].flatMap((reading) => (reading.ok ? reading.view.pools : [])),
  );
}
