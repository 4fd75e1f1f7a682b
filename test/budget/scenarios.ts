// The table of scenarios: what the budget has to survive.
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../cluster/processes.ts';
import { startComponent, stopComponent } from '../cluster/control.ts';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import { kubectl, tryKubectl } from '../support/kubectl.ts';
import { conditionOf } from '../support/pool.ts';
import { applyIdleDeployment, scaleDeployment } from '../support/workload.ts';
import { isAtRest, targetSize } from '../../bench/proved.ts';
import {
  loseLeader,
  freshOperator,
  killOperator,
  oneOperator,
  twoOperators,
  upgradeOperator,
} from './operator-faults.ts';
import type { Scenario, Step } from './scenario.ts';
import type { World } from './world.ts';

/** So that floors of 1 are set aside, and two or three saturated pods use nine tenths of it. */
const BUDGET = 40;
const BUDGET_OF_TWO = 32;
const HIGH_BUDGET = 80;
const LOW_BUDGET = 40;
/** Promised after the new pods are Ready. */
const SCALE_OUT_LIMIT_MS = 10_000;
const API_AWAY_MS = 30_000;
const POSTGRES_AWAY_MS = 3_000;
/** Enough samples of a state that is only passed through. */
const STAY_MS = 5_000;
const WEB = 'web';

const always = (): boolean => true;

function scaledTo(replicas: number): Step {
  return { kind: 'operation', what: `scaled to ${replicas}`, act: (world) => world.scale(replicas) };
}

const scaleOut: Scenario = {
  name: 'scale-out',
  what: 'scale-out 2 → 5',
  ...{ planned: true, budget: BUDGET_OF_TWO, replicas: 2, endReplicas: 5, convergeLimitMs: SCALE_OUT_LIMIT_MS },
  steps: [scaledTo(5)],
  done: always,
};

const scaleIn: Scenario = {
  name: 'scale-in',
  what: 'scale-in 5 → 2',
  ...{ planned: true, budget: BUDGET_OF_TWO, replicas: 5, endReplicas: 2 },
  steps: [scaledTo(2)],
  done: always,
};

const rollout: Scenario = {
  name: 'rollout',
  what: 'rollout at 3 pods',
  ...{ planned: true, budget: BUDGET, replicas: 3, endReplicas: 3 },
  steps: [
    {
      kind: 'operation',
      what: 'the pod template changes',
      act: (world) =>
        world.apply((pool) => {
          const { fleet } = pool.build().spec;
          return pool.with({ fleet: { ...fleet, template: { metadata: { annotations: { round: '2' } } } } });
        }),
    },
  ],
  done: noneOfTheFormer,
};

const podKilled: Scenario = {
  name: 'pod-sigkill',
  what: 'pod SIGKILL (and deleted without grace)',
  ...{ planned: false, budget: BUDGET, replicas: 3, endReplicas: 3 },
  steps: [{ kind: 'fault', what: 'pod SIGKILL', act: (world) => world.killPod(world.victim()) }],
  done: oneIsNew,
};

const containerKilled: Scenario = {
  name: 'container-kill',
  what: 'container kill (PgBouncer’s process)',
  ...{ planned: false, budget: BUDGET, replicas: 3, endReplicas: 3 },
  steps: [
    {
      kind: 'fault',
      what: 'PgBouncer SIGKILL',
      act: async (world) => {
        await world.killPooler(world.victim());
        // Ready says so a moment later; the end must not be seen before.
        await world.moment('the killed container to be missed', () => world.pods.some(({ isReady }) => !isReady));
      },
    },
  ],
  done: always,
};

const eviction: Scenario = {
  name: 'eviction',
  what: 'eviction of a pod',
  ...{ planned: true, budget: BUDGET, replicas: 3, endReplicas: 3 },
  steps: [{ kind: 'operation', what: 'evicted', act: evict }],
  done: oneIsNew,
};

/** The same with the operator's process killed once the thing is half done. */
function withOperatorKilled(scenario: Scenario, what: string, holds: (world: World) => boolean): Scenario {
  return {
    ...scenario,
    name: `${scenario.name}-operator-sigkill`,
    what: `${scenario.what}, operator SIGKILL ${what}`,
    prepare: freshOperator,
    steps: [...scenario.steps, { kind: 'fault', what: 'operator SIGKILL', when: { what, holds }, act: killOperator }],
  };
}

const onceOneIsReady = { what: 'when the first new pod is Ready', holds: aNewOneIsReady };

