// What to look at when a step did not do what it claims.
import { tryKubectl } from '../test/support/kubectl.ts';
import { describeStatus, readPool } from '../test/support/pool.ts';
import { errorsOf, type Application } from './application.ts';
import type { Narrator } from './narrator.ts';
import { NAMESPACE, POOL, RELEASE, SYSTEM_NAMESPACE } from './world.ts';

const LOG_LINES = 40;

export async function showEvidence(narrator: Narrator, application: Application | undefined): Promise<void> {
  const show = async (title: string, args: readonly string[]): Promise<void> => {
    narrator.say(title);
    const { stdout, stderr } = await tryKubectl(args);
    narrator.quote(`${stdout}${stderr}` || '(nothing)');
  };
  const status = await readPool(NAMESPACE, POOL).then(describeStatus, () => 'there is no PoolConfig');
  narrator.say('status of the PoolConfig');
  narrator.quote(status);
  await show('pods', ['get', 'pods', '-o', 'wide', '-n', NAMESPACE]);
  await show('events', ['events', '-n', NAMESPACE, '--for', `poolconfig/${POOL}`]);
  await show('log of the operator', ['logs', '-n', SYSTEM_NAMESPACE, `deployment/${RELEASE}`, `--tail=${LOG_LINES}`]);
  await show('logs of the poolers', [
    'logs',
    '-n',
    NAMESPACE,
    '-l',
    `poolsmith.dev/pool=${POOL}`,
    '--tail=15',
    '--prefix',
  ]);
  if (application !== undefined) narrator.say(`errors of the application so far: ${errorsOf(application.total)}`);
  narrator.say('everything is left as it is; `make demo-down` takes it away');
}
