// Drain by lifetime, command by command: whatever happens, the short lifetime does not stay.
import assert from 'node:assert/strict';
import { drainToSize } from '../../src/pgbouncer/lifetime-drain.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ScriptedConsole } from '../support/scripted-console.ts';

describe('a drain by lifetime', () => {
  function drain(pooler: ScriptedConsole, clock = new FakeClock()) {
    const result = drainToSize(pooler.console, {
      targets: { orders: 3 },
      fromSizes: { orders: 10 },
      deadlineMs: 1_000,
      clock,
    });
    // Observed now, asserted on later.
    result.catch(() => undefined);
    return { result, clock };
  }

  it('asks for nothing when the pool is at its size', async () => {
    const pooler = new ScriptedConsole({ orders: { servers: 3 } });
    assert.equal((await drain(pooler).result).settled, true);
    assert.deepEqual(pooler.changes, []);
  });

  it('takes the short lifetime back when the pool has shrunk', async () => {
    const pooler = new ScriptedConsole({ orders: { servers: 10 } });
    pooler.onCommand = (command) => {
      const [pool] = pooler.pools.values();
      if (command === 'pools' && pool !== undefined) pool.servers -= 1;
    };
    const { result, clock } = drain(pooler);
    await clock.advance(1_000);
    assert.equal((await result).settled, true);
    assert.match(pooler.changes[0] ?? '', /^set server_lifetime = 0\.\d+$/);
    assert.deepEqual(pooler.changes.slice(1), ['reload']);
  });

  it('takes the short lifetime back when the pool stays too large until the deadline', async () => {
    const pooler = new ScriptedConsole({ orders: { servers: 10 } });
    const { result, clock } = drain(pooler);
    await clock.advance(1_200);
    assert.equal((await result).settled, false);
    assert.equal(pooler.changes.at(-1), 'reload');
  });

  it('takes the short lifetime back when the console fails in between', async () => {
    const pooler = new ScriptedConsole({ orders: { servers: 10 } });
    pooler.onCommand = (command) => {
      if (command === 'pools' && pooler.changes.length > 0) throw new Error('gone');
    };
    await assert.rejects(drain(pooler).result, /gone/);
    assert.equal(pooler.changes.at(-1), 'reload');
  });
});
