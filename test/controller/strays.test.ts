// Which databases of a pod have connections to where their host led before.
import assert from 'node:assert/strict';
import { straysOf } from '../../src/controller/read-poolers.ts';
import type { DatabaseRow } from '../../src/model/pooler-view.ts';
import type { ServerRow } from '../../src/pgbouncer/console.ts';
import { poolConfig } from '../support/observation.ts';

const NOW_MS = 1_000_000;
const pool = poolConfig();
const { host } = pool.spec.server;
const leadsTo = { address: '10.0.0.2', sinceMs: NOW_MS - 5_000 };

async function strays(
  rows: readonly Partial<ServerRow>[],
  { at = NOW_MS, tries = 0, hosts = [host, host] }: { at?: number; tries?: number; hosts?: readonly string[] } = {},
): Promise<readonly string[] | undefined> {
  const servers = () => Promise.resolve(rows.map((row) => ({ closeNeeded: false, ...row }) as ServerRow));
  const databases = ['orders', 'audit'].map((name, index) => ({ name, host: hosts[index] }) as DatabaseRow);
  const found = await straysOf(
    { servers },
    { databases },
    { pool, nowMs: at },
    leadsTo,
    tries,
    new AbortController().signal,
  );
  return found?.databases;
}

const old = (database: string): Partial<ServerRow> => ({ database, address: '10.0.0.1' });
const moved = (database: string): Partial<ServerRow> => ({ database, address: '10.0.0.2' });

describe('databases with connections to a former server', () => {
  it('are those that have one, each once', async () => {
    assert.deepEqual(await strays([old('orders'), old('orders'), moved('audit')]), ['orders']);
    assert.equal(await strays([moved('orders'), moved('audit')]), undefined);
  });

  it('are none whose connections close at the end of their transaction anyway', async () => {
    assert.deepEqual(await strays([{ ...old('orders'), closeNeeded: true }, moved('orders')]), undefined);
  });

  it('are none that the pod still has at another host, and none that are not the fleet’s', async () => {
    assert.deepEqual(await strays([old('orders'), old('audit'), old('peer')], { hosts: ['former.shop.svc', host] }), [
      'audit',
    ]);
  });

  it('are not asked for once it is no news, or has been tried often enough', async () => {
    assert.deepEqual(await strays([old('orders')], { at: NOW_MS + 600_000 }), undefined);
    assert.deepEqual(await strays([old('orders')], { tries: 5 }), ['orders']);
    assert.deepEqual(await strays([old('orders')], { tries: 6 }), undefined);
  });
});
