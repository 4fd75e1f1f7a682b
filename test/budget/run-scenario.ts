// Runs one scenario from an empty namespace to its recording.
import { setTimeout as sleep } from 'node:timers/promises';
import { isAtRest } from '../../bench/proved.ts';
import { LABEL } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { SUPERUSER } from '../support/cluster-postgres.ts';
import { describeStatus, type LivePool } from '../support/pool.ts';
import { poolAddress } from '../support/pool-children.ts';
import { APP, closing, DATABASE, MONITOR, POOL, Stage } from '../support/stage.ts';
import { operatorActions } from './operator-actions.ts';
import { PodWatch } from './pod-watch.ts';
import { nowMs, type Recording } from './recording.ts';
import { Sampler } from './sampler.ts';
import { SaturatingLoad } from './saturating-load.ts';
import type { Scenario } from './scenario.ts';
import { World } from './world.ts';

const WARM_UP_MS = 3_000;
const BEFORE_MS = 8_000;
/** Shorter operations are looked at for this long, else their throughput would be chance. */
const DURING_LEAST_MS = 5_000;
const AFTER_MS = 2_000;
const DONE_LIMIT_MS = 90_000;
const MAX_CONNECTIONS = 200;
/** PostgreSQL answers the sampler also while pods start beside it. */
const CPU_REQUEST = '500m';
/** Clients that always want a server, for each connection of the budget. */
const CLIENTS_PER_CONNECTION = 2;

/** Never rejects for what the scenario met: that is in the recording. @throws when its stage can't be set. */
export async function runScenario(scenario: Scenario, seed: number): Promise<Recording> {
  const { budget, replicas } = scenario;
  await using stage = await Stage.set({ prefix: 'budget', maxConnections: MAX_CONNECTIONS, cpuRequest: CPU_REQUEST });
  await scenario.prepare?.(stage.namespace);
  const plain = stage.pool().withBudget(budget).withReplicas(replicas).withDrain('5s', '20s');
  // Enough for the whole budget: a quarter of declared clients is taken to be busy at a time.
  const declared = plain.with({ workloads: [{ name: 'load', clients: 4 * budget }] });
  const pool = scenario.fleet?.(declared) ?? declared;
  await stage.settle(pool, DONE_LIMIT_MS);
  const clients = CLIENTS_PER_CONNECTION * budget;
  const { name: user, password } = APP;
  const address = { ...(await poolAddress(stage.namespace, POOL)), database: DATABASE, user, password };
  await using sampler = await Sampler.start(await stage.postgres.address(), [SUPERUSER.name, MONITOR.name]);
  await using podWatch = await PodWatch.start(stage.namespace, `${LABEL.pool}=${POOL}`);
  await using load = await SaturatingLoad.start(address, clients, seed);
  await sleep(WARM_UP_MS);
  const logSince = new Date();
  const beforeMs = nowMs();
  await sleep(BEFORE_MS);
  const world = new World(stage, pool, sampler, podWatch);
  const operationMs = nowMs();
  const error = await happen(scenario, world);
  const convergedMs = nowMs();
  await sleep(Math.max(0, operationMs + DURING_LEAST_MS - convergedMs));
  await sleep(AFTER_MS);
  const endMs = nowMs();
  await load.stop();
  await using direct = closing(await stage.postgres.connect(DATABASE));
  const audit = await load.audit(direct.client);
  const { name, what, planned, convergeLimitMs } = scenario;
  return {
    ...{ name, what, planned, convergeLimitMs, clients, audit, error },
    window: { beforeMs, operationMs, doneMs: convergedMs, endMs },
    budget: world.budget,
    pods: podWatch.lives,
    samples: sampler.samples,
    attempts: load.attempts,
    errors: load.errors,
    marks: [...world.marks, { atMs: convergedMs, kind: 'note', text: error === undefined ? 'at rest' : 'given up' }],
    operatorActions: await operatorActions(logSince, stage.namespace),
  };
}

/** All steps and the end; answers why it did not come, if it did not. */
async function happen(scenario: Scenario, world: World): Promise<string | undefined> {
  try {
    for (const { kind, what, when, act } of scenario.steps) {
      if (when !== undefined) await world.moment(when.what, () => when.holds(world));
      world.mark(kind, what);
      await act(world);
    }
    await arrived(scenario, world);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function arrived({ endReplicas, done }: Scenario, world: World): Promise<void> {
  let last: LivePool | undefined;
  const isDone = async (): Promise<true | undefined> => {
    last = await world.live();
    const pods = world.pods.length === endReplicas && world.pods.every(({ isReady }) => isReady);
    return (pods && isAtRest(last, endReplicas) && done(world, last)) || undefined;
  };
  await until(`the end of ${world.namespace}`, isDone, DONE_LIMIT_MS).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}\n${describeStatus(last)}`, { cause: error });
  });
}
