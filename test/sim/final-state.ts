// What a fleet must be once nothing happens any more: as declared, proved, and with nothing left over from what happened to it.
import { decodeGrant } from '../../src/model/grant.ts';
import { ANNOTATION, LABEL, PLACE } from '../../src/model/names.ts';
import { SETTINGS } from '../../src/model/settings/table.ts';
import { declaredReplicas, podsOf, poolOf, replicaSetsOf } from './fleet.ts';
import { isTerminating, type SimPod } from './kube/pods.ts';
import type { DataPlane } from './pooler/data-plane.ts';
import type { SimWorld } from './sim-world.ts';

/** What is not as it should be in the end; empty when all is well. A specification that can't be had must be told, and the fleet stands. */
export function finalFaults({ api, plane }: Pick<SimWorld, 'api' | 'plane'>): readonly string[] {
  const pool = poolOf(api);
  const ready = pool.status?.conditions?.find(({ type }) => type === 'Ready');
  const faults: string[] = [];
  if (pool.status?.observedGeneration !== pool.metadata.generation) faults.push('status is of an older generation');
  const stalled = pool.status?.conditions?.some(({ type, status }) => type === 'Stalled' && status === 'True') === true;
  const infeasible = stalled && ['BudgetTooSmall', 'NothingLeft'].includes(ready?.reason ?? '');
  if (ready?.status !== 'True' && !infeasible)
    faults.push(`Ready is ${ready?.status}: ${ready?.reason} ${ready?.message}`);
  const moving = pool.status?.conditions?.find(({ type, status }) => type === 'Reconciling' && status === 'True');
  if (moving !== undefined) faults.push(`Reconciling: ${moving.reason} ${moving.message}`);
  const pods = podsOf(api);
  const replicas = declaredReplicas(pool);
  if (!infeasible && pods.length !== replicas) faults.push(`${pods.length} pods, ${replicas} wanted`);
  const sets = replicaSetsOf(api);
  // Without the room for one more pod a rollout stays where the budget stopped it.
  if (!infeasible && sets.length !== 1) faults.push(`${sets.length} ReplicaSets`);
  return [...faults, ...pods.flatMap((pod) => podFaults(pod, plane))];
}

function podFaults(pod: SimPod, plane: DataPlane): readonly string[] {
  const { name, annotations = {}, labels = {} } = pod.metadata;
  const say = (what: string): string => `${name}: ${what}`;
  if (isTerminating(pod)) return [say('is still leaving')];
  const grant = decodeGrant(annotations[ANNOTATION.grant]);
  const ip = pod.status?.podIP;
  const process = ip === undefined ? undefined : plane.processAt(ip);
  if (grant === undefined || process === undefined || process.exited)
    return [say('is not running, or was never granted anything')];
  const { config, databases, pools } = process.read();
  const faults: string[] = [];
  if (grant.unsettled !== undefined)
    faults.push(say(`a shrink was never verified: ${JSON.stringify(grant.unsettled)}`));
  if (annotations[ANNOTATION.drain] !== undefined) faults.push(say('is marked as drained'));
  if (labels[LABEL.serving] !== 'true') faults.push(say('takes no new clients'));
  if (config.get('conffile') !== PLACE.liveFile) faults.push(say(`runs ${config.get('conffile')}`));
  const lifetime = SETTINGS.get('server_lifetime')?.default ?? '';
  if (config.get('server_lifetime') !== lifetime)
    faults.push(say(`server_lifetime is ${config.get('server_lifetime')}, left over from a drain`));
  for (const row of databases) {
    if (row.name === 'pgbouncer') continue;
    if (row.paused || row.disabled) faults.push(say(`${row.name} is paused`));
    const granted = grant.sizes[row.name];
    if (row.poolSize !== granted || row.maxConnections !== granted)
      faults.push(say(`${row.name} runs with ${row.poolSize} and ${row.maxConnections}, granted are ${granted}`));
    const servers = pools
      .filter(({ database }) => database === row.name)
      .reduce((sum, { servers: open }) => sum + open, 0);
    if (granted !== undefined && servers > granted) faults.push(say(`${row.name} holds ${servers} of ${granted}`));
  }
  return faults;
}
