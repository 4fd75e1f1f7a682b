// Whether a live object already has everything that a rendered one asks for, so that nothing is written at rest.

/**
 * True when every field of `wanted` stands in `live` with the same value; what `live` has beside (defaults, status, others' fields) does not
 * count. Lists must be equal in length, element by element: the lists we render have no defaulted members.
 */
export function covers(live: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return true;
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live) || live.length !== wanted.length) return false;
    return wanted.every((entry, index) => covers(live[index], entry));
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof live !== 'object' || live === null) return Object.keys(wanted).length === 0;
    return Object.entries(wanted).every(([key, entry]) => covers((live as Record<string, unknown>)[key], entry));
  }
  return live === wanted;
}

/** Like `covers`, but keys of the named map that are live and no longer wanted count as a difference (`data` of ConfigMap and Secret). */
export function sameData(live: unknown, wanted: unknown): boolean {
  const keys = (value: unknown): string =>
    typeof value === 'object' && value !== null ? Object.keys(value).sort().join('\n') : '';
  return keys(live) === keys(wanted) && covers(live, wanted);
}
