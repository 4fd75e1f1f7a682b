// Step: a PoolConfig is applied, and the fleet it asks for is there and proved.
import { kubectl } from '../../test/support/kubectl.ts';
import { conditionOf } from '../../test/support/pool.ts';
import { describeSizes, fleetIsProved, poolersAgree } from '../fleet.ts';
import { manifest } from '../prepare.ts';
import { check, NAMESPACE, WEB, type Step } from '../world.ts';

export const fleetReady: Step = {
  title: 'A PoolConfig becomes a fleet of PgBouncer',
  explanation:
    'The application (2 pods × 2 processes × 3 threads) and the PoolConfig are applied together.\n' +
    'Ready=True means more than running: the operator has read the configuration back from every pod.',
  run: async (world) => {
    const { narrator, application } = world;
    for (const file of ['web.yaml', 'poolconfig.yaml']) {
      narrator.command(`kubectl apply -n ${NAMESPACE} -f demo/manifests/${file}`);
      await kubectl(['apply', '-n', NAMESPACE, '-f', manifest(file)]);
    }
    const pool = await fleetIsProved(world, (one) => one.status?.demand?.[0]?.replicas === 2);
    narrator.good(`Ready: ${conditionOf(pool, 'Ready')?.message ?? ''}`);
    await poolersAgree(pool);
    narrator.good(`${describeSizes(pool)}; PgBouncer's own consoles say the same`);
    await kubectl(['rollout', 'status', '-n', NAMESPACE, `deployment/${WEB}`, '--timeout=60s']);
    const total = await application.everyThreadDoes(3);
    check(Object.keys(total.threads).length === 12, '12 threads of the application are at work');
    narrator.good('all 12 threads of the application place orders through the fleet');
  },
};
