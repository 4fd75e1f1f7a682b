// Rules for who may come from where: a file and a userlist of another name, told to one pod first; what can't work is said before any pod is told.
import assert from 'node:assert/strict';
import type { AuthUser, HbaRule } from '../../src/api/poolconfig.gen.ts';
import { storedFiles } from '../../src/plan/children.ts';
import { secret } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const USERS: AuthUser[] = [{ secretRef: { name: 'orders-app' } }];
const REJECT: HbaRule = { address: '10.0.0.0/8', method: 'reject' };
const ALL: HbaRule = { method: 'scram-sha-256' };

function settled(hba?: HbaRule[]): PaperFleet {
  const fleet = new PaperFleet();
  if (hba !== undefined) fleet.edit({ auth: { users: USERS, hba } });
  fleet.settle();
  fleet.nowMs += 10_000;
  return fleet;
}

const lineOf = (text: string | undefined, key: string): string | undefined =>
  new RegExp(`^${key} = (.*)$`, 'm').exec(text ?? '')?.[1];
const told = (fleet: PaperFleet, key: string): readonly (string | undefined)[] =>
  fleet.pods.map(({ live }) => lineOf(live, key));
const textOf = (fleet: PaperFleet, file: string): string =>
  Buffer.from(storedFiles(fleet.observe()).data[file.replace(/.*\//, '')] ?? '', 'base64').toString('utf8');

describe('rules for who may come from where', () => {
  it('change nothing where there are none: logins by password, from anywhere', () => {
    const fleet = settled();
    for (const { live } of fleet.pods) {
      assert.equal(lineOf(live, 'auth_type'), 'scram-sha-256');
      assert.doesNotMatch(live ?? '', /hba/);
    }
    assert.doesNotMatch(textOf(fleet, told(fleet, 'auth_file')[0] ?? ''), /^;/m);
  });

  it('become a file beside a userlist of another name, on one pod first, then on the others, then in boot.ini', () => {
    const fleet = settled();
    const former = told(fleet, 'auth_file')[0];
    fleet.edit({ auth: { users: USERS, hba: [REJECT, ALL] } });
    const count = (): number => told(fleet, 'auth_type').filter((type) => type === 'hba').length;
    for (let turn = 0; turn < 30 && count() === 0; turn += 1) fleet.turn();
    assert.equal(count(), 1);
    fleet.settle();
    assert.equal(count(), fleet.pods.length);
    const [file, ...others] = told(fleet, 'auth_hba_file');
    assert.ok(file);
    for (const other of others) assert.equal(other, file);
    assert.match(textOf(fleet, file), /^host all all 10\.0\.0\.0\/8 reject\nhost all all all scram-sha-256\n$/m);
    const [userlist] = told(fleet, 'auth_file');
    assert.notEqual(userlist, former);
    assert.ok(textOf(fleet, userlist ?? '').includes(`; with ${file.replace(/.*\//, '')}`));
    const boot = fleet.children.get('ConfigMap/orders-pooler')?.['data'] as Record<string, string>;
    assert.equal(lineOf(boot['boot.ini'], 'auth_hba_file'), file);
  });

  it('go by RELOAD when they are taken out', () => {
    const fleet = settled([REJECT, ALL]);
    const pods = fleet.pods.map(({ uid }) => uid);
    fleet.edit({ auth: { users: USERS } });
    fleet.settle();
    assert.deepEqual(
      told(fleet, 'auth_type'),
      fleet.pods.map(() => 'scram-sha-256'),
    );
    assert.deepEqual(
      fleet.pods.map(({ uid }) => uid),
      pods,
    );
  });

  const impossible: readonly (readonly [string, HbaRule[], RegExp])[] = [
    ['a database that is not declared', [{ ...ALL, databases: ['ordres'] }], /hba\[0\]\.databases names "ordres"/],
    ['a user that is not declared', [ALL, { ...ALL, users: ['nobody'] }], /hba\[1\]\.users names "nobody"/],
    [
      'an address that is none',
      [{ ...ALL, address: '10.0.0.256/32' }],
      /hba\[0\]\.address: "10\.0\.0\.256\/32" is no network/,
    ],
    ['an address with bits beyond its prefix', [{ ...ALL, address: '10.1.0.0/8' }], /the network is 10\.0\.0\.0\/8/],
  ];
  for (const [what, hba, words] of impossible) {
    it(`are refused with ${what}, and the fleet stays as it was`, () => {
      const fleet = settled([REJECT, ALL]);
      const before = fleet.pods.map(({ live }) => live);
      fleet.edit({ auth: { users: USERS, hba } });
      for (let turn = 0; turn < 20; turn += 1) fleet.turn();
      const ready = fleet.pool.status?.conditions?.find(({ type }) => type === 'Ready');
      assert.deepEqual([ready?.status, ready?.reason], ['False', 'InvalidSpec']);
      assert.match(ready?.message ?? '', words);
      assert.deepEqual(
        fleet.pods.map(({ live }) => live),
        before,
      );
    });
  }

  it('are refused where a certificate is to do for a user of whom only a SCRAM secret is known', () => {
    const fleet = settled();
    const scram = `SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$${'A'.repeat(43)}=:${'B'.repeat(43)}=`;
    fleet.secrets.set('orders-app', secret({ username: 'orders_app', password: scram }));
    fleet.edit({ auth: { users: USERS, hba: [{ type: 'hostssl', method: 'cert' }] } });
    for (let turn = 0; turn < 20; turn += 1) fleet.turn();
    const ready = fleet.pool.status?.conditions?.find(({ type }) => type === 'Ready');
    assert.equal(ready?.reason, 'InvalidSpec');
    assert.match(ready.message, /hba\[0\]\.method is cert, and Secret orders-app holds a SCRAM secret/);
    assert.ok(!ready.message.includes('AAAA'));
  });
});
