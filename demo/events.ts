// What the operator reports as Kubernetes events, told while it happens.
import { setTimeout as sleep } from 'node:timers/promises';
import { RESOURCES } from '../src/kube/resources.ts';
import { cluster } from '../test/support/kubectl.ts';
import type { Narrator } from './narrator.ts';
import { NAMESPACE, POOL } from './world.ts';

const RETRY_MS = 500;

/** Tells until the signal aborts. The demo goes on without it when the watch breaks. */
export async function tellEvents(narrator: Narrator, signal: AbortSignal): Promise<void> {
  const kube = await cluster();
  while (!signal.aborted) {
    try {
      const { resourceVersion } = await kube.list(RESOURCES.Event, { namespace: NAMESPACE, signal });
      for await (const frame of kube.watch(RESOURCES.Event, { namespace: NAMESPACE, resourceVersion, signal })) {
        if (frame.type !== 'ADDED' && frame.type !== 'MODIFIED') continue;
        const { regarding, reason = '', note = '' } = frame.object;
        if (regarding?.kind === 'PoolConfig' && regarding.name === POOL) narrator.event(`${reason}: ${note}`);
      }
    } catch {
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
