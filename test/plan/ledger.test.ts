// One step of the budget ledger: worked scale-outs and rollouts, single decisions, and what holds for every input.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Sizes } from '../../src/model/pooler-model.ts';
import { committedOf, mayRaiseFloors, mayRestore, stepLedger } from '../../src/plan/ledger.ts';
import type { Cell, GrantChange, LedgerInput, LedgerStep } from '../../src/plan/ledger.ts';
import { sumOf } from '../../src/sizing/sizes.ts';
import { propertyRuns } from '../sizing/property-runs.ts';

const numRuns = propertyRuns();
const cellOf = (pod: string, granted: number, over: Partial<Cell> = {}): Cell => ({
  pod,
  database: 'db',
  granted,
  inForce: granted,
  seenByPooler: granted,
  floor: 1,
  canChange: true,
  ...over,
});
const all = (targets: Readonly<Record<string, number>>): ReadonlyMap<string, Sizes> =>
  new Map(Object.entries(targets).map(([pod, db]) => [pod, { db }]));
const input = (budget: number, cells: readonly Cell[], over: Partial<LedgerInput> = {}): LedgerInput => ({
  budget,
  cells,
  targets: new Map(),
  floors: { db: 1 },
  extraPodsPossible: 0,
  gone: [],
  ...over,
});
type Place = { readonly pod: string; readonly database: string };
const isOf =
  (cell: Place) =>
  (other: Place): boolean =>
    other.pod === cell.pod && other.database === cell.database;

/** The cells once the step is written on the pods, before any pod has taken notice. */
function written(cells: readonly Cell[], step: Pick<LedgerStep, 'changes' | 'settled'>): readonly Cell[] {
  return cells.map((cell) => {
    const change = step.changes.find(isOf(cell));
    const standing = step.settled.some(isOf(cell)) ? undefined : cell.unsettled;
    return change === undefined
      ? { ...cell, unsettled: standing }
      : { ...cell, granted: change.to, unsettled: change.unsettled };
  });
}

/** The cells once every pod runs what was written and has closed what it had above. */
function obeyed(cells: readonly Cell[]): readonly Cell[] {
  return cells.map((cell) => ({ ...cell, inForce: cell.granted, seenByPooler: cell.granted }));
}
const grantsOf = (cells: readonly Cell[]): readonly number[] => cells.map(({ granted }) => granted);
const sumCommitted = (cells: readonly Cell[]): number => cells.reduce((sum, cell) => sum + committedOf(cell), 0);
const short = (changes: readonly GrantChange[]): readonly string[] =>
  changes.map(
    ({ pod, from, to, unsettled }) => `${pod} ${from}→${to}${unsettled === undefined ? '' : ` (${unsettled})`}`,
  );

describe('a worked scale-out from two to four pods with a budget of 60', () => {
  const targets = all({ a: 14, b: 14, c: 14, d: 14 });
  const two = [cellOf('a', 29), cellOf('b', 29)];
  const four = [...two, cellOf('c', 1), cellOf('d', 1)];

  it('is full before and after the new pods boot at the floor', () => {
    const before = stepLedger(input(60, two, { extraPodsPossible: 2, targets: all({ a: 29, b: 29 }) }));
    assert.deepEqual([before.committed, before.setAside, before.free], [58, 2, 0]);
    assert.equal(sumCommitted(four), 60);
  });

  it('first lowers the old pods, and lets nobody grow', () => {
    const step = stepLedger(input(60, four, { targets }));
    assert.deepEqual(short(step.changes), ['a 29→14 (29)', 'b 29→14 (29)']);
    const lowered = written(four, step);
    assert.equal(sumCommitted(lowered), 60);
    assert.deepEqual(stepLedger(input(60, lowered, { targets })).changes, []);
  });

  it('lets the new pods grow once the shrinks are verified', () => {
    const verified = obeyed(written(four, stepLedger(input(60, four, { targets }))));
    const proof = stepLedger(input(60, verified, { targets, extraPodsPossible: 4 }));
    assert.deepEqual(
      proof.settled.map(({ pod }) => pod),
      ['a', 'b'],
    );
    const settled = written(verified, proof);
    assert.equal(sumCommitted(settled), 30);
    const step = stepLedger(input(60, settled, { targets, extraPodsPossible: 4 }));
    assert.deepEqual(short(step.changes), ['c 1→14', 'd 1→14']);
    assert.equal(sumCommitted(written(settled, step)), 56);
  });
});

