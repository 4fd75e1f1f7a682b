// A pause: patience first, then PAUSE, read back from every pod; it ends at its time, whoever was away, and leaves nothing.
import assert from 'node:assert/strict';
import type { PauseStatus } from '../../src/api/poolconfig.gen.ts';
import { isoTime } from '../../src/model/iso-time.ts';
import type { Action } from '../../src/model/plan.ts';
import { MAX_PAUSE_MS } from '../../src/plan/pause.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const PAUSE_MS = 60_000;
const USUAL_SECONDS = '120';

function serving(spec: ConstructorParameters<typeof PaperFleet>[0] = {}): PaperFleet {
  const fleet = new PaperFleet(spec);
  fleet.settle();
  fleet.nowMs += 60_000;
  fleet.settle();
  for (const { name } of fleet.pods) fleet.connect(name, 10);
  return fleet;
}

function pauseFor(fleet: PaperFleet, forMs: number): string {
  const until = isoTime(fleet.nowMs + forMs);
  fleet.edit({ pause: { until } });
  return until;
}

function unpause(fleet: PaperFleet): void {
  const { pause, ...spec } = fleet.pool.spec;
  assert.ok(pause !== undefined);
  fleet.pool = { ...fleet.pool, spec };
  fleet.edit({});
}

function turnUntil(fleet: PaperFleet, condition: () => boolean): void {
  for (let turn = 0; turn < 300; turn += 1) {
    if (condition()) return;
    fleet.turn();
  }
  assert.fail(`300 turns in vain: ${JSON.stringify(statusOf(fleet))}`);
}

const statusOf = ({ pool }: PaperFleet): PauseStatus | undefined => pool.status?.pause;
const stateOf = (fleet: PaperFleet): string | undefined => statusOf(fleet)?.state;
const verdictOf = ({ pool }: PaperFleet): string | undefined => {
  const condition = pool.status?.conditions?.find(({ type }) => type === 'Paused');
  return condition === undefined ? undefined : `${condition.status} ${condition.reason}`;
};
const did = (fleet: PaperFleet, kind: Action['kind']): number =>
  fleet.turns.flatMap(({ plan }) => plan.actions.filter((action) => action.kind === kind)).length;

function pausedPods(fleet: PaperFleet): number {
  return [...fleet.observe().poolers.values()].filter(
    (reading) => reading.ok && reading.view.databases.every(({ paused }) => paused),
  ).length;
}

function openOn(fleet: PaperFleet): readonly string[] {
  return [...fleet.observe().poolers.values()].flatMap((reading) =>
    reading.ok ? reading.view.databases.filter(({ paused }) => !paused).map(({ host }) => host ?? '') : [],
  );
}

function patience(fleet: PaperFleet): readonly (string | undefined)[] {
  return [...fleet.observe().poolers.values()].map((reading) =>
    reading.ok ? reading.view.config.get('query_wait_timeout') : undefined,
  );
}

