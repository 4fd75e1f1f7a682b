// Which configuration each pod is told: a new one goes to one pod first, and to the others only once that pod is proved to run it.
import { sameJson } from '../model/canonical.ts';
import { isoTime, parseIso } from '../model/iso-time.ts';
import type { Observation } from '../model/observation.ts';
import type { PoolerModel } from '../model/pooler-model.ts';
import type { ServerFault } from '../model/server-view.ts';
import type { PodState, Unproved } from './pod-state.ts';
import type { ProvedRecord } from './proved-record.ts';

export type NamedModel = { readonly model: PoolerModel; readonly modelHash: string };

/** A configuration that a pod did not take, as it is kept in status: it is not tried again until it changes. */
export type Refusal = {
  readonly configHash: string;
  /** The setting or the part of the proof that failed. */
  readonly setting: string;
  readonly message: string;
  readonly at: string;
};

export type Choice = {
  /** What a pod should run; pods of a fleet without a proved configuration all get the target. */
  readonly modelFor: (state: PodState) => NamedModel;
  /** What was proved last; undefined in a fleet without a proved configuration. */
  readonly standing: NamedModel | undefined;
  readonly refusal: Refusal | undefined;
  /** A new configuration is being tried on this pod. */
  readonly canary: string | undefined;
};

/** What was no word of PgBouncer against the configuration may pass; it is tried again after this. */
const RETRY_AFTER_MS = 60_000;
const MISMATCH_GRACE_MS = 2_000;
/** Each try takes up to 2.5 s, in which PgBouncer has tried several times itself; meanwhile the clients of the canary wait. */
const SERVER_GRACE_MS = 2_000;
const DEADLINE_MS = 15_000;

export function chooseModels(
  observation: Observation,
  states: readonly PodState[],
  target: NamedModel,
  record: ProvedRecord | undefined,
): Choice {
  const everyone = (model: NamedModel, refusal?: Refusal): Choice => ({
    modelFor: () => model,
    standing: record,
    refusal,
    canary: undefined,
  });
  if (record === undefined || !record.proved || record.modelHash === target.modelHash) return everyone(target);
  const former = standingRefusal(observation, target);
  if (former !== undefined) return everyone(record, former);
  const staying = states.filter((state) => state.phase === 'Serving' || state.phase === 'Starting');
  const told = staying.filter((state) => state.pod.grant?.model === target.modelHash);
  if (told.some((state) => state.provedModel === target.modelHash)) return everyone(target);
  const [canary] = told;
  if (canary !== undefined) {
    const refusal = verdict(observation, canary, target, record);
    return refusal === undefined ? onlyFor(canary, target, record) : everyone(record, refusal);
  }
  if (staying.length === 0) return everyone(target);
  // A pod that was never told anything has no live.ini yet, and a RELOAD that comes before it would look like a refusal of its contents.
  const chosen =
    staying.find((state) => state.provedModel !== undefined) ?? staying.find((state) => state.pod.grant !== undefined);
  return chosen === undefined ? everyone(record) : onlyFor(chosen, target, record);
}

function onlyFor(canary: PodState, target: NamedModel, record: ProvedRecord): Choice {
  return {
    modelFor: (state) => (state.pod.uid === canary.pod.uid ? target : record),
    standing: record,
    refusal: undefined,
    canary: canary.pod.name,
  };
}

/** What status says of this very configuration, unless it may be tried again. */
export function standingRefusal(observation: Observation, target: Pick<NamedModel, 'modelHash'>): Refusal | undefined {
  const refused = observation.pool.status?.refused;
  if (refused?.configHash !== target.modelHash) return undefined;
  const refusal = {
    configHash: refused.configHash,
    setting: refused.setting ?? '',
    message: refused.message ?? '',
    at: refused.at ?? '',
  };
  return PASSING.has(refusal.setting) && observation.nowMs - parseIso(refusal.at) > RETRY_AFTER_MS
    ? undefined
    : refusal;
}

export const SERVER_LOGIN = 'server login';

