// Bugs that simulated histories found in the real code, planted again where they were.
import type { PlantedBug } from '../planted-bug.ts';

const GRANTS = 'test/plan/grants.test.ts';

export const HISTORY_BUGS: readonly PlantedBug[] = [
  {
    name: 'planned-on-a-write-of-unknown-outcome',
    rule: 'a write whose answer was lost may have happened: its object is read again before anything is planned on it',
    file: 'src/controller/reconcile.ts',
    find: 'await this.#unsure.settle(key, namespace, client, world, signal);',
    replace: 'void client;',
    caughtBy: [
      { tests: 'test/controller/reconcile.test.ts', named: 'reads again what it wrote without getting an answer' },
    ],
  },
  {
    name: 'surge-pod-from-what-another-grew-by',
    rule: 'one plan spends a connection once: what it lets a pod grow by is not free for a new pod',
    file: 'src/plan/plan.ts',
    find: "kind === 'grow' ? sum + to - from : sum), 0);",
    replace: "kind === 'grow' ? sum + 0 * (to - from) : sum), 0);",
    caughtBy: [{ tests: 'test/plan/replica-sets.test.ts', named: 'does not spend on its first pod' }],
  },
  {
    name: 'pod-forgotten-that-status-never-named',
    rule: 'a pod that is gone is reckoned with, also when status could not be written while it was there',
    file: 'src/controller/seen-pods.ts',
    find: 'if (missed.size === 0) return observation;',
    replace: 'if (missed.size >= 0) return observation;',
    caughtBy: [{ tests: 'test/controller/seen-pods.test.ts', named: 'names a pod that is gone before status could' }],
  },
  {
    name: 'grow-beyond-the-declared-on-what-was-proved',
    rule: 'nothing grows beyond the declared budget, also while the last good plan needs more',
    file: 'src/plan/grants.ts',
    find: 'Math.min(basis.budget, declaredBudget ?? basis.budget)',
    replace: 'Math.max(basis.budget, declaredBudget ?? basis.budget)',
    caughtBy: [{ tests: GRANTS, named: 'lets nothing grow beyond what is declared' }],
  },
  {
    name: 'pool-above-its-size-left-there',
    rule: 'lowering a size does not shrink a pool: what it has above its size is drained, whoever let it grow',
    file: 'src/plan/grants.ts',
    find: 'Math.max(cell.unsettled ?? 0, aboveItsSize(cell))',
    replace: '(cell.unsettled ?? 0)',
    caughtBy: [{ tests: GRANTS, named: 'has a pool drained that holds more than its size' }],
  },
  {
    name: 'shrink-proved-by-another-file',
    rule: 'verified: the file that holds the smaller size is in force, not boot.ini with a floor that is the same',
    file: 'src/plan/ledger-cell.ts',
    find: '    cell.otherFile !== true &&\n',
    replace: '',
    caughtBy: [{ tests: GRANTS, named: 'takes a shrink for proved by the file that holds it' }],
  },
  {
    name: 'boot-file-with-the-same-text-accepted',
    rule: 'verified: the pod goes on reading its own file; boot.ini may say the very same while that file still holds the old size',
    file: 'src/plan/cells.ts',
    find: '!runsItsFile(reading, pod.grant);',
    replace: "reading.view.config.get('syslog_ident') !== pod.grant.ini && !runsItsFile(reading, pod.grant);",
    caughtBy: [{ tests: GRANTS, named: 'takes a shrink for proved by the file that holds it' }],
  },
  {
    name: 'leader-mark-withheld',
    rule: 'a new leader stamps its epoch on every pod, also on one that nothing else can be written to',
    file: 'src/plan/pod-config.ts',
    find: '(!projected && pod.grant.model !== modelHash))\n    return asItIs(pod, next, input.observation.epoch);',
    replace: '(!projected && pod.grant.model !== modelHash))\n    return undefined;',
    caughtBy: [{ tests: 'test/plan/pod-config.test.ts', named: 'is left as it is while it can be told nothing else' }],
  },
  {
    name: 'grow-for-an-old-cap-while-overcommitted',
    rule: 'Σ committed ≤ B: while more is committed nothing grows, also not up to an old cap',
    file: 'src/plan/ledger.ts',
    find: 'const paid = overcommitted ? cell.granted : ceilingOf(cell);',
    replace: 'const paid = overcommitted ? ceilingOf(cell) : ceilingOf(cell);',
    caughtBy: [{ tests: 'test/plan/ledger.test.ts', named: 'is not to be had for an old cap while more is committed' }],
  },
  {
    name: 'proved-configuration-starved',
    rule: 'an infeasible specification leaves the last good plan: it keeps the budget that it needs',
    file: 'src/plan/next-record.ts',
    find: 'const least = Math.max(budget, leastBudget(replicas, databases.length));',
    replace: 'const least = Math.max(budget, 0 * leastBudget(replicas, databases.length));',
    caughtBy: [
      {
        tests: 'test/plan/next-record.test.ts',
        named: 'does not take a budget on which the proved configuration could not live',
      },
    ],
  },
  {
    name: 'database-back-beside-its-cut-transactions',
    rule: 'without a monitor role a removed database’s connections are reckoned with for as long as its transactions may run',
    file: 'src/plan/grants.ts',
    find: 'if (declared.has(name) && (!isCut || counted)) continue;',
    replace: 'if (declared.has(name) || (isCut && counted)) continue;',
    caughtBy: [{ tests: GRANTS, named: 'does not give a database back that is declared again' }],
  },
  {
    name: 'backends-of-the-proved-configuration-not-counted',
    rule: 'seen is the larger of PostgreSQL’s view and the pooler’s, for every database that a pod may have',
    file: 'src/plan/cells.ts',
    find: '...proved.map(({ name, dbname }) => [name, dbname] as const),',
    replace: '...proved.slice(0, 0).map(({ name, dbname }) => [name, dbname] as const),',
    caughtBy: [{ tests: GRANTS, named: 'also in a database that only the proved configuration has' }],
  },
  {
    name: 'missing-file-taken-for-a-refusal',
    rule: 'RELOAD’s words alone prove nothing: a file that has not arrived is refused as one with a bad line is',
    file: 'src/plan/canary.ts',
    find: "if (unproved.kind === 'refused' && canary.reading?.ok === true && canary.reading.ranLive === true) {",
    replace: "if (unproved.kind === 'refused') {",
    caughtBy: [
      {
        tests: 'test/plan/canary.test.ts',
        named: 'says nothing of it while the pod’s first file may not have arrived',
      },
    ],
  },
  {
    name: 'restart-expected-for-ever',
    rule: 'a container’s share comes back: a restart that the API never tells of was none',
    file: 'src/controller/prover.ts',
    find: 'return nowMs - leftAtMs < RESTART_TOLD_WITHIN_MS;',
    replace: 'return nowMs - leftAtMs < RESTART_TOLD_WITHIN_MS || true;',
    caughtBy: [{ tests: 'test/controller/prover.test.ts', named: 'has restarted, which the API is about to tell' }],
  },
  {
    name: 'load-repeated-at-full-speed',
    rule: 'a file that does not arrive is looked for ever more seldom, and so is RELOAD sent',
    file: 'src/plan/waits.ts',
    find: "if (actions.every((action) => action.kind === 'loadLive')) return pendingMs ?? 80;",
    replace: "if (actions.every((action) => action.kind === 'loadLive')) return 80;",
    caughtBy: [{ tests: 'test/plan/waits.test.ts', named: 'is loaded and looked for at gaps that grow with its age' }],
  },
];
