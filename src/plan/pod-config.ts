// Tells each pod its live.ini: which model, which sizes, and what is to be done until it is proved to run them.
import { ANNOTATION } from '../model/names.ts';
import type { Grant } from '../model/grant.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { filesOf, type Peering, type Sizes } from '../model/pooler-model.ts';
import { canonicalJson, sameJson } from '../model/canonical.ts';
import { largerSizes, sizeOf } from '../sizing/sizes.ts';
import { ownLifetimeSeconds } from '../render/own-lifetime.ts';
import type { Choice, NamedModel } from './canary.ts';
import { CHANGE_INTERVAL_MS, serversOf } from './cells.ts';
import type { NextSizes } from './grants.ts';
import { ownLines, renderLive } from './live-ini.ts';
import { partOf } from './partial-model.ts';
import { wantsPatience, type PauseWish } from './pause.ts';
import { planPeering } from './peering.ts';
import { loadedIni, type PodState } from './pod-state.ts';

/** An annotation is projected in 0.1–0.4 s; about one in 170 gets lost in the kubelet until something else changes (measured). */
const POKE_AFTER_MS = 1_500;
const LONGEST_POKE_GAP_MS = 30_000;
/** A RELOAD that was refused is tried again no sooner than this. */
const RELOAD_RETRY_MS = 5_000;
/** While the file may not have arrived yet, a pod's first one, RELOAD is refused for that. */
const FIRST_RETRY_MS = 300;
/** A new file in the Secret needs this long before an annotation may name it. */
export const SECRET_LEAD_MS = 300;

export type PodConfigInput = {
  readonly pause: PauseWish | undefined;
  readonly observation: Observation;
  readonly states: readonly PodState[];
  readonly choice: Choice;
  readonly next: ReadonlyMap<string, NextSizes>;
  readonly mayLoad: ReadonlySet<string>;
  /** Sizes that pods have from boot.ini. */
  readonly bootFloors: Sizes;
  /** Hash of boot.ini as the ConfigMap has it: a pod whose nonce lacks it has not been poked since it changed. */
  readonly bootHash: string;
  /** Files of the mounted Secret, as stored → when they were written (ms). */
  readonly storedFiles: ReadonlySet<string>;
  readonly filesWrittenAtMs: number;
};

export function planPodConfigs(input: PodConfigInput): readonly Action[] {
  const peering = planPeering(input.states);
  return input.states
    .filter((state) => state.phase !== 'Terminating')
    .flatMap((state) => configure(state, input, peering.get(state.pod.uid)) ?? follow(state, input));
}

/** The patch that brings a pod's annotations to what they should be; undefined when they are. */
function configure(
  state: PodState,
  input: PodConfigInput,
  peering: Peering | undefined,
): readonly Action[] | undefined {
  const { pod } = state;
  const { nowMs, epoch } = input.observation;
  const wanted = wantedGrant(state, input, peering);
  if (wanted === undefined) return undefined;
  const { grant, text } = wanted;
  const annotations: Record<string, string> = {};
  if (pod.grant === undefined || !sameJson(recordOf(pod.grant), recordOf(grant)))
    annotations[ANNOTATION.grant] = canonicalJson(grant);
  if (pod.live !== text) {
    if (pod.grant !== undefined && nowMs - pod.grant.atMs < CHANGE_INTERVAL_MS) return [];
    annotations[ANNOTATION.live] = text;
    annotations[ANNOTATION.grant] = canonicalJson({ ...grant, atMs: nowMs });
  }
  if (Object.keys(annotations).length === 0) return undefined;
  if (pod.nonce?.startsWith(input.bootHash) !== true) annotations[ANNOTATION.nonce] = input.bootHash;
  return [patch(pod, annotations, explain(pod, grant, epoch))];
}

/**
 * What the pod should carry. A pod that is to get one database more goes on with what it has until there is room for it: else the shrink that
 * makes the room could not be written. Without a file that it would name, or any size for what nobody declares any more, it stays as it is.
 */
