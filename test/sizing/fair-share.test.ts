// Weighted max-min shares: the nine properties that make them fit for live connections, and a worked comparison with quotas.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ceilingOf, fairShare } from '../../src/sizing/fair-share.ts';
import type { Member } from '../../src/sizing/fair-share.ts';
import { propertyRuns } from './property-runs.ts';

const numRuns = propertyRuns();
const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const members = fc
  .array(
    fc.record({
      weight: fc.integer({ min: 1, max: 7 }),
      floor: fc.integer({ min: 0, max: 6 }),
      want: fc.integer({ min: 0, max: 40 }),
      cap: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((list) =>
    list.map(({ cap, ...rest }, index): Member => {
      const member = { name: names[index] ?? '?', ...rest };
      return cap === undefined ? member : { ...member, cap };
    }),
  );
const total = fc.integer({ min: 0, max: 150 });

function sharesOf(budget: number, list: readonly Member[]): ReadonlyMap<string, number> | undefined {
  const result = fairShare(budget, list);
  return result.feasible ? result.shares : undefined;
}
const of = (shares: ReadonlyMap<string, number>, name: string): number => {
  const share = shares.get(name);
  assert.ok(share !== undefined, `no share for ${name}`);
  return share;
};
const sum = (values: Iterable<number>): number => [...values].reduce((all, value) => all + value, 0);

function forAllFeasible(
  check: (budget: number, list: readonly Member[], shares: ReadonlyMap<string, number>) => void,
): void {
  fc.assert(
    fc.property(total, members, (budget, list) => {
      const shares = sharesOf(budget, list);
      if (shares !== undefined) check(budget, list, shares);
    }),
    { numRuns },
  );
}

describe('fairShare', () => {
  const open = (weights: readonly number[]): readonly Member[] =>
    weights.map((weight, index) => ({ name: names[index] ?? '?', weight, floor: 1, want: 99 }));
  const worked: readonly (readonly [number, readonly number[], readonly number[]])[] = [
    [10, [5, 4, 1], [4, 4, 2]],
    [11, [5, 5, 1], [5, 5, 1]],
    [12, [6, 5, 1], [5, 5, 2]],
  ];
  for (const [budget, fair, quotas] of worked) {
    it(`divides ${budget} by weights 6 : 6 : 2 into ${fair.join(', ')}, where largest remainder gives ${quotas.join(', ')}`, () => {
      assert.deepEqual(
        [...(sharesOf(budget, open([6, 6, 2])) ?? [])].map(([, share]) => share),
        fair,
      );
      assert.deepEqual(largestRemainder(budget, [6, 6, 2]), quotas);
    });
  }

  it('allocates nothing exactly when the floors do not fit (A1)', () => {
    fc.assert(
      fc.property(total, members, (budget, list) => {
        const result = fairShare(budget, list);
        const floors = sum(list.map(({ floor }) => floor));
        assert.equal(result.feasible, floors <= budget);
        if (!result.feasible) assert.equal(result.needed, floors);
      }),
      { numRuns },
    );
  });

  it('gives integers between the floor and what is wanted within the cap (A2)', () => {
    forAllFeasible((_, list, shares) => {
      for (const member of list) {
        const share = of(shares, member.name);
        assert.ok(Number.isInteger(share) && share >= member.floor && share <= ceilingOf(member));
      }
    });
  });

  it('leaves nothing over that anybody wants (A3)', () => {
    forAllFeasible((budget, list, shares) => {
      assert.equal(sum(shares.values()), Math.min(budget, sum(list.map(ceilingOf))));
      const result = fairShare(budget, list);
      assert.ok(result.feasible && result.unassigned === budget - sum(shares.values()));
    });
  });

  it('takes nothing from one who has less for its weight (A4)', () => {
    forAllFeasible((_, list, shares) => {
      for (const poor of list) {
        const has = of(shares, poor.name);
        if (has >= ceilingOf(poor)) continue;
        for (const rich of list) {
          const holds = of(shares, rich.name);
          if (holds > rich.floor) assert.ok(holds * poor.weight <= (has + 1) * rich.weight);
        }
      }
    });
  });

  it('gives one connection more to at most one member when the budget grows by one, and takes none (A5)', () => {
    forAllFeasible((budget, list, shares) => {
      const more = sharesOf(budget + 1, list);
      assert.ok(more !== undefined);
      const gains = list.map(({ name }) => of(more, name) - of(shares, name)).filter((gain) => gain !== 0);
      assert.ok(gains.length <= 1 && gains.every((gain) => gain === 1), gains.join());
    });
  });

  it('never hurts the one who asks for more, nor helps another by it (A6)', () => {
    const raise = fc.record({
      index: fc.nat(7),
      field: fc.constantFrom('want' as const, 'cap' as const, 'weight' as const, 'floor' as const),
      by: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(total, members, raise, (budget, list, { index, field, by }) => {
        const raised = list.map((member, at) =>
          at === index % list.length && member[field] !== undefined
            ? { ...member, [field]: member[field] + by }
            : member,
        );
        const before = sharesOf(budget, list);
        const after = sharesOf(budget, raised);
        if (before === undefined || after === undefined) return;
        list.forEach(({ name }, at) => {
          const gain = of(after, name) - of(before, name);
          assert.ok(at === index % list.length ? gain >= 0 : gain <= 0, `${name} ${gain}`);
        });
      }),
      { numRuns },
    );
  });

  it('lowers nobody when a member leaves (A7)', () => {
    forAllFeasible((budget, list, shares) => {
      const rest = list.slice(1);
      const after = sharesOf(budget, rest);
      assert.ok(after !== undefined);
      for (const { name } of rest) assert.ok(of(after, name) >= of(shares, name));
    });
  });

  it('gives the same shares when one is fixed and the rest divided among the others (A8)', () => {
    forAllFeasible((budget, list, shares) => {
      const fixed = list[list.length - 1];
      assert.ok(fixed !== undefined);
      const rest = sharesOf(budget - of(shares, fixed.name), list.slice(0, -1));
      assert.ok(rest !== undefined);
      for (const [name, share] of rest) assert.equal(share, of(shares, name));
    });
  });

  it('does not depend on the order of the members (A9)', () => {
    const shuffled = members.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray([...list], { minLength: list.length })),
    );
    fc.assert(
      fc.property(total, shuffled, (budget, [list, other]) => {
        const one = sharesOf(budget, list);
        const two = sharesOf(budget, other);
        assert.equal(one === undefined, two === undefined);
        for (const { name } of list) assert.equal(one?.get(name), two?.get(name));
      }),
      { numRuns },
    );
  });
});

/** The rule that is not used: quotas rounded down, what is left over to the largest fractions. */
function largestRemainder(budget: number, weights: readonly number[]): readonly number[] {
  const whole = sum(weights);
  const quotas = weights.map((weight) => (budget * weight) / whole);
  const floors = quotas.map(Math.floor);
  const order = quotas
    .map((quota, index) => ({ index, fraction: quota - Math.floor(quota) }))
    .sort((a, b) => b.fraction - a.fraction || a.index - b.index)
    .slice(0, budget - sum(floors));
  return floors.map((floor, index) => floor + (order.some((entry) => entry.index === index) ? 1 : 0));
}
