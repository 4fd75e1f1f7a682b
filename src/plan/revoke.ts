// Users that are removed: no pod lets them in, what they have open is closed, and only then are they called revoked.
import type { RevokingStatus } from '../api/poolconfig.gen.ts';
import { isoTime, parseIso } from '../model/iso-time.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { removedIn, userlistNames } from '../render/userlist.ts';
import type { Desired } from './desired.ts';
import { storedBootHash, storedFiles } from './children.ts';
import type { PodState } from './pod-state.ts';
import type { ProvedRecord } from './proved-record.ts';

/** A new boot.ini comes to a pod's disk with the annotation that is patched along, in 0.05 to 0.4 s (measured). */
const ON_DISK_AFTER_MS = 5_000;
const LOOK_MS = 200;

export type Revocation = {
  /** Undefined when nobody is being revoked. */
  readonly status: RevokingStatus | undefined;
  /** Who is, from now on. */
  readonly revoked: readonly string[];
  readonly actions: readonly Action[];
  readonly waitMs: number | undefined;
};

/**
 * A container that starts anew reads boot.ini from its pod's disk, so a user is not revoked before that has come to speak of another userlist. Clients
 * are closed between two transactions; who is still in one after the drain window is closed all the same.
 */
export function planRevocations(
  observation: Observation,
  states: readonly PodState[],
  desired: Desired | undefined,
  record: ProvedRecord | undefined,
  windowMs: number,
): Revocation {
  const { pool, nowMs } = observation;
  const actions = states.flatMap((state) => closing(state, nowMs, windowMs));
  const users = removedUsers(observation, desired, record);
  const waiting = { revoked: [], actions, waitMs: actions.length > 0 ? LOOK_MS : undefined };
  if (users.length === 0) return { ...waiting, status: undefined };
  const isTold =
    actions.length === 0 &&
    states.every((state) => refuses(observation, state, users)) &&
    bootRefuses(observation, record, users);
  if (!isTold) return { ...waiting, status: { users } };
  const onDiskSince = pool.status?.revoking?.onDiskSince;
  if (onDiskSince === undefined)
    return { ...waiting, status: { users, onDiskSince: isoTime(nowMs) }, waitMs: ON_DISK_AFTER_MS };
  const restMs = parseIso(onDiskSince) + ON_DISK_AFTER_MS - nowMs;
  if (restMs > 0) return { ...waiting, status: { users, onDiskSince }, waitMs: restMs };
  return { ...waiting, status: undefined, revoked: users };
}

/** Users of the pod's userlist that it lets in no more. */
export function removedFor(observation: Observation, pod: Pick<PodFacts, 'live'>): readonly string[] {
  return userlist(observation, userlistOf(pod)).removed;
}

function closing({ pod, phase, reading }: PodState, nowMs: number, windowMs: number): readonly Action[] {
  if (phase === 'Terminating' || reading?.ok !== true || reading.lingering === undefined) return [];
  const { name, uid } = pod;
  const evenBusy = nowMs - (pod.grant?.atMs ?? nowMs) > windowMs;
  const why = `${name} lets ${reading.lingering.map((user) => JSON.stringify(user)).join(', ')} in no more: connections that are left are closed`;
  return [{ kind: 'closeUsers', pod: name, uid, users: reading.lingering, evenBusy, why }];
}

/** Those that are being revoked and have not come back, and those that what was proved last still lets in and nobody declares any more. */
function removedUsers(
  observation: Observation,
  desired: Desired | undefined,
  record: ProvedRecord | undefined,
): string[] {
  const former = observation.pool.status?.revoking?.users ?? [];
  if (desired === undefined) return [...former];
  const declared = new Set(desired.users.map(({ name }) => name));
  const known = userlist(observation, record?.model.userlistFile).admitted;
  return [...new Set([...former, ...known])].filter((name) => !declared.has(name)).sort();
}

function refuses(observation: Observation, { pod, phase, provedModel }: PodState, users: readonly string[]): boolean {
  const admitted = userlist(observation, userlistOf(pod)).admitted;
  if (users.some((user) => admitted.includes(user)) || pod.live === undefined) return false;
  return phase === 'Terminating' || provedModel !== undefined;
}

/** What is stored, and every pod was patched along with. */
function bootRefuses(observation: Observation, record: ProvedRecord | undefined, users: readonly string[]): boolean {
  const admitted = userlist(observation, record?.model.userlistFile).admitted;
  const hash = storedBootHash(observation);
  const told = observation.pods.every(
    ({ nonce, terminatingSinceMs }) => terminatingSinceMs !== undefined || nonce?.startsWith(hash),
  );
  return told && !users.some((user) => admitted.includes(user));
}

function userlistOf({ live }: Pick<PodFacts, 'live'>): string | undefined {
  return /^auth_file *= *.*\/([^/\n]+)$/m.exec(live ?? '')?.[1];
}

type Userlist = { readonly admitted: readonly string[]; readonly removed: readonly string[] };

/** What was stored stays the same object from look to look. */
const USERLISTS = new WeakMap<Readonly<Record<string, string>>, Map<string, Userlist>>();

function userlist(observation: Observation, file: string | undefined): Userlist {
  const { data } = storedFiles(observation);
  const known = USERLISTS.get(data) ?? new Map<string, Userlist>();
  USERLISTS.set(data, known);
  const former = known.get(file ?? '');
  if (former !== undefined) return former;
  const stored = file === undefined ? undefined : data[file];
  const text = stored === undefined ? '' : Buffer.from(stored, 'base64').toString('utf8');
  const removed = removedIn(text);
  const read = { removed, admitted: userlistNames(text).filter((name) => !removed.includes(name)) };
  known.set(file ?? '', read);
  return read;
}