function wantedGrant(
  state: PodState,
  input: PodConfigInput,
  peering: Peering | undefined,
): { grant: Grant; text: string } | undefined {
  const { pod } = state;
  const next = input.next.get(pod.uid);
  if (next === undefined) return undefined;
  const { standing } = input.choice;
  const wanted = input.choice.modelFor(state);
  const fitting =
    sizedModel(wanted, next.sizes) ?? withoutTheLeaving(pod, wanted, next) ?? standingOne(pod, standing, next, input);
  if (fitting === undefined) return asItIs(pod, next, input.observation.epoch);
  const { model, modelHash, sizes } = fitting;
  const projected = pod.grant === undefined || input.observation.nowMs - input.filesWrittenAtMs >= SECRET_LEAD_MS;
  if (filesOf(model).some((file) => !input.storedFiles.has(file)) || (!projected && pod.grant.model !== modelHash))
    return asItIs(pod, next, input.observation.epoch);
  const unsettled = withTakenAway(pod, sizes, next.unsettled);
  const { ini, own } = renderLive(pod, model, sizes, {
    unsettled,
    peering,
    patience: wantsPatience(state, input.pause),
    states: input.states,
  });
  const grant: Grant = {
    sizes,
    ...(unsettled === undefined ? {} : { unsettled }),
    ...(next.removedAtMs === undefined ? {} : { removedAtMs: next.removedAtMs }),
    ...own,
    model: modelHash,
    ini: ini.hash,
    epoch: input.observation.epoch,
    atMs: pod.grant?.atMs ?? input.observation.nowMs,
  };
  return { grant, text: ini.text };
}

/** A database that is declared, and that this pod is not to run yet or any more, leaves its connections behind like any other. */
function withTakenAway({ grant }: PodFacts, sizes: Sizes, unsettled: Sizes | undefined): Sizes | undefined {
  const taken = Object.entries(grant?.sizes ?? {}).filter(([name]) => sizeOf(sizes, name) === undefined);
  if (taken.length === 0) return unsettled;
  const former = Object.fromEntries(
    taken.map(([name, size]) => [name, Math.max(size, sizeOf(grant?.unsettled, name) ?? 0)]),
  );
  return largerSizes(unsettled ?? {}, former);
}

type SizedModel = NamedModel & { readonly sizes: Sizes };

/** There is no room for a new database, and the pod still has one that goes: it goes first, and leaves its room behind. */
function withoutTheLeaving({ grant }: PodFacts, wanted: NamedModel, next: NextSizes): SizedModel | undefined {
  const stays = new Set(wanted.model.databases.map(({ name }) => name));
  return Object.keys(grant?.sizes ?? {}).some((name) => !stays.has(name)) ? sizedPart(wanted, next.sizes) : undefined;
}

/**
 * What was proved last, smaller. What is declared no more has the size that it has: of the last grant, or of boot.ini. Where even that names a
 * database that has no room yet, and the room is what this pod has to give back, it gives it back without that database.
 */
function standingOne(
  { grant }: PodFacts,
  standing: NamedModel | undefined,
  next: NextSizes,
  { bootFloors }: PodConfigInput,
): SizedModel | undefined {
  if (standing === undefined) return undefined;
  const sizes = { ...(grant?.sizes ?? bootFloors), ...next.sizes };
  const whole = sizedModel(standing, sizes);
  if (whole !== undefined || grant === undefined) return whole;
  const shrinks = Object.entries(grant.sizes).some(([name, size]) => (sizeOf(next.sizes, name) ?? size) < size);
  return shrinks || next.unsettled !== undefined ? sizedPart(standing, sizes) : undefined;
}

function sizedPart(whole: NamedModel, sizes: Sizes): SizedModel | undefined {
  const part = partOf(whole, sizes);
  return part === undefined ? undefined : sizedModel(part, sizes);
}

/** The same file, and what is to be known of it: the leader's mark, without which nothing in the fleet may grow, and what is settled. */
function asItIs(
  { grant, live }: PodFacts,
  { unsettled, removedAtMs }: NextSizes,
  epoch: number,
): { grant: Grant; text: string } | undefined {
  if (grant === undefined || live === undefined) return undefined;
  const { sizes, model, ini, atMs } = grant;
  const open = Object.entries(unsettled ?? {}).filter(([database, size]) => size > (sizeOf(sizes, database) ?? 0));
  return {
    grant: {
      sizes,
      ...(open.length === 0 ? {} : { unsettled: Object.fromEntries(open) }),
      ...(removedAtMs === undefined ? {} : { removedAtMs }),
      ...ownLines(grant),
      ...{ model, ini, epoch, atMs },
    },
    text: live,
  };
}

/** A model with a size for each of its databases; undefined while one has none. */
function sizedModel(named: NamedModel, all: Sizes): SizedModel | undefined {
  const sizes = new Map<string, number>();
  for (const { name } of named.model.databases) {
    const size = sizeOf(all, name);
    if (size === undefined) return undefined;
    sizes.set(name, size);
  }
  return { ...named, sizes: Object.fromEntries(sizes) };
}

