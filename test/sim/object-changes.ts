// What a write changed in an object: whether it is worth anybody's notice, and how a story tells it.

/** Versions and field owners, which every write moves. */
const BOOKKEEPING: readonly string[] = ['resourceVersion', 'managedFields'];
const VALUE_LENGTH = 80;

/** Nothing but whether clients wait long: that comes and goes with their load. */
export function onlySaturation(former: unknown, now: unknown): boolean {
  const without = (object: unknown): string =>
    JSON.stringify(object, (key, value: unknown) => {
      if (BOOKKEEPING.includes(key)) return undefined;
      return (value as { type?: unknown } | null)?.type === 'PoolSaturated' ? undefined : value;
    });
  return former !== undefined && without(former) === without(now);
}

/** Paths of what a write changed, with both values, each cut short. */
export function changedFields(former: unknown, now: unknown, path = ''): string {
  if (JSON.stringify(former) === JSON.stringify(now)) return '';
  if (!isObject(former) || !isObject(now)) return `${path} ${shortened(former)} → ${shortened(now)}`;
  return [...new Set([...Object.keys(former), ...Object.keys(now)])]
    .filter((key) => !BOOKKEEPING.includes(key))
    .map((key) => changedFields(former[key], now[key], `${path}.${key}`))
    .filter((text) => text !== '')
    .join(', ');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** `undefined` for a field that is not there. */
function shortened(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  return String(text?.slice(0, VALUE_LENGTH));
}
