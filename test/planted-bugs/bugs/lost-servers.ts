// Bugs with which clients would fail, or wait for nothing, when their server goes away or moves.
import type { PlantedBug } from '../planted-bug.ts';

const OUTAGE = 'src/plan/outage.ts';
const OUTAGE_TESTS = 'test/plan/outage.test.ts';
const ADDRESSES = 'src/controller/server-addresses.ts';
const ADDRESS_TESTS = 'test/controller/server-addresses.test.ts';
const STRAYS = 'src/plan/strays.ts';
const STRAYS_TESTS = 'test/plan/strays.test.ts';

export const LOST_SERVER_BUGS: readonly PlantedBug[] = [
  {
    name: 'one-witness-is-enough',
    rule: 'an operator that is cut off by itself pauses nobody',
    file: OUTAGE,
    find: 'reading.lostServers === true &&',
    replace: 'reading.lostServers !== undefined &&',
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'pauses nobody when only the operator is cut off' }],
  },
  {
    name: 'paused-before-noted',
    rule: 'a pod is noted in status before it is paused for an outage: else nobody would resume it after a crash',
    file: OUTAGE,
    find: 'const actions = held.flatMap(',
    replace: 'const actions = [...held, ...losing].flatMap(',
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'is waited for: pods are noted in status, then paused' }],
  },
  {
    name: 'waits-without-end',
    rule: 'clients wait for a lost server two minutes at most',
    file: OUTAGE,
    find: '> OUTAGE_WAIT_MS) return release(former, states, true);',
    replace: '> 100 * OUTAGE_WAIT_MS) return release(former, states, true);',
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'is waited for two minutes' }],
  },
  {
    name: 'waits-twice-in-one-outage',
    rule: 'an outage that took too long is not waited for again',
    file: OUTAGE,
    find: 'if (left.length === 0 && !isLasting) return NONE;',
    replace: 'if (left.length === 0) return NONE;',
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'is waited for two minutes' }],
  },
  {
    name: 'note-taken-back-too-soon',
    rule: 'a pod stays noted until it was read back as resumed',
    file: OUTAGE,
    find: '(reading?.ok !== true || pausedOf(reading.view.databases).length > 0),',
    replace: 'reading?.ok !== true,',
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'is resumed from by whoever leads next' }],
  },
  {
    name: 'note-dropped-for-a-pause',
    rule: 'a pod that was paused for an outage stays noted until a declared pause has taken it over',
    file: OUTAGE,
    find: "if (pause?.verdict === 'on') return handOver(former, states);",
    replace: "if (pause?.verdict === 'on') return NONE;",
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'stays noted until a declared pause has taken a pod over' }],
  },
  {
    name: 'pods-come-and-go-in-an-outage',
    rule: 'while clients wait for a lost server no pod comes or goes by our doing',
    file: 'src/plan/plan.ts',
    find: 'const paused = isHeld(states, pause) || outage.holds;',
    replace: 'const paused = isHeld(states, pause);',
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'has no pod come or go meanwhile' }],
  },
  {
    name: 'note-dropped-with-readiness',
    rule: 'a pod that may be paused stays noted, whatever became of it since',
    file: OUTAGE,
    find: 'const held = states.filter(({ pod }) => noted.has(pod.name));',
    replace: "const held = states.filter(({ pod, phase }) => phase === 'Serving' && noted.has(pod.name));",
    caughtBy: [{ tests: OUTAGE_TESTS, named: 'keeps a pod noted that is drained or not Ready meanwhile' }],
  },
  {
    name: 'idle-pool-counts-as-lost',
    rule: 'a pool that lost its last server connection to idleness is no witness of a lost server',
    file: 'src/controller/lost-servers.ts',
    find: '<= MOMENT_MS;',
    replace: '<= 100 * MOMENT_MS;',
    caughtBy: [
      {
        tests: 'test/controller/lost-servers.test.ts',
        named: 'are not told of a pod that has been idle, or was never seen with one',
      },
    ],
  },
  {
    name: 'whoever-answers-is-paused',
    rule: 'a pod is paused only when it is that pod which answers: a lost one’s address is soon another’s, whom nobody would resume',
    file: 'src/plan/outage.ts',
    find: "const itself = phase === 'Serving' && reading?.ok === true && runsItsFile(reading, pod.grant);",
    replace:
      "const itself = phase === 'Serving' && reading?.ok === true && runsItsFile(reading, { ...pod.grant!, ini: reading.view.config.get('syslog_ident') ?? '' });",
    caughtBy: [{ tests: 'test/plan/outage.test.ts', named: 'only when it is that pod which answers' }],
  },
  {
    name: 'login-counts-as-connection',
    rule: 'a login that never ends is no server connection',
    file: 'src/model/pooler-view.ts',
    find: 'sum + servers - serversLogin',
    replace: 'sum + servers + 0 * serversLogin',
    caughtBy: [
      {
        tests: 'test/controller/lost-servers.test.ts',
        named: 'are told of a pod that had some a moment ago; logins that never end are none',
      },
    ],
  },
  {
    name: 'names-in-turns-followed',
    rule: 'a name that answers in turns moves nobody',
    file: ADDRESSES,
    find: '!watched.left.has(address);',
    replace: 'watched.left.size >= 0;',
    caughtBy: [{ tests: ADDRESS_TESTS, named: 'says nothing of a name that comes back: it answers in turns' }],
  },
  {
    name: 'reconnected-to-the-former-address',
    rule: 'connections are brought over once PgBouncer has forgotten the former address',
    file: STRAYS,
    find: 'if (restMs > 0 || strays.length === 0) return [];',
    replace: 'if (strays.length === 0) return [];',
    caughtBy: [{ tests: STRAYS_TESTS, named: 'are left for as long as PgBouncer remembers the former address' }],
  },
  {
    name: 'sent-back-again-and-again',
    rule: 'pods whose own resolver leads them elsewhere are told a few times and then left alone',
    file: 'src/controller/read-poolers.ts',
    find: 'if (tries >= MOST_TRIES) return undefined;',
    replace: 'if (tries >= 100 * MOST_TRIES) return undefined;',
    caughtBy: [
      {
        tests: 'test/controller/strays.test.ts',
        named: 'are not asked for once it is no news, or has been tried often enough',
      },
    ],
  },
];
