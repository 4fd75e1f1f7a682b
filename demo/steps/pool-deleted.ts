// Step: the PoolConfig is deleted, and nothing of it stays.
import { kubectl } from '../../test/support/kubectl.ts';
import { childrenOf, waitUntilGone } from '../../test/support/pool-children.ts';
import { until } from '../../test/cluster/processes.ts';
import { check, NAMESPACE, POOL, type Step } from '../world.ts';

export const poolDeleted: Step = {
  title: 'The PoolConfig is deleted',
  explanation:
    'Pods, Service, Secrets and all the rest belong to it, and go with it; so do the connections to PostgreSQL.',
  run: async ({ narrator, sampler }) => {
    const children = await childrenOf(NAMESPACE, POOL);
    check(children.length > 0, 'there are children to be deleted');
    narrator.say(`there are ${children.join(', ')}`);
    narrator.command(`kubectl delete -n ${NAMESPACE} poolconfig ${POOL}`);
    await kubectl(['delete', '-n', NAMESPACE, 'poolconfig', POOL, '--wait=false']);
    await waitUntilGone(NAMESPACE, POOL);
    narrator.good('all of them are gone');
    await until(
      'PostgreSQL to have no connection of the fleet left',
      () => sampler.last?.total === 0 || undefined,
      15_000,
    );
    narrator.good('PostgreSQL has no connection left');
  },
};
