// A high mark that decays: the most of something in the last 12 to 24 hours, kept in so few words that it is seldom written.

/** What must be kept from one look to the next. Times are wall-clock milliseconds. */
export type HighMark<Detail> = {
  readonly high: number;
  /** When it came to this height. */
  readonly atMs: number;
  /** What the height was made of when it was reached. */
  readonly detail: Detail;
  /** The most since `sinceMs`, while that is less; what the mark falls to when the window ends. */
  readonly window?: { readonly most: number; readonly sinceMs: number };
};

/** Two windows one after the other are looked at: a peak is remembered for one to two of them. */
export const WINDOW_MS = 12 * 3_600_000;

/**
 * The mark after one more look. Heights are rounded up to `step`, so that it does not move with each unit. The very same object while there is
 * nothing to write: a constant number writes nothing, and one that goes up and down below the mark a few words in each window.
 */
export function raiseOrDecay<Detail>(
  former: HighMark<Detail> | undefined,
  seen: { readonly count: number; readonly detail: Detail },
  step: number,
  nowMs: number,
): HighMark<Detail> | undefined {
  const height = Math.ceil(seen.count / step) * step;
  if (former === undefined || height > former.high) {
    return height === 0 ? undefined : { high: height, atMs: nowMs, detail: seen.detail };
  }
  const { window } = former;
  if (window === undefined) {
    return height === former.high ? former : { ...former, window: { most: height, sinceMs: nowMs } };
  }
  if (nowMs - window.sinceMs < WINDOW_MS) {
    return height <= window.most ? former : { ...former, window: { ...window, most: height } };
  }
  return afterWindow(former, Math.max(window.most, height), height, seen.detail, nowMs);
}

function afterWindow<Detail>(
  former: HighMark<Detail>,
  high: number,
  height: number,
  detail: Detail,
  nowMs: number,
): HighMark<Detail> | undefined {
  if (high === 0) return undefined;
  const kept = high === former.high ? former : { high, atMs: nowMs, detail };
  const mark = { high, atMs: kept.atMs, detail: kept.detail };
  return height < high ? { ...mark, window: { most: height, sinceMs: nowMs } } : mark;
}
