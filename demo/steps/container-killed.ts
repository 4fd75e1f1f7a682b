// Step: the PgBouncer of a pod is killed without a word, as the kernel's OOM killer would.
import { CONTAINER } from '../../src/model/names.ts';
import { until } from '../../test/cluster/processes.ts';
import { isOwnCluster } from '../../test/support/kubectl.ts';
import { killContainer } from '../../test/support/kill.ts';
import { poolPods } from '../../test/support/pool-children.ts';
import { describeSizes, fleetIsProved, poolersAgree } from '../fleet.ts';
import { check, NAMESPACE, POOL, type Step } from '../world.ts';

const THREADS = 36;

export const containerKilled: Step = {
  title: 'A PgBouncer is killed',
  explanation:
    'SIGKILL, no grace: whoever was connected to it loses the connection, nothing can prevent that. The budget must hold\n' +
    'all the same (PostgreSQL may still keep backends of the dead), and no order may be lost or placed twice.',
  mayFail: {
    most: 3 * THREADS,
    because: `its connections break, and new ones are refused for about a second; at most 3 for each of the ${THREADS} threads`,
  },
  run: async (world) => {
    const { narrator, application } = world;
    if (!(await isOwnCluster())) {
      narrator.say('left out: a process can be killed only on the cluster of this project');
      return;
    }
    const [victim] = await poolPods(NAMESPACE, POOL);
    check(victim !== undefined, 'there is a pod whose container can be killed');
    const { name, uid } = victim.metadata;
    const id = await killContainer(NAMESPACE, name, CONTAINER);
    narrator.command(`ctr -n k8s.io tasks kill --signal SIGKILL ${id.slice(0, 12)}…   # ${name}`);
    const isNewContainer = async (): Promise<true | undefined> => {
      const pods = await poolPods(NAMESPACE, POOL);
      const state = pods.find((pod) => pod.metadata.uid === uid)?.status?.containerStatuses?.[0];
      // The operator may have replaced the pod instead.
      return state === undefined || (state.ready && state.containerID !== `containerd://${id}`) || undefined;
    };
    await until('the container to be back', isNewContainer, 30_000);
    narrator.good('the kubelet started it again');
    const pool = await fleetIsProved(world);
    await poolersAgree(pool);
    narrator.good(`proved again, with its share back: ${describeSizes(pool)}`);
    await application.everyThreadDoes(2);
    narrator.good('every thread goes on');
  },
};
