// Reading sizes by database name, where a name may be anything a user writes.
import type { Sizes } from '../model/pooler-model.ts';

/** The size written for a database; undefined where none is. A database may be called `constructor`: only own keys count. */
export function sizeOf(sizes: Sizes | undefined, database: string): number | undefined {
  return sizes !== undefined && Object.hasOwn(sizes, database) ? sizes[database] : undefined;
}

/** Connections over all databases. */
export function sumOf(sizes: Sizes): number {
  return Object.values(sizes).reduce((sum, size) => sum + size, 0);
}

/** Of each database the larger size. */
export function largerSizes(a: Sizes, b: Sizes): Sizes {
  return Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [
      name,
      Math.max(sizeOf(a, name) ?? 0, sizeOf(b, name) ?? 0),
    ]),
  );
}

/** Those that are more in sum: a pod boots at the one or the other, never at both. */
export function moreOf(a: Sizes, b: Sizes): Sizes {
  return sumOf(a) > sumOf(b) ? a : b;
}