describe('a worked rollout of four pods with a budget of 60', () => {
  it('moves each share from an old to a new pod, and never commits more than 60', () => {
    const old = ['a', 'b', 'c', 'd'];
    let cells = old.map((pod) => cellOf(pod, 14));
    const atRest = stepLedger(input(60, cells, { extraPodsPossible: 4 }));
    assert.deepEqual([atRest.committed, atRest.setAside, atRest.free], [56, 4, 0]);
    const sums: number[] = [];
    old.forEach((pod, index) => {
      const fresh = `new-${pod}`;
      const extraPodsPossible = 4 - 1 - index;
      const targets = all({ [pod]: 1, [fresh]: 14 });
      cells = [...cells, cellOf(fresh, 1)];
      sums.push(sumCommitted(cells));
      const ask = (): LedgerStep => stepLedger(input(60, cells, { targets, extraPodsPossible }));
      // Commanded, verified, struck from the annotation, granted on.
      cells = [...written(cells, ask())];
      sums.push(sumCommitted(cells));
      cells = [...obeyed(cells)];
      cells = [...written(cells, ask())];
      sums.push(sumCommitted(cells));
      cells = [...obeyed(written(cells, ask()))];
      sums.push(sumCommitted(cells));
      cells = cells.map((cell) => (cell.pod === pod ? { ...cell, canChange: false } : cell));
    });
    assert.deepEqual(sums.slice(0, 4), [57, 57, 44, 57]);
    assert.deepEqual(grantsOf(cells), [1, 1, 1, 1, 14, 14, 14, 14]);
    assert.equal(sumCommitted(cells), 60);
    assert.ok(Math.max(...sums) <= 60, sums.join());
    assert.equal(sumCommitted(cells.slice(4)), 56);
  });

  it('has room for every replacement when all old pods are frozen at their full size', () => {
    const cells = [
      ...['a', 'b', 'c', 'd'].map((pod) => cellOf(pod, 14, { canChange: false })),
      ...['e', 'f', 'g', 'h'].map((pod) => cellOf(pod, 1)),
    ];
    const step = stepLedger(input(60, cells, { targets: all({ e: 14, f: 14, g: 14, h: 14 }) }));
    assert.deepEqual([step.committed, step.free, step.overcommitted, step.changes], [60, 0, 0, []]);
  });

  it('would be over the budget with a set-aside for one extra pod only', () => {
    const frozen = [15, 15, 15, 14].map((size, index) => cellOf(`old-${index}`, size, { canChange: false }));
    const replaced = [...frozen, ...['e', 'f', 'g', 'h'].map((pod) => cellOf(pod, 1))];
    assert.equal(stepLedger(input(60, replaced)).overcommitted, 3);
  });
});

describe('what a cell is committed', () => {
  const cases: readonly (readonly [string, Partial<Cell>, number])[] = [
    ['the grant', {}, 10],
    ['the size in force where the grant is not yet loaded', { inForce: 14 }, 14],
    ['the grant where a smaller size is still in force', { inForce: 4, seenByPooler: 4 }, 10],
    ['what the pooler still holds', { seenByPooler: 13 }, 13],
    ['what PostgreSQL still shows', { seenByServer: 12 }, 12],
    ['the old cap until it is struck out', { unsettled: 14 }, 14],
    ['the floor that a restart would take', { floor: 11 }, 11],
    ['the grant of a pod that cannot be asked', { inForce: undefined, seenByPooler: undefined }, 10],
    [
      'the orphans of a restarted container beside its floor',
      { poolerRestarted: true, inForce: 2, seenByPooler: 1, seenByServer: 10 },
      11,
    ],
    [
      'its whole grant as possible orphans where PostgreSQL cannot be asked',
      { poolerRestarted: true, inForce: 2, seenByPooler: 1 },
      12,
    ],
  ];
  for (const [what, over, expected] of cases) {
    it(`is ${what}`, () => {
      assert.equal(committedOf(cellOf('a', 10, over)), expected);
    });
  }
});

