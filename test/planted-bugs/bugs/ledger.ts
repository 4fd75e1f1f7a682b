// Bugs in what the ledger counts and when it lets a size change: design rules “shrink, verify, grow” and “Σ committed ≤ B”.
import { SIMULATED, type PlantedBug } from '../planted-bug.ts';

const LEDGER = 'src/plan/ledger.ts';
const CELL = 'src/plan/ledger-cell.ts';
const TESTS = 'test/plan/ledger.test.ts';

export const LEDGER_BUGS: readonly PlantedBug[] = [
  {
    name: 'grow-from-the-whole-budget',
    rule: 'Σ committed ≤ B: a grow is paid from what is free, not from the budget',
    file: LEDGER,
    find: 'changes: [...shrinks, ...growsOf(input, freeToGrow, overcommitted > 0)],',
    replace: 'changes: [...shrinks, ...growsOf(input, input.budget, overcommitted > 0)],',
    caughtBy: [{ tests: TESTS, named: 'first lowers the old pods, and lets nobody grow' }, SIMULATED],
  },
  {
    name: 'grow-before-verify',
    rule: 'shrink, verify, grow: what a shrink will free is not free before it is verified',
    file: LEDGER,
    find: 'changes: [...shrinks, ...growsOf(input, freeToGrow, overcommitted > 0)],',
    replace: 'changes: [...shrinks, ...growsOf(input, free + add(shrinks.map(({ from, to }) => from - to)), false)],',
    caughtBy: [{ tests: TESTS, named: 'first lowers the old pods, and lets nobody grow' }, SIMULATED],
  },
  {
    name: 'old-cap-not-counted',
    rule: 'committed = max(cap, seen, unsettled): the old cap counts until the shrink is verified',
    file: CELL,
    find: 'return Math.max(cell.granted, cell.inForce ?? 0, cell.unsettled ?? 0, cell.floor);',
    replace: 'return Math.max(cell.granted, cell.inForce ?? 0, cell.floor);',
    caughtBy: [{ tests: TESTS, named: 'is the old cap until it is struck out' }],
  },
  {
    name: 'old-cap-lost-on-second-shrink',
    rule: 'a shrink that follows an unverified one keeps the larger old cap',
    file: LEDGER,
    find: "return [{ pod, database, from, to: wanted, kind: 'shrink', unsettled }];",
    replace: "return [{ pod, database, from, to: wanted, kind: 'shrink', unsettled: from }];",
    caughtBy: [{ tests: TESTS, named: 'keeps the largest old cap when it follows another that is still draining' }],
  },
  {
    name: 'cap-from-grant-only',
    rule: 'cap is the larger of granted and in force: a size that is still in force counts',
    file: CELL,
    find: `  const running = (cell.inForce ?? cell.floor) + orphansOf(cell);
  return Math.max(ceilingOf(cell), running, seen);
}

/** The largest size that the pod's files may bring in force. */
export function ceilingOf(cell: Cell): number {
  return Math.max(cell.granted, cell.inForce ?? 0, cell.unsettled ?? 0, cell.floor);`,
    replace: `  const running = cell.floor + orphansOf(cell);
  return Math.max(ceilingOf(cell), running, seen);
}

export function ceilingOf(cell: Cell): number {
  return Math.max(cell.granted, cell.unsettled ?? 0, cell.floor);`,
    caughtBy: [{ tests: TESTS, named: 'is the size in force where the grant is not yet loaded' }],
  },
  {
    name: 'cap-from-show-only',
    rule: 'cap is the larger of granted and in force: a grant that is not loaded yet counts',
    file: CELL,
    find: 'return Math.max(cell.granted, cell.inForce ?? 0, cell.unsettled ?? 0, cell.floor);',
    replace: 'return Math.max(cell.inForce ?? cell.granted, cell.unsettled ?? 0, cell.floor);',
    caughtBy: [{ tests: TESTS, named: 'is the grant where a smaller size is still in force' }],
  },
  {
    name: 'floor-of-a-restart-not-counted',
    rule: 'cap: a container that restarts takes boot.ini’s size, whatever it was granted',
    file: CELL,
    find: 'return Math.max(cell.granted, cell.inForce ?? 0, cell.unsettled ?? 0, cell.floor);',
    replace: 'return Math.max(cell.granted, cell.inForce ?? 0, cell.unsettled ?? 0);',
    caughtBy: [{ tests: TESTS, named: 'is the floor that a restart would take' }],
  },
  {
    name: 'seen-without-the-server',
    rule: 'seen is the larger of PostgreSQL’s view and the pooler’s: PostgreSQL’s counts',
    file: CELL,
    find: 'const seen = Math.max(cell.seenByPooler ?? 0, cell.seenByServer ?? 0);',
    replace: 'const seen = cell.seenByPooler ?? 0;',
    caughtBy: [{ tests: TESTS, named: 'is what PostgreSQL still shows' }],
  },
  {
    name: 'seen-without-the-pooler',
    rule: 'seen is the larger of PostgreSQL’s view and the pooler’s: the pooler’s counts',
    file: CELL,
    find: 'const seen = Math.max(cell.seenByPooler ?? 0, cell.seenByServer ?? 0);',
    replace: 'const seen = cell.seenByServer ?? 0;',
    caughtBy: [{ tests: TESTS, named: 'is what the pooler still holds' }],
  },
  {
    name: 'logins-not-seen',
    rule: 'seen includes logins: a server connection under way is a backend',
    file: 'src/pgbouncer/show.ts',
    find: 'servers: serversActive + serversIdle + serversLogin + others,',
    replace: 'servers: serversActive + serversIdle + others,',
    caughtBy: [{ tests: 'test/pgbouncer/show.test.ts', named: 'count every kind of server connection' }],
  },
  {
    name: 'shrink-verified-by-a-floor',
    rule: 'verify: only the very size that was granted, in force, proves a shrink; a restarted container runs less',
    file: CELL,
    find: 'cell.inForce === cell.granted &&',
    replace: '(cell.inForce ?? Infinity) <= cell.granted &&',
    caughtBy: [{ tests: TESTS, named: 'stays open while the container restarted, at a floor that is below' }],
  },
  {
    name: 'shrink-verified-while-connections-are-open',
    rule: 'verify: a shrink is proved when neither view shows more than the new size',
    file: CELL,
    find: 'Math.max(cell.seenByPooler, cell.seenByServer ?? 0) <= cell.granted',
    replace: 'cell.seenByPooler >= 0',
    caughtBy: [{ tests: TESTS, named: 'a shrink stays open while' }],
  },
  {
    name: 'old-size-passes-for-the-proof-of-a-new-one',
    rule: 'a new size is written only when the size in force tells which write it comes from',
    file: CELL,
    find: "return inForce === granted || (kind === 'grow' && inForce !== undefined && inForce < granted);",
    replace: 'return true;',
    caughtBy: [{ tests: TESTS, named: 'waits while the last write is on its way' }],
  },
  {
    name: 'orphans-of-a-restart-forgotten',
    rule: 'backends of a dead container stay committed beside what the new one opens',
    file: CELL,
    find: 'return Math.max(0, cell.seenByServer - (cell.seenByPooler ?? 0));',
    replace: 'return 0;',
    caughtBy: [{ tests: TESTS, named: 'is the orphans of a restarted container beside its floor' }],
  },
  {
    name: 'unseen-orphans-taken-for-none',
    rule: 'where PostgreSQL can’t be asked, the whole grant of a dead container may live on',
    file: CELL,
    find: 'if (cell.seenByServer === undefined) return Math.max(cell.granted, cell.unsettled ?? 0);',
    replace: 'if (cell.seenByServer === undefined) return 0;',
    caughtBy: [{ tests: TESTS, named: 'is its whole grant as possible orphans' }],
  },
  {
    name: 'extra-pods-not-set-aside',
    rule: 'floors for surge and replacement pods are set aside beforehand',
    file: LEDGER,
    find: 'const setAside = input.extraPodsPossible * sumOf(input.floors);',
    replace: 'const setAside = 0;',
    caughtBy: [{ tests: TESTS, named: 'leaves the floors of pods that may still come' }],
  },
  {
    name: 'gone-pods-not-committed',
    rule: 'Σ committed is over every pod that may still hold connections: also one that is gone',
    file: LEDGER,
    find: 'const committed = add(input.cells.map(committedOf)) + add(gone);',
    replace: 'const committed = add(input.cells.map(committedOf));',
    caughtBy: [{ tests: TESTS, named: 'waits for pods that are gone until PostgreSQL shows none of their backends' }],
  },
  {
    name: 'grow-beside-an-unknown',
    rule: 'a pod that is gone and of which nothing is known stops every grow',
    file: LEDGER,
    find: 'const free = unknown ? 0 : Math.max(0, input.budget - committed - setAside);',
    replace: 'const free = Math.max(0, input.budget - committed - setAside);',
    caughtBy: [{ tests: TESTS, named: 'does not happen while a pod is gone of which nothing is known' }],
  },
  {
    name: 'grow-on-top-of-lost-backends',
    rule: 'where more backends are seen than any size allows, a larger size would come on top of them',
    file: LEDGER,
    find: "const may = mayWrite(cell, 'grow') && committedOf(cell) === ceilingOf(cell);",
    replace: "const may = mayWrite(cell, 'grow');",
    caughtBy: [{ tests: TESTS, named: 'waits where more backends are seen than any size allows' }],
  },
  {
    name: 'floors-raised-while-unaffordable',
    rule: 'boot.ini takes larger floors only where every pod could boot at them within the budget',
    file: LEDGER,
    find: 'return step.committed + step.setAside <= input.budget;',
    replace: 'return step.committed >= 0;',
    caughtBy: [{ tests: TESTS, named: 'floors may rise only where every pod could boot at them' }],
  },
  {
    name: 'size-of-nothing-granted',
    rule: 'sizes ≥ 1: PgBouncer reads 0 as unlimited',
    file: LEDGER,
    find: 'return target === undefined ? undefined : Math.max(1, target);',
    replace: 'return target;',
    caughtBy: [{ tests: TESTS, named: 'never goes below one, whatever is wanted' }],
  },
  {
    name: 'taken-away-unreckoned',
    rule: 'a database that a pod is not to run any more leaves connections behind, whether it is declared or not',
    file: 'src/plan/pod-config.ts',
    find: 'if (taken.length === 0) return unsettled;',
    replace: 'if (taken.length >= 0) return unsettled;',
    caughtBy: [
      { tests: 'test/plan/pod-config.test.ts', named: 'reckons with a database that it takes away from a pod' },
    ],
  },
  {
    name: 'room-never-given',
    rule: 'a pod that has to give the room for a database gives it before it is to run that database',
    file: 'src/plan/pod-config.ts',
    find: 'return shrinks || next.unsettled !== undefined ? sizedPart(standing, sizes) : undefined;',
    replace: 'return shrinks && next.unsettled === null ? sizedPart(standing, sizes) : undefined;',
    caughtBy: [
      {
        tests: 'test/plan/pod-config.test.ts',
        named: 'becomes smaller without the database that has no room before it has',
      },
    ],
  },
];
