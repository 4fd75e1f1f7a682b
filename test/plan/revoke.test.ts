// A removed user: refused everywhere, then its connections closed, and called revoked only when no container could start anew and let it in.
import assert from 'node:assert/strict';
import type { AuthUser, RevokingStatus } from '../../src/api/poolconfig.gen.ts';
import type { Action } from '../../src/model/plan.ts';
import { secret } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const user = (name: string): AuthUser => ({ secretRef: { name } });
const BOTH = { auth: { users: [user('orders-app'), user('reader')] } };
const WITHOUT = { auth: { users: [user('orders-app')] } };

function settled(): PaperFleet {
  const fleet = new PaperFleet(BOTH);
  fleet.secrets.set('reader', secret({ username: 'reader', password: 'a password' }));
  fleet.settle();
  fleet.nowMs += 10_000;
  return fleet;
}

const revoking = ({ pool }: PaperFleet): RevokingStatus | undefined => pool.status?.revoking;
const closings = (fleet: PaperFleet): readonly (Action & { kind: 'closeUsers' })[] =>
  fleet.turns.flatMap(({ plan }) => plan.actions.filter((action) => action.kind === 'closeUsers'));
const toldOf = (fleet: PaperFleet): readonly string[] =>
  fleet.turns.flatMap(({ plan }) =>
    plan.events.filter(({ reason }) => reason === 'UsersRevoked').map(({ note }) => note),
  );

/** Turns until every pod was told, with the user's clients still on the first one. */
function removed(fleet: PaperFleet): string {
  const [first] = fleet.pods;
  assert.ok(first);
  fleet.edit(WITHOUT);
  for (let turn = 0; turn < 40 && revoking(fleet) === undefined; turn += 1) fleet.turn();
  fleet.lingering.set(first.name, ['reader']);
  return first.name;
}

describe('a user that is removed', () => {
  it('is being revoked from the first look on, by name', () => {
    const fleet = settled();
    assert.equal(revoking(fleet), undefined);
    fleet.edit(WITHOUT);
    fleet.turn();
    assert.deepEqual(revoking(fleet), { users: ['reader'] });
  });

  it('has its connections closed between two transactions, and after the drain window all the same', () => {
    const fleet = settled();
    fleet.drains = false;
    const pod = removed(fleet);
    for (let turn = 0; turn < 20; turn += 1) fleet.turn();
    const [first] = closings(fleet);
    assert.deepEqual([first?.pod, first?.users, first?.evenBusy], [pod, ['reader'], false]);
    fleet.nowMs += 31_000;
    fleet.turn();
    assert.equal(closings(fleet).at(-1)?.evenBusy, true);
    fleet.settle();
    assert.equal(fleet.lingering.size, 0);
  });

  it('is revoked when no connection is left and boot.ini has been on every disk for a while, which is told once', () => {
    const fleet = settled();
    removed(fleet);
    let onDiskMs = 0;
    for (let turn = 0; turn < 400 && revoking(fleet) !== undefined; turn += 1) {
      if (revoking(fleet)?.onDiskSince !== undefined && onDiskMs === 0) onDiskMs = fleet.nowMs;
      fleet.turn();
    }
    assert.equal(revoking(fleet), undefined);
    assert.ok(fleet.nowMs - onDiskMs >= 5_000, `after ${fleet.nowMs - onDiskMs} ms`);
    fleet.settle();
    assert.equal(toldOf(fleet).length, 1);
    assert.match(toldOf(fleet)[0] ?? '', /^"reader": let in by no pod/);
  });

  it('is not revoked while a pod can not be asked', () => {
    const fleet = settled();
    const pod = removed(fleet);
    fleet.silent.add(pod);
    for (let turn = 0; turn < 100; turn += 1) {
      fleet.turn();
      fleet.nowMs += 1_000;
    }
    assert.deepEqual(revoking(fleet)?.users, ['reader']);
    assert.deepEqual(toldOf(fleet), []);
    fleet.silent.clear();
    fleet.settle();
    assert.equal(revoking(fleet), undefined);
  });

  it('is not revoked when it comes back, and nobody says so', () => {
    const fleet = settled();
    removed(fleet);
    fleet.edit(BOTH);
    fleet.lingering.clear();
    fleet.settle();
    assert.equal(revoking(fleet), undefined);
    assert.deepEqual(toldOf(fleet), []);
  });

  it('goes on being revoked under another leader and while the specification is blocked', () => {
    const fleet = settled();
    const pod = removed(fleet);
    fleet.edit({ auth: { users: [user('nobody')] } });
    fleet.epoch += 1;
    for (let turn = 0; turn < 20; turn += 1) fleet.turn();
    assert.deepEqual(revoking(fleet)?.users, ['reader']);
    assert.ok(closings(fleet).some((action) => action.pod === pod));
    fleet.edit(WITHOUT);
    fleet.settle();
    assert.equal(revoking(fleet), undefined);
    assert.equal(toldOf(fleet).length, 1);
  });
});
