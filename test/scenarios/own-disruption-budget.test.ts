// A disruption budget of the user's own on the fleet's pods: it is the one that counts, and pods can still be evicted.
import assert from 'node:assert/strict';
import { LABEL } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { applyObjects, kubectl, kubectlJson, tryKubectl } from '../support/kubectl.ts';
import { poolPods } from '../support/pool-children.ts';
import { measured, POOL, Stage } from '../support/stage.ts';

const CHOOSES = { [LABEL.pool]: POOL };

describe('a disruption budget of the user’s own on a fleet’s pods', function () {
  this.timeout(120_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'own-pdb' });
    namespace = stage.namespace;
    await stage.settle(stage.pool());
  });

  after(() => stage[Symbol.asyncDispose]());

  async function ours(): Promise<string | undefined> {
    type Budget = { spec: { selector: { matchLabels: Record<string, string> } } };
    const { spec } = await kubectlJson<Budget>(['get', 'pdb', `${POOL}-pooler`, '-n', namespace]);
    return spec.selector.matchLabels[LABEL.pool];
  }

  it('has ours stand aside, so that pods can be evicted by its rule, and come back when it is removed', async () => {
    assert.equal(await ours(), POOL);
    await applyObjects([
      {
        ...{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { namespace, name: 'mine' } },
        spec: { minAvailable: 1, selector: { matchLabels: CHOOSES } },
      },
    ]);
    await until('ours to choose nobody', async () => (await ours()) === '' || undefined, 10_000, 50);
    const [name = ''] = (await poolPods(namespace, POOL)).map(({ metadata }) => metadata.name);
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
    const evict = () => tryKubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(body));
    // The disruption controller needs a moment to count for a budget that is new.
    const evicted = await until(
      'the eviction to be allowed',
      async () => {
        const { code, stderr } = await evict();
        assert.doesNotMatch(stderr, /more than one/);
        return code === 0 || undefined;
      },
      20_000,
      200,
    );
    assert.ok(evicted);
    const { events } = await told();
    measured(events.find((note) => note.includes('stands aside')) ?? 'no event');
    assert.ok(events.some((note) => note.includes('stands aside for mine')));
    await kubectl(['delete', 'pdb', 'mine', '-n', namespace]);
    await until('ours to choose the pods again', async () => (await ours()) === POOL || undefined, 10_000, 50);
    await stage.settle(stage.pool());
  });

  async function told(): Promise<{ events: readonly string[] }> {
    const list = await until(
      'the event',
      async () => {
        const { items } = await kubectlJson<{ items: { note?: string; message?: string }[] }>([
          'get',
          'events',
          '-n',
          namespace,
        ]);
        const notes = items.map(({ note, message }) => note ?? message ?? '');
        return notes.some((note) => note.includes('stands aside')) ? notes : undefined;
      },
      15_000,
      200,
    );
    return { events: list };
  }
});
