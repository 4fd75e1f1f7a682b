// PostgreSQL is gone: clients wait in paused pools, two witnesses are needed for it, and whatever happens they go on.
import assert from 'node:assert/strict';
import type { OutageStatus } from '../../src/api/poolconfig.gen.ts';
import type { Observation } from '../../src/model/observation.ts';
import { OUTAGE_WAIT_MS } from '../../src/plan/outage.ts';
import { planPool } from '../../src/plan/plan.ts';
import { secret } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const UP = {
  reachable: true,
  limits: { versionNumber: 170_000, maxConnections: 100, superuserReserved: 3, reserved: 0 },
  seesOthers: true,
  backends: [],
} as const;
const GONE = { reachable: false, fault: 'ServerUnreachable' } as const;

function serving(server: Record<string, unknown> = {}): PaperFleet {
  const fleet = new PaperFleet();
  fleet.secrets.set('monitor', secret({ username: 'poolsmith_monitor', password: 'sesame' }));
  fleet.server = UP;
  fleet.edit({ server: { ...fleet.pool.spec.server, monitorSecretRef: { name: 'monitor' }, ...server } });
  fleet.settle();
  fleet.nowMs += 60_000;
  fleet.settle();
  for (const { name } of fleet.pods) fleet.connect(name, 10);
  return fleet;
}

function lose(fleet: PaperFleet, pods = fleet.pods.map(({ name }) => name)): void {
  fleet.server = GONE;
  for (const name of pods) fleet.lost.add(name);
}

function bringBack(fleet: PaperFleet): void {
  fleet.server = UP;
  fleet.lost.clear();
}

const outageOf = ({ pool }: PaperFleet): OutageStatus | undefined => pool.status?.outage;
const paused = (fleet: PaperFleet): readonly string[] =>
  fleet.pods
    .map(({ name, uid }) => ({ name, reading: fleet.observe().poolers.get(uid) }))
    .filter(({ reading }) => reading?.ok === true && reading.view.databases.every((row) => row.paused))
    .map(({ name }) => name);

function turns(fleet: PaperFleet, count: number): void {
  for (let turn = 0; turn < count; turn += 1) fleet.turn();
}

