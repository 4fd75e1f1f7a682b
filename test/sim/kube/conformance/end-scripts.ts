// How objects end, and what a watch tells of it: preconditions, finalizers, owners, selectors.
import { RESOURCES, type ConfigMap as LiveConfigMap } from '../../../../src/kube/resources.ts';
import { configMap, framesOf, refusalOf, type Script } from './script.ts';

const { ConfigMap } = RESOURCES;

const named = ({ metadata, data }: LiveConfigMap): unknown => [metadata.name, data];

export const END_SCRIPTS: readonly Script[] = [
  {
    title: 'a deletion that names a UID or a version spares every other object of that name',
    answers: ['accepted', 'conflict', 'conflict', 'accepted', 'notFound'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const former = await api.create(configMap(stage, 'a'));
      note(await refusalOf(api.delete(ConfigMap, namespace, 'a', { uid: former.metadata.uid })));
      const next = await api.create(configMap(stage, 'a'));
      note(await refusalOf(api.delete(ConfigMap, namespace, 'a', { uid: former.metadata.uid })));
      const { uid, resourceVersion } = next.metadata;
      await api.mergePatch(ConfigMap, namespace, 'a', { data: { x: '1' } });
      note(await refusalOf(api.delete(ConfigMap, namespace, 'a', { uid, resourceVersion })));
      note(await refusalOf(api.delete(ConfigMap, namespace, 'a', { uid })));
      note(await refusalOf(api.delete(ConfigMap, namespace, 'a', { uid })));
    },
  },
  {
    title: 'a watch tells of every change once, in order, and of the end with the last state under a newer version',
    answers: [
      [
        ['ADDED', ['a', { x: '1' }]],
        ['MODIFIED', ['a', { x: '2' }]],
        ['DELETED', ['a', { x: '2' }]],
        ['ADDED', ['a', { x: '3' }]],
      ],
      true,
    ],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const versions: string[] = [];
      const act = async (): Promise<void> => {
        await api.create(configMap(stage, 'a', { x: '1' }));
        await api.mergePatch(ConfigMap, namespace, 'a', { data: { x: '2' } });
        await api.mergePatch(ConfigMap, namespace, 'a', { data: { x: '2' } });
        await api.delete(ConfigMap, namespace, 'a');
        await api.create(configMap(stage, 'a', { x: '3' }));
      };
      const told = (object: LiveConfigMap): unknown => {
        versions.push(object.metadata.resourceVersion);
        return named(object);
      };
      note((await framesOf(stage, ConfigMap, undefined, act, told)).filter(notOfTheCluster));
      note(new Set(versions).size === versions.length);
    },
  },
  {
    title: 'to a watch with a selector an object ends when its label goes, in the state that matched',
    answers: [
      [
        ['ADDED', ['a', { x: '1' }]],
        ['MODIFIED', ['a', { x: '2' }]],
        ['DELETED', ['a', { x: '2' }]],
        ['ADDED', ['a', { x: '3' }]],
        ['DELETED', ['a', { x: '3' }]],
      ],
    ],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const patch = (body: Readonly<Record<string, unknown>>): Promise<unknown> =>
        api.mergePatch(ConfigMap, namespace, 'a', body);
      const act = async (): Promise<void> => {
        await api.create(configMap(stage, 'unseen', { x: '1' }, { part: 'two' }));
        await api.create(configMap(stage, 'a', { x: '1' }, { part: 'one' }));
        await patch({ data: { x: '2' } });
        await patch({ metadata: { labels: { part: 'two' } }, data: { x: '3' } });
        await patch({ data: { x: '4' } });
        await patch({ metadata: { labels: { part: 'one' } }, data: { x: '3' } });
        await api.delete(ConfigMap, namespace, 'a');
      };
      note(await framesOf(stage, ConfigMap, 'part=one', act, named));
    },
  },
  {
    title: 'a list is sorted by name, and chosen by labels, by their presence, and by name',
    answers: [['a', 'b', 'c'], ['a', 'b'], ['b'], ['a'], ['c'], ['b']],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(configMap(stage, 'c', undefined, { team: 'two' }));
      await api.create(configMap(stage, 'b', undefined, { team: 'one', extra: '' }));
      await api.create(configMap(stage, 'a', undefined, { team: 'one' }));
      const names = async (selection: { labelSelector?: string; fieldSelector?: string }): Promise<unknown> => {
        const { items } = await api.list(ConfigMap, { namespace, ...selection });
        return items
          .filter(({ metadata }) => metadata.labels?.['team'] !== undefined)
          .map(({ metadata }) => metadata.name);
      };
      note(await names({}));
      note(await names({ labelSelector: 'team=one' }));
      note(await names({ labelSelector: 'extra,team=one' }));
      note(await names({ labelSelector: 'team=one,!extra' }));
      note(await names({ labelSelector: 'team!=one' }));
      note(await names({ fieldSelector: 'metadata.name=b' }));
    },
  },
  {
    title: 'a finalizer keeps an object that is on its way out until it is taken off',
    answers: [[true, true], true, 'accepted', 'gone', ['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED']],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const act = async (): Promise<void> => {
        const object = configMap(stage, 'a');
        const held = { ...object, metadata: { ...object.metadata, finalizers: ['example.com/held'] } };
        await api.create(held);
        await api.delete(ConfigMap, namespace, 'a');
        const { metadata } = await api.get(ConfigMap, namespace, 'a');
        note([metadata.deletionTimestamp !== undefined, metadata.deletionGracePeriodSeconds === 0]);
        // Who writes the whole object without saying so does not call the deletion back.
        const updated = await api.update({ ...held, data: { x: '1' } });
        note(updated.metadata.deletionTimestamp === metadata.deletionTimestamp);
        note(await refusalOf(api.delete(ConfigMap, namespace, 'a')));
        await api.mergePatch(ConfigMap, namespace, 'a', { metadata: { finalizers: null } });
        note((await api.find(ConfigMap, namespace, 'a')) === undefined ? 'gone' : 'there');
      };
      const frames = await framesOf(stage, ConfigMap, undefined, act, named);
      note(frames.filter(notOfTheCluster).map((frame) => (frame as readonly unknown[])[0]));
    },
  },
  {
    title: 'what a deleted object owned is deleted after it, unless it was to be left an orphan',
    answers: ['gone', 'gone', 'there, an orphan'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const child = async (owner: string, uid: string) => {
        const object = configMap(stage, `child-of-${owner}`);
        const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid }];
        await api.create({ ...object, metadata: { ...object.metadata, ownerReferences } });
      };
      const gone = (name: string): Promise<string> =>
        stage.until(`${name} to go`, async () =>
          (await api.find(ConfigMap, namespace, name)) === undefined ? 'gone' : undefined,
        );
      const first = await api.create(configMap(stage, 'first'));
      await child('first', first.metadata.uid);
      await api.delete(ConfigMap, namespace, 'first', { propagationPolicy: 'Background' });
      note(await gone('child-of-first'));
      // Its owner is gone already when it is made.
      await child('late', first.metadata.uid);
      note(await gone('child-of-late'));
      const second = await api.create(configMap(stage, 'second'));
      await child('second', second.metadata.uid);
      await api.delete(ConfigMap, namespace, 'second', { propagationPolicy: 'Orphan' });
      await gone('second');
      const { metadata } = await api.get(ConfigMap, namespace, 'child-of-second');
      note(metadata.ownerReferences === undefined ? 'there, an orphan' : 'there, owned');
    },
  },
];

/** Every namespace of a real cluster gets a ConfigMap of its own. */
function notOfTheCluster(frame: unknown): boolean {
  return !JSON.stringify(frame).includes('kube-root-ca.crt');
}
