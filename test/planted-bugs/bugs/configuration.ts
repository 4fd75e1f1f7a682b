// Bugs in what a pooler is told and when it counts as proved: one pod first, read back, taken back where it is refused.
import type { PlantedBug } from '../planted-bug.ts';

const STATE = 'src/plan/pod-state.ts';
const CANARY = 'src/plan/canary.ts';
const LINE = 'src/render/database-line.ts';
const PROOF_TESTS = 'test/plan/pod-state.test.ts';
const PLAN_TESTS = 'test/plan/plan.test.ts';
const INI_TESTS = 'test/render/ini.test.ts';

export const CONFIGURATION_BUGS: readonly PlantedBug[] = [
  {
    name: 'reload-ok-taken-for-proof',
    rule: 'applied means proved: RELOAD’s OK alone proves nothing, every setting and column is read back',
    file: STATE,
    find: "if (mismatches.length > 0) return { kind: 'mismatch', mismatches };",
    replace: '',
    caughtBy: [{ tests: PROOF_TESTS, named: 'is not proved while a setting or a size reads back otherwise' }],
  },
  {
    name: 'wrong-hash-accepted',
    rule: 'applied means proved: the hash that shows is that of the very live.ini that was written',
    file: STATE,
    find: 'grant !== undefined && loadedIni(reading) === grant.ini &&',
    replace: 'grant !== undefined && loadedIni(reading) !== undefined &&',
    caughtBy: [{ tests: PROOF_TESTS, named: 'is not proved while it shows the hash of another file' }],
  },
  {
    name: 'userlist-not-proved',
    rule: 'applied means proved: a login shows which userlist is loaded',
    file: STATE,
    find: "if (!reading.userlistProved) return { kind: 'userlist' };",
    replace: '',
    caughtBy: [{ tests: PROOF_TESTS, named: 'is not proved before the login that shows its userlist' }],
  },
  {
    name: 'server-login-not-proved',
    rule: 'applied means proved: a wrong CA passes RELOAD and read-back, so a login must have reached PostgreSQL',
    file: STATE,
    find: "return reading.serverProof === 'proved' ? undefined : { kind: 'server', proof: reading.serverProof };",
    replace: 'return undefined;',
    caughtBy: [{ tests: PROOF_TESTS, named: 'is not proved before a login reached the server' }],
  },
  {
    name: 'foreign-database-not-noticed',
    rule: 'read-back: a database that nobody rendered opens connections that nobody counts',
    file: 'src/render/read-back.ts',
    find: 'return [...missing, ...extra].map(',
    replace: 'void extra;\n  return missing.map(',
    caughtBy: [
      { tests: 'test/render/read-back.test.ts', named: 'a database that is missing and one that nobody rendered' },
    ],
  },
  {
    name: 'ready-before-all-are-proved',
    rule: 'Ready=True means that the wanted number of pods was read back and runs this generation',
    file: 'src/plan/verdicts.ts',
    find: 'if (servingCount >= replicas) {',
    replace: 'if (servingCount > 0) {',
    caughtBy: [{ tests: 'test/plan/verdicts.test.ts', named: 'is false as soon as one of two pods' }],
  },
  {
    name: 'canary-skipped',
    rule: 'every change goes to one pod first, is proved there, then to the rest',
    file: CANARY,
    find: 'return chosen === undefined ? everyone(record) : onlyFor(chosen, target, record);',
    replace: 'return chosen === undefined ? everyone(record) : everyone(target);',
    caughtBy: [{ tests: PLAN_TESTS, named: 'gives a changed parameter to one pod first' }],
  },
  {
    name: 'canary-not-waited-for',
    rule: 'the others are told only when the canary is proved',
    file: CANARY,
    find: 'if (told.some((state) => state.provedModel === target.modelHash)) return everyone(target);',
    replace: 'if (told.length > 0) return everyone(target);',
    caughtBy: [{ tests: PLAN_TESTS, named: 'takes a refused configuration back' }],
  },
  {
    name: 'refused-configuration-tried-again',
    rule: 'a refused configuration is not tried again until it changes',
    file: CANARY,
    find: 'if (refused?.configHash !== target.modelHash) return undefined;',
    replace: 'if (refused?.configHash !== target.modelHash || refused.configHash.length > 0) return undefined;',
    caughtBy: [{ tests: PLAN_TESTS, named: 'takes a refused configuration back' }],
  },
  {
    name: 'no-way-back-after-a-refusal',
    rule: 'a refused RELOAD has applied the file down to its bad line: boot.ini goes back in force at once',
    file: 'src/controller/apply.ts',
    find: '    await console.loadFile(PLACE.bootFile, { signal, ...quiet });\n',
    replace: '',
    caughtBy: [
      { tests: 'test/controller/apply.test.ts', named: 'puts boot.ini back in force when PgBouncer refuses live.ini' },
    ],
  },
  {
    name: 'boot-file-before-the-proof',
    rule: 'boot.ini moves last: new pods boot with what every pod was proved to run',
    file: 'src/plan/next-record.ts',
    find: 'if (allProved && affordable && choice.refusal === undefined) {',
    replace: 'if (affordable && choice.refusal === undefined) {',
    caughtBy: [{ tests: PLAN_TESTS, named: 'takes a refused configuration back' }],
  },
  {
    name: 'annotation-before-the-secret',
    rule: 'Secret, 0.3 s, then the annotation: with a missing userlist RELOAD says OK and keeps the old users',
    file: 'src/plan/pod-config.ts',
    find: 'input.observation.nowMs - input.filesWrittenAtMs >= SECRET_LEAD_MS;',
    replace: 'input.observation.nowMs >= input.filesWrittenAtMs;',
    caughtBy: [
      {
        tests: 'test/plan/pod-config.test.ts',
        named: 'names a new file to a pod only when the kubelet has had time to project it',
      },
    ],
  },
  {
    name: 'removed-user-keeps-access',
    rule: 'removing a user writes a tombstone: a removed line does not revoke SCRAM logins',
    file: 'src/plan/desired.ts',
    find: 'renderUserlist(users, credentials, knownUsers(observation))',
    replace: 'renderUserlist(users, credentials, knownUsers(observation).slice(0, 0))',
    caughtBy: [{ tests: 'test/plan/removed-users.test.ts', named: 'gets a line with an empty secret' }],
  },
  {
    name: 'quote-not-escaped',
    rule: 'nothing that a user writes reaches pgbouncer.ini unescaped: quotes in a database line',
    file: LINE,
    find: "`${name}='${value.replaceAll(\"'\", \"''\")}'`",
    replace: "`${name}='${value}'`",
    caughtBy: [{ tests: INI_TESTS, named: 'doubles every quote within a value' }],
  },
  {
    name: 'control-characters-let-in',
    rule: 'nothing that a user writes reaches pgbouncer.ini unescaped: a line break is a new setting',
    file: 'src/model/settings/validate.ts',
    find: 'return !/\\p{Cc}/u.test(text) && text.isWellFormed();',
    replace: 'return text.isWellFormed();',
    caughtBy: [
      { tests: INI_TESTS, named: 'refuses control characters everywhere' },
      { tests: 'test/render/userlist.test.ts', named: 'refuses control characters' },
    ],
  },
  {
    name: 'userlist-quote-not-doubled',
    rule: 'nothing that a user writes reaches the userlist unescaped',
    file: 'src/render/userlist.ts',
    find: '"${secret.replaceAll(\'"\', \'""\')}"`;',
    replace: '"${secret}"`;',
    caughtBy: [
      { tests: 'test/render/userlist.test.ts', named: 'has the operator, the users by name, and the proving user' },
    ],
  },
  {
    name: 'size-of-nothing-rendered',
    rule: 'sizes ≥ 1: `pool_size=0` means unlimited',
    file: LINE,
    find: '!Number.isInteger(size) || size < 1 ||',
    replace: '!Number.isInteger(size) || size < 0 ||',
    caughtBy: [{ tests: INI_TESTS, named: 'refuses a size of 0' }],
  },
  {
    name: 'no-cap-on-the-database-line',
    rule: 'a cap sits on the database’s own line, as pool_size and as max_db_connections: one pool a user would get the size each',
    file: LINE,
    find: "['max_db_connections', String(poolSize)],",
    replace: '',
    caughtBy: [{ tests: INI_TESTS, named: 'writes every column of a database line' }],
  },
  {
    name: 'reserve-pool-beside-the-budget',
    rule: 'reserve_pool_size is 0: the budget would not count it',
    file: 'src/model/settings/defaults.ts',
    find: "{ name: 'reserve_pool_size', text: '0',",
    replace: "{ name: 'reserve_pool_size', text: '5',",
    caughtBy: [{ tests: 'test/model/settings.test.ts', named: 'opens no connection beside the sizes' }],
  },
  {
    name: 'user-settings-above-logins',
    rule: 'a refused line resets all that stands below it: logins and TLS stand above what the user chose',
    file: 'src/render/ini.ts',
    find: `    ...loginLines(model, place),
    ...encryptionLines(model, place),
    ['peer_id', String(peering === undefined ? 0 : peerId(peering.id))],
    ...LIMIT_SETTINGS.map(lineOf),
    ...settingLines(patience === true ? patient(model) : model),`,
    replace: `    ...settingLines(patience === true ? patient(model) : model),
    ...loginLines(model, place),
    ...encryptionLines(model, place),
    ['peer_id', String(peering === undefined ? 0 : peerId(peering.id))],
    ...LIMIT_SETTINGS.map(lineOf),`,
    caughtBy: [{ tests: INI_TESTS, named: 'writes logins and encryption above the limits' }],
  },
];
