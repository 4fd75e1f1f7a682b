// An operation carried out: the PoolConfig edited, or something done to the fleet's surroundings, pods or leader.
import type { PoolConfig, PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import type { Draw } from '../support/random.ts';
import { bearableLosses } from './bearable-losses.ts';
import { poolOf } from './fleet.ts';
import type { Operation } from './history.ts';
import type { SimApi } from './kube/sim-api.ts';
import { editedSpec, NAMESPACE, POOL } from './operations.ts';
import type { SimWorld } from './sim-world.ts';
import type { Story } from './story.ts';

export type Stage = {
  readonly world: SimWorld;
  readonly draw: Draw;
  readonly story: Story;
  /** What a budget may be raised to. */
  readonly mostDeclared: number;
  /** Connections that are declared for the fleet now. */
  readonly budget: () => number;
  /** A new specification stands, as this generation. */
  readonly onDeclared: (spec: PoolConfigSpec, generation: number) => void;
  readonly secondLeader: (operation: Extract<Operation, { kind: 'secondLeader' }>) => void;
};

export function carryOut(operation: Operation, stage: Stage): void {
  const { api } = stage.world;
  const spec = editedSpec(poolOf(api).spec, operation, stage.mostDeclared);
  if (spec === undefined) disturb(operation, stage);
  else stage.onDeclared(spec, declare(api, spec));
}

/** The generation that it became. */
function declare(api: SimApi, spec: PoolConfigSpec): number {
  const edited = api.edit('PoolConfig', NAMESPACE, POOL, (pool) => ({ ...pool, spec }));
  return (edited as unknown as PoolConfig).metadata.generation;
}

function disturb(operation: Operation, { world, draw, story, budget, secondLeader }: Stage): void {
  const { api, kubelet, evicted } = world;
  const running = kubelet
    .running()
    .map(({ pod }) => pod)
    .filter((pod) => api.find('Pod', NAMESPACE, pod) !== undefined);
  const bearable = bearableLosses(world, budget());
  const victim = running.length === 0 || bearable === 0 ? undefined : draw.pick(running);
  switch (operation.kind) {
    case 'scaleWorkload': {
      const { replicas } = operation;
      api.edit('Deployment', NAMESPACE, 'web', { spec: { replicas }, status: { replicas } });
      return;
    }
    case 'secondLeader':
      secondLeader(operation);
      return;
    case 'evictPod':
      if (victim === undefined) return;
      if (kubelet.evict(victim)) evicted.add(victim);
      story.tell('node', `evict ${victim}: ${evicted.has(victim)}`);
      return;
    case 'losePod':
      if (victim === undefined) return;
      story.tell('node', `${victim} is lost`);
      kubelet.loseNode([victim], { processEndsAfterMs: 0 });
      return;
    case 'loseNode': {
      const lost = running.slice(0, Math.min(bearable, Math.ceil(running.length / 2)));
      story.tell('node', `${lost.join(', ')} are lost, and run on for ${operation.lingersMs} ms`);
      kubelet.loseNode(lost, { processEndsAfterMs: operation.lingersMs });
      return;
    }
    case 'killContainer':
      if (victim === undefined) return;
      story.tell('node', `SIGKILL to ${victim}`);
      kubelet.killContainer(victim);
      return;
    default:
      throw new Error(`${operation.kind} is neither an edit nor something that happens to pods`);
  }
}
