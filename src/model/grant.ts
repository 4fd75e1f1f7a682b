// What a pod was granted, as the operator writes it beside live.ini, so that a crash can lose nothing of the ledger.
import type { OwnLines, Peering, Peers, Sizes } from './pooler-model.ts';

/** The operator's own record on a pod. It is written in the same patch as live.ini, so the two never disagree. */
export type Grant = OwnLines & {
  readonly sizes: Sizes;
  /** Former, larger sizes of cells whose shrink is not verified yet. */
  readonly unsettled?: Sizes;
  /** When the file without a removed database was first seen in force, in wall-clock milliseconds; only while that is reckoned with. */
  readonly removedAtMs?: number;
  /** Hash of the PoolerModel (everything but sizes) that live.ini was rendered from. */
  readonly model: string;
  /** Hash of the live.ini text, as PgBouncer shows it once loaded. */
  readonly ini: string;
  /** Leadership epoch of the operator that wrote it. */
  readonly epoch: number;
  /** Wall-clock milliseconds of the write; paces writes and pokes, decides nothing else. */
  readonly atMs: number;
};

export type DrainMark = {
  readonly sinceMs: number;
  readonly why: 'Rollout' | 'ScaleIn' | 'CrashLooping';
};

/** Reads the grant annotation; undefined when absent or not ours to understand. */
export function decodeGrant(text: string | undefined): Grant | undefined {
  const raw = parseObject(text);
  if (raw === undefined) return undefined;
  const { sizes, unsettled, removedAtMs, drainable, peering, patience, model, ini, epoch, atMs } = raw;
  if (!isSizes(sizes) || typeof model !== 'string' || typeof ini !== 'string') return undefined;
  if (typeof epoch !== 'number' || typeof atMs !== 'number') return undefined;
  return {
    sizes,
    ...(isSizes(unsettled) ? { unsettled } : {}),
    ...(typeof removedAtMs === 'number' ? { removedAtMs } : {}),
    ...(isNames(drainable) ? { drainable } : {}),
    ...(isPeering(peering) ? { peering } : {}),
    ...(patience === true ? { patience } : {}),
    ...{ model, ini, epoch, atMs },
  };
}

export function decodeDrainMark(text: string | undefined): DrainMark | undefined {
  const raw = parseObject(text);
  if (raw === undefined || typeof raw['sinceMs'] !== 'number') return undefined;
  const why = raw['why'];
  return {
    sinceMs: raw['sinceMs'],
    why: why === 'ScaleIn' || why === 'CrashLooping' ? why : 'Rollout',
  };
}

function parseObject(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    const raw: unknown = JSON.parse(text);
    return typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isNames(raw: unknown): raw is readonly string[] {
  return Array.isArray(raw) && raw.every((name) => typeof name === 'string');
}

function isPeering(raw: unknown): raw is Peering {
  const { id, peers } = (raw ?? {}) as Partial<Record<keyof Peering, unknown>>;
  return typeof id === 'number' && Number.isInteger(id) && isPeers(peers);
}

function isPeers(raw: unknown): raw is Peers {
  return typeof raw === 'object' && raw !== null && Object.values(raw).every((host) => typeof host === 'string');
}

function isSizes(raw: unknown): raw is Sizes {
  return (
    typeof raw === 'object' &&
    raw !== null &&
    Object.values(raw).every((size) => typeof size === 'number' && Number.isInteger(size) && size >= 1)
  );
}
