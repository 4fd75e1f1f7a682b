// What `poolsmith plan` says beforehand of each change: loaded or rolled, and whom it reaches.
import assert from 'node:assert/strict';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { previewPool } from '../../src/plan/preview.ts';
import { secret } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

/** The lines about what changes, for a fleet that runs. */
function changes(spec: Partial<PoolConfigSpec>): readonly string[] {
  const fleet = new PaperFleet();
  fleet.settle();
  fleet.secrets.set('reader', secret({ username: 'reader', password: 'a password' }));
  fleet.edit(spec);
  return previewPool(fleet.observe()).lines.filter((line) => /^ {2}(RELOAD|ROLL|SCALE|No)/.test(line));
}

const USERS = [{ secretRef: { name: 'orders-app' } }];

describe('the preview of a change', () => {
  it('says that nothing changes when nothing does', () => {
    assert.deepEqual(changes({}), ['  No setting changes.']);
  });

  const cases: readonly (readonly [string, Partial<PoolConfigSpec>, RegExp])[] = [
    [
      'a setting',
      { pooler: { parameters: { query_wait_timeout: 7 } } },
      /^ {2}RELOAD query_wait_timeout: \S+ → 7 \(.*in force at once/,
    ],
    [
      'a setting of sockets',
      { pooler: { parameters: { tcp_keepidle: 30 } } },
      /^ {2}RELOAD tcp_keepidle: \(none\) → 30 \(.*for new connections; those that are open go on/,
    ],
    [
      'rules',
      { auth: { users: USERS, hba: [{ method: 'reject' }] } },
      /^ {2}RELOAD rules \(hba\): none → hba-\w+\.conf \(.*those that are connected stay/,
    ],
    [
      'another user',
      { auth: { users: [...USERS, { secretRef: { name: 'reader' } }] } },
      /^ {2}RELOAD userlist: userlist-\w+\.txt → userlist-\w+\.txt \(.*but for those of users that are removed/,
    ],
    [
      'a pool mode',
      { databases: [{ name: 'orders', database: 'orders_production', poolMode: 'session' }] },
      /^ {2}RELOAD database orders: .* transaction → .* session \(.*server connections are renewed/,
    ],
    ['more pods', { fleet: { replicas: 5 } }, /^ {2}SCALE {2}2 → 5 pods/],
    [
      'a pod’s memory',
      { fleet: { replicas: 2, template: { resources: { limits: { memory: '1Gi' } } } } },
      /^ {2}ROLL {3}every pod is replaced, one at a time/,
    ],
  ];
  for (const [what, spec, line] of cases)
    it(`says of ${what} what it does, and to whom`, () => {
      const lines = changes(spec);
      assert.ok(
        lines.some((one) => line.test(one)),
        lines.join('\n'),
      );
    });
});
