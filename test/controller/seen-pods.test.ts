// What a pod held is not forgotten with it, also where status never came to name it.
import assert from 'node:assert/strict';
import type { PodStatus } from '../../src/api/poolconfig.gen.ts';
import { SeenPods } from '../../src/controller/seen-pods.ts';
import type { Observation, PodFacts } from '../../src/model/observation.ts';
import { gonePods } from '../../src/plan/gone-pods.ts';
import { newPod, observation } from '../support/observation.ts';

const KEY = 'shop/orders';
const FIRST = granted('first', 5);

function granted(name: string, orders: number, unsettled?: number): PodFacts {
  return {
    ...newPod(name, 'template', 0),
    ip: '10.0.0.9',
    grant: {
      ...{ sizes: { orders }, model: 'model', ini: 'ini', epoch: 1, atMs: 0 },
      ...(unsettled === undefined ? {} : { unsettled: { orders: unsettled } }),
    },
  };
}

function look(pods: readonly PodFacts[], told: readonly PodStatus[], afterMs = 0): Observation {
  const seen = observation();
  return { ...seen, nowMs: seen.nowMs + afterMs, pods, pool: { ...seen.pool, status: { pods: [...told] } } };
}

const entries = ({ pool }: Observation): readonly PodStatus[] => pool.status?.pods ?? [];
const reckoned = (seen: Observation): readonly (number | undefined)[] =>
  gonePods(seen).map(({ quarantine }) => quarantine);

describe('the memory of pods that were seen', () => {
  it('names a pod that is gone before status could, with what it was granted', () => {
    const memory = new SeenPods();
    memory.recall(KEY, look([FIRST], []));
    const seen = memory.recall(KEY, look([], [], 1_000));
    assert.deepEqual(
      entries(seen).map(({ name, ip, state, sizes }) => ({ name, ip, state, sizes })),
      [{ name: 'first', ip: '10.0.0.9', state: 'Serving', sizes: [{ database: 'orders', size: 5 }] }],
    );
    assert.deepEqual(reckoned(seen), [5]);
    assert.deepEqual(reckoned(look([], [], 1_000)), [], 'status alone would have forgotten it');
  });

  it('names it again until a status is stored, which says what there is to say', () => {
    const memory = new SeenPods();
    memory.recall(KEY, look([FIRST], []));
    assert.equal(entries(memory.recall(KEY, look([], [], 1_000))).length, 1);
    const last = memory.recall(KEY, look([], [], 2_000));
    assert.equal(entries(last).length, 1);
    memory.written(KEY, last);
    assert.deepEqual(entries(memory.recall(KEY, look([], [], 3_000))), []);
  });

  it('leaves it to a status that says it is gone', () => {
    const memory = new SeenPods();
    memory.recall(KEY, look([FIRST], []));
    const told: PodStatus = { name: 'first', uid: FIRST.uid, state: 'Gone', sizes: [{ database: 'orders', size: 5 }] };
    const seen = look([], [told], 3_000);
    assert.equal(memory.recall(KEY, seen), seen);
  });

  it('adds what status had not heard of yet to what it says of a pod: a larger share, and one that was not settled', () => {
    const told: PodStatus = {
      name: 'first',
      uid: FIRST.uid,
      state: 'Serving',
      sizes: [{ database: 'orders', size: 1 }],
    };
    const after = (pod: PodFacts): readonly (number | undefined)[] => {
      const memory = new SeenPods();
      memory.recall(KEY, look([pod], [told]));
      return reckoned(memory.recall(KEY, look([], [told], 1_000)));
    };
    assert.deepEqual(after(granted('first', 5)), [5]);
    assert.deepEqual(after(granted('first', 2, 7)), [7]);
    assert.deepEqual(after(granted('first', 1)), [1]);
  });

  it('changes nothing while every pod is there, or was never granted anything', () => {
    const memory = new SeenPods();
    const present = look([FIRST, newPod('second', 'template', 0)], []);
    assert.equal(memory.recall(KEY, present), present);
    const alone = look([FIRST], [], 1_000);
    assert.equal(memory.recall(KEY, alone), alone);
  });

  it('is of one PoolConfig, and ends with it', () => {
    const memory = new SeenPods();
    memory.recall(KEY, look([FIRST], []));
    assert.deepEqual(entries(memory.recall('shop/other', look([], []))), []);
    memory.forget(KEY);
    assert.deepEqual(entries(memory.recall(KEY, look([], []))), []);
  });
});
