// Step: the application grows, and the fleet's sizes follow.
import { kubectl } from '../../test/support/kubectl.ts';
import { podIdentities } from '../../test/support/pool-children.ts';
import { describeSizes, fleetIsProved, grantedTo, poolersAgree } from '../fleet.ts';
import { check, NAMESPACE, POOL, WEB, type Step } from '../world.ts';

const REPLICAS = 6;

export const applicationScaled: Step = {
  title: `The application grows from 2 to ${REPLICAS} pods`,
  explanation:
    'Three times the threads want the database. The pools grow with them, inside the budget, without a restart.',
  run: async (world) => {
    const { narrator, application, last } = world;
    const before = last.pool === undefined ? 0 : grantedTo(last.pool);
    const identities = await podIdentities(NAMESPACE, POOL);
    narrator.command(`kubectl scale -n ${NAMESPACE} deployment/${WEB} --replicas=${REPLICAS}`);
    await kubectl(['scale', '-n', NAMESPACE, `deployment/${WEB}`, `--replicas=${REPLICAS}`]);
    const pool = await fleetIsProved(world, (one) => one.status?.demand?.[0]?.replicas === REPLICAS);
    check(grantedTo(pool) > before, `the sizes grew from ${before}, they are ${grantedTo(pool)}`);
    await poolersAgree(pool);
    narrator.good(`from ${before} to ${describeSizes(pool)}; proved on every pod`);
    narrator.say(`why: ${pool.status?.databases?.[0]?.reason ?? ''}`);
    await kubectl(['rollout', 'status', '-n', NAMESPACE, `deployment/${WEB}`, '--timeout=60s']);
    const total = await application.everyThreadDoes(3);
    check(Object.keys(total.threads).length === REPLICAS * 6, `${REPLICAS * 6} threads are at work`);
    check(total.bootRetries === 0 || total.failed === 0, 'no new pod of the application was turned away');
    check(sameText(identities, await podIdentities(NAMESPACE, POOL)), 'no pooler pod was replaced or restarted');
    narrator.good(`all ${REPLICAS * 6} threads place orders; the pooler pods are the same as before`);
  },
};

function sameText(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
