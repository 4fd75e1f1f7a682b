// The file of one pod: what it has for itself beside the sizes, kept as it is for as long as it does no harm.
import { PLACE } from '../model/names.ts';
import type { PodFacts } from '../model/observation.ts';
import type { OwnLines, Peering, PoolerModel, RenderedIni, Sizes } from '../model/pooler-model.ts';
import { renderIni } from '../render/ini.ts';
import { sizeOf } from '../sizing/sizes.ts';
import { isUpToDate } from './peering.ts';
import type { PodState } from './pod-state.ts';

export type OwnWish = {
  /** Former sizes that must still be reckoned with: their databases shrink. */
  readonly unsettled: Sizes | undefined;
  readonly peering: Peering | undefined;
  /** See `OwnLines`. */
  readonly patience: boolean;
  readonly states: readonly PodState[];
};

/**
 * A drain reaches the databases that shrink and no other, and a cancel request finds every pod. Lines that were written for a shrink that is
 * verified by now, or for pods that are gone, are no reason for another write and RELOAD.
 */
export function renderLive(
  { grant, live }: PodFacts,
  model: PoolerModel,
  sizes: Sizes,
  { unsettled, peering, patience, states }: OwnWish,
): { ini: RenderedIni; own: OwnLines } {
  const render = (own: OwnLines): { ini: RenderedIni; own: OwnLines } => ({
    ini: renderIni(model, sizes, { secretsFolder: PLACE.secretsFolder }, own),
    own,
  });
  const shrinking = Object.keys(unsettled ?? {})
    .filter((database) => sizeOf(sizes, database) !== undefined)
    .sort();
  const { drainable, peering: told } = grant ?? {};
  const samePatience = (grant?.patience === true) === patience;
  const shielded = drainable === undefined || shrinking.every((database) => drainable.includes(database));
  if (shielded && samePatience && (peering === undefined || isUpToDate(told, peering, states))) {
    const former = render(ownLines({ drainable, peering: told, patience: grant?.patience }));
    if (former.ini.text === live) return former;
  }
  return render(
    ownLines({
      drainable: shrinking.length === 0 ? undefined : shrinking,
      peering,
      patience: patience ? true : undefined,
    }),
  );
}

/** Lines that are left out leave no key behind. */
export function ownLines(own: { [K in keyof OwnLines]: OwnLines[K] | undefined }): OwnLines {
  const { drainable, peering, patience } = own;
  return {
    ...(drainable === undefined ? {} : { drainable }),
    ...(peering === undefined ? {} : { peering }),
    ...(patience === undefined ? {} : { patience }),
  };
}
