// What the cluster's own parts do with pods: ReplicaSets, grace periods, disruption budgets, a container that ends.
import { podFacts, replicaSetFacts } from '../../../../src/controller/facts.ts';
import { RESOURCES, type Pod } from '../../../../src/kube/resources.ts';
import { ANNOTATION } from '../../../../src/model/names.ts';
import { idlePod, idleSet, IDLE_LABELS } from './idle-pods.ts';
import { refusalOf, type Script, type Stage } from './script.ts';

const { Pod: PODS, ReplicaSet } = RESOURCES;

async function pods({ api, namespace }: Stage): Promise<readonly Pod[]> {
  return (await api.list(PODS, { namespace, labelSelector: 'app=idle' })).items;
}

const isGoing = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined;

/** Once so many are Ready, and no others are there but those on their way out. */
function ready(stage: Stage, count: number): Promise<readonly Pod[]> {
  return stage.until(`${count} pods to be Ready`, async () => {
    const staying = (await pods(stage)).filter((pod) => !isGoing(pod));
    return staying.length === count && staying.every((pod) => podFacts(pod).ready) ? staying : undefined;
  });
}

function gone({ api, namespace, until }: Stage, name: string): Promise<string> {
  return until(`${name} to go`, async () =>
    (await api.find(PODS, namespace, name)) === undefined ? 'gone' : undefined,
  );
}

