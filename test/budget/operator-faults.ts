// What happens to the operator in the middle of something: killed, upgraded, succeeded by another leader.
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { installOperator, OPERATOR_NAMESPACE, operatorPods } from '../support/install.ts';
import { killContainer } from '../support/kill.ts';
import { cluster, kubectl } from '../support/kubectl.ts';

const READY_LIMIT_MS = 60_000;

/** A container that has died before is started again with a delay, so whoever wants to kill it takes a new pod first. */
export async function freshOperator(): Promise<void> {
  await kubectl(['rollout', 'restart', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith']);
  await kubectl(['rollout', 'status', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith', '--timeout=90s']);
  await until('one operator', async () => (await operatorPods()).length === 1 || undefined, READY_LIMIT_MS, 100);
}

export async function killOperator(): Promise<void> {
  await killContainer(OPERATOR_NAMESPACE, await leader(), 'operator');
}

/** Two of them, the second as a standby, with a lease short enough to be waited for. */
export async function twoOperators(): Promise<void> {
  await installOperator({
    replicas: 2,
    values: {
      'leaderElection.leaseDuration': '6s',
      'leaderElection.renewDeadline': '4s',
      'leaderElection.retryPeriod': '1s',
    },
  });
  const areTwo = async (): Promise<true | undefined> => (await operatorPods()).length === 2 || undefined;
  await until('two operators and no third', areTwo, READY_LIMIT_MS, 100);
}

/** Killed before it can give its lease back, and its pod taken away: the other one has to wait for the lease's end. */
export async function loseLeader(): Promise<void> {
  const name = await leader();
  await killContainer(OPERATOR_NAMESPACE, name, 'operator');
  await (await cluster()).delete(RESOURCES.Pod, OPERATOR_NAMESPACE, name, { gracePeriodSeconds: 0 });
}

/** The same release with other values: a new pod comes, the former one goes. Does not wait for either. */
export async function upgradeOperator(): Promise<void> {
  const template = { metadata: { annotations: { 'poolsmith.dev/upgraded-at': new Date().toISOString() } } };
  const patch = JSON.stringify({ spec: { template } });
  await kubectl(['patch', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith', '--type=merge', '-p', patch]);
}

/** One operator with the usual values, whatever was before. */
export async function oneOperator(): Promise<void> {
  await installOperator();
  await until('one operator', async () => (await operatorPods()).length === 1 || undefined, READY_LIMIT_MS, 100);
}

async function leader(): Promise<string> {
  const find = async (): Promise<string | undefined> => {
    const { spec } = await (await cluster()).get(RESOURCES.Lease, OPERATOR_NAMESPACE, 'poolsmith');
    return (await operatorPods()).find(({ metadata }) => metadata.uid === spec?.holderIdentity)?.metadata.name;
  };
  return await until('a leader', find, READY_LIMIT_MS);
}
