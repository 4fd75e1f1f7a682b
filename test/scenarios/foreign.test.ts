// Objects of somebody else that bear a child's name are never touched; the fleet comes up when they are out of the way.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { applyObjects, kubectl, kubectlJson } from '../support/kubectl.ts';
import { applyPool, conditionOf, waitForCondition } from '../support/pool.ts';
import { closing, measured, seconds, Stage } from '../support/stage.ts';

/** Longer than any step of the operator, shorter than its look at rest. */
const LONG_ENOUGH_MS = 3_000;

describe('an object that bears the name of a child', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'foreign' });
    namespace = stage.namespace;
  });

  after(() => stage[Symbol.asyncDispose]());

  const FOREIGN = {
    Service: { spec: { selector: { app: 'somebody-else' }, ports: [{ port: 80 }] } },
    ConfigMap: { data: { 'boot.ini': 'mine' } },
  };

  for (const [kind, body] of Object.entries(FOREIGN)) {
    it(`is left alone when it is a ${kind}, is told of, and makes way when it is removed`, async () => {
      const pool = kind.toLowerCase();
      const name = `${pool}-pooler`;
      await applyObjects([{ apiVersion: 'v1', kind, metadata: { namespace, name, labels: { owner: 'me' } }, ...body }]);
      const read = (): Promise<{ metadata: { uid: string; resourceVersion: string } }> =>
        kubectlJson(['get', kind, name, '-n', namespace]);
      const before = await read();
      await applyPool(stage.pool(pool));
      const told = await waitForCondition(namespace, pool, 'Ready', 'False', {
        reason: 'ConflictingName',
        timeoutMs: 20_000,
      });
      assert.match(conditionOf(told, 'Ready')?.message ?? '', new RegExp(`${kind} ${name}`));
      assert.ok(conditionOf(told, 'Stalled')?.status === 'True');
      await sleep(LONG_ENOUGH_MS);
      assert.deepEqual((await read()).metadata, before.metadata);
      await kubectl(['delete', kind, name, '-n', namespace]);
      const startedMs = performance.now();
      await waitForCondition(namespace, pool, 'Ready', 'True', { timeoutMs: 40_000 });
      measured(`${kind} removed: Ready after ${seconds(performance.now() - startedMs)}`);
      await using connection = closing(await stage.client(undefined, undefined, pool));
      await connection.client.query('SELECT 1');
    });
  }
});
