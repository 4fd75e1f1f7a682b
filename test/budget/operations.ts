// What is asked of a fleet beyond a number of pods: other budgets, other workloads, an eviction.
import { setTimeout as sleep } from 'node:timers/promises';
import { isAtRest, targetSize } from '../../bench/proved.ts';
import { until } from '../cluster/processes.ts';
import { tryKubectl } from '../support/kubectl.ts';
import { conditionOf } from '../support/pool.ts';
import { APP } from '../support/stage.ts';
import { scaleDeployment } from '../support/workload.ts';
import type { World } from './world.ts';

export const HIGH_BUDGET = 80;
export const LOW_BUDGET = 40;
export const WEB = 'web';

/** Enough samples of a state that is only passed through. */
const STAY_MS = 5_000;

export async function evict(world: World): Promise<void> {
  const { namespace } = world;
  const { name } = world.victim();
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
  const { code, stderr } = await tryKubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(body));
  if (code !== 0) throw new Error(`while evicting ${name}: ${stderr}`);
}

/** The former budget holds until the operator says that the new one does. */
export async function lowerBudget(world: World): Promise<void> {
  await world.apply((pool) => pool.withBudget(LOW_BUDGET));
  await holdsBudget(world);
  world.recorder.budgetIs(LOW_BUDGET);
  world.recorder.mark('note', 'BudgetSatisfied');
  await sleep(STAY_MS);
}

export async function raiseBudget(world: World): Promise<void> {
  world.recorder.budgetIs(HIGH_BUDGET);
  await world.apply((pool) => pool.withBudget(HIGH_BUDGET));
}

async function holdsBudget(world: World): Promise<void> {
  const holds = async (): Promise<true | undefined> => {
    const live = await world.live();
    const said = conditionOf(live, 'BudgetSatisfied');
    return said?.status === 'True' && isAtRest(live, 2) && targetSize(live) <= LOW_BUDGET ? true : undefined;
  };
  await until('the lower budget to hold', holds, 30_000);
}

/** Returns once every pod was read back as paused. */
export async function pauseFor(world: World, forMs: number): Promise<void> {
  const untilTime = new Date(Date.now() + forMs).toISOString();
  await world.apply((pool) => pool.with({ pause: { until: untilTime } }));
  const isPaused = async (): Promise<true | undefined> =>
    (await world.live()).status?.pause?.state === 'Paused' ? true : undefined;
  await until('the fleet to be paused', isPaused, 20_000, 50);
  world.recorder.mark('note', 'paused');
}

/** Returns once the former server has no connection of the fleet any more. */
export async function switchOver(world: World): Promise<void> {
  const { second, stage } = world;
  if (second === undefined) throw new Error('there is no second server');
  await world.apply((pool) => pool.onServer(second.host).withMonitor('monitor'));
  const isLeft = async (): Promise<true | undefined> => {
    const [row] = await stage.sql(`SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = '${APP.name}'`);
    return row?.['count'] === 0 ? true : undefined;
  };
  await until('the former server to have no connection', isLeft, 30_000, 50);
  world.recorder.mark('note', 'no connection to the former server');
}

/** Within a pause, so that nobody's transaction is cut; it is ended once the server is back. */
export async function restartInPause(world: World): Promise<void> {
  const { pool } = world;
  await pauseFor(world, 60_000);
  await world.stage.postgres.restartWith({});
  world.recorder.mark('note', 'PostgreSQL up');
  await world.apply(() => pool);
}

export async function scaleWorkload(world: World, replicas: number, arrived: (size: number) => boolean): Promise<void> {
  await scaleDeployment(world.namespace, WEB, replicas);
  const isSized = async (): Promise<true | undefined> => {
    const live = await world.live();
    return arrived(targetSize(live)) && isAtRest(live, 2) ? true : undefined;
  };
  await until(`sizes for ${replicas} replicas`, isSized, 60_000);
  world.recorder.mark('note', 'sized');
  await sleep(STAY_MS);
}