describe('a pause', () => {
  it('raises what clients wait before any pod is paused, and is told when every pod was read back', () => {
    const fleet = serving();
    const until = pauseFor(fleet, PAUSE_MS);
    const usual = patience(fleet);
    assert.deepEqual(new Set(usual), new Set([USUAL_SECONDS]));
    turnUntil(fleet, () => {
      const [impatient] = patience(fleet).filter((seconds) => seconds === USUAL_SECONDS);
      assert.ok(impatient === undefined || pausedPods(fleet) < fleet.pods.length);
      return pausedPods(fleet) > 0;
    });
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    assert.equal(pausedPods(fleet), 2);
    for (const seconds of patience(fleet)) assert.ok(Number(seconds) * 1000 > MAX_PAUSE_MS, seconds);
    assert.deepEqual(statusOf(fleet), { until, state: 'Paused', pausedPods: 2, waitingClients: 20 });
    assert.equal(verdictOf(fleet), 'True UntilItsTime');
    const told = fleet.turns.flatMap(({ plan }) => plan.events.filter(({ reason }) => reason === 'FleetPaused'));
    assert.equal(told.length, 1);
  });

  it('ends by itself at its time, with nothing left over', () => {
    const fleet = serving();
    const before = fleet.pods.map(({ live }) => live);
    const endsMs = fleet.nowMs + PAUSE_MS;
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    turnUntil(fleet, () => {
      assert.ok(pausedPods(fleet) === 2 || fleet.nowMs >= endsMs - 1_000);
      return stateOf(fleet) === 'Ended';
    });
    assert.ok(fleet.nowMs - endsMs < 5_000, `${fleet.nowMs - endsMs} ms late`);
    fleet.settle();
    assert.equal(verdictOf(fleet), 'False PauseOver');
    assert.equal(pausedPods(fleet), 0);
    assert.deepEqual(
      fleet.pods.map(({ live }) => live),
      before,
    );
    unpause(fleet);
    fleet.settle();
    assert.equal(statusOf(fleet), undefined);
    assert.equal(verdictOf(fleet), undefined);
  });

  it('ends as soon as the operator is back, when it was away at the time', () => {
    const fleet = serving();
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    fleet.nowMs += 10 * PAUSE_MS;
    fleet.epoch += 1;
    fleet.turn();
    assert.equal(pausedPods(fleet), 0);
    fleet.settle();
    assert.equal(stateOf(fleet), 'Ended');
    assert.deepEqual(new Set(patience(fleet)), new Set([USUAL_SECONDS]));
  });

  it('ends when it is taken out', () => {
    const fleet = serving();
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    unpause(fleet);
    fleet.turn();
    assert.equal(pausedPods(fleet), 0);
    fleet.settle();
    assert.equal(statusOf(fleet), undefined);
    assert.deepEqual(new Set(patience(fleet)), new Set([USUAL_SECONDS]));
  });

  it('is not called one while a transaction runs', () => {
    const fleet = serving();
    const [first] = fleet.pods;
    fleet.connect(first?.name ?? '', 10, 1);
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => pausedPods(fleet) === 2);
    for (let turn = 0; turn < 20; turn += 1) {
      fleet.turn();
      assert.equal(stateOf(fleet), 'Pausing');
      assert.equal(verdictOf(fleet), 'False Pausing');
    }
    fleet.connect(first?.name ?? '', 10, 0);
    fleet.turn();
    assert.equal(stateOf(fleet), 'Paused');
  });

  it('is refused in the past, and further ahead than it may last, also when that time has come near', () => {
    const fleet = serving();
    const turns = fleet.turns.length;
    pauseFor(fleet, -1_000);
    fleet.settle();
    assert.equal(verdictOf(fleet), 'False PauseRefused');
    assert.match(statusOf(fleet)?.message ?? '', /which is in the past; nothing was paused/);
    const until = pauseFor(fleet, MAX_PAUSE_MS + 6_000);
    fleet.settle();
    assert.match(statusOf(fleet)?.message ?? '', new RegExp(`${until}, 606 s ahead; a pause lasts 600 s at most`));
    fleet.nowMs += MAX_PAUSE_MS - 20_000;
    fleet.settle();
    assert.equal(verdictOf(fleet), 'False PauseRefused');
    assert.equal(fleet.turns.slice(turns).filter(({ plan }) => plan.actions.length > 0).length, 0);
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
  });

  it('takes in a pod whose container was restarted meanwhile', () => {
    const fleet = serving();
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    const [first] = fleet.pods;
    fleet.pause(first?.name ?? '', ['orders'], false);
    turnUntil(fleet, () => stateOf(fleet) === 'Pausing');
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
  });

  it('holds back scaling, rollout and the end of drains, and lets them go on after it', () => {
    const fleet = serving({ fleet: { replicas: 3, drain: { window: '5s', timeout: '20s' } } });
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    fleet.edit({ fleet: { replicas: 2, drain: { window: '6s', timeout: '20s' } } });
    const names = fleet.pods.map(({ name }) => name);
    turnUntil(fleet, () => {
      if (pausedPods(fleet) === 0) return true;
      assert.deepEqual(
        fleet.pods.map(({ name }) => name),
        names,
      );
      return false;
    });
    assert.equal(did(fleet, 'endDrain'), 0);
    for (let turn = 0; turn < 300 && fleet.pods.some(({ name }) => names.includes(name)); turn += 1) fleet.turn();
    fleet.settle();
    assert.equal(fleet.pods.length, 2);
    assert.ok(fleet.pods.every(({ name }) => !names.includes(name)));
  });

  it('keeps the fleet Ready, with nothing under way, while it lasts', () => {
    const fleet = serving();
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    const conditions = fleet.pool.status?.conditions ?? [];
    assert.deepEqual(
      conditions.filter(({ status }) => status === 'True').map(({ type }) => type),
      ['Ready', 'ConfigApplied', 'BudgetSatisfied', 'ServerReachable', 'Paused'],
    );
  });

  it('has all pods on the new server before clients go on, the one that tries it first', () => {
    const fleet = serving({ fleet: { replicas: 3 } });
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    fleet.edit({ server: { ...fleet.pool.spec.server, host: 'elsewhere.shop.svc' } });
    const endsMs = fleet.nowMs + PAUSE_MS;
    let least = 3;
    turnUntil(fleet, () => {
      const open = openOn(fleet);
      if (open.length > 0) least = Math.min(least, open.length);
      assert.deepEqual(open, Array<string>(open.length).fill('elsewhere.shop.svc'));
      return open.length === 3;
    });
    assert.equal(least, 1, 'no pod was resumed before the others');
    assert.ok(fleet.nowMs < endsMs + 10_000);
    fleet.settle();
    assert.equal(fleet.pool.status?.refused, undefined);
    assert.equal(stateOf(fleet), 'Ended');
  });

  it('has clients go on with what was proved before when a change takes long', () => {
    const fleet = serving({ fleet: { replicas: 3 } });
    pauseFor(fleet, PAUSE_MS);
    const endsMs = fleet.nowMs + PAUSE_MS;
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    turnUntil(fleet, () => fleet.nowMs > endsMs - 2_000);
    fleet.edit({ server: { ...fleet.pool.spec.server, host: 'elsewhere.shop.svc' } });
    turnUntil(fleet, () => fleet.pods.some(({ live }) => live?.includes('elsewhere') === true));
    for (const { name, live } of fleet.pods) if (live?.includes('elsewhere') === true) fleet.silent.add(name);
    turnUntil(fleet, () => openOn(fleet).length > 0);
    assert.deepEqual(openOn(fleet), ['db.shop.svc', 'db.shop.svc']);
    assert.ok(fleet.nowMs - endsMs >= 9_000, `${fleet.nowMs - endsMs} ms after its end`);
    assert.ok(fleet.nowMs - endsMs <= 12_000, `${fleet.nowMs - endsMs} ms after its end`);
  });

  it('leaves alone what somebody paused by hand', () => {
    const fleet = serving();
    const [first] = fleet.pods;
    fleet.pause(first?.name ?? '', ['orders']);
    fleet.settle();
    assert.equal(did(fleet, 'resumePools'), 0);
    assert.equal(pausedPods(fleet), 1);
  });

  it('shortens nobody’s patience: without a limit there is none in a pause either', () => {
    const fleet = serving({ pooler: { parameters: { query_wait_timeout: 0 } } });
    pauseFor(fleet, PAUSE_MS);
    turnUntil(fleet, () => stateOf(fleet) === 'Paused');
    assert.deepEqual(new Set(patience(fleet)), new Set(['0']));
  });
});
