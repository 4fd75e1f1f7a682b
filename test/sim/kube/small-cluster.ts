// A small cluster for tests: one ReplicaSet of poolers that do nothing, and everything around the simulated API.
import assert from 'node:assert/strict';
import { podFacts } from '../../../src/controller/facts.ts';
import { ANNOTATION, CONTAINER, LABEL, PLACE } from '../../../src/model/names.ts';
import type { PodFacts } from '../../../src/model/observation.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { randomOf } from '../../support/random.ts';
import type { PoolerStart } from '../contracts.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { Kubelet } from './kubelet.ts';
import { asPod, isReady, isTerminating, type SimPod } from './pods.ts';
import { ReplicaSets } from './replica-sets.ts';
import { SimApi } from './sim-api.ts';

export const NAMESPACE = 'shop';
export const LABELS = { [LABEL.pool]: 'orders', [LABEL.template]: 'abc' };
export const SERVING = { [LABEL.pool]: 'orders', [LABEL.serving]: 'true' };
const EXIT_CODES = { SIGTERM: 0, SIGKILL: 137 } as const;

export const SET = 'orders-pooler-abc';

export const replicaSet = (replicas: number, sleepSeconds = 5) => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name: SET, namespace: NAMESPACE, labels: LABELS },
  spec: {
    replicas,
    selector: { matchLabels: LABELS },
    template: {
      metadata: { labels: { ...LABELS, [LABEL.serving]: 'true' } },
      spec: {
        terminationGracePeriodSeconds: 20,
        containers: [
          {
            name: CONTAINER,
            image: 'pgbouncer:1',
            lifecycle: { preStop: { sleep: { seconds: sleepSeconds } } },
            volumeMounts: [
              { name: 'boot', mountPath: PLACE.bootFolder },
              { name: 'live', mountPath: PLACE.liveFolder },
              { name: 'files', mountPath: PLACE.secretsFolder },
            ],
          },
        ],
        volumes: [
          { name: 'boot', configMap: { name: 'orders-pooler', items: [{ key: 'boot.ini', path: 'boot.ini' }] } },
          {
            name: 'live',
            downwardAPI: {
              items: [{ path: 'live.ini', fieldRef: { fieldPath: `metadata.annotations['${ANNOTATION.live}']` } }],
            },
          },
          { name: 'files', secret: { secretName: 'orders-pooler-files' } },
        ],
      },
    },
  },
});

export type Process = PoolerStart & { readonly signals: string[]; over: boolean };

export class SmallCluster {
  readonly clock = new FakeClock();
  readonly api = new SimApi({ clock: this.clock, random: randomOf(3) });
  readonly sets = new ReplicaSets(this.api);
  readonly kubelet: Kubelet;
  readonly processes: Process[] = [];
  /** Whether a process ends by itself at once when it gets SIGTERM. */
  obeysTerm = true;

  constructor() {
    new GarbageCollector(this.api);
    this.kubelet = new Kubelet({
      api: this.api,
      timing: { projectionDelayMs: () => 300, unpokedProjectionMs: () => 3_000 },
      startPooler: (start) => {
        const process: Process = { ...start, signals: [], over: false };
        this.processes.push(process);
        return {
          signal: (name) => {
            process.signals.push(name);
            if (process.over || (name === 'SIGTERM' && !this.obeysTerm)) return;
            process.over = true;
            start.onExit(EXIT_CODES[name]);
          },
        };
      },
    });
    const metadata = { name: 'orders-pooler', namespace: NAMESPACE };
    this.api.put({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'boot.ini': 'boot 1' } } as never);
    const files = { ...metadata, name: 'orders-pooler-files' };
    this.api.put({ apiVersion: 'v1', kind: 'Secret', metadata: files, stringData: { 'users-1': 'one' } } as never);
  }

  pods(): readonly SimPod[] {
    return this.api.list('Pod').map(asPod);
  }

  /** Not on their way out. */
  active(): readonly SimPod[] {
    return this.pods().filter((pod) => !isTerminating(pod));
  }

  readyPods(): readonly SimPod[] {
    return this.active().filter(isReady);
  }

  until(condition: () => boolean, limitMs = 60_000): Promise<void> {
    return this.clock.advanceUntil(condition, limitMs);
  }

  /** The newest of the pod. */
  processOf({ metadata }: SimPod): Process {
    const process = this.processes.findLast(({ uid }) => uid === metadata.uid);
    assert.ok(process !== undefined, `${metadata.name} has no process`);
    return process;
  }

  async fleet(replicas: number, sleepSeconds?: number): Promise<readonly SimPod[]> {
    this.api.put(replicaSet(replicas, sleepSeconds));
    await this.until(() => this.readyPods().length === replicas);
    return this.readyPods();
  }

  scale(replicas: number): void {
    this.api.edit('ReplicaSet', NAMESPACE, SET, { spec: { replicas } });
  }

  annotate({ metadata }: SimPod, annotations: Readonly<Record<string, string | null>>): void {
    this.api.edit('Pod', NAMESPACE, metadata.name, { metadata: { annotations } });
  }

  /** What the operator reads of it now. */
  facts({ metadata }: SimPod): PodFacts {
    const live = this.api.find('Pod', NAMESPACE, metadata.name);
    assert.ok(live !== undefined);
    return podFacts(asPod(live));
  }
}
