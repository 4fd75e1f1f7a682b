// The table of scenarios: what the budget has to survive.
import { conditionOf } from '../support/pool.ts';
import { applyIdleDeployment } from '../support/workload.ts';
import { targetSize } from '../../bench/proved.ts';
import {
  loseLeader,
  freshOperator,
  killOperator,
  oneOperator,
  twoOperators,
  upgradeOperator,
} from './operator-faults.ts';
import {
  evict,
  HIGH_BUDGET,
  LOW_BUDGET,
  lowerBudget,
  pauseFor,
  raiseBudget,
  restartInPause,
  scaleWorkload,
  switchOver,
  WEB,
} from './operations.ts';
import type { Scenario, Step } from './scenario.ts';
import { API_AWAY_MS, apiServerAway, postgresAway } from './server-faults.ts';
import type { World } from './world.ts';

/** So that floors of 1 are set aside, and two or three saturated pods use nine tenths of it. */
const BUDGET = 40;
const BUDGET_OF_TWO = 32;
/** Promised after the new pods are Ready. */
const SCALE_OUT_LIMIT_MS = 10_000;

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

const PAUSE_MS = 8_000;

const pause: Scenario = {
  name: 'pause',
  what: 'pause of 8 s',
  ...{ planned: true, budget: BUDGET, replicas: 3, endReplicas: 3 },
  steps: [{ kind: 'operation', what: 'paused until 8 s later', act: (world) => pauseFor(world, PAUSE_MS) }],
  done: (_, live) => live.status?.pause?.state === 'Ended',
};

const switchover: Scenario = {
  name: 'switchover',
  what: 'switchover to another server, both up',
  ...{ planned: true, budget: BUDGET, replicas: 3, endReplicas: 3, hasSecondServer: true },
  steps: [{ kind: 'operation', what: 'the host is changed', act: switchOver }],
  done: always,
};

const restartInAPause: Scenario = {
  name: 'restart-in-pause',
  what: 'PostgreSQL restarted in a pause',
  ...{ planned: true, budget: BUDGET, replicas: 3, endReplicas: 3 },
  steps: [{ kind: 'operation', what: 'paused, and PostgreSQL restarted', act: restartInPause }],
  done: (_, live) => live.status?.pause === undefined,
};

/** Of what clients ask for at half of saturation, in an operation that takes nothing from them. */
const LEAST_SERVED = 0.95;

function atHalf(scenario: Scenario, leastServed?: number): Scenario {
  return {
    ...scenario,
    name: `${scenario.name}-half`,
    what: `${scenario.what}, at half of saturation`,
    offered: 'half',
    ...(leastServed === undefined ? {} : { leastServed }),
  };
}

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
  pause,
  switchover,
  restartInAPause,
  atHalf(scaleOut, LEAST_SERVED),
  atHalf(scaleIn, LEAST_SERVED),
  atHalf(rollout, LEAST_SERVED),
  // The share of an evicted pod moves only when that is gone.
  atHalf(eviction),
  atHalf(switchover, LEAST_SERVED),
  atHalf(pause),
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
    // When it is back before its kubelet, Kubernetes may take every pod of the node for NotReady, and all of them leave the Service.
    planned: false,
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