describe('a shrink', () => {
  const shrunk = (over: Partial<Cell>): LedgerStep =>
    stepLedger(input(60, [cellOf('a', 7, { unsettled: 14, ...over })]));

  it('is settled when the granted size is in force and neither view shows more', () => {
    assert.equal(shrunk({}).settled.length, 1);
    assert.equal(shrunk({ seenByServer: 7 }).settled.length, 1);
  });

  const open: readonly (readonly [string, Partial<Cell>])[] = [
    ['the old size is still in force', { inForce: 14 }],
    ['the pooler holds more', { seenByPooler: 8 }],
    ['PostgreSQL shows more', { seenByServer: 8 }],
    ['the pod cannot be asked', { inForce: undefined, seenByPooler: undefined }],
    ['the pod runs another file, which has the very size', { otherFile: true }],
    ['the container restarted, at a floor that is below', { inForce: 1, seenByPooler: 0 }],
    ['the container restarted, at a floor that happens to be the size', { poolerRestarted: true, seenByServer: 7 }],
  ];
  for (const [why, over] of open) {
    it(`stays open while ${why}`, () => {
      const step = shrunk(over);
      assert.deepEqual(step.settled, []);
      assert.equal(step.committed, 14);
    });
  }

  it('never goes below one, whatever is wanted', () => {
    const step = stepLedger(input(60, [cellOf('a', 7)], { targets: all({ a: 0 }) }));
    assert.deepEqual(short(step.changes), ['a 7→1 (7)']);
  });

  it('keeps the largest old cap when it follows another that is still draining', () => {
    const draining = cellOf('a', 10, { unsettled: 14, seenByPooler: 13 });
    assert.deepEqual(short(stepLedger(input(60, [draining], { targets: all({ a: 6 }) })).changes), ['a 10→6 (14)']);
  });

  it('waits while the last write is on its way, else an old size could pass for its proof', () => {
    const growing = cellOf('a', 14, { inForce: 7 });
    assert.deepEqual(stepLedger(input(60, [growing], { targets: all({ a: 7 }) })).changes, []);
    const shrinking = cellOf('a', 7, { inForce: 14, unsettled: 14 });
    assert.deepEqual(stepLedger(input(60, [shrinking], { targets: all({ a: 10 }) })).changes, []);
  });

  it('lowers a restarted container to what its orphans leave, so that it may get its share back', () => {
    const cell = cellOf('a', 14, { poolerRestarted: true, inForce: 1, seenByPooler: 1, seenByServer: 6 });
    assert.equal(mayRestore(cell), false);
    const step = stepLedger(input(60, [cell], { targets: all({ a: 14 }) }));
    assert.deepEqual(short(step.changes), ['a 14→9 (14)']);
    assert.ok(written([cell], step).every(mayRestore));
    assert.equal(mayRestore({ ...cell, seenByServer: 1 }), true);
  });

  it('leaves pods alone for which nothing is wanted, and pods that must not be written', () => {
    const cells = [cellOf('a', 14), cellOf('b', 14, { canChange: false })];
    assert.deepEqual(stepLedger(input(60, cells, { targets: all({ b: 3 }) })).changes, []);
  });
});

describe('a grow', () => {
  it('serves the most starved first, one unit at a time', () => {
    const cells = [cellOf('a', 6), cellOf('b', 1), cellOf('c', 3)];
    const step = stepLedger(input(15, cells, { targets: all({ a: 10, b: 10, c: 20 }) }));
    // 5 are free: b and c are raised to about the same part of what they want, a waits.
    assert.deepEqual(short(step.changes), ['b 1→3', 'c 3→6']);
  });

  it('costs nothing up to the old cap, which stays written until it is proved', () => {
    const cell = cellOf('a', 7, { unsettled: 14, seenByPooler: 12 });
    const step = stepLedger(input(14, [cell], { targets: all({ a: 20 }) }));
    assert.deepEqual(short(step.changes), ['a 7→14 (14)']);
  });

  it('is not to be had for an old cap while more is committed than there is: that must come free first', () => {
    const cells = [cellOf('a', 2, { unsettled: 17 }), cellOf('b', 7)];
    assert.deepEqual(stepLedger(input(12, cells, { targets: all({ a: 6, b: 7 }) })).changes, []);
    assert.deepEqual(short(stepLedger(input(24, cells, { targets: all({ a: 6, b: 7 }) })).changes), ['a 2→6']);
  });

  it('starts a database that a pod has nothing of yet', () => {
    const step = stepLedger(input(60, [cellOf('a', 0, { floor: 0 })], { targets: all({ a: 5 }) }));
    assert.deepEqual(short(step.changes), ['a 0→5']);
  });

  it('waits for pods that are gone until PostgreSQL shows none of their backends, or their quarantine ends', () => {
    const ask = (gone: LedgerInput['gone']): LedgerStep =>
      stepLedger(input(20, [cellOf('a', 5)], { targets: all({ a: 20 }), gone }));
    assert.deepEqual(short(ask([{ pod: 'z', seenByServer: 9 }]).changes), ['a 5→11']);
    assert.deepEqual(short(ask([{ pod: 'z', quarantine: 15 }]).changes), []);
    assert.deepEqual(short(ask([{ pod: 'z', seenByServer: 0 }]).changes), ['a 5→20']);
  });

  it('does not happen while a pod is gone of which nothing is known', () => {
    const step = stepLedger(input(20, [cellOf('a', 5)], { targets: all({ a: 20 }), gone: [{ pod: 'z' }] }));
    assert.deepEqual([step.free, step.changes], [0, []]);
  });

  it('waits where more backends are seen than any size allows', () => {
    const cell = cellOf('a', 5, { seenByServer: 8 });
    assert.deepEqual(stepLedger(input(60, [cell], { targets: all({ a: 20 }) })).changes, []);
  });

  it('leaves the floors of pods that the same plan creates', () => {
    const step = stepLedger(
      input(20, [cellOf('a', 5)], { targets: all({ a: 20 }), floors: { db: 3 }, podsToCreate: 2 }),
    );
    assert.deepEqual([step.free, short(step.changes)], [15, ['a 5→14']]);
  });

  it('leaves the first connection of a database that a pod has nothing of, and cannot be told of yet', () => {
    const cells = [cellOf('a', 0, { floor: 0, canChange: false }), cellOf('b', 5)];
    assert.deepEqual(short(stepLedger(input(20, cells, { targets: all({ a: 5, b: 20 }) })).changes), ['b 5→19']);
  });

  it('leaves the floors of pods that may still come', () => {
    const step = stepLedger(
      input(20, [cellOf('a', 5)], { targets: all({ a: 20 }), floors: { db: 3 }, extraPodsPossible: 2 }),
    );
    assert.deepEqual([step.setAside, short(step.changes)], [6, ['a 5→14']]);
  });
});

