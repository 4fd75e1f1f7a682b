// Where a server's name leads: a move is told soon, a name that answers in turns never, and an operator that has just started takes its time.
import assert from 'node:assert/strict';
import { ServerAddresses } from '../../src/controller/server-addresses.ts';
import type { PoolConfig } from '../../src/api/poolconfig.gen.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { poolConfig } from '../support/observation.ts';

const KEY = 'shop/orders';

function setUp(host = 'db.example.org') {
  const clock = new FakeClock();
  const moved: string[] = [];
  const asked: string[] = [];
  const state: { answer: readonly string[] | Error } = { answer: ['10.0.0.1'] };
  const addresses = new ServerAddresses(
    clock,
    (key) => {
      moved.push(key);
    },
    (name) => {
      asked.push(name);
      return state.answer instanceof Error ? Promise.reject(state.answer) : Promise.resolve(state.answer);
    },
  );
  const { spec, ...rest } = poolConfig();
  const pool: PoolConfig = { ...rest, spec: { ...spec, server: { ...spec.server, host } } };
  const look = () => addresses.look(KEY, pool);
  return { clock, moved, asked, state, addresses, look };
}

describe('where a server’s name leads', () => {
  it('is told three answers after it has moved, and since when', async () => {
    const { clock, moved, state, addresses, look } = setUp();
    look();
    await clock.advance(40_000);
    assert.equal(look()?.address, '10.0.0.1');
    assert.deepEqual(moved, [], 'nothing has moved yet');
    state.answer = ['10.0.0.2'];
    const movedMs = clock.now();
    await clock.advance(1_000);
    assert.equal(look(), undefined, 'one answer is no certainty');
    await clock.advance(2_000);
    assert.deepEqual(moved, [KEY]);
    assert.equal(look()?.address, '10.0.0.2');
    assert.ok((look()?.sinceMs ?? 0) - movedMs <= 1_000);
    addresses.stop();
  });

  it('is certain for an operator that has just started only when it has stayed for half a minute', async () => {
    const { clock, addresses, look } = setUp();
    look();
    await clock.advance(25_000);
    assert.equal(look(), undefined);
    await clock.advance(6_000);
    assert.equal(look()?.address, '10.0.0.1');
    addresses.stop();
  });

  it('says nothing of a name that comes back: it answers in turns', async () => {
    const { clock, moved, state, addresses, look } = setUp();
    look();
    await clock.advance(40_000);
    state.answer = ['10.0.0.2'];
    await clock.advance(5_000);
    assert.deepEqual(moved, [KEY]);
    for (let turn = 1; turn <= 10; turn += 1) {
      state.answer = [`10.0.0.${2 - (turn % 2)}`];
      await clock.advance(5_000);
      assert.equal(look(), undefined, `turn ${turn}`);
    }
    assert.deepEqual(moved, [KEY]);
    addresses.stop();
  });

  it('is not followed where there are several addresses: each of them is right', async () => {
    const { clock, moved, state, addresses, look } = setUp();
    look();
    await clock.advance(40_000);
    state.answer = ['10.0.0.2', '10.0.0.3'];
    await clock.advance(60_000);
    assert.equal(look(), undefined);
    assert.deepEqual(moved, []);
    addresses.stop();
  });

  it('stands when there is no answer', async () => {
    const { clock, state, addresses, look } = setUp();
    look();
    await clock.advance(40_000);
    state.answer = new Error('ENOTFOUND');
    await clock.advance(60_000);
    assert.equal(look()?.address, '10.0.0.1');
    addresses.stop();
  });

  it('is looked up in the PoolConfig’s namespace when the name has no dot, and not at all for an address', async () => {
    const short = setUp('db');
    short.look();
    await short.clock.settle();
    assert.deepEqual(short.asked, ['db.shop.svc']);
    short.addresses.stop();
    for (const host of ['10.0.0.9', 'fd00::9']) {
      const fixed = setUp(host);
      assert.equal(fixed.look(), undefined);
      await fixed.clock.advance(5_000);
      assert.deepEqual(fixed.asked, []);
    }
  });

  it('has a pod told at most as often as is counted, anew for each move', () => {
    const { addresses } = setUp();
    addresses.tried('a', 1_000);
    addresses.tried('a', 1_000);
    const at = (sinceMs: number) => ({ address: '10.0.0.2', sinceMs });
    assert.deepEqual(
      [addresses.tries('a', at(1_000)), addresses.tries('a', at(2_000)), addresses.tries('b', at(1_000))],
      [2, 0, 0],
    );
    addresses.tried('a', 2_000);
    assert.equal(addresses.tries('a', at(2_000)), 1);
    addresses.forgetPod('a');
    assert.equal(addresses.tries('a', at(2_000)), 0);
  });

  it('is looked up one name after the other: a resolver that does not answer holds up no more than one of them', async () => {
    const clock = new FakeClock();
    let open = 0;
    let most = 0;
    const addresses = new ServerAddresses(
      clock,
      () => undefined,
      async () => {
        open += 1;
        most = Math.max(most, open);
        await clock.sleep(5_000);
        open -= 1;
        return ['10.0.0.1'];
      },
    );
    const { spec, ...rest } = poolConfig();
    for (const host of ['a.example.org', 'b.example.org', 'c.example.org'])
      addresses.look(host, { ...rest, spec: { ...spec, server: { ...spec.server, host } } });
    await clock.advance(60_000);
    assert.equal(most, 1);
    addresses.stop();
  });

  it('is looked up no more when nobody asks for it', async () => {
    const { clock, asked, addresses, look } = setUp();
    look();
    await clock.advance(3_000);
    addresses.forget(KEY);
    await clock.advance(2_000);
    const count = asked.length;
    await clock.advance(10_000);
    assert.equal(asked.length, count);
    assert.equal(clock.pendingTimers, 0);
  });
});