export const SCENARIOS: readonly Scenario[] = [
  scaleOut,
  scaleIn,
  rollout,
  podKilled,
  containerKilled,
  eviction,
  withOperatorKilled(scaleOut, 'when the first new pod is Ready', aNewOneIsReady),
  withOperatorKilled(scaleIn, 'while pods drain', someDrain),
  withOperatorKilled(rollout, 'while the first pod drains', someDrain),
  withOperatorKilled(podKilled, 'when the new pod is there', aNewOneIsThere),
  withOperatorKilled(containerKilled, 'while the container is down', (world) =>
    world.pods.some(({ isReady }) => !isReady),
  ),
  withOperatorKilled(eviction, 'while the pod is Terminating', (world) =>
    world.pods.some(({ isTerminating }) => isTerminating),
  ),
  {
    ...scaleOut,
    name: 'operator-upgrade',
    what: 'operator upgrade in the middle of a scale-out 2 → 5',
    steps: [scaledTo(5), { kind: 'operation', what: 'operator upgraded', when: onceOneIsReady, act: upgradeOperator }],
  },
  {
    ...scaleOut,
    name: 'change-of-leader',
    what: 'change of leader in the middle of a scale-out 2 → 5 (lease of 6 s)',
    prepare: twoOperators,
    // The lease's end has to be waited for.
    convergeLimitMs: SCALE_OUT_LIMIT_MS + 8_000,
    steps: [scaledTo(5), { kind: 'fault', what: 'leader killed and gone', when: onceOneIsReady, act: loseLeader }],
    restore: oneOperator,
  },
  {
    name: 'budget-down-up',
    what: 'budget 80 → 40 → 80',
    ...{ planned: true, budget: HIGH_BUDGET, replicas: 2, endReplicas: 2 },
    steps: [
      { kind: 'operation', what: 'budget 40', act: lowerBudget },
      { kind: 'operation', what: 'budget 80', act: raiseBudget },
    ],
    done: (_, live) => targetSize(live) > LOW_BUDGET,
  },
  {
    name: 'workload-up-down',
    what: 'workload 2 → 20 → 2 replicas',
    ...{ planned: true, budget: BUDGET_OF_TWO, replicas: 2, endReplicas: 2 },
    prepare: (namespace) => applyIdleDeployment(namespace, WEB, 2, { WEB_CONCURRENCY: '2', RAILS_MAX_THREADS: '3' }),
    fleet: (pool) =>
      pool.with({
        workloads: [
          {
            ref: { kind: 'Deployment', name: WEB },
            workers: { env: 'WEB_CONCURRENCY', default: 1 },
            threads: { env: 'RAILS_MAX_THREADS', default: 1 },
          },
        ],
      }),
    steps: [
      { kind: 'operation', what: 'workload 20', act: (world) => scaleWorkload(world, 20, (size) => size > 25) },
      { kind: 'operation', what: 'workload 2', act: (world) => scaleWorkload(world, 2, (size) => size < 15) },
    ],
    done: (_, live) => targetSize(live) < 15,
  },
  {
    ...scaleOut,
    name: 'api-server-down',
    what: 'API server down for 30 s during a scale-out 2 → 5',
    // Its components have to find it again first.
    convergeLimitMs: API_AWAY_MS + SCALE_OUT_LIMIT_MS,
    steps: [scaledTo(5), { kind: 'fault', what: 'API server down', when: onceOneIsReady, act: apiServerAway }],
  },
  {
    name: 'postgres-restart',
    what: 'PostgreSQL restarted, 3 s away',
    ...{ planned: false, budget: BUDGET, replicas: 3, endReplicas: 3 },
    steps: [{ kind: 'fault', what: 'PostgreSQL down', act: postgresAway }],
    done: (_, live) => conditionOf(live, 'ServerReachable')?.status === 'True',
  },
];

function aNewOneIsThere({ pods, former }: World): boolean {
  return pods.some(({ uid }) => !former.has(uid));
}

function aNewOneIsReady({ pods, former }: World): boolean {
  return pods.some(({ uid, isReady }) => isReady && !former.has(uid));
}

function someDrain({ pods }: World): boolean {
  return pods.some(({ isDraining }) => isDraining);
}

function noneOfTheFormer({ pods, former }: World): boolean {
  return pods.every(({ uid }) => !former.has(uid));
}

function oneIsNew({ pods, former }: World): boolean {
  return pods.filter(({ uid }) => !former.has(uid)).length === 1;
}

async function evict(world: World): Promise<void> {
  const { namespace } = world;
  const { name } = world.victim();
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
  const { code, stderr } = await tryKubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(body));
  if (code !== 0) throw new Error(`while evicting ${name}: ${stderr}`);
}

/** The former budget holds until the operator says that the new one does. */
async function lowerBudget(world: World): Promise<void> {
  await world.apply((pool) => pool.withBudget(LOW_BUDGET));
  await holdsBudget(world);
  world.recorder.budgetIs(LOW_BUDGET);
  world.recorder.mark('note', 'BudgetSatisfied');
  await sleep(STAY_MS);
}

async function raiseBudget(world: World): Promise<void> {
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

async function scaleWorkload(world: World, replicas: number, arrived: (size: number) => boolean): Promise<void> {
  await scaleDeployment(world.namespace, WEB, replicas);
  const isSized = async (): Promise<true | undefined> => {
    const live = await world.live();
    return arrived(targetSize(live)) && isAtRest(live, 2) ? true : undefined;
  };
  await until(`sizes for ${replicas} replicas`, isSized, 60_000);
  world.recorder.mark('note', 'sized');
  await sleep(STAY_MS);
}

async function apiServerAway(world: World): Promise<void> {
  const layout = layoutOf(clusterName());
  await stopComponent(layout, 'kube-apiserver');
  await sleep(API_AWAY_MS);
  await startComponent(layout, 'kube-apiserver');
  world.recorder.mark('note', 'API server up');
  await until('the API server to answer', () => kubectl(['get', '--raw', '/readyz']), 60_000, 200);
}

async function postgresAway(world: World): Promise<void> {
  await world.stage.postgres.stop('fast');
  await sleep(POSTGRES_AWAY_MS);
  await world.stage.postgres.start();
  world.recorder.mark('note', 'PostgreSQL up');
}