describe('floors', () => {
  it('may rise only where every pod could boot at them, and may always fall', () => {
    const cells = [cellOf('a', 10), cellOf('b', 10)];
    const asked = input(24, cells, { extraPodsPossible: 2, floors: { db: 1 } });
    assert.equal(mayRaiseFloors(asked, { db: 2 }), true);
    assert.equal(mayRaiseFloors(asked, { db: 3 }), false);
    assert.equal(mayRaiseFloors({ ...asked, floors: { db: 2 } }, { db: 1 }), true);
  });

  it('may fall also while too much is committed: a lowered budget may wait for these very floors', () => {
    const cells = [cellOf('a', 10, { floor: 3 }), cellOf('b', 10, { floor: 3 })];
    const asked = input(8, cells, { extraPodsPossible: 2, floors: { db: 3 } });
    assert.equal(stepLedger(asked).overcommitted, 12);
    assert.equal(mayRaiseFloors(asked, { db: 1 }), true);
    assert.equal(mayRaiseFloors(asked, { db: 4 }), false);
  });

  it('count for a drained pod, which may restart', () => {
    assert.equal(mayRaiseFloors(input(10, [cellOf('a', 1)]), { db: 11 }), false);
  });
});

const size = fc.integer({ min: 1, max: 20 });
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const anyCell = fc.record({
  cell: fc.record({
    granted: size,
    seenByPooler: maybe(fc.nat(20)),
    seenByServer: maybe(fc.nat(20)),
    unsettled: maybe(size),
    floor: fc.integer({ min: 1, max: 4 }),
    canChange: fc.boolean(),
    poolerRestarted: fc.boolean(),
  }),
  inForce: fc.oneof({ weight: 3, arbitrary: fc.constant('granted' as const) }, { weight: 1, arbitrary: maybe(size) }),
  target: maybe(fc.nat(25)),
});
const ledgers = fc
  .record({
    cells: fc.array(anyCell, { minLength: 1, maxLength: 8 }),
    slack: fc.integer({ min: -10, max: 40 }),
    extraPodsPossible: fc.nat(3),
    gone: fc.array(
      fc.record({ pod: fc.constant('gone'), seenByServer: maybe(fc.nat(9)), quarantine: maybe(fc.nat(9)) }),
      {
        maxLength: 2,
      },
    ),
  })
  .map(({ cells: drawn, slack, extraPodsPossible, gone }): LedgerInput => {
    const cells = drawn.map(({ cell, inForce }, index): Cell => ({
      pod: `p${index >> 1}`,
      database: `db${index & 1}`,
      ...cell,
      inForce: inForce === 'granted' ? cell.granted : inForce,
    }));
    const targets = new Map<string, Sizes>();
    cells.forEach(({ pod, database }, index) => {
      const target = drawn[index]?.target;
      if (target !== undefined) targets.set(pod, { ...targets.get(pod), [database]: target });
    });
    const budget = Math.max(1, sumCommitted(cells) + slack);
    return { budget, cells, targets, floors: { db0: 1, db1: 2 }, extraPodsPossible, gone };
  });

