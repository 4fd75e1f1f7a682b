// The API server and PostgreSQL go away for a while and come back.
import { setTimeout as sleep } from 'node:timers/promises';
import { startComponent, stopComponent } from '../cluster/control.ts';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import { until } from '../cluster/processes.ts';
import { kubectl } from '../support/kubectl.ts';
import type { World } from './world.ts';

export const API_AWAY_MS = 30_000;
const POSTGRES_AWAY_MS = 3_000;

export async function apiServerAway(world: World): Promise<void> {
  const layout = layoutOf(clusterName());
  await stopComponent(layout, 'kube-apiserver');
  await sleep(API_AWAY_MS);
  await startComponent(layout, 'kube-apiserver');
  world.recorder.mark('note', 'API server up');
  await until('the API server to answer', () => kubectl(['get', '--raw', '/readyz']), 60_000, 200);
}

export async function postgresAway(world: World): Promise<void> {
  await world.stage.postgres.stop('fast');
  await sleep(POSTGRES_AWAY_MS);
  await world.stage.postgres.start();
  world.recorder.mark('note', 'PostgreSQL up');
}
