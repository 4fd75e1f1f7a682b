// What one pod is doing and what it is proved to run: the reading of a pod that all later steps share.
import type { Grant } from '../model/grant.ts';
import type { Observation, PodFacts, PoolerReading } from '../model/observation.ts';
import type { PoolerModel, RenderedIni } from '../model/pooler-model.ts';
import { PLACE } from '../model/names.ts';
import { sizeOf } from '../sizing/sizes.ts';
import { renderIni } from '../render/ini.ts';
import { compareReadBack, type Mismatch } from '../render/read-back.ts';

export type PodPhase = 'Starting' | 'Serving' | 'Draining' | 'Terminating';

/** Why a pod is not proved, most basic first. */
export type Unproved =
  | { readonly kind: 'noGrant' }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'notLoaded' }
  | { readonly kind: 'refused'; readonly message: string; readonly atMs: number }
  | { readonly kind: 'mismatch'; readonly mismatches: readonly Mismatch[] }
  | { readonly kind: 'userlist' }
  /** Clients are shown another certificate, or none. */
  | { readonly kind: 'certificate' }
  | { readonly kind: 'server'; readonly proof: string };

export type PodState = {
  readonly pod: PodFacts;
  readonly reading: PoolerReading | undefined;
  readonly phase: PodPhase;
  /** Hash of the model it is proved to run; undefined while unproved. */
  readonly provedModel: string | undefined;
  readonly unproved: Unproved | undefined;
  /** Clients other than our own consoles; undefined while the pod can't be asked. */
  readonly clients: number | undefined;
};

export type KnownModels = ReadonlyMap<string, PoolerModel>;

export function podStates(observation: Observation, models: KnownModels): readonly PodState[] {
  return [...observation.pods]
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.name < b.name ? -1 : 1))
    .map((pod) => podState(pod, observation.poolers.get(pod.uid), models));
}

function podState(pod: PodFacts, reading: PoolerReading | undefined, models: KnownModels): PodState {
  const unproved = whyUnproved(pod, reading, models);
  return {
    pod,
    reading,
    phase: phaseOf(pod),
    provedModel: unproved === undefined ? pod.grant?.model : undefined,
    unproved,
    clients: reading?.ok === true ? reading.view.clients : undefined,
  };
}

function phaseOf(pod: PodFacts): PodPhase {
  if (pod.terminatingSinceMs !== undefined || pod.finished) return 'Terminating';
  if (pod.drain !== undefined) return 'Draining';
  return pod.ready ? 'Serving' : 'Starting';
}

function whyUnproved(pod: PodFacts, reading: PoolerReading | undefined, models: KnownModels): Unproved | undefined {
  const { grant } = pod;
  if (grant === undefined) return { kind: 'noGrant' };
  if (reading?.ok !== true) return { kind: 'unreachable' };
  if (reading.refusal?.ini === grant.ini)
    return { kind: 'refused', message: reading.refusal.message, atMs: reading.refusal.atMs };
  if (!runsItsFile(reading, grant)) return { kind: 'notLoaded' };
  const expected = expectedIni(pod, models);
  if (expected === undefined) return { kind: 'notLoaded' };
  // A drain by lifetime ends before the next reading: a short lifetime that is read was left behind by an operator that died.
  const mismatches = compareReadBack(expected, reading.view);
  if (mismatches.length > 0) return { kind: 'mismatch', mismatches };
  if (!reading.userlistProved) return { kind: 'userlist' };
  if (expected.config.get('client_tls_sslmode') !== 'disable' && reading.certificateShown !== true)
    return { kind: 'certificate' };
  return reading.serverProof === 'proved' ? undefined : { kind: 'server', proof: reading.serverProof };
}

/** The hash that the running PgBouncer shows: of its live.ini, or of boot.ini after a container start. */
export function loadedIni(reading: PoolerReading & { ok: true }): string | undefined {
  return reading.view.config.get('syslog_ident');
}

/**
 * Whether the pod has loaded the file that it was told last, and goes on reading that one. A boot.ini that says the very same is still another
 * file: the next RELOAD of the pod's own may bring back what that held before.
 */
export function runsItsFile(reading: PoolerReading & { ok: true }, grant: Grant | undefined): boolean {
  return (
    grant !== undefined && loadedIni(reading) === grant.ini && reading.view.config.get('conffile') === PLACE.liveFile
  );
}

/** What the pod's live.ini must read back as; undefined when its model is no longer known (it is then written anew). */
function expectedIni(pod: PodFacts, models: KnownModels): RenderedIni | undefined {
  const model = pod.grant === undefined ? undefined : models.get(pod.grant.model);
  if (model === undefined || pod.grant === undefined) return undefined;
  const { sizes } = pod.grant;
  if (model.databases.some(({ name }) => sizeOf(sizes, name) === undefined)) return undefined;
  const expected = renderIni(model, sizes, { secretsFolder: PLACE.secretsFolder }, pod.grant);
  return expected.hash === pod.grant.ini ? expected : undefined;
}
