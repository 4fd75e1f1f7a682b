// Objects of a fleet that somebody deletes by hand: each is made again, and no pod is touched for it.
import assert from 'node:assert/strict';
import { kubectl, tryKubectl } from '../support/kubectl.ts';
import { waitForCondition } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { closing, POOL, Stage } from '../support/stage.ts';
import { until } from '../support/until.ts';

describe('an object of a fleet that is deleted by hand', function () {
  this.timeout(90_000);
  let stage: Stage;

  before(async () => {
    stage = await Stage.set({ prefix: 'lost' });
    await stage.prove(stage.pool());
  });

  after(() => stage[Symbol.asyncDispose]());

  const children = [
    ['service', `${POOL}-pooler`],
    ['poddisruptionbudget', `${POOL}-pooler`],
    ['configmap', `${POOL}-pooler`],
    ['secret', `${POOL}-pooler-files`],
    ['secret', `${POOL}-pooler-operator`],
  ] as const;

  for (const [kind, name] of children) {
    it(`comes back when it is the ${kind} ${name}, with the same pods`, async () => {
      const { namespace } = stage;
      const before = await podIdentities(namespace, POOL);
      const uidOf = async (): Promise<string> =>
        (await tryKubectl(['get', kind, name, '-n', namespace, '-o', 'jsonpath={.metadata.uid}'])).stdout.trim();
      const former = await uidOf();
      assert.notEqual(former, '');
      await kubectl(['delete', kind, name, '-n', namespace, '--wait=true']);
      await until(
        `${kind} ${name} made again`,
        async () => {
          const uid = await uidOf();
          return uid !== '' && uid !== former;
        },
        { timeoutMs: 20_000, everyMs: 100 },
      );
      await waitForCondition(namespace, POOL, 'Ready', 'True', { timeoutMs: 30_000 });
      assert.deepEqual(await podIdentities(namespace, POOL), before);
    });
  }

  it('leaves a fleet that still serves and still takes up a change', async () => {
    const before = await podIdentities(stage.namespace, POOL);
    await stage.prove(stage.pool().withParameters({ query_wait_timeout: 21 }));
    assert.deepEqual(await podIdentities(stage.namespace, POOL), before);
    await using connection = closing(await stage.client());
    assert.equal((await connection.client.query('SELECT 1')).rowCount, 1);
  });
});
