// What every step of the demo works with: the narrator, the observers, and the names of things.
import type pg from 'pg';
import type { LivePool } from '../test/support/pool.ts';
import type { BackendSampler } from '../test/support/backends.ts';
import type { Application, Total } from './application.ts';
import type { Narrator } from './narrator.ts';

export const NAMESPACE = 'shop';
export const SYSTEM_NAMESPACE = 'poolsmith-system';
export const RELEASE = 'poolsmith';
export const POOL = 'orders';
export const WEB = 'web';
export const APPLICATION_PODS = `app=${WEB}`;
export const DATABASE = 'orders_production';

/** The password is the one in demo/manifests/postgres.yaml. */
export const SUPERUSER = { user: 'postgres', password: 'demo-superuser-password' };
export const OWNER = { user: 'orders_app', password: 'demo-orders-password' };
export const MONITOR = 'orders_monitor';

export type World = Readonly<{
  narrator: Narrator;
  sampler: BackendSampler;
  application: Application;
  /** Where PostgreSQL is, past the fleet. */
  postgres: pg.ClientConfig;
  last: {
    /** The PoolConfig as it was last seen to be Ready. */
    pool: LivePool | undefined;
    /** The application's counters at the end of the former step: no transaction falls between two steps. */
    total: Total;
  };
}>;

export type Step = Readonly<{
  title: string;
  /** What the viewer is about to see. */
  explanation: string;
  /** Most transactions of the application that may fail, and why; none when left out. */
  mayFail?: Readonly<{ most: number; because: string }>;
  /** Does it and checks it. @throws with what is not as claimed. */
  run: (world: World) => Promise<void>;
}>;

/** Throws with `claim` unless it holds. */
export function check(holds: boolean, claim: string): asserts holds {
  if (!holds) throw new Error(`not so: ${claim}`);
}
