// Bugs in how the cluster is mirrored and written: stale answers, other people's objects, and writes without a cause.
import type { PlantedBug } from '../planted-bug.ts';

const APPLY = 'src/controller/apply.ts';
const APPLY_TESTS = 'test/controller/apply.test.ts';
const STORE = 'src/kube/store.ts';
const STORE_TESTS = 'test/kube/store.test.ts';
const REFLECTOR_TESTS = 'test/kube/reflector.test.ts';

export const KUBERNETES_BUGS: readonly PlantedBug[] = [
  {
    name: 'stale-object-accepted',
    rule: 'an older state never replaces a newer one',
    file: STORE,
    find: `      resourceVersion === object.metadata.resourceVersion ||
      isOlder(object.metadata.resourceVersion, resourceVersion)
`,
    replace: '      resourceVersion === object.metadata.resourceVersion\n',
    caughtBy: [{ tests: STORE_TESTS, named: 'never lets an older state replace a newer one' }],
  },
  {
    name: 'stale-list-accepted',
    rule: 'a list from a server that lags behind is refused',
    file: 'src/kube/list-watch.ts',
    find: 'if (rewound && before.refusals < MAX_REFUSALS) {',
    replace: 'if (rewound && before.refusals < 0) {',
    caughtBy: [
      { tests: REFLECTOR_TESTS, named: 'does not go back in time with a list from a server that lags behind' },
    ],
  },
  {
    name: 'deleted-object-comes-back',
    rule: 'a late answer to a write does not bring back an object whose end was told',
    file: STORE,
    find: 'if (this.#ended.has(object.metadata.uid)) return false;',
    replace: '',
    caughtBy: [{ tests: STORE_TESTS, named: 'does not take an object back from a late answer' }],
  },
  {
    name: 'cached-object-changed-in-place',
    rule: 'what the stores hold is nobody’s to change',
    file: STORE,
    find: '    deepFreeze(object);\n    this.#byKey.set(key, object);',
    replace: '    this.#byKey.set(key, object);',
    caughtBy: [{ tests: STORE_TESTS, named: 'freezes objects to their depth' }],
  },
  {
    name: 'subscriber-breaks-the-store',
    rule: 'a subscriber that throws does not keep a change from the others',
    file: STORE,
    find: '        this.#failedDeliveries += 1;\n',
    replace: '        this.#failedDeliveries += 1;\n        break;\n',
    caughtBy: [{ tests: STORE_TESTS, named: 'goes on telling the others when a subscriber throws' }],
  },
  {
    name: 'lists-at-full-speed-after-410',
    rule: 'a server that ends every watch with 410 is asked ever more slowly',
    file: 'src/kube/reflector.ts',
    find: 'await clock.sleep(Math.max(delayMs, error.retryAfterMs ?? 0), signal).catch(() => undefined);',
    replace: "if (error.kind !== 'gone') await clock.sleep(delayMs, signal).catch(() => undefined);",
    caughtBy: [
      { tests: REFLECTOR_TESTS, named: 'does not list at full speed when lists succeed and every watch is told 410' },
    ],
  },
  {
    name: 'silent-watch-trusted',
    rule: 'a watch that has fallen silent is given up',
    file: 'src/kube/list-watch.ts',
    find: '    silence.tooLong = true;\n    watch.close();',
    replace: '    silence.tooLong = true;',
    caughtBy: [{ tests: REFLECTOR_TESTS, named: 'gives up a watch that has fallen silent' }],
  },
  {
    name: 'two-workers-on-one-key',
    rule: 'one PoolConfig is worked on by one worker at a time',
    file: 'src/runtime/work-queue.ts',
    find: '    if (this.#processing.has(key)) {',
    replace: '    if (this.#processing.has(key) && this.#dirty.has(key)) {',
    caughtBy: [
      { tests: 'test/runtime/work-queue.test.ts', named: 'queues a key again that was added while a worker had it' },
    ],
  },
  {
    name: 'foreign-object-taken-over',
    rule: 'an object of a child’s name that belongs to somebody else is not touched: when writing',
    file: APPLY,
    find: 'if (store.get(namespace, name) === undefined && (await noteForeign(options, key, ownerUid, object, signal))) return;',
    replace: 'void [namespace, name, ownerUid, key];',
    caughtBy: [
      { tests: APPLY_TESTS, named: 'leaves an object alone that bears a child’s name and is somebody else’s' },
    ],
  },
  {
    name: 'foreign-object-not-noticed',
    rule: 'an object of a child’s name that belongs to somebody else blocks, and nothing is touched: when planning',
    file: 'src/plan/children.ts',
    find: '.filter(([, object]) => object.metadata.ownerReferences?.some((owner) => owner.uid === uid) !== true)',
    replace: '.filter(() => uid === undefined)',
    caughtBy: [
      {
        tests: 'test/plan/children.test.ts',
        named: 'touches nothing while an object of somebody else bears the name of a child',
      },
    ],
  },
  {
    name: 'password-made-twice',
    rule: 'credentials are created, never applied: two operators must not each write a password of their own',
    file: APPLY,
    find: 'await options.client.create(object, { signal, fieldManager: FIELD_MANAGER })',
    replace: 'await options.client.apply(object, { signal, force: true, fieldManager: FIELD_MANAGER })',
    caughtBy: [{ tests: APPLY_TESTS, named: 'creates credentials and never writes over any' }],
  },
  {
    name: 'status-written-although-equal',
    rule: 'at rest nothing is written: an equal status is left alone',
    file: 'src/controller/reconcile.ts',
    find: 'if (sameJson(pool.status ?? {}, plan.status)) return;',
    replace: 'if (sameJson(plan.status, "")) return;',
    caughtBy: [{ tests: 'test/controller/reconcile.test.ts', named: 'writes nothing when nothing has changed' }],
  },
  {
    name: 'child-applied-although-equal',
    rule: 'at rest nothing is written: fields that the API server filled in are no difference',
    file: 'src/plan/children.ts',
    find: 'if (live !== undefined && covers(live, object)) return [];\n    const why = staticWhy(',
    replace: 'if (live === object) return [];\n    const why = staticWhy(',
    caughtBy: [
      { tests: 'test/plan/plan.test.ts', named: 'plans no action and the same status when nothing has changed' },
    ],
  },
  {
    name: 'transition-time-moves',
    rule: 'at rest nothing is written: a condition that does not change keeps its time',
    file: 'src/api/conditions.ts',
    find: 'lastTransitionTime: former?.status === update.status ? former.lastTransitionTime : nowIso,',
    replace: 'lastTransitionTime: nowIso,',
    caughtBy: [
      {
        tests: 'test/api/conditions.test.ts',
        named: 'keeps the transition time when only reason, message or generation change',
      },
    ],
  },
  {
    name: 'event-for-every-repetition',
    rule: 'equal events are one series, written every half minute at most',
    file: 'src/kube/events.ts',
    find: 'if (known !== undefined && now - known.lastSeenMs < SAME_SERIES_MS) {',
    replace: 'if (known !== undefined && now - known.lastSeenMs < 0 * SAME_SERIES_MS) {',
    caughtBy: [{ tests: 'test/kube/events.test.ts', named: 'makes one series of equal events' }],
  },
];
