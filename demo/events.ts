// What the operator reports as Kubernetes events, told while it happens.
import { RESOURCES } from '../src/kube/resources.ts';
import { cluster } from '../test/support/kubectl.ts';
import type { Narrator } from './narrator.ts';
import { NAMESPACE, POOL } from './world.ts';

/** Tells until the signal aborts. The demo goes on without it when the watch breaks. */
export async function tellEvents(narrator: Narrator, signal: AbortSignal): Promise<void> {
  const kube = await cluster();
  const told = new Map<string, string>();
  while (!signal.aborted) {
    try {
      const { items, resourceVersion } = await kube.list(RESOURCES.Event, { namespace: NAMESPACE, signal });
      for (const event of items) if (told.size === 0) told.set(event.metadata.uid, event.metadata.resourceVersion);
      for await (const frame of kube.watch(RESOURCES.Event, { namespace: NAMESPACE, resourceVersion, signal })) {
        if (frame.type !== 'ADDED' && frame.type !== 'MODIFIED') continue;
        const { regarding, reason = '', note = '' } = frame.object;
        if (regarding?.kind === 'PoolConfig' && regarding.name === POOL) narrator.event(`${reason}: ${note}`);
      }
    } catch {
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
