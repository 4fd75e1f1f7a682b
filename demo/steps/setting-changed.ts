// Step: a setting of PgBouncer changes in the running fleet.
import { isDeepStrictEqual } from 'node:util';
import { kubectl } from '../../test/support/kubectl.ts';
import { podIdentities } from '../../test/support/pool-children.ts';
import { askPoolers, fleetIsProved } from '../fleet.ts';
import { check, NAMESPACE, POOL, type Step } from '../world.ts';

const SETTING = 'query_wait_timeout';
const VALUE = 7;

export const settingChanged: Step = {
  title: 'A setting changes, and nothing restarts',
  explanation:
    'It goes to one pod first (the canary), is read back there, then goes to the rest and is read back again.',
  run: async (world) => {
    const { narrator, application } = world;
    const identities = await podIdentities(NAMESPACE, POOL);
    await changeSetting(VALUE, (command) => {
      narrator.command(command);
    });
    await fleetIsProved(world);
    const values = await settingOnPods();
    check(
      values.length === 2 && values.every((value) => value === String(VALUE)),
      `every pod says ${SETTING}=${VALUE}, they say ${values.join(', ')}`,
    );
    narrator.good(`${SETTING}=${VALUE} is in force on both pods: Ready says so, and so do their consoles`);
    check(
      isDeepStrictEqual(identities, await podIdentities(NAMESPACE, POOL)),
      'pods, containers and restart counts are the same as before',
    );
    await application.everyThreadDoes(2);
    narrator.good('same pods, same containers, restart counts unchanged; every thread went on');
  },
};

/** As a user would, with kubectl. */
export async function changeSetting(value: number, tell: (command: string) => void): Promise<void> {
  const patch = JSON.stringify({ spec: { pooler: { parameters: { [SETTING]: value } } } });
  tell(`kubectl patch -n ${NAMESPACE} poolconfig ${POOL} --type=merge -p '${patch}'`);
  await kubectl(['patch', '-n', NAMESPACE, 'poolconfig', POOL, '--type=merge', '-p', patch]);
}

/** What PgBouncer on each pod says of the setting. */
export async function settingOnPods(): Promise<readonly string[]> {
  const rows = Object.values(await askPoolers('SHOW CONFIG'));
  return rows.map((settings) => String(settings.find((one) => one['key'] === SETTING)?.['value']));
}
