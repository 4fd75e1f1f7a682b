// Who holds what at one moment, a line for each address: the end of a story that ends badly.
import { ANNOTATION } from '../../src/model/names.ts';
import { podsOf } from './fleet.ts';
import { isTerminating } from './kube/pods.ts';
import type { SimWorld } from './sim-world.ts';
import { fleetBackends } from './truth.ts';
import type { Truth } from './watchman.ts';

export function holdings({ api, plane }: SimWorld, { pooler }: Pick<Truth, 'pooler'>): readonly string[] {
  const held = fleetBackends(plane);
  const pods = new Map(podsOf(api).map((pod) => [pod.status?.podIP, pod] as const));
  const ofPods = [...pods.keys()].filter((ip) => ip !== undefined);
  return [...new Set([...held.map(({ address }) => address), ...ofPods])].map((address) => {
    const pod = pods.get(address);
    const backends = held
      .filter((group) => group.address === address)
      .map(({ database, user, count, orphans }) => `${database}/${user} ${count} (${orphans} orphans)`)
      .join(', ');
    const who = `${pod?.metadata.name ?? 'without a pod'}${pod !== undefined && isTerminating(pod) ? ' Terminating' : ''}`;
    const inForce = pod === undefined ? undefined : pooler(pod.metadata.uid)?.inForce;
    const grant = pod?.metadata.annotations?.[ANNOTATION.grant];
    return `${address} ${who}: PostgreSQL has ${backends || 'nothing'}; in force ${JSON.stringify(inForce)}; grant ${grant}`;
  });
}
