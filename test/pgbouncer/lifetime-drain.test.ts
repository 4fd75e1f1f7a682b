// How short servers live while pools are made smaller: short enough to be quick, and for younger servers too, never at the cost of others.
import assert from 'node:assert/strict';
import type { PoolerConsole } from '../../src/pgbouncer/console.ts';
import { drainToSize, type LifetimeDrain } from '../../src/pgbouncer/lifetime-drain.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** The lifetime that a drain sets, in seconds; undefined when it sets none. The pools have come down by its next look. */
async function lifetimeOf(open: Readonly<Record<string, number>>, drain: Pick<LifetimeDrain, 'targets' | 'alone'>) {
  let lifetime: number | undefined;
  let reloads = 0;
  const pools = async () =>
    Promise.resolve(
      Object.entries(open).map(([database, servers]) => ({
        ...{
          database,
          user: 'app',
          clientsActive: 0,
          clientsWaiting: 0,
          serversActive: 0,
          serversIdle: 0,
          serversLogin: 0,
          serversCancelling: 0,
        },
        ...{
          servers: lifetime === undefined ? servers : Math.min(servers, drain.targets[database] ?? servers),
          maxWaitMs: 0,
        },
      })),
    );
  const console = {
    pools,
    set: async (_key: string, value: string) => {
      lifetime = Number(value);
      return Promise.resolve();
    },
    reload: async () => {
      reloads += 1;
      return Promise.resolve();
    },
  } as Partial<PoolerConsole> as PoolerConsole;
  const { settled } = await drainToSize(console, {
    ...drain,
    fromSizes: open,
    deadlineMs: 1_000,
    clock: new FakeClock(),
  });
  assert.ok(settled);
  assert.equal(reloads, lifetime === undefined ? 0 : 1);
  return lifetime;
}

describe('the lifetime of a drain', () => {
  it('lets a large shrink take at most half a second', async () => {
    assert.equal(await lifetimeOf({ a: 30 }, { targets: { a: 15 }, alone: true }), 0.375);
    assert.equal(await lifetimeOf({ a: 80 }, { targets: { a: 20 }, alone: true }), 0.167);
  });

  it('is never so long that a pool which grew a moment ago would have to wait for its servers to age', async () => {
    assert.equal(await lifetimeOf({ a: 30 }, { targets: { a: 29 }, alone: true }), 0.725);
    assert.equal(await lifetimeOf({ a: 200 }, { targets: { a: 199 }, alone: true }), 1);
  });

  it('is as short as a small pool needs while no other database is reached, else 0.2 s at least', async () => {
    assert.equal(await lifetimeOf({ a: 14 }, { targets: { a: 1 }, alone: true }), 0.025);
    assert.equal(await lifetimeOf({ a: 14, b: 20 }, { targets: { a: 1 } }), 0.2);
  });

  it('is the shortest that any of the databases needs', async () => {
    assert.equal(await lifetimeOf({ a: 40, b: 12 }, { targets: { a: 30, b: 8 }, alone: true }), 0.2);
  });

  it('is not set at all where every pool is at its size', async () => {
    assert.equal(await lifetimeOf({ a: 5 }, { targets: { a: 5 } }), undefined);
  });
});
