// Conditions change the way Kubernetes expects, and the table of reasons is complete and consistent.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  CONDITIONS,
  EVENTS,
  findCondition,
  MESSAGE_LENGTH,
  REASONS,
  removeCondition,
  setCondition,
  statusesOf,
  type Condition,
  type ConditionType,
  type ConditionUpdate,
  type Reason,
} from '../../src/api/conditions.ts';

const EARLY = '2026-11-21T10:00:00Z';
const LATE = '2026-11-21T11:00:00Z';
const types = Object.keys(CONDITIONS) as ConditionType[];
const reasons = Object.keys(REASONS) as Reason[];

const ready = (changes: Partial<ConditionUpdate> = {}): ConditionUpdate => ({
  type: 'Ready',
  status: 'False',
  reason: 'Progressing',
  message: 'starting',
  observedGeneration: 1,
  ...changes,
});

const anyUpdate: fc.Arbitrary<ConditionUpdate> = fc.record({
  type: fc.constantFrom(...types),
  status: fc.constantFrom('True', 'False', 'Unknown'),
  reason: fc.constantFrom(...reasons),
  message: fc.string({ unit: 'grapheme', maxLength: 30 }),
  observedGeneration: fc.nat(5),
});

describe('setCondition', () => {
  it('adds a condition that was not there, with the time of now', () => {
    const [condition] = setCondition([], ready(), EARLY);
    assert.deepEqual(condition, {
      type: 'Ready',
      status: 'False',
      reason: 'Progressing',
      message: 'starting',
      observedGeneration: 1,
      lastTransitionTime: EARLY,
    });
  });

  it('keeps the transition time when only reason, message or generation change', () => {
    const before = setCondition([], ready(), EARLY);
    const after = setCondition(before, ready({ reason: 'SecretMissing', message: 'x', observedGeneration: 2 }), LATE);
    assert.equal(after[0]?.lastTransitionTime, EARLY);
    assert.equal(after.at(0)?.reason, 'SecretMissing');
  });

  it('moves the transition time when the status changes', () => {
    const before = setCondition([], ready(), EARLY);
    const after = setCondition(before, ready({ status: 'True', reason: 'Proved' }), LATE);
    assert.equal(after[0]?.lastTransitionTime, LATE);
  });

  it('returns the very same list when nothing changes, so that nothing is written', () => {
    const before = setCondition([], ready(), EARLY);
    assert.equal(setCondition(before, ready(), LATE), before);
  });

  it('shortens a message to what the API server stores, and settles on it', () => {
    const before = setCondition([], ready({ message: '😀'.repeat(2000) }), EARLY);
    assert.equal(Array.from(before[0]?.message ?? '').length, MESSAGE_LENGTH);
    assert.ok(before[0]?.message.isWellFormed());
    assert.equal(setCondition(before, ready({ message: '😀'.repeat(2000) }), LATE), before);
  });

  it('keeps a message that just fits', () => {
    const message = 'é'.repeat(MESSAGE_LENGTH);
    assert.equal(setCondition([], ready({ message }), EARLY)[0]?.message, message);
  });

  it('holds one condition of each type, leaves the others alone and changes nothing in place (property)', () => {
    fc.assert(
      fc.property(fc.array(anyUpdate, { maxLength: 20 }), anyUpdate, (history, last) => {
        let before: readonly Condition[] = [];
        for (const update of history) before = setCondition(before, update, EARLY);
        const frozen = Object.freeze(before.map((condition) => Object.freeze(condition)));
        const after = setCondition(frozen, last, LATE);
        assert.equal(new Set(after.map((condition) => condition.type)).size, after.length);
        for (const condition of frozen) {
          if (condition.type !== last.type) assert.ok(after.includes(condition));
        }
        assert.equal(findCondition(after, last.type)?.status, last.status);
        assert.equal(setCondition(after, last, LATE), after);
      }),
    );
  });
});

describe('removeCondition', () => {
  it('takes away Stalled, which exists only while true', () => {
    const before = setCondition(
      setCondition([], ready(), EARLY),
      { ...ready(), type: 'Stalled', status: 'True' },
      EARLY,
    );
    assert.deepEqual(
      removeCondition(before, 'Stalled').map((condition) => condition.type),
      ['Ready'],
    );
  });

  it('returns the very same list when there is nothing to take away', () => {
    const before = setCondition([], ready(), EARLY);
    assert.equal(removeCondition(before, 'Stalled'), before);
  });
});

describe('the table of reasons', () => {
  it('names every reason and event in CamelCase words, each with a meaning that is a sentence', () => {
    const entries: readonly (readonly [string, { readonly meaning: string }])[] = [
      ...Object.entries(REASONS),
      ...Object.entries(EVENTS),
      ...Object.entries(CONDITIONS),
    ];
    for (const [name, { meaning }] of entries) {
      assert.match(name, /^[A-Z][A-Za-z]{3,40}$/);
      assert.match(meaning, /^[A-Za-z].*\.$/s, name);
    }
  });

  it('says what to do about every reason that makes Ready, BudgetSatisfied or ServerReachable false', () => {
    const onTheWay = ['Progressing', 'Rollout', 'Scaling', 'Draining', 'Resizing'];
    for (const reason of reasons) {
      const entry: { readonly meaning: string; readonly remedy?: string } = REASONS[reason];
      const isFault = (['Ready', 'BudgetSatisfied', 'ServerReachable', 'ConfigApplied'] as const).some((type) =>
        statusesOf(type, reason).includes('False'),
      );
      if (isFault && !onTheWay.includes(reason)) assert.ok(entry.remedy, reason);
    }
  });

  it('gives every condition that is always there a reason for its good and for its bad status', () => {
    for (const type of types) {
      const statuses = new Set(reasons.flatMap((reason) => statusesOf(type, reason)));
      assert.ok(statuses.has('True'), type);
      const entry: { readonly meaning: string; readonly onlyWhileTrue?: true } = CONDITIONS[type];
      assert.equal(statuses.has('False'), entry.onlyWhileTrue !== true, type);
    }
  });

  it('lets every condition that is always there be unknown before anything was observed', () => {
    for (const type of types) {
      const entry: { readonly meaning: string; readonly onlyWhileTrue?: true; readonly onlyWhileDeclared?: true } =
        CONDITIONS[type];
      const isAlwaysThere = entry.onlyWhileTrue !== true && entry.onlyWhileDeclared !== true;
      assert.deepEqual(statusesOf(type, 'NotObserved'), isAlwaysThere ? ['Unknown'] : [], type);
    }
  });

  it('answers no status for a reason that a condition can not have', () => {
    assert.deepEqual(statusesOf('PoolSaturated', 'SecretMissing'), []);
  });
});
