// What a scenario is: a row of the table, from the fleet it begins with to the state that ends it.
import type { LivePool, PoolConfigBuilder } from '../support/pool.ts';
import type { Offered } from './recording.ts';
import type { World } from './world.ts';

/** Something asked of the fleet or done to it, as soon as its moment has come. */
export type Step = Readonly<{
  kind: 'operation' | 'fault';
  what: string;
  /** At once when left out. */
  when?: Readonly<{ what: string; holds: (world: World) => boolean }>;
  act: (world: World) => Promise<void>;
}>;

export type Scenario = Readonly<{
  name: string;
  what: string;
  /** People do such things on purpose, so no transaction may fail for it. */
  planned: boolean;
  /** What clients ask for; all that they can get when left out. */
  offered?: Offered;
  /** See `Recording`. */
  leastServed?: number;
  /** Another server stands by. */
  hasSecondServer?: boolean;
  budget: number;
  replicas: number;
  /** The fleet at the beginning, where it is not just that budget and those replicas. */
  fleet?: (pool: PoolConfigBuilder) => PoolConfigBuilder;
  /** Before the fleet is there. */
  prepare?: (namespace: string) => Promise<void>;
  steps: readonly Step[];
  /** The end, besides that the fleet is at rest. */
  done: (world: World, live: LivePool) => boolean;
  /** Pods wanted at the end. */
  endReplicas: number;
  /** Promised from the last pod's becoming Ready to the end. */
  convergeLimitMs?: number;
  /** Puts the installation back as other scenarios expect it. */
  restore?: () => Promise<void>;
}>;
