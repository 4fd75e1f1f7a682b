// Which pod a ReplicaSet deletes first, rule by rule; each rule counts only where the ones before it leave a tie.
import assert from 'node:assert/strict';
import { isoTime } from '../../../src/model/iso-time.ts';
import { ANNOTATION } from '../../../src/model/names.ts';
import { deletionOrder } from './deletion-order.ts';
import type { SimPod } from './pods.ts';

const NOW_MS = Date.parse('2026-11-01T12:00:00Z');
const HOUR_MS = 3_600_000;

type Facts = {
  readonly node?: string;
  readonly phase?: string;
  readonly ready?: boolean;
  readonly cost?: string;
  readonly restarts?: number;
  readonly readyForMs?: number;
  readonly ageMs?: number;
};

/** Alike in everything that is not said. */
function pod(name: string, facts: Facts): SimPod {
  const {
    node = name,
    phase = 'Running',
    ready = true,
    cost,
    restarts = 0,
    readyForMs = HOUR_MS,
    ageMs = HOUR_MS,
  } = facts;
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      uid: `uid-${name}`,
      resourceVersion: '1',
      creationTimestamp: isoTime(NOW_MS - ageMs),
      annotations: cost === undefined ? {} : { [ANNOTATION.deletionCost]: cost },
    },
    spec: { nodeName: node },
    status: {
      phase,
      conditions: [
        { type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: isoTime(NOW_MS - readyForMs) },
      ],
      containerStatuses: [{ restartCount: restarts }],
    },
  };
  return object as unknown as SimPod;
}

/** Given in the order in which they are to go; found so from either side. */
function goesFirst(first: Facts, second: Facts): void {
  for (const [a, b] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const [sooner, later] = [pod(a, first), pod(b, second)];
    for (const pods of [
      [sooner, later],
      [later, sooner],
    ]) {
      assert.deepEqual(
        deletionOrder(pods, NOW_MS).map(({ metadata }) => metadata.name),
        [a, b],
      );
    }
  }
}

describe('of the pods of a ReplicaSet', () => {
  it('one without a node goes before one that has a node', () => {
    goesFirst({ node: '', phase: 'Running', cost: '9' }, { phase: 'Pending', ready: false });
  });

  it('a Pending one goes before a Running one', () => {
    goesFirst({ phase: 'Pending', cost: '9' }, { ready: false });
  });

  it('one that is not Ready goes before one that is, whatever they cost', () => {
    goesFirst({ ready: false, cost: '9' }, { cost: '-9' });
  });

  it('the cheaper one goes first; a cost that is no number is none', () => {
    goesFirst({ cost: '-1', readyForMs: 9 * HOUR_MS }, { readyForMs: 1_000 });
    goesFirst({ cost: 'cheap' }, { cost: '1' });
  });

  it('one that was Ready for a much shorter time goes first', () => {
    goesFirst({ readyForMs: 60_000 }, { readyForMs: HOUR_MS, restarts: 5 });
  });

  it('one that has restarted more often goes first', () => {
    goesFirst({ restarts: 2 }, { restarts: 1, ageMs: 60_000 });
  });

  it('a much younger one goes first', () => {
    goesFirst({ ageMs: 60_000 }, { ageMs: HOUR_MS });
  });

  it('one of two on the same node goes before one that is alone on its node', () => {
    const pods = [pod('alone', { node: 'x' }), pod('one', { node: 'y' }), pod('two', { node: 'y' })];
    assert.equal(deletionOrder(pods, NOW_MS).at(-1)?.metadata.name, 'alone');
  });
});
