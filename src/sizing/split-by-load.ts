// Splits one database's connections over pods by the clients that each pod has, where these are uneven; evenly where they are not.
import { fairShare } from './fair-share.ts';
import { splitEqual, type Holder } from './split-equal.ts';

/** A pod with the clients that it has in this database; undefined for a pod that can't be asked. */
export type LoadedHolder = Holder & { readonly clients?: number | undefined };

export type LoadSplit = {
  readonly sizes: ReadonlyMap<string, number>;
  /** True when it follows the clients. */
  readonly uneven: boolean;
};

/**
 * Whether a split may follow the clients. `begin`: a pod has just joined. `goOn`: one that follows already goes on with it. `end`: it moves no
 * more, and is equal again as soon as that starves nobody. Clients come and go all the time: a fleet at rest must not move with them.
 */
export type Follow = 'begin' | 'goOn' | 'end';

/**
 * A pod starves: its clients are below such a part of the mean, and so many fewer. That others have more than the mean is no reason: a Service that
 * sends clients at random leaves that for good.
 */
type Starving = { readonly part: number; readonly clients: number };
const BEGINS: Starving = { part: 0.5, clients: 4 };
/** The same numbers would have it come and go. */
const GOES_ON: Starving = { part: 0.6, clients: 2 };
/** With so few an equal split would take from others, whose clients don't renew their connections, what this one can't use. */
const STAYS: Starving = { part: 0.25, clients: 8 };
/** A pod that is off by no more than this part of its share is left as it is. */
const TOLERANCE = 0.2;
/** The part of the mean that a pod with fewer clients counts for: new ones find more than one connection until the next look. */
const LEAST_PART = 4;

/**
 * A Service spreads connections, not load: after a scale-out all clients that keep theirs are on the pods that were there before. Their share goes
 * with the clients, by weighted max-min fairness, each pod at least at `floor`; small changes move nothing. While a pod can't be asked
 * the split stays as it is, where it still sums up to `total`.
 */
export function splitByLoad(
  total: number,
  pods: readonly LoadedHolder[],
  { floor, follow, rotation = 0 }: { readonly floor: number; readonly follow: Follow; readonly rotation?: number },
): LoadSplit {
  const equal: LoadSplit = { sizes: splitEqual(total, pods, rotation), uneven: false };
  const former = new Map(pods.map(({ name, now = 0 }) => [name, now]));
  const held = [...former.values()];
  const followed = spread(held) > 1;
  const stands = sum(held) === total && held.every((size) => size >= floor);
  const asItWas = stands && followed ? { sizes: former, uneven: true } : undefined;
  if (!followed && follow !== 'begin') return equal;
  const loads: readonly number[] = pods.flatMap(({ clients }) => (clients === undefined ? [] : [clients]));
  if (loads.length < pods.length) return asItWas ?? equal;
  if (follow === 'end') return (starves(loads, STAYS) ? asItWas : undefined) ?? equal;
  if (!starves(loads, followed ? GOES_ON : BEGINS)) return equal;
  const least = Math.max(1, Math.ceil(sum(loads) / loads.length / LEAST_PART));
  const ideal = fairShare(
    total,
    pods.map(({ name, clients = 0 }) => ({ name, weight: Math.max(least, clients), want: total, floor })),
  );
  if (!ideal.feasible || spread([...ideal.shares.values()]) <= 1) return equal;
  const near = [...ideal.shares].every(
    ([name, share]) => Math.abs(share - (former.get(name) ?? 0)) <= Math.max(1, TOLERANCE * share),
  );
  return near && asItWas !== undefined ? asItWas : { sizes: ideal.shares, uneven: true };
}

function starves(loads: readonly number[], { part, clients }: Starving): boolean {
  const mean = sum(loads) / loads.length;
  const least = Math.min(...loads);
  return least < part * mean && mean - least >= clients;
}

/** Whether a pod has so few clients, and others so many, that they are worth bringing together. */
export function isUneven(clients: readonly number[]): boolean {
  return starves(clients, BEGINS);
}

function spread(sizes: readonly number[]): number {
  return sizes.length === 0 ? 0 : Math.max(...sizes) - Math.min(...sizes);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
