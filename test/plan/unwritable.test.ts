// A stored specification that no file of PgBouncer can carry: the API server of another version let it in, and the fleet stays as it was.
import assert from 'node:assert/strict';
import type { Database } from '../../src/api/poolconfig.gen.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

describe('a specification that can not be written down', () => {
  const stored: readonly (readonly [string, Partial<Database>, RegExp])[] = [
    ['a quote in the name of a database', { name: "a'b" }, /a single quote can not be written in a name/],
    ['a line break in the name on the server', { database: 'orders\nauth_type = any' }, /dbname/],
    ['a pool mode that is none', { poolMode: 'Session' as 'session' }, /poolMode: it must be one of/],
  ];
  for (const [what, change, words] of stored) {
    it(`blocks for ${what}: the field is named, and no pod is told`, () => {
      const fleet = new PaperFleet();
      fleet.settle();
      fleet.nowMs += 10_000;
      const before = fleet.pods.map(({ live }) => live);
      fleet.edit({ databases: [{ name: 'orders', database: 'orders_production', ...change }] });
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
});