export const POD_SCRIPTS: readonly Script[] = [
  {
    title: 'a pod of a ReplicaSet is named after it, owned by it, and becomes what the operator reads as Ready',
    answers: [
      [true, 'ReplicaSet idle', true, true],
      { ready: true, running: true, restartCount: 0, ip: true, id: true, finished: false, waitingReason: null },
      { replicas: 1, readyReplicas: 1, observedGeneration: 1 },
    ],
    play: async (stage, note) => {
      await stage.api.create(idleSet(stage, 1));
      const [pod] = await ready(stage, 1);
      if (pod === undefined) throw new Error('there is no pod');
      const { name, generateName, ownerReferences } = pod.metadata as typeof pod.metadata & { generateName?: string };
      const [owner] = ownerReferences ?? [];
      note([
        /^idle-[bcdfghjklmnpqrstvwxz2456789]{5}$/.test(name) && generateName === 'idle-',
        `${owner?.kind ?? ''} ${owner?.name ?? ''}`,
        owner?.controller,
        owner?.blockOwnerDeletion,
      ]);
      const { ready: isReady, ip, finished, container } = podFacts(pod);
      const { running, restartCount, id, waitingReason } = container;
      const hasId = /^containerd:\/\/[0-9a-f]{12,}$/.test(id ?? '');
      note({
        ready: isReady,
        running,
        restartCount,
        ip: ip !== undefined,
        id: hasId,
        finished,
        waitingReason: waitingReason ?? null,
      });
      note(
        await stage.until('the status of the ReplicaSet', async () => {
          const { status } = await stage.api.get(ReplicaSet, stage.namespace, 'idle');
          const { replicas, readyReplicas, observedGeneration } = status ?? {};
          return readyReplicas === 1 ? { replicas, readyReplicas, observedGeneration } : undefined;
        }),
      );
    },
  },
  {
    title: 'a ReplicaSet replaces a pod that is on its way out while that one is still there, and does not count it',
    answers: ['2 stay, 1 goes', 2, 'gone'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idleSet(stage, 2, { lingerSeconds: 4, graceSeconds: 8 }));
      const [victim] = await ready(stage, 2);
      await api.delete(PODS, namespace, victim?.metadata.name ?? '');
      note(
        await stage.until('a replacement', async () => {
          const going = (await pods(stage)).filter(isGoing).length;
          const staying = (await pods(stage)).length - going;
          return staying === 2 ? `${staying} stay, ${going} goes` : undefined;
        }),
      );
      await ready(stage, 2);
      note(
        await stage.until('its status', async () => {
          const { status } = await api.get(ReplicaSet, namespace, 'idle');
          return status?.readyReplicas === 2 ? status.replicas : undefined;
        }),
      );
      note(await gone(stage, victim?.metadata.name ?? ''));
    },
  },
  {
    title:
      'of pods that are Ready the one with the lowest deletion cost goes first; one that is not Ready goes before it',
    answers: ['the cheap one', 'the one that is not Ready'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idleSet(stage, 3));
      const [first, cheap, third] = (await ready(stage, 3)).map(({ metadata }) => metadata.name);
      const cost = (name: string | undefined, value: string): Promise<unknown> =>
        api.mergePatch(PODS, namespace, name ?? '', {
          metadata: { annotations: { [ANNOTATION.deletionCost]: value } },
        });
      await cost(first, '10');
      await cost(cheap, '-5');
      await cost(third, '10');
      const scale = (replicas: number): Promise<unknown> =>
        api.mergePatch(ReplicaSet, namespace, 'idle', { spec: { replicas } });
      await scale(2);
      const left = async (count: number): Promise<readonly string[]> =>
        stage.until(`${count} to stay`, async () => {
          const staying = (await pods(stage)).filter((pod) => !isGoing(pod));
          return staying.length === count ? staying.map(({ metadata }) => metadata.name) : undefined;
        });
      note((await left(2)).includes(cheap ?? '') ? 'another one' : 'the cheap one');
      // Nothing can pull this image, and its cost is the highest.
      await cost(first, '-5');
      await api.mergePatch(ReplicaSet, namespace, 'idle', {
        spec: {
          replicas: 3,
          template: {
            metadata: { annotations: { [ANNOTATION.deletionCost]: '100' } },
            spec: {
              containers: [{ name: 'pgbouncer', image: 'localhost/poolsmith/missing:1', imagePullPolicy: 'Never' }],
            },
          },
        },
      });
      const broken = (await left(3)).find((name) => name !== first && name !== third);
      await stage.until('the new pod to be on its node', async () => {
        const pod = await api.get(PODS, namespace, broken ?? '');
        return pod.spec?.nodeName === undefined ? undefined : true;
      });
      await scale(2);
      note((await left(2)).includes(broken ?? '') ? 'another one' : 'the one that is not Ready');
    },
  },
  {
    title:
      'a pod on its node keeps its grace period, which a second deletion may only shorten; by force it goes at once',
    answers: [6, 6, 3, true, 'accepted', 'gone at once'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idlePod(stage, 'a', { lingerSeconds: 30, graceSeconds: 40 }));
      await ready(stage, 1);
      const seconds = async (gracePeriodSeconds: number): Promise<unknown> => {
        await api.delete(PODS, namespace, 'a', { gracePeriodSeconds });
        return (await api.get(PODS, namespace, 'a')).metadata.deletionGracePeriodSeconds;
      };
      note(await seconds(6));
      const asked = Date.parse((await api.get(PODS, namespace, 'a')).metadata.deletionTimestamp ?? '');
      note(await seconds(20));
      note(await seconds(3));
      const sooner = Date.parse((await api.get(PODS, namespace, 'a')).metadata.deletionTimestamp ?? '');
      note(asked - sooner === 3_000);
      note(await refusalOf(api.delete(PODS, namespace, 'a', { gracePeriodSeconds: 0 })));
      note((await api.find(PODS, namespace, 'a')) === undefined ? 'gone at once' : 'still there');
    },
  },
  {
    title: 'a pod that no node takes says so, and goes at once when it is deleted',
    answers: [true, 'Pending', 'gone at once'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idlePod(stage, 'nowhere', { nodeSelector: { 'poolsmith.dev/nowhere': 'true' } }));
      const pod = await stage.until('the scheduler to say so', async () => {
        const live = await api.get(PODS, namespace, 'nowhere');
        return podFacts(live).unschedulable === undefined ? undefined : live;
      });
      note(podFacts(pod).ip === undefined && !podFacts(pod).ready);
      note(pod.status?.phase);
      await api.delete(PODS, namespace, 'nowhere');
      note((await api.find(PODS, namespace, 'nowhere')) === undefined ? 'gone at once' : 'still there');
    },
  },
  {
    title: 'a disruption budget lets one pod go at a time, and any that is not Ready',
    answers: [true, false, '2 Ready', true],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const spec = {
        maxUnavailable: 1,
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
        selector: { matchLabels: IDLE_LABELS },
      };
      const budget = {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: { name: 'idle', namespace },
        spec,
      };
      await api.create(budget);
      await api.create(idleSet(stage, 2, { lingerSeconds: 2 }));
      const [first, second] = (await ready(stage, 2)).map(({ metadata }) => metadata.name);
      // The budget counts its pods in its own time; until then it allows nothing.
      const allowed = (name = ''): Promise<true> =>
        stage.until(`${name} to be let go`, async () => ((await stage.evict(name)) ? true : undefined));
      note(await allowed(first));
      note(await stage.evict(second ?? ''));
      note(`${(await ready(stage, 2)).length} Ready`);
      note(await allowed(second));
    },
  },
  {
    title: 'a container that ends is started again in the same pod: at once, then after a while',
    answers: [{ sameIp: true, otherContainer: true, ended: true }, 'CrashLoopBackOff'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idlePod(stage, 'ends', { args: ['-v'] }));
      const look = async () => podFacts(await api.get(PODS, namespace, 'ends'));
      const first = await stage.until('its first end', async () => {
        const facts = await look();
        return facts.container.id === undefined ? undefined : facts;
      });
      const second = await stage.until('its second container', async () => {
        const facts = await look();
        return facts.container.restartCount >= 1 ? facts : undefined;
      });
      note({
        sameIp: second.ip === first.ip || first.ip === undefined,
        otherContainer: second.container.id !== first.container.id,
        ended: second.container.lastTerminatedAtMs !== undefined,
      });
      note(
        await stage.until('it to wait', async () => {
          const { container } = await look();
          return container.waitingReason;
        }),
      );
    },
  },
  {
    title: 'a ReplicaSet that is deleted takes its pods with it; as an orphan-maker it leaves them to the next one',
    answers: ['2 pods, no owner', 'taken over', 'all gone'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idleSet(stage, 2));
      const before = (await ready(stage, 2)).map(({ metadata }) => metadata.uid);
      await api.delete(ReplicaSet, namespace, 'idle', { propagationPolicy: 'Orphan' });
      await stage.until('the ReplicaSet to go', async () =>
        (await api.find(ReplicaSet, namespace, 'idle')) === undefined ? true : undefined,
      );
      const left = await pods(stage);
      const owned = left.some(({ metadata }) => (metadata.ownerReferences ?? []).length > 0);
      note(`${left.length} pods, ${owned ? 'owned' : 'no owner'}`);
      const next = await api.create(idleSet(stage, 2));
      note(
        await stage.until('the pods to have an owner again', async () => {
          const now = await pods(stage);
          const taken = now.every(({ metadata }) => metadata.ownerReferences?.[0]?.uid === next.metadata.uid);
          const same = now.length === 2 && now.every(({ metadata }) => before.includes(metadata.uid));
          return taken && same ? 'taken over' : undefined;
        }),
      );
      await api.delete(ReplicaSet, namespace, 'idle', { propagationPolicy: 'Background' });
      note(
        await stage.until('the pods to go', async () => ((await pods(stage)).length === 0 ? 'all gone' : undefined)),
      );
    },
  },
  {
    title: 'a ReplicaSet says why it can make no more pods, and makes them when it can',
    answers: [1, true, 2, null],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await stage.limitPods(1);
      await api.create(idleSet(stage, 2));
      const failure = async () => replicaSetFacts(await api.get(ReplicaSet, namespace, 'idle')).replicaFailure;
      const text = await stage.until('it to say so', failure);
      note((await ready(stage, 1)).length);
      note(/^exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1$/.test(text));
      await stage.limitPods(2);
      note((await ready(stage, 2)).length);
      await stage.until('it to be content', async () => ((await failure()) === undefined ? true : undefined));
      note(await failure());
    },
  },
  {
    title: 'a pod that loses the labels of its ReplicaSet is let go and replaced; one that gets them back is taken in',
    answers: ['an orphan', '1 more', 'one too many'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idleSet(stage, 1, { lingerSeconds: 3 }));
      const [first] = await ready(stage, 1);
      const name = first?.metadata.name ?? '';
      const relabel = (app: string): Promise<unknown> =>
        api.mergePatch(PODS, namespace, name, { metadata: { labels: { app } } });
      await relabel('stolen');
      const orphan = await stage.until('it to be let go', async () => {
        const { metadata } = await api.get(PODS, namespace, name);
        return metadata.ownerReferences === undefined ? 'an orphan' : undefined;
      });
      note(orphan);
      note(`${(await ready(stage, 1)).length} more`);
      await relabel('idle');
      note(
        await stage.until('one to go', async () => {
          const all = await pods(stage);
          return all.length === 2 && all.filter(isGoing).length === 1 ? 'one too many' : undefined;
        }),
      );
    },
  },
  {
    title:
      'a pod on its way out still reads as Ready while its preStop lasts, can still be patched, and waits for no second word',
    answers: [{ ready: true, running: true, terminating: true }, 'accepted', [true, true], 'gone'],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      await api.create(idlePod(stage, 'a', { lingerSeconds: 4, graceSeconds: 10 }));
      await ready(stage, 1);
      await api.delete(PODS, namespace, 'a');
      const going = await api.get(PODS, namespace, 'a');
      const { ready: isReady, container, terminatingSinceMs } = podFacts(going);
      note({ ready: isReady, running: container.running, terminating: terminatingSinceMs !== undefined });
      const annotations = { [ANNOTATION.nonce]: '1' };
      note(await refusalOf(api.mergePatch(PODS, namespace, 'a', { metadata: { annotations } })));
      const before = await api.get(PODS, namespace, 'a');
      await api.delete(PODS, namespace, 'a');
      const { metadata } = await api.get(PODS, namespace, 'a');
      note([
        metadata.deletionTimestamp === before.metadata.deletionTimestamp,
        metadata.deletionGracePeriodSeconds === before.metadata.deletionGracePeriodSeconds,
      ]);
      note(await gone(stage, 'a'));
    },
  },
  {
    title: 'the generation of a pod moves with its spec and its deletion, not with labels, annotations or status',
    answers: [1, 1, 2, 3],
    play: async (stage, note) => {
      const { api, namespace } = stage;
      const made = await api.create(idlePod(stage, 'a', { lingerSeconds: 3, graceSeconds: 6 }));
      note(made.metadata.generation);
      await ready(stage, 1);
      const patched = async (patch: Readonly<Record<string, unknown>>): Promise<unknown> =>
        (await api.mergePatch(PODS, namespace, 'a', patch)).metadata.generation;
      note(await patched({ metadata: { labels: { new: 'yes' }, annotations: { new: 'yes' } } }));
      note(await patched({ spec: { activeDeadlineSeconds: 3_600 } }));
      await api.delete(PODS, namespace, 'a');
      note((await api.get(PODS, namespace, 'a')).metadata.generation);
    },
  },
];
