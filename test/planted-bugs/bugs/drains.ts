// Bugs with which planned operations would cut clients, or a fleet would lose pods that still serve.
import { SIMULATED, type PlantedBug } from '../planted-bug.ts';

const LIFETIME = 'src/pgbouncer/lifetime-drain.ts';
const LIFETIME_TESTS = 'test/pgbouncer/lifetime-restored.test.ts';
const END = 'src/pgbouncer/end-drain.ts';
const END_TESTS = 'test/pgbouncer/end-drain.test.ts';
const SETS = 'src/plan/replica-sets.ts';
const PLAN_TESTS = 'test/plan/plan.test.ts';

const REBALANCE = 'src/plan/rebalance.ts';
const REBALANCE_TESTS = 'test/plan/rebalance.test.ts';

const PAUSE = 'src/plan/pause.ts';
const PAUSE_TESTS = 'test/plan/pause.test.ts';

export const DRAIN_BUGS: readonly PlantedBug[] = [
  {
    name: 'paused-while-a-transaction-runs',
    rule: 'paused means read back: every database, and no server connection left',
    file: PAUSE,
    find: 'pools.every(({ servers }) => servers === 0)',
    replace: 'pools.every(({ servers }) => servers >= 0)',
    caughtBy: [{ tests: PAUSE_TESTS, named: 'is not called one while a transaction runs' }],
  },
  {
    name: 'refused-pause-comes-true',
    rule: 'a pause that was refused pauses nothing, also when its time has come near',
    file: PAUSE,
    find: "if (former?.state === 'Refused')",
    replace: "if (former?.state === 'Ended')",
    caughtBy: [{ tests: PAUSE_TESTS, named: 'is refused in the past, and further ahead than it may last' }],
  },
  {
    name: 'pause-of-somebody-else-ended',
    rule: 'what somebody paused by hand is left alone',
    file: PAUSE,
    find: 'if (reading?.ok !== true || pod.grant?.patience !== true) return [];\n    const { name, uid } = pod;',
    replace: 'if (reading?.ok !== true) return [];\n    const { name, uid } = pod;',
    caughtBy: [{ tests: PAUSE_TESTS, named: 'leaves alone what somebody paused by hand' }],
  },
  {
    name: 'resumed-on-the-former-server',
    rule: 'what changed during a pause is in force before clients go on',
    file: PAUSE,
    find: '      if (waitsForChange && !(',
    replace: '      if (!waitsForChange && !(',
    caughtBy: [{ tests: PAUSE_TESTS, named: 'has all pods on the new server before clients go on' }],
  },
  {
    name: 'paused-for-a-change-without-end',
    rule: 'a pause ends, whatever becomes of a change that was made during it',
    file: PAUSE,
    find: 'resumingSinceMs(observation, wish) < CHANGE_WITHIN_MS',
    replace: 'resumingSinceMs(observation, wish) < 10 * CHANGE_WITHIN_MS',
    caughtBy: [{ tests: PAUSE_TESTS, named: 'has clients go on with what was proved before when a change takes long' }],
  },
  {
    name: 'change-in-a-pause-refused',
    rule: 'a way to the server that can not be tried in a pause is not refused for that',
    file: 'src/plan/canary.ts',
    find: "unproved.proof === 'paused') return undefined;",
    replace: "unproved.proof === 'untried') return undefined;",
    caughtBy: [{ tests: PAUSE_TESTS, named: 'has all pods on the new server before clients go on' }],
  },
  {
    name: 'pods-come-and-go-in-a-pause',
    rule: 'while a fleet is paused no pod comes or goes by our doing',
    file: 'src/plan/plan.ts',
    find: 'const paused = isHeld(states, pause) || outage.holds;',
    replace: 'const paused = outage.holds;',
    caughtBy: [{ tests: PAUSE_TESTS, named: 'holds back scaling, rollout and the end of drains' }],
  },
  {
    name: 'nobody-takes-new-clients',
    rule: 'a rebalancing leaves the least busy pod in the Service, whoever else is out of it',
    file: REBALANCE,
    find: 'pod.serving || pod.crowded);',
    replace: 'pod.serving || !pod.serving);',
    caughtBy: [{ tests: REBALANCE_TESTS, named: 'so that one always takes new clients' }],
  },
  {
    name: 'rebalance-towards-a-pod-that-lets-nobody-in',
    rule: 'clients are sent to pods that are proved, not to one that is empty because it lets nobody in',
    file: REBALANCE,
    find: "&& reading.serverProof === 'proved';",
    replace: "&& reading.serverProof !== 'untried';",
    caughtBy: [{ tests: REBALANCE_TESTS, named: 'does not send clients to a pod that is not proved' }],
  },
  {
    name: 'only-a-pod-that-nobody-knows-yet-in-the-service',
    rule: 'crowded pods leave the Service only when the others are known there, as their first clients show',
    file: REBALANCE,
    find: 'Math.min(...clients) === 0 || ',
    replace: '',
    caughtBy: [{ tests: REBALANCE_TESTS, named: 'waits until each new pod has got a client through the Service' }],
  },
  {
    name: 'rebalance-without-an-end',
    rule: 'no pod is out of the Service for longer than the drain window after a pod joined',
    file: REBALANCE,
    find: "? 'goOn' : 'end';",
    replace: "? 'goOn' : 'goOn';",
    caughtBy: [{ tests: REBALANCE_TESTS, named: 'ends with the drain window' }],
  },
  {
    name: 'sizes-follow-clients-at-rest',
    rule: 'nothing is written at rest: sizes follow the clients only from when a pod joins',
    file: REBALANCE,
    find: 'if (youngestMs < Math.min(BEGIN_MS, windowMs))',
    replace: 'if (youngestMs < Math.max(Infinity, windowMs))',
    caughtBy: [{ tests: REBALANCE_TESTS, named: 'ends with the drain window' }, SIMULATED],
  },
  {
    name: 'lifetime-not-restored',
    rule: 'the short server_lifetime of a shrink never stays: it is taken back also after a failure',
    file: LIFETIME,
    find: '    await console.reload();\n',
    replace: '',
    caughtBy: [{ tests: LIFETIME_TESTS, named: 'takes the short lifetime back' }],
  },
  {
    name: 'lifetime-not-restored-after-a-failure',
    rule: 'the short server_lifetime of a shrink never stays: it is taken back also after a failure',
    file: LIFETIME,
    find: `    signal?.throwIfAborted();
    throw error;
  } finally {
    // Not with the signal: whatever happened, the short lifetime must not stay.
    await console.reload();
  }`,
    replace: `    signal?.throwIfAborted();
    throw error;
  }`,
    caughtBy: [{ tests: LIFETIME_TESTS, named: 'takes the short lifetime back' }],
  },
  {
    name: 'shrink-by-size-alone',
    rule: 'lowering a size does not shrink a busy pool: it is drained by lifetime',
    file: 'src/plan/pod-config.ts',
    find: 'if (unsettled !== undefined && !behind && loadedIni(reading) === grant.ini) {',
    replace: 'if (unsettled !== undefined && !behind && loadedIni(reading) === undefined) {',
    caughtBy: [
      { tests: 'test/plan/pod-config.test.ts', named: 'writes the old size of a busy pool beside the new one' },
    ],
  },
  {
    name: 'lifetime-left-by-a-crash-accepted',
    rule: 'a crash between lowering and restoring server_lifetime is repaired at the first observation',
    file: 'src/render/read-back.ts',
    find: '.filter(({ want, got }) => got !== want)',
    replace: ".filter(({ key, want, got }) => got !== want && key !== 'server_lifetime')",
    caughtBy: [
      {
        tests: 'test/plan/shrink.test.ts',
        named: 'repairs a short lifetime that a crash left in force before it drains on',
      },
    ],
  },
  {
    name: 'drain-beside-a-reload',
    rule: 'a RELOAD ends the short lifetime, so no pool is drained beside one',
    file: 'src/plan/pod-config.ts',
    find: 'if (unsettled !== undefined && !behind && loadedIni(reading) === grant.ini) {',
    replace: 'if (unsettled !== undefined && loadedIni(reading) === grant.ini) {',
    caughtBy: [
      {
        tests: 'test/plan/shrink.test.ts',
        named: 'repairs a short lifetime that a crash left in force before it drains on',
      },
    ],
  },
  {
    name: 'drain-mark-ignored',
    rule: 'a pod that drains gets no share and no new clients: the mark on it decides',
    file: 'src/plan/pod-state.ts',
    find: "if (pod.drain !== undefined) return 'Draining';",
    replace: '',
    caughtBy: [{ tests: PLAN_TESTS, named: 'drains surplus pods before it deletes them' }],
  },
  {
    name: 'deleted-with-clients',
    rule: 'a draining pod goes when its clients have left, or its time is over',
    file: 'src/plan/drain.ts',
    find: 'return state.clients === 0 && shareGiven && ageMs >= ENDPOINT_LAG_MS;',
    replace: 'return shareGiven && ageMs >= ENDPOINT_LAG_MS;',
    caughtBy: [{ tests: 'test/plan/drain.test.ts', named: 'stays while it has clients' }],
  },
  {
    name: 'deleted-with-a-share',
    rule: 'a draining pod goes when its share is given up and that is verified',
    file: 'src/plan/drain.ts',
    find: 'return state.clients === 0 && shareGiven && ageMs >= ENDPOINT_LAG_MS;',
    replace: 'void shareGiven;\n  return state.clients === 0 && ageMs >= ENDPOINT_LAG_MS;',
    caughtBy: [{ tests: 'test/plan/drain.test.ts', named: 'stays while it holds more than the least share' }],
  },
  {
    name: 'draining-pod-shrunk-below-its-clients',
    rule: 'a draining pod gives its share up in step with its clients leaving, never below what they use',
    file: 'src/plan/targets.ts',
    find: "share ?? (state.phase === 'Draining' ? neededByClients(state, fleet.floors) : fleet.floors),",
    replace: 'share ?? fleet.floors,',
    caughtBy: [{ tests: 'test/plan/targets.test.ts', named: 'leaves a draining pod a server for each of its clients' }],
  },
  {
    name: 'former-pod-out-before-the-new-one-serves',
    rule: 'rollout: the new pod is up and proved before a former one is drained',
    file: SETS,
    find: 'if (proved.length < current.replicas || draining) return [];',
    replace: 'if (draining) return [];',
    caughtBy: [{ tests: PLAN_TESTS, named: 'halts a rollout whose first pod never starts' }],
  },
  {
    name: 'removed-twice',
    rule: 'a removal that is still on its way is not asked for again: it would take one pod too many',
    file: SETS,
    find: 'if (count === 0 || livePods(input, set) > set.replicas) return [];',
    replace: 'if (count === 0) return [];\n    void livePods;',
    caughtBy: [
      { tests: 'test/plan/replica-sets.test.ts', named: 'asks for no second removal while the first is on its way' },
    ],
  },
  {
    name: 'clients-closed-in-their-transactions',
    rule: 'the end of a drain never cuts a transaction: clients are closed only when no server is in use',
    file: END,
    find: '    if (!quiet) {\n      return { ended: false, activeServers };\n    }\n',
    replace: '',
    caughtBy: [{ tests: END_TESTS, named: 'closes nobody' }],
  },
  {
    name: 'pause-not-taken-back',
    rule: 'the end of a drain that is given up leaves every database running',
    file: END,
    find: '      await resumeAll(console, databases);\n',
    replace: '',
    caughtBy: [{ tests: END_TESTS, named: 'resumes what it paused when a transaction outlasts the deadline' }],
  },
  {
    name: 'pause-believed',
    rule: 'after a WAIT_CLOSE PAUSE answers at once whatever still runs: SHOW DATABASES tells what is paused',
    file: 'src/pgbouncer/pause.ts',
    find: '  if (missed.length > 0) {',
    replace: '  if (missed.length < 0) {',
    caughtBy: [{ tests: END_TESTS, named: 'closes nobody when a database is not paused although PAUSE was given' }],
  },
  {
    name: 'logins-dropped-by-pause',
    rule: 'PAUSE drops logins under way and clients pay for it: they are waited for',
    file: 'src/pgbouncer/login-hold.ts',
    find: '(await console.pools(signal)).some(({ serversLogin }) => serversLogin > 0) &&',
    replace: '(await console.pools(signal)).some(({ serversLogin }) => serversLogin < 0) &&',
    caughtBy: [{ tests: END_TESTS, named: 'pauses only when no server login is under way' }],
  },
];
