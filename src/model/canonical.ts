// One text for one value: JSON with sorted keys, and short hashes of it.
import { createHash } from 'node:crypto';

/** JSON with object keys sorted at every depth and undefined left out: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, entry: unknown) => {
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return entry;
    return Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}

/** First `length` hex digits of the SHA-256 of the canonical text. */
export function contentHash(value: unknown, length = 12): string {
  return createHash('sha256')
    .update(typeof value === 'string' ? value : canonicalJson(value))
    .digest('hex')
    .slice(0, length);
}