function forAll(check: (asked: LedgerInput, step: LedgerStep) => void): void {
  fc.assert(
    fc.property(ledgers, (asked) => {
      check(asked, stepLedger(asked));
    }),
    { numRuns },
  );
}

describe('every step of the ledger', () => {
  it('writes no size below one, and moves each towards what is wanted (L2)', () => {
    forAll((asked, { changes }) => {
      for (const change of changes) {
        const cell = asked.cells.find(isOf(change));
        assert.ok(cell?.granted === change.from && change.to >= 1 && cell.canChange);
        const target = Math.max(1, asked.targets.get(change.pod)?.[change.database] ?? 0);
        if (change.kind === 'grow') assert.ok(change.to > change.from && change.to <= target);
        else assert.ok(change.to < change.from && (change.to >= target || cell.poolerRestarted === true));
      }
      const firstGrow = changes.findIndex(({ kind }) => kind === 'grow');
      if (firstGrow >= 0) assert.ok(changes.slice(firstGrow).every(({ kind }) => kind === 'grow'));
    });
  });

  it('lets nothing grow on what a shrink has not yet proved: any part of it, in any order, stays within the budget (L3)', () => {
    fc.assert(
      fc.property(ledgers, fc.infiniteStream(fc.boolean()), (asked, picks) => {
        const step = stepLedger(asked);
        const taken = (): boolean => picks.next().value === true;
        // Settled entries and changes of one cell are one write; a part of the writes may get lost.
        const kept = asked.cells.filter(taken);
        const isKept = (entry: Place): boolean => kept.some((cell) => isOf(cell)(entry));
        const after = written(asked.cells, {
          changes: step.changes.filter(isKept),
          settled: step.settled.filter(isKept),
        });
        assert.ok(sumCommitted(after) <= sumCommitted(asked.cells) + step.free);
        if (step.committed + step.setAside > asked.budget) assert.ok(sumCommitted(after) <= sumCommitted(asked.cells));
      }),
      { numRuns },
    );
  });

  it('keeps every old cap in writing until it is proved (L6)', () => {
    forAll((asked, step) => {
      for (const cell of written(asked.cells, step)) {
        const before = asked.cells.find(isOf(cell));
        assert.ok(before !== undefined);
        const proved =
          before.inForce === before.granted &&
          (before.seenByServer ?? 0) <= before.granted &&
          (before.seenByPooler ?? Infinity) <= before.granted &&
          before.poolerRestarted !== true;
        const largest = Math.max(before.granted, before.inForce ?? 0, proved ? 0 : (before.unsettled ?? 0));
        const shrink = step.changes.some((change) => isOf(cell)(change) && change.kind === 'shrink');
        if (shrink) assert.equal(cell.unsettled, largest);
        else if (before.unsettled !== undefined && cell.unsettled === undefined) assert.ok(proved);
      }
    });
  });

  it('asks for nothing more when asked again after its answer was written (L4)', () => {
    forAll((asked, step) => {
      const again = stepLedger({ ...asked, cells: written(asked.cells, step) });
      const struck = step.settled.map(({ pod, database }) => `${pod}/${database}`);
      // What was struck out is free only now; nothing else may move.
      if (struck.length === 0) assert.deepEqual(again.changes, []);
      assert.deepEqual(again.settled, []);
      assert.ok(again.changes.every(({ kind }) => kind === 'grow'));
    });
  });

  it('answers the same whatever the order of the cells', () => {
    forAll((asked, step) => {
      const other = stepLedger({ ...asked, cells: asked.cells.toReversed() });
      const sorted = (changes: readonly GrantChange[]): readonly string[] =>
        changes.map((change) => JSON.stringify(change)).sort();
      assert.deepEqual(sorted(other.changes), sorted(step.changes));
      assert.deepEqual([other.free, other.committed], [step.free, step.committed]);
    });
  });

  it('adds up', () => {
    forAll((asked, step) => {
      const gone = asked.gone.reduce((sum, entry) => sum + Math.max(entry.seenByServer ?? 0, entry.quarantine ?? 0), 0);
      assert.equal(step.committed, sumCommitted(asked.cells) + gone);
      assert.equal(step.setAside, asked.extraPodsPossible * sumOf(asked.floors));
      assert.equal(step.overcommitted, Math.max(0, step.committed - asked.budget));
      assert.ok(step.free >= 0 && (step.free === 0 || step.committed + step.setAside + step.free === asked.budget));
    });
  });
});
