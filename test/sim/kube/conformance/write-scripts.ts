// How writes are answered: names, versions, patches, server-side apply, Secrets, status.
import { RESOURCES } from '../../../../src/kube/resources.ts';
import { idleSet } from './idle-pods.ts';
import { configMap, refusalOf, unchanged, type Script } from './script.ts';

const { ConfigMap, Secret, ReplicaSet } = RESOURCES;

export const WRITE_SCRIPTS: readonly Script[] = [
  {
    title: 'a name is taken once; what is not there is not found',
    answers: ['accepted', 'alreadyExists', 'notFound', null, 'notFound', 'notFound', 'invalid'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      note(await refusalOf(api.create(configMap(stage, 'a'))));
      note(await refusalOf(api.create(configMap(stage, 'a'))));
      note(await refusalOf(api.get(ConfigMap, namespace, 'b')));
      note(await api.find(ConfigMap, namespace, 'b'));
      note(await refusalOf(api.mergePatch(ConfigMap, namespace, 'b', { data: { x: '1' } })));
      note(await refusalOf(api.delete(ConfigMap, namespace, 'b')));
      note(await refusalOf(api.create(configMap(stage, 'Not_A_Name'))));
    },
  },
  {
    title: 'a write that carries a version fails when the object has moved on, whichever verb it is',
    answers: ['accepted', 'conflict', 'conflict', 'conflict', 'accepted', { x: '1', y: '1' }],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const first = await api.create(configMap(stage, 'a', { x: '1' }));
      const { resourceVersion } = first.metadata;
      const patch = { data: { y: '1' } };
      note(await refusalOf(api.mergePatch(ConfigMap, namespace, 'a', patch, { resourceVersion })));
      note(await refusalOf(api.mergePatch(ConfigMap, namespace, 'a', { data: { y: '2' } }, { resourceVersion })));
      note(await refusalOf(api.update({ ...first, data: { z: '1' } })));
      const applied = { ...configMap(stage, 'a', { z: '1' }) };
      const stale = { ...applied, metadata: { ...applied.metadata, resourceVersion } };
      note(await refusalOf(api.apply(stale, { force: true })));
      note(await refusalOf(api.mergePatch(ConfigMap, namespace, 'a', { metadata: { labels: null } })));
      note((await api.get(ConfigMap, namespace, 'a')).data);
    },
  },
  {
    title: 'an apply takes back what the same manager applied last time and leaves out now, and nothing else',
    answers: [
      { x: '1', y: '1', other: '1' },
      { x: '1', other: '1' },
      [{ a: '1' }, null],
      { x: '1', other: '1', shared: '1' },
      { other: '1', shared: '1' },
    ],
    play: async (stage, note) => {
      const { api } = stage;
      const mine = { fieldManager: 'mine', force: true };
      await api.apply(configMap(stage, 'a', { x: '1', y: '1' }, { a: '1', b: '1' }), mine);
      note((await api.apply(configMap(stage, 'a', { other: '1' }), { fieldManager: 'other' })).data);
      note((await api.apply(configMap(stage, 'a', { x: '1' }, { a: '1' }), mine)).data);
      const { labels, annotations } = (await api.get(ConfigMap, stage.namespace, 'a')).metadata;
      note([labels, annotations]);
      await api.apply(configMap(stage, 'a', { other: '1', shared: '1' }), { fieldManager: 'other' });
      note((await api.apply(configMap(stage, 'a', { x: '1', shared: '1' }), mine)).data);
      note((await api.apply(configMap(stage, 'a'), mine)).data);
    },
  },
  {
    title: 'what another manager owns is a conflict without force; by force it changes hands',
    answers: ['conflict', { x: '2' }, 'conflict', { x: '2' }, { x: '2' }, null],
    play: async (stage, note) => {
      const { api } = stage;
      await api.apply(configMap(stage, 'a', { x: '1' }), { fieldManager: 'one' });
      note(await refusalOf(api.apply(configMap(stage, 'a', { x: '2' }), { fieldManager: 'two' })));
      note((await api.apply(configMap(stage, 'a', { x: '2' }), { fieldManager: 'two', force: true })).data);
      note(await refusalOf(api.apply(configMap(stage, 'a', { x: '1' }), { fieldManager: 'one' })));
      // The same value is no conflict: then both own it.
      note((await api.apply(configMap(stage, 'a', { x: '2' }), { fieldManager: 'one' })).data);
      note((await api.apply(configMap(stage, 'a'), { fieldManager: 'one' })).data);
      note((await api.apply(configMap(stage, 'a'), { fieldManager: 'two' })).data);
    },
  },
  {
    title: 'a patch takes a field away from who applied it: left out later, it stays as it was patched',
    answers: [
      { x: '2', y: '1' },
      { x: '2', y: '2' },
    ],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const options = { fieldManager: 'mine', force: true };
      await api.apply(configMap(stage, 'a', { x: '1', y: '1' }), options);
      note((await api.mergePatch(ConfigMap, namespace, 'a', { data: { x: '2' } }, { fieldManager: 'mine' })).data);
      note((await api.apply(configMap(stage, 'a', { y: '2' }), options)).data);
    },
  },
  {
    title: 'a write that changes nothing is no write: the version stays',
    answers: [true, true, true, true, false],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const object = configMap(stage, 'a', { x: '1' }, { a: '1' });
      const first = await api.apply(object, { force: true });
      note(unchanged(first, await api.apply(object, { force: true })));
      note(unchanged(first, await api.mergePatch(ConfigMap, namespace, 'a', { data: { x: '1', y: null } })));
      note(unchanged(first, await api.update(first)));
      const patch = { metadata: { annotations: { gone: null } } };
      note(unchanged(first, await api.mergePatch(ConfigMap, namespace, 'a', patch)));
      note(unchanged(first, await api.mergePatch(ConfigMap, namespace, 'a', { data: { y: '1' } })));
    },
  },
  {
    title: 'a merge patch removes by null, merges maps, and leaves no empty map behind',
    answers: [{ a: '1', b: '2' }, { b: '2' }, [null, null]],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(configMap(stage, 'a', { x: '1' }, { a: '1' }));
      const patched = async (patch: Readonly<Record<string, unknown>>) =>
        api.mergePatch(ConfigMap, namespace, 'a', patch);
      note((await patched({ metadata: { labels: { b: '2' } } })).metadata.labels);
      note((await patched({ metadata: { labels: { a: null, never: null } } })).metadata.labels);
      const { metadata, data } = await patched({ metadata: { labels: { b: null } }, data: { x: null } });
      note([metadata.labels, data]);
    },
  },
  {
    title: 'an update replaces everything that the client may set, and nothing that it may not',
    answers: [[{ y: '1' }, null, true, true, true], 'conflict'],
    play: async (stage, note) => {
      const { api } = stage;
      const first = await api.create(configMap(stage, 'a', { x: '1' }, { a: '1' }));
      const bare = configMap(stage, 'a', { y: '1' });
      const { data, metadata } = await api.update(bare);
      const kept = [
        metadata.uid === first.metadata.uid,
        metadata.creationTimestamp === first.metadata.creationTimestamp,
        !unchanged(first, await api.get(ConfigMap, stage.namespace, 'a')),
      ];
      note([data, metadata.labels, ...kept]);
      const foreign = { ...bare, metadata: { ...bare.metadata, uid: '11111111-2222-4333-8444-555555555555' } };
      note(await refusalOf(api.update(foreign)));
    },
  },
  {
    title: 'the text of a Secret is kept encoded, and merged key by key',
    answers: [
      ['Opaque', { a: 'b25l' }, false],
      { a: 'dHdv', b: 'dGhyZWU=' },
      { b: 'dGhyZWU=' },
      { a: 'b25l', b: 'dGhyZWU=' },
    ],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const metadata = { name: 'a', namespace };
      const base = { apiVersion: 'v1', kind: 'Secret', metadata };
      await api.create({ ...base, stringData: { a: 'one' } });
      const { type, data, ...rest } = await api.get(Secret, namespace, 'a');
      note([type, data, 'stringData' in rest]);
      const patch = { stringData: { a: 'two', b: 'three' } };
      note((await api.mergePatch(Secret, namespace, 'a', patch)).data);
      note((await api.mergePatch(Secret, namespace, 'a', { data: { a: null } })).data);
      const applied = { ...base, data: { a: 'b25l' } };
      note((await api.apply(applied, { force: true })).data);
    },
  },
  {
    title: 'status is written by its own endpoint alone, and moves no generation; a changed spec does',
    answers: [
      [1, null],
      [1, 'True'],
      [1, 'True'],
      [2, 'True'],
    ],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const { apiVersion, kind, metadata } = await api.create(idleSet(stage, 0));
      // Its controller writes status too: that is over when it has observed the newest generation.
      const noteObserved = async (generation: number): Promise<void> => {
        const live = await stage.until(`generation ${generation} to be observed`, async () => {
          const set = await api.get(ReplicaSet, namespace, 'idle');
          return set.status?.observedGeneration === generation ? set : undefined;
        });
        const ours = live.status?.conditions?.find(({ type }) => type === 'Ours');
        note([live.metadata.generation, ours?.status]);
      };
      await noteObserved(1);
      const status = { replicas: 0, conditions: [{ type: 'Ours', status: 'True' }] };
      const { name } = metadata;
      const head = { apiVersion, kind, metadata: { name, namespace } };
      await api.apply({ ...head, status }, { subresource: 'status', force: true });
      await noteObserved(1);
      await api.mergePatch(ReplicaSet, namespace, 'idle', { status: { conditions: [] } });
      await noteObserved(1);
      await api.mergePatch(ReplicaSet, namespace, 'idle', { spec: { minReadySeconds: 1 } });
      await noteObserved(2);
    },
  },
  {
    title: 'a dry run answers as if, and leaves everything as it was',
    answers: [{ x: '2' }, { x: '1' }, null, { x: '1' }],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(configMap(stage, 'a', { x: '1' }));
      note((await api.mergePatch(ConfigMap, namespace, 'a', { data: { x: '2' } }, { dryRun: true })).data);
      note((await api.get(ConfigMap, namespace, 'a')).data);
      await api.create(configMap(stage, 'b'), { dryRun: true });
      note(await api.find(ConfigMap, namespace, 'b'));
      await api.delete(ConfigMap, namespace, 'a', { dryRun: true });
      note((await api.get(ConfigMap, namespace, 'a')).data);
    },
  },
  {
    title: 'an apply makes what is not there, but no status of it, and not what it takes for another object',
    // A version on a new object is the client's mistake, but the server takes it for its own: 500.
    answers: ['accepted', { x: '1' }, 'notFound', 'conflict', 'unavailable'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      note(await refusalOf(api.apply(configMap(stage, 'a', { x: '1' }), { force: true })));
      note((await api.get(ConfigMap, namespace, 'a')).data);
      const { metadata, ...set } = idleSet(stage, 0);
      const status = { replicas: 0 };
      note(await refusalOf(api.apply({ ...set, metadata, spec: undefined, status }, { subresource: 'status' })));
      const b = configMap(stage, 'b');
      const uid = '11111111-2222-4333-8444-555555555555';
      note(await refusalOf(api.apply({ ...b, metadata: { ...b.metadata, uid } }, { force: true })));
      note(await refusalOf(api.create({ ...b, metadata: { ...b.metadata, resourceVersion: '1' } })));
    },
  },
  {
    title: 'an apply leaves the owners that others have added, and takes back its own',
    answers: [['mine', 'other'], ['mine', 'other'], ['other']],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const owner = async (name: string) => {
        const { metadata } = await api.create(configMap(stage, name));
        return { apiVersion: 'v1', kind: 'ConfigMap', name, uid: metadata.uid };
      };
      const [mine, other] = [await owner('mine'), await owner('other')];
      const child = configMap(stage, 'child', { x: '1' });
      const owned = { ...child, metadata: { ...child.metadata, ownerReferences: [mine] } };
      await api.apply(owned, { force: true });
      await api.mergePatch(ConfigMap, namespace, 'child', { metadata: { ownerReferences: [mine, other] } });
      const names = async (): Promise<unknown> =>
        (await api.get(ConfigMap, namespace, 'child')).metadata.ownerReferences?.map(({ name }) => name);
      note(await names());
      await api.apply(owned, { force: true });
      note(await names());
      await api.apply(child, { force: true });
      note(await names());
    },
  },
  {
    title: 'the number of replicas has an endpoint of its own',
    answers: [['Scale', 0, 0], 3, [3, 2], 'conflict', 3],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const made = await api.create(idleSet(stage, 0, { nodeSelector: { 'poolsmith.dev/nowhere': 'true' } }));
      const read = async () =>
        (await api.get(ReplicaSet, namespace, 'idle', { subresource: 'scale' })) as unknown as {
          readonly kind: string;
          readonly spec: { readonly replicas?: number };
          readonly status: { readonly replicas: number };
        };
      const { kind, spec, status } = await read();
      note([kind, spec.replicas ?? 0, status.replicas]);
      const scaled = await api.mergePatch(
        ReplicaSet,
        namespace,
        'idle',
        { spec: { replicas: 3 } },
        { subresource: 'scale' },
      );
      note(scaled.spec?.replicas);
      const live = await api.get(ReplicaSet, namespace, 'idle');
      note([live.spec?.replicas, live.metadata.generation]);
      const { resourceVersion } = made.metadata;
      const stale = { subresource: 'scale', resourceVersion } as const;
      note(await refusalOf(api.mergePatch(ReplicaSet, namespace, 'idle', { spec: { replicas: 1 } }, stale)));
      note((await api.get(ReplicaSet, namespace, 'idle')).spec?.replicas);
    },
  },
  {
    title: 'some kinds count the generations of their spec, others have none',
    answers: [
      ['ConfigMap', null, null],
      ['Secret', null, null],
      ['Lease', null, null],
      ['PodDisruptionBudget', 1, 2],
      ['Service', null, null],
      ['Deployment', 1, 2],
    ],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const labels = { app: 'none' };
      const template = { metadata: { labels }, spec: { containers: [{ name: 'none', image: stage.idleImage }] } };
      const rows = [
        [RESOURCES.ConfigMap, { data: { x: '1' } }, { data: { x: '2' } }],
        [RESOURCES.Secret, { data: { x: 'MQ==' } }, { data: { x: 'Mg==' } }],
        [RESOURCES.Lease, { spec: { holderIdentity: 'a' } }, { spec: { holderIdentity: 'b' } }],
        [RESOURCES.PodDisruptionBudget, { spec: { maxUnavailable: 1 } }, { spec: { maxUnavailable: 2 } }],
        [RESOURCES.Service, { spec: { ports: [{ port: 5432 }] } }, { spec: { selector: labels } }],
        [
          RESOURCES.Deployment,
          { spec: { replicas: 0, selector: { matchLabels: labels }, template } },
          { spec: { minReadySeconds: 1 } },
        ],
      ] as const;
      for (const [resource, body, patch] of rows) {
        const { apiVersion, kind } = resource;
        const made = await api.create({ apiVersion, kind, metadata: { name: 'a', namespace }, ...body });
        const patched = await api.mergePatch(resource, namespace, 'a', patch);
        note([kind, made.metadata.generation, patched.metadata.generation]);
      }
    },
  },
];
