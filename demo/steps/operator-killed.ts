// Step: the operator is killed, and nobody misses it.
import { RESOURCES, type Pod } from '../../src/kube/resources.ts';
import { until } from '../../test/cluster/processes.ts';
import { killContainer } from '../../test/support/kill.ts';
import { cluster, isOwnCluster } from '../../test/support/kubectl.ts';
import { podIdentities } from '../../test/support/pool-children.ts';
import { fleetIsProved } from '../fleet.ts';
import { check, NAMESPACE, POOL, RELEASE, SYSTEM_NAMESPACE, type Step } from '../world.ts';
import { changeSetting, settingOnPods } from './setting-changed.ts';

const VALUE = 9;
const CONTAINER = 'operator';

export const operatorKilled: Step = {
  title: 'The operator is killed',
  explanation:
    'It is no part of the way from the application to PostgreSQL. While it is away a setting is changed; when it is back,\n' +
    'it finds everything as it is, by looking, and goes on.',
  run: async (world) => {
    const { narrator, application } = world;
    const identities = await podIdentities(NAMESPACE, POOL);
    const pod = await operatorPod();
    const { name } = pod.metadata;
    if (await isOwnCluster()) {
      const id = await killContainer(SYSTEM_NAMESPACE, name, CONTAINER);
      narrator.command(`ctr -n k8s.io tasks kill --signal SIGKILL ${id.slice(0, 12)}…   # ${name}`);
    } else {
      await (await cluster()).delete(RESOURCES.Pod, SYSTEM_NAMESPACE, name, { gracePeriodSeconds: 0 });
      narrator.command(`kubectl delete pod -n ${SYSTEM_NAMESPACE} ${name} --grace-period=0 --force`);
    }
    await changeSetting(VALUE, (command) => {
      narrator.command(command);
    });
    await application.everyThreadDoes(2);
    narrator.good('every thread goes on without it');
    const containerId = (one: Pod): string | undefined => one.status?.containerStatuses?.[0]?.containerID;
    const isBack = async (): Promise<true | undefined> => {
      const now = await operatorPod();
      const isNew = containerId(now) !== undefined && containerId(now) !== containerId(pod);
      return isNew && now.status?.containerStatuses?.[0]?.ready === true ? true : undefined;
    };
    await until('the operator to be back', isBack, 60_000, 100);
    narrator.good('the operator is back');
    await fleetIsProved(world);
    const values = await settingOnPods();
    check(
      values.length === 2 && values.every((value) => value === String(VALUE)),
      `every pod runs what was asked for meanwhile, they say ${values.join(', ')}`,
    );
    check(
      JSON.stringify(identities) === JSON.stringify(await podIdentities(NAMESPACE, POOL)),
      'no pooler pod was touched',
    );
    await application.everyThreadDoes(2);
    narrator.good('it proved what was asked for meanwhile; no pooler pod was restarted');
  },
};

async function operatorPod(): Promise<Pod> {
  const labelSelector = `app.kubernetes.io/instance=${RELEASE},app.kubernetes.io/component=operator`;
  const { items } = await (await cluster()).list(RESOURCES.Pod, { namespace: SYSTEM_NAMESPACE, labelSelector });
  const living = items.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  check(living[0] !== undefined, 'the operator has a pod');
  return living[0];
}
