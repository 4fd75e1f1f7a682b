// Whose PostgreSQL's connections are besides the fleet's: others' by user, with a high mark that is kept in status.
import type { BudgetStatus } from '../api/poolconfig.gen.ts';
import { serverPort } from '../api/poolconfig.ts';
import { isoTime, parseIso } from '../model/iso-time.ts';
import type { Observation } from '../model/observation.ts';
import type { BackendGroup } from '../model/server-view.ts';
import { raiseOrDecay, type HighMark } from '../sizing/high-mark.ts';
import { heldByPoolers } from './backends.ts';
import { readUsers } from './policies/users-are-readable.ts';

export type UserCount = { readonly user: string; readonly connections: number };
export type OthersMark = HighMark<readonly UserCount[]>;

/** `untold`: connections are there that may be the fleet's or others'; no pod's address shows (address translation). */
export type Others = { readonly total: number; readonly by: readonly UserCount[] } | 'untold';

/** Users named in status; the rest are summed up. */
const NAMED_USERS = 5;

/**
 * Backends that belong neither to this fleet, nor to another PoolConfig of this operator, nor to the operator itself. Only an address that shows
 * tells a fleet's backend from another program's with the same role; before one has shown, those of the fleet's own roles are left out.
 */
export function othersNow(observation: Observation): Others | undefined {
  const { server, neighbours } = observation;
  if (server?.reachable !== true || !server.seesOthers) return undefined;
  const fleets = new Set([
    ...observation.pods.map((pod) => pod.ip),
    ...(observation.pool.status?.pods ?? []).map((entry) => entry.ip),
    ...(observation.fleetAddresses ?? []),
  ]);
  const isFleets = ({ clientAddress }: BackendGroup): boolean =>
    clientAddress !== undefined && fleets.has(clientAddress);
  const foreign = server.backends.filter((group) => !isFleets(group) && group.operators !== true);
  if (server.backends.some(isFleets)) return summed(foreign);
  if (neighbours.length > 0 || heldByPoolers(observation) > 0) return 'untold';
  const roles = new Set(readUsers(observation).users.map((user) => user.name));
  return summed(foreign.filter((group) => !roles.has(group.user)));
}

function summed(groups: readonly BackendGroup[]): Others {
  const counts = new Map<string, number>();
  for (const { user, count } of groups) counts.set(user, (counts.get(user) ?? 0) + count);
  const by = [...counts]
    .map(([user, connections]) => ({ user, connections }))
    .sort((a, b) => b.connections - a.connections || (a.user < b.user ? -1 : 1));
  return { total: by.reduce((sum, { connections }) => sum + connections, 0), by };
}

/** The mark after this look, from the one in status; of another server than the declared one nothing is kept. */
export function othersMark(observation: Observation, step: number): OthersMark | undefined {
  const former = formerMark(observation);
  const now = othersNow(observation);
  if (now === undefined || now === 'untold') return former;
  return raiseOrDecay(former, { count: now.total, detail: named(now.by) }, step, observation.nowMs);
}

function named(by: readonly UserCount[]): readonly UserCount[] {
  const rest = by.slice(NAMED_USERS).reduce((sum, { connections }) => sum + connections, 0);
  return rest === 0 ? by : [...by.slice(0, NAMED_USERS), { user: '', connections: rest }];
}

type OthersStatus = NonNullable<BudgetStatus['others']>;

function formerMark(observation: Observation): OthersMark | undefined {
  const status = observation.pool.status?.budget?.others;
  if (status?.server !== serverOf(observation)) return undefined;
  const { recent, recentSince, by = [] } = status;
  return {
    high: status.high,
    atMs: parseIso(status.at),
    detail: by.map(({ user, connections }) => ({ user, connections })),
    ...(recent === undefined ? {} : { window: { most: recent, sinceMs: parseIso(recentSince) } }),
  };
}

export function othersStatus(observation: Observation, { high, atMs, detail, window }: OthersMark): OthersStatus {
  return {
    server: serverOf(observation),
    high,
    at: isoTime(atMs),
    by: detail.map(({ user, connections }) => ({ user, connections })),
    ...(window === undefined ? {} : { recent: window.most, recentSince: isoTime(window.sinceMs) }),
  };
}

/** `23 (reporting 12, batch 8, 3 of further users)`; the mark is rounded up, so the users may sum up to a little less. */
export function describeOthers({ high, detail }: Pick<OthersMark, 'high' | 'detail'>): string {
  const users = detail.map(({ user, connections }) =>
    user === '' ? `${connections} of further users` : `${quoted(user)} ${connections}`,
  );
  return users.length === 0 ? `${high}` : `${high} (${users.join(', ')})`;
}

/** A role's name is a stranger's text. */
function quoted(user: string): string {
  return /^[A-Za-z0-9_.@-]+$/.test(user) ? user : JSON.stringify(user);
}

function serverOf({ pool }: Observation): string {
  return `${pool.spec.server.host}:${serverPort(pool)}`;
}
