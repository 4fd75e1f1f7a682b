// What applying a PoolConfig would do to the fleet that runs: what `poolsmith plan` prints.
import type { Observation } from '../model/observation.ts';
import type { PoolerModel } from '../model/pooler-model.ts';
import { renderPodTemplate } from '../render/pod-template.ts';
import { sizeFleet } from '../sizing/size-fleet.ts';
import { desire } from './desired.ts';
import { readProvedRecord } from './proved-record.ts';
import { whatChanges } from './template-changes.ts';

export type Preview = { readonly lines: readonly string[]; readonly blocked: boolean };

/** Pure: the observation may come from the API alone, without a look into the pods. */
export function previewPool(observation: Observation): Preview {
  const { pool } = observation;
  const record = readProvedRecord(observation);
  const wish = desire(observation, record);
  const lines = [`PoolConfig ${pool.metadata.namespace}/${pool.metadata.name}`];
  for (const finding of wish.findings)
    lines.push(`  ${finding.blocking ? 'BLOCKED' : 'note'} ${finding.reason}: ${finding.message}`);
  if (wish.desired === undefined) {
    lines.push('  Nothing would change: the fleet stays on its last proved configuration.');
    return { lines, blocked: true };
  }
  const { desired } = wish;
  const fleet = sizeFleet({
    budget: desired.basis.budget,
    wanted: desired.basis.replicas,
    pods: [],
    databases: desired.basis.databases,
    demand: desired.basis.demand,
  });
  if (!fleet.feasible) {
    lines.push(`  BLOCKED BudgetTooSmall: ${fleet.message}`);
    return { lines, blocked: true };
  }
  lines.push(...changes(observation, record?.model, desired.model, desired.basis.replicas));
  const former = new Map((pool.status?.databases ?? []).map((database) => [database.name, database.size]));
  lines.push('  Sizes (server connections over the fleet)');
  for (const database of fleet.databases) {
    const before = former.get(database.name);
    const size = before === undefined || before === database.size ? `${database.size}` : `${before} → ${database.size}`;
    lines.push(`    ${database.name}: ${size}. ${database.reason}`);
  }
  for (const workload of wish.demand) {
    lines.push(
      `    ${workload.name}: (${workload.replicas} + ${workload.surge} surge) × ${workload.workers} × ${workload.threads} = ${workload.clients} clients${workload.notes.length === 0 ? '' : ` (${workload.notes.join('; ')})`}`,
    );
  }
  return { lines, blocked: false };
}

function changes(
  observation: Observation,
  former: PoolerModel | undefined,
  next: PoolerModel,
  replicas: number,
): readonly string[] {
  const { pool, replicaSets } = observation;
  if (former === undefined) return [`  A new fleet of ${replicas} pods would be created.`];
  const lines = [...settingChanges(former, next)];
  const image = pool.spec.pooler?.image ?? pool.status?.image ?? observation.defaultImage;
  const template = renderPodTemplate(pool, image);
  const running = replicaSets.filter((set) => set.replicas > 0);
  if (running.length > 0 && !running.some((set) => set.template === template.hash))
    lines.push(
      `  ROLL   every pod is replaced, one at a time, each drained first${whatChanges(replicaSets, template)}`,
    );
  const pods = running.reduce((sum, set) => sum + set.replicas, 0);
  if (pods !== replicas) lines.push(`  SCALE  ${pods} → ${replicas} pods`);
  return lines.length === 0 ? ['  No setting changes.'] : lines;
}

/** Everything in the model is taken over by RELOAD: no pod restarts and no connection is lost. */
function settingChanges(former: PoolerModel, next: PoolerModel): readonly string[] {
  const flat = (model: PoolerModel): ReadonlyMap<string, string> =>
    new Map([
      ...Object.entries(model.settings),
      ...model.databases.map(
        (database) =>
          [
            `database ${database.name}`,
            `${database.host}:${database.port}/${database.dbname} ${database.poolMode}`,
          ] as const,
      ),
      [
        'client TLS',
        model.clientTls === undefined
          ? 'disable'
          : `${model.clientTls.mode} ${model.clientTls.certFile} ${model.clientTls.caFile ?? ''}`.trim(),
      ],
      ['server TLS', `${model.serverTls.mode} ${model.serverTls.caFile ?? ''}`.trim()],
      ['rules (hba)', model.hbaFile ?? 'none'],
      ['userlist', model.userlistFile],
    ]);
  const before = flat(former);
  const after = flat(next);
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names
    .filter((name) => before.get(name) !== after.get(name))
    .map(
      (name) =>
        `  RELOAD ${name}: ${before.get(name) ?? '(none)'} → ${after.get(name) ?? '(none)'} (one pod first, then the others; no restart)`,
    );
}
