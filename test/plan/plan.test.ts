// Planning as a whole, turn by turn, on a fleet on paper: what is promised about order, proof, and leaving a running fleet alone.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { canonicalJson } from '../../src/model/canonical.ts';
import { planPool } from '../../src/plan/plan.ts';
import { PaperFleet } from '../support/paper-fleet.ts';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { secret, workload } from '../support/observation.ts';

const ready = (fleet: PaperFleet) => fleet.pool.status?.conditions?.find((condition) => condition.type === 'Ready');
const sizes = (fleet: PaperFleet) => fleet.pods.map((pod) => pod.grant?.sizes['orders'] ?? 0).sort((a, b) => b - a);

describe('planning', () => {
  it('brings a new fleet from nothing to proved, with the sizes that its workload needs', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    assert.equal(ready(fleet)?.status, 'True');
    assert.equal(ready(fleet)?.observedGeneration, 1);
    // (2 + 1 surge) × 2 × 3 = 18 clients; 4.5 busy; 4.5 + 2√4.5 → 9.
    assert.deepEqual(sizes(fleet), [5, 4]);
  });

  it('says of a new fleet that its budget is too small, and builds nothing', () => {
    const fleet = new PaperFleet();
    fleet.edit({ budget: { connections: 3 } });
    const plan = fleet.turn();
    assert.deepEqual(
      plan.actions.filter((action) => action.kind !== 'createCredentials'),
      [],
    );
    const said = (type: string) => plan.status.conditions?.find((condition) => condition.type === type);
    assert.equal(said('BudgetSatisfied')?.reason, 'BudgetTooSmall');
    assert.equal(ready(fleet)?.reason, 'BudgetTooSmall');
    assert.equal(said('Stalled')?.reason, 'BudgetTooSmall');
    assert.match(ready(fleet)?.message ?? '', /spec\.budget: .*need 4 connections.*budget is 3/);
  });

  it('tells the pods of a new file as soon as it is surely projected, not at the next routine look', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.secrets.set('orders-app', secret({ username: 'orders_app', password: 'a new one' }));
    const startedMs = fleet.nowMs;
    const told = (): boolean => fleet.pods.some((pod) => (pod.grant?.atMs ?? 0) >= startedMs);
    for (let turn = 0; turn < 40 && !told(); turn += 1) fleet.turn();
    assert.ok(told(), 'no pod was told');
    assert.ok(fleet.nowMs - startedMs < 1_500, `told after ${fleet.nowMs - startedMs} ms`);
  });

  it('plans no action and the same status when nothing has changed', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const again = planPool(fleet.observe());
    assert.deepEqual(again.actions, []);
    assert.deepEqual(again.events, []);
    assert.equal(canonicalJson(again.status), canonicalJson(fleet.pool.status));
  });

  it('is not Ready before every pod was read back', () => {
    const fleet = new PaperFleet();
    for (;;) {
      const plan = fleet.turn();
      const isReady =
        plan.status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
      if (isReady) break;
      assert.ok(fleet.turns.length < 100, 'never became Ready');
    }
    for (const pod of fleet.pods) assert.equal(fleet.loadedText(pod.name), pod.live);
  });

  it('follows a workload that grows', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.workloads.set('Deployment/web', workload(6));
    fleet.settle();
    // (6 + 2) × 2 × 3 = 48 clients; 12 busy; 12 + 2√12 → 19.
    assert.deepEqual(sizes(fleet), [10, 9]);
  });

  it('does not rest before the last sizes when a workload changes again at once', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.workloads.set('Deployment/web', workload(6));
    // Until the larger sizes are told and proved, which is less than the time between two changes of one pod.
    while (fleet.pods.some((pod) => fleet.loadedText(pod.name) !== pod.live) || sizes(fleet)[0] !== 10) fleet.turn();
    fleet.workloads.set('Deployment/web', workload(2));
    const startedMs = fleet.nowMs;
    fleet.settle();
    assert.deepEqual(sizes(fleet), [5, 4]);
    assert.ok(fleet.nowMs - startedMs < 5_000, 'only the next look at rest found the sizes wrong');
  });

  it('stays Ready while only sizes move, and says that it is resizing', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.workloads.set('Deployment/web', workload(6));
    const told = new Set<string>();
    for (let turn = 0; turn < 100; turn += 1) {
      const plan = fleet.turn();
      assert.equal(ready(fleet)?.status, 'True', JSON.stringify(ready(fleet)));
      for (const condition of plan.status.conditions ?? [])
        if (condition.type === 'Reconciling') told.add(condition.reason);
      if (plan.actions.length === 0 && plan.requeueAfterMs === undefined) break;
    }
    assert.deepEqual(sizes(fleet), [10, 9]);
    assert.ok(told.has('Resizing'));
  });

  it('gives a changed parameter to one pod first, and to the others only when that one is proved', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.edit({ pooler: { parameters: { query_wait_timeout: 7 } } });
    const has = (pod: { live: string | undefined }): boolean => pod.live?.includes('query_wait_timeout = 7') === true;
    let sawOneAlone = false;
    for (let turn = 0; turn < 200; turn += 1) {
      const plan = fleet.turn();
      const told = fleet.pods.filter(has);
      if (told.length === 1) sawOneAlone = true;
      if (told.length === 2) {
        const loaded = told.filter((pod) => fleet.loadedText(pod.name).includes('query_wait_timeout = 7'));
        assert.ok(loaded.length >= 1, 'the second pod was told before the first one ran it');
      }
      if (plan.actions.length === 0 && plan.requeueAfterMs === undefined) break;
    }
    assert.ok(sawOneAlone, 'both pods were told at once');
    assert.equal(fleet.pods.filter(has).length, 2);
    assert.equal(ready(fleet)?.observedGeneration, 2);
    assert.equal(ready(fleet)?.status, 'True');
  });

  it('takes a refused configuration back from the one pod that got it, keeps the others out of it, and goes on when it is corrected', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const before = fleet.pods.map((pod) => [pod.name, fleet.loadedText(pod.name)] as const);
    fleet.refuses = (text) =>
      text.includes('query_wait_timeout = 7') ? 'RELOAD failed, see logs: query_wait_timeout' : undefined;
    fleet.edit({ pooler: { parameters: { query_wait_timeout: 7 } } });
    const told = new Set<string>();
    for (let turn = 0; turn < 60; turn += 1) {
      fleet.turn();
      for (const pod of fleet.pods) if (pod.live?.includes('query_wait_timeout = 7') === true) told.add(pod.name);
    }
    assert.equal(told.size, 1, 'more than one pod got the refused configuration');
    assert.deepEqual(
      fleet.pods.map((pod) => [pod.name, fleet.loadedText(pod.name)] as const),
      before,
    );
    assert.equal(ready(fleet)?.status, 'False');
    assert.equal(ready(fleet)?.reason, 'ConfigRefused');
    assert.equal(fleet.pool.status?.refused?.setting, 'query_wait_timeout');
    fleet.edit({ pooler: { parameters: { query_wait_timeout: 8 } } });
    fleet.settle();
    assert.equal(ready(fleet)?.status, 'True');
    assert.equal(fleet.pool.status.refused, undefined);
  });

  it('leaves a running fleet exactly as it is while the specification is blocked, and says why', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const before = fleet.pods.map((pod) => pod.live);
    fleet.secrets.set('orders-app', { state: 'missing' });
    fleet.edit({ pooler: { parameters: { query_wait_timeout: 7 } } });
    for (let turn = 0; turn < 20; turn += 1) assert.deepEqual(fleet.turn().actions, []);
    const plan = fleet.turn();
    assert.deepEqual(
      fleet.pods.map((pod) => pod.live),
      before,
    );
    assert.equal(ready(fleet)?.reason, 'SecretMissing');
    assert.ok(plan.status.conditions?.some((condition) => condition.type === 'Stalled'));
    fleet.secrets.set('orders-app', secret({ username: 'orders_app', password: 'correct horse' }));
    fleet.settle();
    assert.equal(ready(fleet)?.status, 'True');
  });

  it('replaces a lost pod at the floor and grants it its share again', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const [first] = fleet.pods;
    assert.ok(first);
    fleet.kill(first.name);
    fleet.settle();
    assert.deepEqual(sizes(fleet), [5, 4]);
    assert.equal(ready(fleet)?.status, 'True');
  });

  it('rolls a changed template one pod at a time, never below the wanted number of serving pods', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const former = new Set(fleet.pods.map((pod) => pod.name));
    for (const pod of fleet.pods) fleet.connect(pod.name, 3);
    fleet.edit({ fleet: { replicas: 2, template: { metadata: { annotations: { note: 'x' } } } } });
    for (let turn = 0; turn < 400; turn += 1) {
      const plan = fleet.turn();
      const serving = fleet.pods.filter((pod) => pod.ready && pod.serving).length;
      assert.ok(serving >= 2, `only ${serving} pods serve`);
      assert.ok(fleet.pods.length <= 3, `${fleet.pods.length} pods at once`);
      if (plan.actions.length === 0 && plan.requeueAfterMs === undefined) break;
    }
    assert.equal(fleet.pods.filter((pod) => former.has(pod.name)).length, 0);
    assert.equal(ready(fleet)?.status, 'True');
    assert.deepEqual(sizes(fleet), [5, 4]);
  });

  it('halts a rollout whose first pod never starts, and goes back when the template does', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const former = fleet.pods.map((pod) => pod.name).sort();
    const template = fleet.pods[0]?.template;
    fleet.neverStarts = (pod) => pod.template !== template;
    const good = fleet.pool.spec.fleet ?? {};
    fleet.edit({ fleet: { ...good, template: { metadata: { annotations: { note: 'broken' } } } } });
    for (let turn = 0; turn < 40; turn += 1) fleet.turn();
    assert.equal(fleet.pods.length, 3);
    assert.equal(fleet.pods.filter((pod) => pod.serving && pod.ready).length, 2);
    fleet.edit({ fleet: good });
    fleet.settle();
    assert.deepEqual(fleet.pods.map((pod) => pod.name).sort(), former);
  });

  it('builds a new fleet with the corrected template although pods that never start hold all of a small budget', () => {
    const fleet = new PaperFleet({ budget: { connections: 8 } });
    fleet.neverStarts = () => true;
    fleet.edit({ pooler: { image: 'example.test/no-such-image:1' } });
    for (let turn = 0; turn < 20; turn += 1) fleet.turn();
    const broken = new Set(fleet.pods.map((pod) => pod.name));
    assert.equal(broken.size, 2);
    fleet.neverStarts = (pod) => broken.has(pod.name);
    fleet.edit({ pooler: {} });
    fleet.settle();
    assert.equal(ready(fleet)?.status, 'True');
    assert.deepEqual(
      fleet.pods.filter((pod) => broken.has(pod.name)),
      [],
    );
  });

  it('goes back to the image in use when one that can not be pulled is taken out again, and keeps one that came to run', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const former = fleet.pods.map((pod) => pod.name).sort();
    const [template, image] = [fleet.pods[0]?.template, fleet.pool.status?.image];
    fleet.neverStarts = (pod) => pod.template !== template;
    fleet.edit({ pooler: { image: 'example.test/no-such-image:1' } });
    for (let turn = 0; turn < 40; turn += 1) fleet.turn();
    assert.equal(fleet.pool.status?.image, image);
    fleet.edit({ pooler: {} });
    fleet.settle();
    assert.deepEqual(fleet.pods.map((pod) => pod.name).sort(), former);
    fleet.neverStarts = () => false;
    fleet.edit({ pooler: { image: 'example.test/pgbouncer:2' } });
    fleet.settle();
    const rolled = fleet.pods.map((pod) => pod.name).sort();
    fleet.edit({ pooler: {} });
    fleet.settle();
    assert.equal(fleet.pool.status?.image, 'example.test/pgbouncer:2');
    assert.deepEqual(fleet.pods.map((pod) => pod.name).sort(), rolled);
  });

  it('drains surplus pods before it deletes them, and shares out what they had', () => {
    const fleet = new PaperFleet({ fleet: { replicas: 4 } });
    fleet.settle();
    for (const pod of fleet.pods) fleet.connect(pod.name, 2);
    fleet.edit({ fleet: { replicas: 2 } });
    for (let turn = 0; turn < 8; turn += 1) fleet.turn();
    assert.equal(fleet.pods.length, 4, 'pods with clients were deleted');
    assert.equal(fleet.pods.filter((pod) => pod.drain !== undefined && !pod.serving).length, 2);
    fleet.settle();
    assert.equal(fleet.pods.length, 2);
    assert.deepEqual(sizes(fleet), [5, 4]);
  });

  it('makes credentials again that got lost, and leaves the pods as they are meanwhile', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    const plan = planPool({ ...fleet.observe(), credentials: undefined, poolers: new Map() });
    assert.deepEqual(
      plan.actions.map((action) => action.kind),
      ['createCredentials'],
    );
  });

  it('says that a budget is too small and keeps the last sizes', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.edit({ budget: { connections: 3 } });
    for (let turn = 0; turn < 20; turn += 1) assert.deepEqual(fleet.turn().actions, []);
    assert.equal(ready(fleet)?.reason, 'BudgetTooSmall');
    assert.deepEqual(sizes(fleet), [5, 4]);
  });

  it('stamps its epoch on every pod of an earlier leader before it lets any pod grow', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.epoch = 8;
    fleet.workloads.set('Deployment/web', workload(6));
    const plan = fleet.turn();
    assert.deepEqual(sizes(fleet), [5, 4], 'a pod grew in the same step as the stamps');
    assert.equal(plan.actions.filter((action) => action.kind === 'patchPod').length, 2);
    assert.ok(fleet.pods.every((pod) => pod.grant?.epoch === 8));
    fleet.settle();
    assert.deepEqual(sizes(fleet), [10, 9]);
  });

  it('keeps to a lowered budget also while the rest of the specification can not be had', () => {
    const fleet = new PaperFleet({ budget: { connections: 40 }, fleet: { replicas: 2 } });
    fleet.workloads.set('Deployment/web', workload(40));
    fleet.settle();
    assert.ok(fleet.inForce() > 12);
    const databases = Array.from({ length: 6 }, (_, index) => ({ name: `tenant-${index}` }));
    fleet.edit({ budget: { connections: 12 }, databases });
    for (let turn = 0; turn < 100; turn += 1) fleet.turn();
    assert.equal(ready(fleet)?.reason, 'BudgetTooSmall');
    assert.ok(fleet.inForce() <= 12, `${fleet.inForce()} in force`);
  });

  it('finishes a rollout that overtook another one in a budget with room for one pod more', () => {
    const fleet = new PaperFleet({ budget: { connections: 10 }, fleet: { replicas: 4 } });
    fleet.workloads.set('Deployment/web', workload(40));
    fleet.settle();
    const template = (value: string): Partial<PoolConfigSpec> => ({
      fleet: { replicas: 4, template: { metadata: { annotations: { 'example.com/rollout': value } } } },
    });
    fleet.edit(template('first'));
    for (let turn = 0; turn < 40 && fleet.pods.length < 5; turn += 1) fleet.turn();
    assert.equal(fleet.pods.length, 5, 'the first rollout never added its pod');
    fleet.edit(template('second'));
    fleet.settle();
    assert.equal(ready(fleet)?.status, 'True');
    assert.equal(new Set(fleet.pods.map((pod) => pod.template)).size, 1);
    assert.equal(fleet.pods.length, 4);
  });

  it('gives databases their share and takes it back, whatever they are called', () => {
    const orders = { name: 'orders', database: 'orders_production', poolMode: 'transaction', weight: 1 } as const;
    for (const name of ['constructor', '__proto__', 'toString']) {
      const fleet = new PaperFleet({ databases: [orders] });
      fleet.settle();
      fleet.edit({ databases: [orders, { ...orders, name, database: name }] });
      fleet.settle();
      for (const { grant } of fleet.pods)
        assert.deepEqual(Object.keys(grant?.sizes ?? {}).sort(), [name, 'orders'].sort());
      fleet.edit({ databases: [orders] });
      fleet.settle();
      for (const { grant } of fleet.pods) assert.deepEqual(Object.keys(grant?.sizes ?? {}), ['orders']);
    }
  });

  it('makes room for a database more in a fleet that has spent its budget, be it a fleet of one pod', () => {
    for (const replicas of [1, 2]) {
      const fleet = new PaperFleet({ budget: { connections: 12 * replicas }, fleet: { replicas } });
      fleet.workloads.set('Deployment/web', workload(40));
      fleet.settle();
      assert.equal(fleet.inForce(), 11 * replicas, 'the budget was not spent');
      fleet.edit({ databases: [{ name: 'orders' }, { name: 'audit' }] });
      fleet.settle();
      assert.equal(ready(fleet)?.status, 'True');
      for (const pod of fleet.pods) assert.deepEqual(Object.keys(pod.grant?.sizes ?? {}).sort(), ['audit', 'orders']);
      assert.ok(fleet.inForce() <= 10 * replicas, `${fleet.inForce()} in force, floors of as many pods are set aside`);
    }
  });

  it('does nothing at all once a pod carries the epoch of a later leader: what it reads now would let it write', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    fleet.epoch -= 1;
    fleet.edit({ budget: { connections: 20 } });
    const { status } = fleet.pool;
    const plan = fleet.turn();
    assert.deepEqual(plan.actions, []);
    assert.deepEqual(plan.events, []);
    assert.deepEqual(plan.status, status);
    fleet.epoch += 1;
    assert.notDeepEqual(fleet.turn().actions, []);
  });

  it('never lets the sizes in force exceed the budget, whatever is edited, scaled, killed and rolled (property)', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('replicas' as const), value: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant('web' as const), value: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ kind: fc.constant('kill' as const), value: fc.nat(9) }),
      fc.record({ kind: fc.constant('template' as const), value: fc.nat(3) }),
      fc.record({ kind: fc.constant('parameter' as const), value: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ kind: fc.constant('leader' as const), value: fc.nat(1) }),
      fc.record({ kind: fc.constant('turns' as const), value: fc.nat(30) }),
      fc.record({ kind: fc.constant('clients' as const), value: fc.nat(6) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 24, max: 60 }),
        fc.array(step, { minLength: 3, maxLength: 12 }),
        (budget, steps) => {
          const fleet = new PaperFleet({
            budget: { connections: budget },
            fleet: { replicas: 2, drain: { window: '3s', timeout: '9s' } },
          });
          const take = (turns: number): void => {
            for (let turn = 0; turn < turns; turn += 1) {
              fleet.turn();
              assert.ok(fleet.inForce() <= budget, `${fleet.inForce()} in force for a budget of ${budget}`);
            }
          };
          take(12);
          for (const { kind, value } of steps) {
            const { fleet: shape } = fleet.pool.spec;
            if (kind === 'replicas') fleet.edit({ fleet: { ...shape, replicas: value } });
            if (kind === 'web') fleet.workloads.set('Deployment/web', workload(value));
            if (kind === 'kill') for (const pod of fleet.pods.slice(value, value + 1)) fleet.kill(pod.name);
            if (kind === 'template')
              fleet.edit({ fleet: { ...shape, template: { metadata: { annotations: { note: String(value) } } } } });
            if (kind === 'parameter') fleet.edit({ pooler: { parameters: { query_wait_timeout: value } } });
            if (kind === 'leader') fleet.epoch += 1;
            if (kind === 'clients') for (const pod of fleet.pods) fleet.connect(pod.name, value);
            take(kind === 'turns' ? value : 3);
          }
          fleet.settle();
          assert.ok(fleet.inForce() <= budget);
          assert.equal(ready(fleet)?.status, 'True', JSON.stringify(ready(fleet)));
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 25) },
    );
  }).timeout(60_000 + 500 * Number(process.env['RUNS'] ?? 0));
});
