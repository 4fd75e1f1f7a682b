// Writes of which nobody knows whether they happened: what they were about is read again before anything is planned on it.
import type { KubeApi } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import { RESOURCES } from '../kube/resources.ts';
import type { Action } from '../model/plan.ts';
import { childNames } from '../model/names.ts';
import { isChildKind } from './child-kinds.ts';
import type { World } from './world.ts';

/** Kind and name, in the namespace of the PoolConfig. */
type Written = { readonly kind: keyof typeof RESOURCES; readonly name: string };

/**
 * An answer that is lost leaves the store as it was, while the pod may have grown already: a plan made on that would give the same connections to
 * another pod. The write itself would fail on its resourceVersion; that of the other pod would not.
 */
export class UnsureWrites {
  readonly #byPool = new Map<string, Map<string, Written>>();

  /** Notes what an action was about, if `error` leaves open whether it was carried out. */
  note(key: string, action: Action, pool: string, error: unknown): void {
    const written = objectOf(action, pool);
    if (written === undefined || !isApiError(error, 'unavailable', 'timeout', 'cancelled')) return;
    const writes = this.#byPool.get(key) ?? new Map<string, Written>();
    this.#byPool.set(key, writes.set(`${written.kind}/${written.name}`, written));
  }

  /** Rejects while the API server does not say; then nothing may be planned. */
  async settle(
    key: string,
    namespace: string,
    client: Pick<KubeApi, 'find'>,
    world: World,
    signal: AbortSignal,
  ): Promise<void> {
    const writes = this.#byPool.get(key) ?? new Map<string, Written>();
    for (const [id, { kind, name }] of writes) {
      const live = await client.find(RESOURCES[kind], namespace, name, { signal });
      if (live !== undefined && kind === 'Pod') world.pods.upsert(live);
      else if (live !== undefined && isChildKind(kind)) world.child(kind).upsert(live);
      writes.delete(id);
    }
  }

  forget(key: string): void {
    this.#byPool.delete(key);
  }
}

function objectOf(action: Action, pool: string): Written | undefined {
  switch (action.kind) {
    case 'createCredentials':
      return { kind: 'Secret', name: childNames(pool).operatorSecret };
    case 'applyChild':
      return { kind: action.object.kind as Written['kind'], name: action.object.metadata.name };
    case 'scaleReplicaSet':
    case 'deleteReplicaSet':
      return { kind: 'ReplicaSet', name: action.name };
    case 'deletePod':
    case 'patchPod':
      return { kind: 'Pod', name: action.name };
    case 'loadLive':
    case 'shrinkPools':
    case 'endDrain':
    case 'pausePools':
    case 'resumePools':
    case 'reconnectPools':
    case 'closeUsers':
      return undefined;
  }
}
