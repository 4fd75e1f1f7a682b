// Step: a pooler pod is deleted, as a node drain would do it.
import { kubectl } from '../../test/support/kubectl.ts';
import { poolPods } from '../../test/support/pool-children.ts';
import { describeSizes, fleetIsProved, poolersAgree } from '../fleet.ts';
import { check, NAMESPACE, POOL, type Step } from '../world.ts';

export const podDeleted: Step = {
  title: 'A pooler pod is deleted',
  explanation:
    'With its grace period, as an eviction or a node drain does it: the pod leaves the Service at once, but serves on for\n' +
    'the drain window (5 s), in which the clients renew their connections (every 3 s) and come to other pods.',
  run: async (world) => {
    const { narrator, application } = world;
    const [victim] = await poolPods(NAMESPACE, POOL);
    check(victim !== undefined, 'there is a pod to delete');
    const { name, uid } = victim.metadata;
    narrator.command(`kubectl delete pod -n ${NAMESPACE} ${name}`);
    await kubectl(['delete', 'pod', '-n', NAMESPACE, name, '--wait=false']);
    const isReplaced = (pods: readonly { readonly uid?: string; readonly state?: string }[]): boolean =>
      pods.every((pod) => pod.uid !== uid || pod.state === 'Gone');
    const pool = await fleetIsProved(world, (one) => isReplaced(one.status?.pods ?? []));
    await poolersAgree(pool);
    narrator.good(`replaced: ${describeSizes(pool)}`);
    await application.everyThreadDoes(2);
    const pods = await poolPods(NAMESPACE, POOL);
    check(
      pods.every((pod) => pod.metadata.uid !== uid),
      'the deleted pod is gone',
    );
    narrator.good('the old pod is gone, a new one serves with its share, every thread goes on');
  },
};
