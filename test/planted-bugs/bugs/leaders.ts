// Bugs with which two operators would act at once: leases, epochs, and writes that must fail when they are stale.
import { SIMULATED, type PlantedBug } from '../planted-bug.ts';

const LEASE = 'src/kube/lease.ts';
const APPLY = 'src/controller/apply.ts';
const LEASE_TESTS = 'test/kube/lease.test.ts';
const APPLY_TESTS = 'test/controller/apply.test.ts';

export const LEADER_BUGS: readonly PlantedBug[] = [
  {
    name: 'grow-before-the-epoch-is-stamped',
    rule: 'a new leader stamps its epoch on every pod before its first grow, so that older writes fail',
    file: 'src/plan/grants.ts',
    find: "const change = proposed?.kind === 'grow' && !mayGrow ? undefined : proposed;",
    replace: 'const change = proposed;\n    void mayGrow;',
    caughtBy: [{ tests: 'test/plan/plan.test.ts', named: 'stamps its epoch on every pod of an earlier leader' }],
  },
  {
    name: 'epoch-of-one-pod-is-enough',
    rule: 'a new leader stamps its epoch on every pod before its first grow: on every one',
    file: 'src/plan/epochs.ts',
    find: 'states.every(',
    replace: 'states.some(',
    caughtBy: [
      {
        tests: 'test/plan/grants.test.ts',
        named: 'lets no pod grow while one still carries the mark of an earlier leader',
      },
    ],
  },
  {
    name: 'boot-file-without-the-mark',
    rule: 'a new leader stamps its epoch on boot.ini before its first grow: a halted leader’s larger floors must not arrive after it',
    file: 'src/plan/epochs.ts',
    find: 'bootEpoch(observation) === epoch &&',
    replace: '',
    caughtBy: [
      {
        tests: 'test/plan/grants.test.ts',
        named: 'lets no pod grow while boot.ini still carries the mark of an earlier leader',
      },
    ],
  },
  {
    name: 'later-leader-overlooked',
    rule: 'whoever sees the epoch of a later leader on a pod writes nothing: what it reads now would let it write',
    file: 'src/plan/epochs.ts',
    find: 'return newest > epoch ? newest : undefined;',
    replace: 'return newest < epoch ? undefined : undefined;',
    caughtBy: [
      { tests: 'test/plan/plan.test.ts', named: 'does nothing at all once a pod carries the epoch of a later leader' },
    ],
  },
  {
    name: 'grow-without-resource-version',
    rule: 'every grow carries the pod’s resourceVersion',
    file: APPLY,
    find: '{ resourceVersion: action.resourceVersion, signal },',
    replace: '{ signal },',
    caughtBy: [
      { tests: APPLY_TESTS, named: 'patches a pod only in the version that the plan was made from' },
      SIMULATED,
    ],
  },
  {
    name: 'precondition-not-sent',
    rule: 'every grow carries the pod’s resourceVersion: it reaches the API server',
    file: 'src/kube/client.ts',
    find: 'const precondition = resourceVersion === undefined ? {} : { resourceVersion };',
    replace: 'const precondition = resourceVersion === undefined ? { resourceVersion } : {};',
    caughtBy: [{ tests: 'test/kube/client.test.ts', named: 'puts the precondition of a patch' }],
  },
  {
    name: 'child-applied-in-any-version',
    rule: 'a halted leader’s write of a child fails: stale floors in boot.ini would not be within the budget',
    file: 'src/plan/children.ts',
    find: 'return resourceVersion === undefined ? object :',
    replace: 'return resourceVersion !== undefined ? object :',
    caughtBy: [{ tests: 'test/plan/children.test.ts', named: 'is written only in the version that it was seen in' }],
  },
  {
    name: 'status-written-in-any-version',
    rule: 'a halted leader’s status fails: it would forget the pods that are gone since',
    file: 'src/controller/reconcile.ts',
    find: 'const metadata = { name, namespace, resourceVersion };',
    replace: 'const metadata = { name, namespace };\n    void resourceVersion;',
    caughtBy: [{ tests: 'test/controller/reconcile.test.ts', named: 'on the very version that it looked at' }],
  },
  {
    name: 'turn-without-the-lease',
    rule: 'no turn begins while this process does not lead',
    file: 'src/controller/reconcile.ts',
    find: `    const epoch = this.#options.epoch();
    if (epoch === undefined) return {};`,
    replace: '    const epoch = this.#options.epoch() ?? 0;',
    caughtBy: [{ tests: 'test/controller/reconcile.test.ts', named: 'does nothing while this process does not lead' }],
  },
  {
    name: 'scale-without-resource-version',
    rule: 'a ReplicaSet is scaled only in the version that the plan was made from',
    file: APPLY,
    find: '.upsert(await client.mergePatch(RESOURCES.ReplicaSet, namespace, name, { spec }, { resourceVersion, signal }));',
    replace:
      '.upsert(await client.mergePatch(RESOURCES.ReplicaSet, namespace, name, { spec }, { signal }));\n      void resourceVersion;',
    caughtBy: [{ tests: APPLY_TESTS, named: 'scales a ReplicaSet only in the version that the plan was made from' }],
  },
  {
    name: 'delete-by-name-alone',
    rule: 'a pod is deleted by its uid: a new pod of the same name is not meant',
    file: APPLY,
    find: `      await client.delete(RESOURCES.Pod, namespace, action.name, {
        uid: action.uid,
        resourceVersion: action.resourceVersion,
        signal,`,
    replace: `      await client.delete(RESOURCES.Pod, namespace, action.name, {
        signal,`,
    caughtBy: [{ tests: APPLY_TESTS, named: 'deletes the very pod that was meant' }],
  },
  {
    name: 'write-goes-on-after-a-conflict',
    rule: 'a write that meets another writer ends the turn: what follows was decided on what is no longer so',
    file: APPLY,
    find: '.catch(unsure(action));',
    replace: '.catch(() => undefined);\n    void unsure;',
    caughtBy: [{ tests: APPLY_TESTS, named: 'ends at the first write that fails' }],
  },
  {
    name: 'writes-go-on-without-the-lease',
    rule: 'nothing is written after the lease is lost: in the middle of a plan',
    file: APPLY,
    find: '    signal.throwIfAborted();\n    if (!isConsoleAction(action))',
    replace: '    if (!isConsoleAction(action))',
    caughtBy: [{ tests: APPLY_TESTS, named: 'writes nothing more once its leadership has ended' }],
  },
  {
    name: 'work-goes-on-without-the-lease',
    rule: 'nothing is written after the lease is lost: running turns are told at once',
    file: 'src/runtime/controller.ts',
    find: "leadership?.addEventListener('abort', onLost, { once: true });",
    replace: '',
    caughtBy: [
      { tests: 'test/runtime/controller.test.ts', named: 'tells running reconciles at once when leadership is lost' },
    ],
  },
  {
    name: 'term-ends-in-silence',
    rule: 'nothing is written after the lease is lost: the end of a term aborts its signal',
    file: LEASE,
    find: 'term.lifetime.abort(new Error(`no longer leading: ${why}`));',
    replace: '',
    caughtBy: [{ tests: LEASE_TESTS, named: 'aborts the signal of a term at the renew deadline' }],
  },
  {
    name: 'sleeper-believes-to-lead',
    rule: 'a process that was paused knows by the clock that its term is over, before any timer has run',
    file: LEASE,
    find: 'return term !== undefined && this.#options.clock.monotonicMs() - term.renewedMs < this.#renewDeadlineMs;',
    replace: 'return term !== undefined;',
    caughtBy: [{ tests: LEASE_TESTS, named: 'knows that its term is over before any timer has run' }],
  },
  {
    name: 'lease-by-the-wall-clock',
    rule: 'a lease is renewed and judged by the monotonic clock: the wall clock may be set',
    file: LEASE,
    find: 'this.#observed = { lease, sinceMs: sinceMs ?? this.#options.clock.monotonicMs() };',
    replace:
      'const sinceRenewalMs = this.#options.clock.now() - Date.parse(lease.spec?.renewTime ?? "");\n    this.#observed = { lease, sinceMs: sinceMs ?? this.#options.clock.monotonicMs() - sinceRenewalMs };',
    caughtBy: [{ tests: LEASE_TESTS, named: 'is not taken from a live leader by one whose wall clock is ahead' }],
  },
  {
    name: 'lease-taken-too-early',
    rule: 'a Lease is taken only when it has not changed for its whole duration',
    file: LEASE,
    find: 'const durationMs = Math.max(leaseDurationSeconds * 1000, this.#leaseDurationMs);',
    replace: 'const durationMs = Math.max(leaseDurationSeconds * 1000, this.#leaseDurationMs) / 2;',
    caughtBy: [{ tests: LEASE_TESTS, named: 'not before the lease is over' }],
  },
  {
    name: 'epoch-not-raised',
    rule: 'every taking of the Lease is a new epoch, also by the same identity: a former self’s writes are told apart',
    file: LEASE,
    find: 'return Math.max(this.#highestEpoch + 1, Math.floor((this.#options.clock.now() - EPOCH_ZERO_MS) / 1000));',
    replace: 'return Math.max(this.#highestEpoch, 1);',
    caughtBy: [{ tests: LEASE_TESTS, named: 'retakes the Lease of its own identity at once, with a greater epoch' }],
  },
];