/** When a RELOAD that was refused may be tried again (ms since 1970), by when it was refused and when the pod was told the file. */
export function reloadAgainAtMs(refusedAtMs: number, toldAtMs: number): number {
  return refusedAtMs + (refusedAtMs - toldAtMs < RELOAD_RETRY_MS ? FIRST_RETRY_MS : RELOAD_RETRY_MS);
}

/** With the annotations right: load what is not in force, poke what does not arrive, bring busy pools down. */
function follow(state: PodState, input: PodConfigInput): readonly Action[] {
  const { pod, reading, unproved } = state;
  const { nowMs } = input.observation;
  if (pod.nonce?.startsWith(input.bootHash) !== true) {
    return [
      patch(pod, { [ANNOTATION.nonce]: input.bootHash }, `${pod.name}: have the kubelet project the new boot.ini`),
    ];
  }
  if (pod.grant === undefined || reading?.ok !== true) return [];
  const { grant } = pod;
  // The same file would meet the same words; what else may have been the cause has time to pass.
  if (unproved?.kind === 'refused' && nowMs < reloadAgainAtMs(unproved.atMs, grant.atMs)) return [];
  const actions: Action[] = [];
  const behind =
    unproved?.kind === 'notLoaded' ||
    unproved?.kind === 'mismatch' ||
    unproved?.kind === 'userlist' ||
    unproved?.kind === 'refused';
  if (behind) {
    const pokedAtMs = Number(pod.nonce.split('.')[1] ?? 0);
    const lastMs = Math.max(grant.atMs, pokedAtMs, pod.container.startedAtMs ?? 0);
    // Each poke is given as long as all before it together.
    const gapMs = Math.min(LONGEST_POKE_GAP_MS, Math.max(POKE_AFTER_MS, pokedAtMs - grant.atMs));
    if (unproved.kind !== 'refused' && nowMs - lastMs > gapMs) {
      actions.push(
        patch(
          pod,
          { [ANNOTATION.nonce]: `${input.bootHash}.${nowMs}` },
          `${pod.name}: live.ini not in force yet, poke the kubelet`,
        ),
      );
    }
    if (!input.mayLoad.has(pod.uid)) return actions;
    actions.push({
      kind: 'loadLive',
      pod: pod.name,
      uid: pod.uid,
      ini: grant.ini,
      why: `${pod.name}: load live.ini ${grant.ini} and read it back`,
    });
  }
  const { unsettled } = grant;
  // Not beside a load: its RELOAD would end the short lifetime, and the drain would wait for nothing.
  if (unsettled !== undefined && !behind && loadedIni(reading) === grant.ini) {
    const busy = Object.keys(unsettled).filter(
      (database) => serversOf(reading.view, database) > (sizeOf(grant.sizes, database) ?? Infinity),
    );
    if (busy.length > 0) {
      const pick = (sizes: Sizes): Sizes =>
        Object.fromEntries(busy.map((database) => [database, sizeOf(sizes, database) ?? 1]));
      const others = reading.view.databases.filter(({ name }) => !busy.includes(name));
      const { model } = input.choice.modelFor(state);
      actions.push({
        kind: 'shrinkPools',
        pod: pod.name,
        uid: pod.uid,
        from: pick(unsettled),
        to: pick(grant.sizes),
        alone: others.every(({ name }) => ownLifetimeSeconds(model, name, grant.drainable) !== undefined),
        why: `${pod.name}: ${busy.join(', ')} still above the lowered size, drain by lifetime`,
      });
    }
  }
  return actions;
}

/** The grant without its time: a time alone is no reason to write. */
function recordOf(grant: Grant): Grant {
  return { ...grant, atMs: 0 };
}

function patch(pod: PodFacts, annotations: Record<string, string>, why: string): Action {
  return { kind: 'patchPod', name: pod.name, resourceVersion: pod.resourceVersion, annotations, why };
}

function explain(pod: PodFacts, grant: Grant, epoch: number): string {
  const list = (sizes: Sizes | undefined): string =>
    Object.entries(sizes ?? {})
      .map(([database, size]) => `${database}=${size}`)
      .join(' ');
  const former = pod.grant === undefined ? 'first grant' : `was ${list(pod.grant.sizes)}`;
  const open = grant.unsettled === undefined ? '' : `, not settled ${list(grant.unsettled)}`;
  return `${pod.name}: ${list(grant.sizes)} (${former}${open}), model ${grant.model}, epoch ${epoch}`;
}
