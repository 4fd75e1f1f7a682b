// Kills or halts a container's process the hard way, as the kernel's OOM killer would: nobody is told beforehand.
import { RESOURCES } from '../../src/kube/resources.ts';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import { firstProcess, insideCommand } from '../cluster/namespace.ts';
import { CONTAINERD_SOCKET } from '../cluster/node-config.ts';
import { run, systemEnv } from '../cluster/processes.ts';
import { cluster, isOwnCluster } from './kubectl.ts';

/** Sends SIGKILL to the first process of a container; answers the container's id. Works on this project's own cluster only. */
export async function killContainer(namespace: string, pod: string, container: string): Promise<string> {
  return await signalContainer(namespace, pod, container, 'SIGKILL');
}

/** SIGSTOP leaves it hanging with all its connections open, until SIGCONT; SIGUSR1 opens Node's inspector. */
export async function signalContainer(
  namespace: string,
  pod: string,
  container: string,
  signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGUSR1',
): Promise<string> {
  if (!(await isOwnCluster()))
    throw new Error('a container can be signalled only on the cluster that make cluster-up starts');
  const { status } = await (await cluster()).get(RESOURCES.Pod, namespace, pod);
  const state = status?.containerStatuses?.find(({ name }) => name === container);
  const id = state?.containerID?.replace('containerd://', '');
  const first = firstProcess(layoutOf(clusterName()));
  if (id === undefined || first === undefined)
    throw new Error(`container ${container} of ${namespace}/${pod} does not run`);
  const ctr = ['ctr', '--address', CONTAINERD_SOCKET, '--namespace', 'k8s.io'];
  const command = [...ctr, 'tasks', 'kill', '--signal', signal, id];
  await run('nsenter', insideCommand(first, command), { env: systemEnv() });
  return id;
}
