// Bugs in how the budget is found and divided: whole numbers, fair by weight, never more than PostgreSQL has.
import type { PlantedBug } from '../planted-bug.ts';

const BUDGET = 'src/sizing/budget.ts';
const FLEET = 'src/sizing/size-fleet.ts';

export const SIZING_BUGS: readonly PlantedBug[] = [
  {
    name: 'largest-remainder',
    rule: 'weighted max-min, one unit at a time; never largest remainder, by which a larger budget takes from somebody',
    file: 'src/sizing/fair-share.ts',
    find: `  while (left > 0) {
    let next = open[0];
    if (next === undefined) break;
    for (const claim of open) {
      if ((claim.share + 1) * next.weight < (next.share + 1) * claim.weight) next = claim;
    }`,
    replace: `  const weights = claims.reduce((sum, { weight }) => sum + weight, 0);
  const lacks = ({ weight, share }: (typeof claims)[number]): number => (total * weight) / weights - share;
  while (left > 0) {
    let next = open[0];
    if (next === undefined) break;
    for (const claim of open) {
      if (lacks(claim) > lacks(next)) next = claim;
    }`,
    caughtBy: [{ tests: 'test/sizing/fair-share.test.ts', named: 'where largest remainder gives' }],
  },
  {
    name: 'split-by-load-below-the-floor',
    rule: 'each size ≥ its floor ≥ 1, also where the split follows the clients',
    file: 'src/sizing/split-by-load.ts',
    find: 'weight: Math.max(least, clients), want: total, floor }',
    replace: 'weight: Math.max(least, clients), want: total, floor: 0 }',
    caughtBy: [{ tests: 'test/sizing/split-by-load.test.ts', named: 'gives each pod the floor at least' }],
  },
  {
    name: 'floors-of-replacements-given-away',
    rule: 'Σ sizes + floors set aside ≤ B',
    file: FLEET,
    find: 'const result = fairShare(budget - pods * total(floors), members);',
    replace: 'const result = fairShare(budget, members);',
    caughtBy: [{ tests: 'test/sizing/size-fleet.test.ts', named: 'divides 66 among three databases' }],
  },
  {
    name: 'part-of-coming-pods-given-away',
    rule: 'the part of a wanted pod that does not exist yet is kept free',
    file: FLEET,
    find: 'Array.from({ length: pods - input.pods.length }, (_, index): LoadedHolder => ({',
    replace: 'Array.from({ length: 0 * pods }, (_, index): LoadedHolder => ({',
    caughtBy: [
      { tests: 'test/sizing/size-fleet.test.ts', named: 'keeps the part of pods that are still to come free' },
    ],
  },
  {
    name: 'reserve-given-away',
    rule: 'the reserve is taken off the budget: it is people’s and migrations’',
    file: BUDGET,
    find: 'const budget = allowed - reserve;',
    replace: 'const budget = allowed;',
    caughtBy: [{ tests: 'test/sizing/budget.test.ts', named: 'is what is declared less the reserve' }],
  },
  {
    name: 'more-than-the-server-has',
    rule: 'PostgreSQL allows less than the budget: size to min(declared, usable − others)',
    file: BUDGET,
    find: 'const allowed = usable === undefined ? declared : Math.min(declared, roomBeside(others, usable - monitors, wish));',
    replace: 'const allowed = declared;',
    caughtBy: [{ tests: 'test/sizing/budget.test.ts', named: 'shrinks to what PostgreSQL and the others leave' }],
  },
  {
    name: 'reserved-slots-counted',
    rule: 'usable leaves out the slots that PostgreSQL keeps for superusers and reserved roles',
    file: BUDGET,
    find: 'limits.maxConnections - limits.superuserReserved - limits.reserved',
    replace: 'limits.maxConnections - limits.superuserReserved',
    caughtBy: [{ tests: 'test/sizing/budget.test.ts', named: 'leaves out the slots that PostgreSQL 16 reserves' }],
  },
  {
    name: 'server-away-changes-sizes',
    rule: 'a server that is away must not change any size: its limits are those that status remembers',
    file: 'src/plan/policies/budget-is-possible.ts',
    find: 'if (last?.maxConnections === undefined || last.usable === undefined) return undefined;',
    replace: 'if (last?.maxConnections !== undefined || last?.usable === undefined) return undefined;',
    caughtBy: [
      {
        tests: 'test/plan/budget-is-possible.test.ts',
        named: 'keeps to what the server allowed when it was last read',
      },
    ],
  },
  {
    name: 'shared-server-not-told',
    rule: 'PoolConfigs on one server are checked together; overspending is a condition',
    file: 'src/plan/policies/budget-is-possible.ts',
    find: 'if (usable === undefined || neighbours.length === 0 || total + monitors + (mark?.high ?? 0) <= usable)',
    replace: 'if (usable === undefined || neighbours.length === 0 || declared <= usable)',
    caughtBy: [
      {
        tests: 'test/plan/budget-is-possible.test.ts',
        named: 'says so when PoolConfigs of one server declare more together',
      },
    ],
  },
  {
    name: 'fighting-users-not-told',
    rule: 'a cap below the number of a database’s users makes them fight over servers: it is reported',
    file: 'src/sizing/size-reason.ts',
    find: 'if (facts.users !== undefined && perPod < facts.users) {',
    replace: 'if (facts.users !== undefined && perPod < 1) {',
    caughtBy: [
      { tests: 'test/sizing/size-fleet.test.ts', named: 'notes users who must fight over the connections of a pod' },
    ],
  },
];