/** The canary's answer: refused for good, or undefined while it may still come true. */
function verdict(
  observation: Observation,
  canary: PodState,
  target: NamedModel,
  record: NamedModel,
): Refusal | undefined {
  const { unproved, pod } = canary;
  if (unproved === undefined || pod.grant === undefined) return undefined;
  const ageMs = observation.nowMs - pod.grant.atMs;
  const refuse = (setting: string, message: string): Refusal => ({
    configHash: target.modelHash,
    setting,
    message,
    at: isoTime(observation.nowMs),
  });
  // A former live.ini was accepted, so a refusal can only be about the new one; before the first has arrived it is about a file that is not there.
  if (unproved.kind === 'refused' && canary.reading?.ok === true && canary.reading.ranLive === true) {
    const suspects = differences(record.model, target.model);
    const setting = settingIn(unproved.message, target) ?? suspects.map(({ part }) => part).join(', ');
    const changes = suspects.map(({ part, now }) => (now === undefined ? part : `${part} = ${now}`)).join(', ');
    return refuse(
      setting === '' ? 'configuration' : setting,
      `${pod.name} refused to load it (${unproved.message}). Changed against the proved configuration: ${changes}. The pod's log names the line.`,
    );
  }
  if (unproved.kind === 'mismatch' && ageMs > MISMATCH_GRACE_MS) {
    const [first] = unproved.mismatches;
    if (first !== undefined) {
      return refuse(
        first.key,
        `PgBouncer accepted ${first.key} but runs with "${first.got}" instead of "${first.want}".`,
      );
    }
  }
  if (unproved.kind === 'server' && unproved.proof === 'paused') return undefined;
  if (unproved.kind === 'server' && unproved.proof !== 'untried' && ageMs > SERVER_GRACE_MS) {
    return refuse(
      SERVER_LOGIN,
      `with it no login to the server succeeds through ${pod.name} (${unproved.proof}). Check spec.server and the Secrets that it names.`,
    );
  }
  return ageMs > DEADLINE_MS
    ? refuse(stepName(unproved), `not proved within ${DEADLINE_MS / 1000} s: ${stepName(unproved)}.`)
    : undefined;
}

/** The setting that PgBouncer's words are about, when they name one we wrote; RELOAD itself only points to the log. */
function settingIn(message: string, target: NamedModel): string | undefined {
  const words = new Set(message.split(/[^a-z0-9_]+/));
  return Object.keys(target.model.settings).find((name) => words.has(name));
}

/** What a configuration changes against another, by the names that users know; values of settings only, nothing secret. */
function differences(before: PoolerModel, after: PoolerModel): readonly { part: string; now?: string }[] {
  const names = [...new Set([...Object.keys(before.settings), ...Object.keys(after.settings)])].sort();
  const settings = names
    .filter((name) => before.settings[name] !== after.settings[name])
    .map((name) => ({ part: name, now: after.settings[name] ?? 'default' }));
  const parts = [
    { part: 'databases', same: sameJson(before.databases, after.databases) },
    { part: 'auth.hba', same: before.hbaFile === after.hbaFile },
    { part: 'auth.users', same: before.userlistFile === after.userlistFile },
    { part: 'pooler.tls', same: sameJson(before.clientTls ?? {}, after.clientTls ?? {}) },
    { part: 'server.tls', same: sameJson(before.serverTls, after.serverTls) },
  ];
  return [...settings, ...parts.filter(({ same }) => !same).map(({ part }) => ({ part }))];
}

const STEP_NAMES = {
  noGrant: 'grant',
  unreachable: 'admin console',
  notLoaded: 'loading',
  refused: 'loading',
  mismatch: 'read-back',
  userlist: 'userlist',
  certificate: 'certificate',
  server: SERVER_LOGIN,
} as const satisfies Record<Unproved['kind'], string>;

/** A pod that was lost, cut off or slow while it tried says nothing about what it was to try. */
const PASSING: ReadonlySet<string> = new Set([
  STEP_NAMES.noGrant,
  STEP_NAMES.unreachable,
  STEP_NAMES.notLoaded,
  STEP_NAMES.userlist,
  STEP_NAMES.certificate,
  STEP_NAMES.server,
]);

function stepName({ kind }: Unproved): string {
  return STEP_NAMES[kind];
}

export function isServerFault(proof: string): proof is ServerFault {
  return proof !== 'proved' && proof !== 'untried' && proof !== 'paused' && proof !== 'PoolerRefused';
}