describe('a server that is gone', () => {
  it('is waited for: pods are noted in status, then paused, and resumed when it is back', () => {
    const fleet = serving();
    const names = fleet.pods.map(({ name }) => name);
    lose(fleet);
    const first = fleet.turn();
    assert.deepEqual(paused(fleet), [], 'a pod was paused before it was noted');
    assert.deepEqual(outageOf(fleet)?.pods, names.toSorted());
    assert.ok((first.requeueAfterMs ?? Infinity) <= 20, `${first.requeueAfterMs} ms until the next look`);
    fleet.turn();
    assert.deepEqual(paused(fleet), names);
    turns(fleet, 5);
    assert.ok((fleet.turns.at(-1)?.plan.requeueAfterMs ?? Infinity) <= 500);
    const reachable = fleet.pool.status?.conditions?.find(({ type }) => type === 'ServerReachable');
    assert.match(reachable?.message ?? '', /Clients of 2 pods wait for it, 120 s at most\.$/);
    bringBack(fleet);
    fleet.turn();
    assert.deepEqual(paused(fleet), []);
    fleet.settle();
    assert.equal(outageOf(fleet), undefined);
    const told = fleet.turns.flatMap(({ plan }) => plan.events.map(({ reason }) => reason));
    assert.deepEqual(
      told.filter((reason) => reason.startsWith('Clients')),
      ['ClientsHeld', 'ClientsReleased'],
    );
  });

  it('pauses nobody when only the operator is cut off: no pod has lost its connections', () => {
    const fleet = serving();
    lose(fleet, []);
    turns(fleet, 10);
    assert.deepEqual(paused(fleet), []);
    assert.equal(outageOf(fleet), undefined);
  });

  it('pauses nobody who has lost his connections while the server answers the operator', () => {
    const fleet = serving();
    lose(fleet);
    fleet.server = UP;
    turns(fleet, 10);
    assert.deepEqual(paused(fleet), []);
  });

  it('pauses nobody for a login that it refuses', () => {
    const fleet = serving();
    lose(fleet);
    fleet.server = { reachable: false, fault: 'PasswordRefused' };
    turns(fleet, 10);
    assert.deepEqual(paused(fleet), []);
  });

  it('pauses nobody for another server that is declared and was never reached', () => {
    const fleet = serving();
    fleet.edit({ server: { ...fleet.pool.spec.server, host: 'nowhere.shop.svc' } });
    fleet.trials = [{ user: 'orders_app', database: 'orders_production', outcome: 'ServerUnreachable' }];
    lose(fleet);
    turns(fleet, 10);
    assert.deepEqual(paused(fleet), []);
  });

  it('takes in a pod that loses its connections later', () => {
    const fleet = serving();
    const [first = '', second = ''] = fleet.pods.map(({ name }) => name);
    lose(fleet, [first]);
    turns(fleet, 2);
    assert.deepEqual(paused(fleet), [first]);
    lose(fleet, [second]);
    turns(fleet, 2);
    assert.deepEqual(paused(fleet), [first, second]);
  });

  it('is waited for two minutes; then queries fail, as PgBouncer does by itself, until it is back', () => {
    const fleet = serving();
    lose(fleet);
    turns(fleet, 2);
    const lostMs = fleet.nowMs;
    for (let turn = 0; paused(fleet).length > 0; turn += 1) {
      assert.ok(turn < 2_000);
      fleet.turn();
    }
    const waitedMs = fleet.nowMs - lostMs;
    assert.ok(waitedMs > OUTAGE_WAIT_MS - 3_000 && waitedMs < OUTAGE_WAIT_MS + 3_000, `${waitedMs}`);
    turns(fleet, 20);
    assert.deepEqual(paused(fleet), [], 'paused again in the same outage');
    assert.deepEqual(outageOf(fleet)?.pods, []);
    bringBack(fleet);
    fleet.settle();
    assert.equal(outageOf(fleet), undefined);
    lose(fleet);
    turns(fleet, 2);
    assert.equal(paused(fleet).length, 2, 'the next outage is not waited for');
  });

  it('keeps a pod noted that is drained or not Ready meanwhile: it is paused all the same', () => {
    const fleet = serving();
    const [first = '', second = ''] = fleet.pods.map(({ name }) => name);
    lose(fleet);
    turns(fleet, 3);
    const looked = fleet.observe();
    const pods = looked.pods.map((pod) => (pod.name === first ? { ...pod, ready: false } : pod));
    assert.deepEqual(planPool({ ...looked, pods }).status.outage?.pods, [first, second].toSorted());
  });

  it('is resumed from by whoever leads next', () => {
    const fleet = serving();
    lose(fleet);
    turns(fleet, 3);
    fleet.epoch += 1;
    bringBack(fleet);
    turns(fleet, 3);
    assert.deepEqual(paused(fleet), []);
  });

  it('leaves alone what somebody paused by hand', () => {
    const fleet = serving();
    const [first = '', second = ''] = fleet.pods.map(({ name }) => name);
    fleet.pause(first, ['orders']);
    lose(fleet, [second]);
    turns(fleet, 3);
    assert.deepEqual(paused(fleet), [first, second]);
    bringBack(fleet);
    turns(fleet, 3);
    assert.deepEqual(paused(fleet), [first]);
  });

  it('is not waited for where the PoolConfig says so, and what waits is released when it is said later', () => {
    const failing = serving({ whenLost: 'Fail' });
    lose(failing);
    turns(failing, 5);
    assert.deepEqual(paused(failing), []);
    const fleet = serving();
    lose(fleet);
    turns(fleet, 3);
    assert.equal(paused(fleet).length, 2);
    fleet.edit({ server: { ...fleet.pool.spec.server, whenLost: 'Fail' } });
    turns(fleet, 2);
    assert.deepEqual(paused(fleet), []);
  });

  it('has no pod come or go meanwhile', () => {
    const fleet = serving();
    const names = fleet.pods.map(({ name }) => name);
    lose(fleet);
    turns(fleet, 3);
    fleet.edit({ fleet: { replicas: 3 } });
    turns(fleet, 20);
    assert.deepEqual(
      fleet.pods.map(({ name }) => name),
      names,
    );
    bringBack(fleet);
    fleet.settle();
    assert.equal(fleet.pods.length, 3);
  });

  it('stays noted until a declared pause has taken a pod over: one that is taken back at once leaves nobody paused', () => {
    const fleet = serving();
    lose(fleet);
    turns(fleet, 3);
    const { status } = fleet.pool;
    const declared = {
      ...fleet.observe(),
      pool: {
        ...fleet.pool,
        spec: { ...fleet.pool.spec, pause: { until: new Date(fleet.nowMs + 60_000).toISOString() } },
      },
    };
    // The pods could not be written, status could.
    fleet.pool = { ...fleet.pool, status: planPool(declared).status };
    assert.deepEqual(outageOf(fleet)?.pods, status?.outage?.pods);
    bringBack(fleet);
    turns(fleet, 5);
    assert.deepEqual(paused(fleet), []);
  });

  it('stays noted while there is nothing to plan by: whoever can plan again resumes the pods', () => {
    const fleet = serving();
    lose(fleet);
    turns(fleet, 3);
    const status = fleet.pool.status;
    assert.ok(status?.outage);
    // The record of what was proved is lost, and what is declared can't be had.
    const children = new Map([...fleet.children].filter(([, { kind }]) => kind !== 'ConfigMap'));
    const pool = { ...fleet.pool, spec: { ...fleet.pool.spec, budget: { connections: 1, reserve: 0 } } };
    const plan = planPool({ ...fleet.observe(), children, pool });
    assert.equal(plan.status.conditions?.find(({ type }) => type === 'Ready')?.status, 'False');
    assert.deepEqual(plan.status.outage, status.outage);
  });

  it('pauses a pod only when it is that pod which answers: a lost one’s address may be a new pod’s by now', () => {
    const fleet = serving();
    lose(fleet);
    fleet.turn();
    const seen = fleet.observe();
    const pausing = (poolers: Observation['poolers']): readonly string[] =>
      planPool({ ...seen, poolers }).actions.flatMap((action) => (action.kind === 'pausePools' ? [action.pod] : []));
    const [gone, other] = fleet.pods;
    assert.ok(gone && other);
    assert.deepEqual(pausing(seen.poolers), [gone.name, other.name]);
    const newcomer = seen.poolers.get(other.uid);
    assert.ok(newcomer);
    assert.deepEqual(pausing(new Map([...seen.poolers, [gone.uid, newcomer]])), [other.name]);
  });

  it('gives way to a declared pause, which ends at its own time', () => {
    const fleet = serving();
    lose(fleet);
    turns(fleet, 3);
    fleet.edit({ pause: { until: new Date(fleet.nowMs + 60_000).toISOString() } });
    turns(fleet, 10);
    bringBack(fleet);
    turns(fleet, 10);
    assert.equal(paused(fleet).length, 2);
    assert.equal(outageOf(fleet), undefined);
    fleet.nowMs += 60_000;
    fleet.settle();
    assert.deepEqual(paused(fleet), []);
  });
});
