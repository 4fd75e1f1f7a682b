// Bugs in which pods the ledger hears of: every one that exists or may still hold connections, in whatever state it is.
import { SIMULATED, type PlantedBug } from '../planted-bug.ts';

const GRANTS = 'src/plan/grants.ts';
const SUMMARY = 'src/plan/summary.ts';
const TESTS = 'test/plan/grants.test.ts';
const CELLS = 'const cells = states.flatMap((state) => cellsOf(state, declared, input));';
const cellsWhere = (condition: string): string =>
  `const cells = states.filter(({ phase }) => ${condition}).flatMap((state) => cellsOf(state, declared, input));`;

export const POD_BUGS: readonly PlantedBug[] = [
  {
    name: 'only-ready-pods-counted',
    rule: 'Σ committed is over every pod that exists: a starting one opens connections before it is Ready',
    file: GRANTS,
    find: CELLS,
    replace: cellsWhere("phase === 'Serving'"),
    caughtBy: [{ tests: TESTS, named: 'counts a pod that is not Ready yet' }],
  },
  {
    name: 'terminating-pods-forgotten',
    rule: 'Σ committed is over every pod that exists: a terminating one holds its connections',
    file: GRANTS,
    find: CELLS,
    replace: cellsWhere("phase !== 'Terminating'"),
    caughtBy: [{ tests: TESTS, named: 'counts a pod that is being deleted' }, SIMULATED],
  },
  {
    name: 'draining-pods-forgotten',
    rule: 'Σ committed is over every pod that exists: a draining one holds its connections',
    file: GRANTS,
    find: CELLS,
    replace: cellsWhere("phase !== 'Draining'"),
    caughtBy: [{ tests: TESTS, named: 'counts a pod that drains' }],
  },
  {
    name: 'silent-pods-forgotten',
    rule: 'Σ committed is over every pod that exists: one that can’t be asked counts with its grant',
    file: GRANTS,
    find: CELLS,
    replace:
      'const cells = states.filter(({ reading }) => reading?.ok === true).flatMap((state) => cellsOf(state, declared, input));',
    caughtBy: [{ tests: TESTS, named: 'counts a pod whose console does not answer' }],
  },
  {
    name: 'gone-pods-left-out-of-status',
    rule: 'a pod’s share is freed only when PostgreSQL shows no backend of it: status remembers pods that are gone',
    file: SUMMARY,
    find: 'return [...present, ...gone];',
    replace: 'void gone;\n  return present;',
    caughtBy: [{ tests: 'test/plan/backends.test.ts', named: 'keeps the share of a lost pod back' }, SIMULATED],
  },
  {
    name: 'gone-pods-not-read-from-status',
    rule: 'a pod’s share is freed only when PostgreSQL shows no backend of it: the ledger is told of pods that are gone',
    file: GRANTS,
    find: 'gone: gonePods(observation),',
    replace: 'gone: gonePods(observation).slice(0, 0),',
    caughtBy: [
      { tests: TESTS, named: 'keeps back what a lost pod was granted until its quarantine ends' },
      { tests: TESTS, named: 'keeps back all that it was granted for as long as one of them is there' },
    ],
  },
  {
    name: 'quarantine-dropped',
    rule: 'without a monitor role a lost pod’s share stays out of use for the stated quarantine',
    file: 'src/plan/gone-pods.ts',
    find: 'return observation.nowMs - parseIso(entry.since) < QUARANTINE_MS;',
    replace: 'return observation.nowMs - parseIso(entry.since) < 0 * QUARANTINE_MS;',
    caughtBy: [{ tests: TESTS, named: 'keeps it back for a while where none is there and nobody saw its process end' }],
  },
  {
    name: 'lost-pod-counted-by-what-it-holds-now',
    rule: 'a pod’s share is freed only when it is gone and PostgreSQL shows no backend from it: its process may live and take all of it again',
    file: 'src/plan/gone-pods.ts',
    find: 'quarantine: Math.max(leftBehind(observation, entry) ?? 0, entry.mayHold ?? sizeOf(entry))',
    replace: 'quarantine: leftBehind(observation, entry) ?? sizeOf(entry)',
    caughtBy: [{ tests: TESTS, named: 'keeps back all that it was granted for as long as one of them is there' }],
  },
  {
    name: 'room-for-a-database-on-the-canary',
    rule: 'shrink, verify, grow: also the pod that tries a new configuration gives the room for it',
    file: 'src/plan/pod-config.ts',
    find: ': sizedModel(standing, { ...(pod.grant?.sizes ?? input.bootFloors), ...next.sizes }));',
    replace: ': undefined);',
    caughtBy: [
      { tests: 'test/plan/plan.test.ts', named: 'makes room for a database more in a fleet that has spent its budget' },
    ],
  },
  {
    name: 'overtaken-rollout-stands-still',
    rule: 'a rollout comes to its end, also one that another one overtakes in a tight budget',
    file: 'src/plan/replica-sets.ts',
    find: 'return formerReplicas > replicas && !draining ? drainOneFormer(input) : [];',
    replace: 'return [];',
    caughtBy: [{ tests: 'test/plan/plan.test.ts', named: 'finishes a rollout that overtook another one' }],
  },
  {
    name: 'former-budget-comes-back',
    rule: 'Σ committed ≤ B: the budget is the declared one, also while the rest of the specification can’t be had',
    file: 'src/plan/basis.ts',
    find: 'return [{ ...record, basis: { ...record.basis, budget: declared } }, record];',
    replace: 'return [record];',
    caughtBy: [{ tests: 'test/plan/plan.test.ts', named: 'keeps to a lowered budget also while the rest' }],
  },
  {
    name: 'replacement-pods-not-set-aside',
    rule: 'E = N: as many extra pods as wanted ones may come without consent, and their floors are set aside',
    file: GRANTS,
    find: 'return owed + Math.max(0, replicas - lost);',
    replace: 'return owed;',
    caughtBy: [{ tests: TESTS, named: 'sets aside the floor of one replacement for every pod' }],
  },
  {
    name: 'surge-pod-not-set-aside',
    rule: 'the floor of a rollout’s own pod is kept free beside those of replacement pods',
    file: 'src/plan/targets.ts',
    find: 'const surge = rolling ? sumOf(floors) : 0;',
    replace: 'const surge = 0;',
    caughtBy: [{ tests: 'test/plan/targets.test.ts', named: 'keeps the floor of one more pod free while it rolls' }],
  },
  {
    name: 'pods-created-without-room',
    rule: 'a pod is created only where its floors are free',
    file: 'src/plan/plan.ts',
    find: ': Math.floor(ledger.free / perPod),',
    replace: ': 2 * basis.replicas,',
    caughtBy: [{ tests: TESTS, named: 'creates no pod for whose floor there is no room' }],
  },
  {
    name: 'removed-database-forgotten',
    rule: 'Σ committed: a database that is no longer declared counts until its connections have ended',
    file: GRANTS,
    find: 'if (size > 0) held[name] = size;',
    replace: 'void size;',
    caughtBy: [{ tests: TESTS, named: 'keeps back what a pod holds of a database that is no longer declared' }],
  },
  {
    name: 'restart-not-noticed',
    rule: 'a container that restarted runs boot.ini while old backends may live on',
    file: GRANTS,
    find: "if (reading.view.config.get('conffile') !== PLACE.bootFile) return false;",
    replace: "if (reading.view.config.get('conffile') !== '') return false;",
    caughtBy: [{ tests: TESTS, named: 'counts what a restarted container may have left behind' }],
  },
  {
    name: 'share-given-back-beside-orphans',
    rule: 'a restarted container gets its share back only up to cap − orphans',
    file: GRANTS,
    find: '.every((cell) => orphansOf(cell) === 0)),',
    replace: '.every((cell) => orphansOf(cell) >= 0)),',
    caughtBy: [{ tests: TESTS, named: 'does not load a restarted container’s share beside what it left behind' }],
  },
  {
    name: 'server-behind-translation-believed',
    rule: 'seen: where addresses are translated PostgreSQL’s count of a pod is no count',
    file: 'src/plan/backends.ts',
    find: 'return shown || heldByPoolers(observation) === 0 ? server.backends : undefined;',
    replace: 'void shown;\n  void heldByPoolers;\n  return server.backends;',
    caughtBy: [{ tests: 'test/plan/backends.test.ts', named: 'addresses are translated on the way' }],
  },
  {
    name: 'another-server-believed',
    rule: 'seen: the monitor of a server that is not in use yet says nothing about the pods’ backends',
    file: 'src/plan/backends.ts',
    find: '!server.seesOthers || isOfAnotherServer(observation)) return undefined;',
    replace: '!server.seesOthers) return undefined;\n  void isOfAnotherServer;',
    caughtBy: [{ tests: 'test/plan/backends.test.ts', named: 'is no view while another server is declared' }],
  },
  {
    name: 'old-cap-not-written',
    rule: 'the old cap is written beside the new one in the annotation, so that a crash can’t lose it',
    file: 'src/plan/pod-config.ts',
    find: '...(next.unsettled === undefined ? {} : { unsettled: next.unsettled }),',
    replace: '',
    caughtBy: [
      { tests: 'test/plan/pod-config.test.ts', named: 'writes the old size of a busy pool beside the new one' },
      SIMULATED,
    ],
  },
  {
    name: 'old-cap-not-read',
    rule: 'the ledger is rebuilt from observation: the old cap is read back from the annotation',
    file: 'src/model/grant.ts',
    find: '...(isSizes(unsettled) ? { unsettled } : {}),',
    replace: '',
    caughtBy: [
      { tests: 'test/plan/pod-config.test.ts', named: 'writes the old size of a busy pool beside the new one' },
    ],
  },
];
