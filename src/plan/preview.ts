// What applying a PoolConfig would do to the fleet that runs: what `poolsmith plan` prints.
import type { Observation } from '../model/observation.ts';
import type { PoolerModel } from '../model/pooler-model.ts';
import { SETTINGS } from '../model/settings/table.ts';
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

type Part = { readonly name: string; readonly now: string; readonly effect: string };

const AT_ONCE = 'in force at once';
const NEW_CONNECTIONS = 'for new connections; those that are open go on as they were';
const NEW_CLIENTS = 'for clients that connect from then on; those that are connected stay';
const RENEWED = 'server connections are renewed as transactions end';

/** Everything in the model is taken over by RELOAD: no pod restarts and no client is cut. */
function settingChanges(former: PoolerModel, next: PoolerModel): readonly string[] {
  const [before, after] = [former, next].map((model) => new Map(partsOf(model).map((part) => [part.name, part])));
  const names = [...new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])].sort();
  return names.flatMap((name) => {
    const [was, is] = [before?.get(name), after?.get(name)];
    if (was?.now === is?.now) return [];
    const effect = is?.effect ?? was?.effect ?? AT_ONCE;
    return [
      `  RELOAD ${name}: ${was?.now ?? '(none)'} → ${is?.now ?? '(none)'} (one pod first, then the others; no restart; ${effect})`,
    ];
  });
}

function partsOf({ settings, databases, clientTls, serverTls, hbaFile, userlistFile }: PoolerModel): readonly Part[] {
  const words = (...parts: readonly (string | undefined)[]): string =>
    parts.filter((part) => part !== undefined).join(' ');
  return [
    ...Object.entries(settings).map(([name, now]) => ({
      ...{ name, now },
      effect: SETTINGS.get(name)?.reach === 'newConnections' ? NEW_CONNECTIONS : AT_ONCE,
    })),
    ...databases.map(({ name, host, port, dbname, poolMode }) => ({
      name: `database ${name}`,
      now: `${host}:${port}/${dbname} ${poolMode}`,
      effect: RENEWED,
    })),
    {
      name: 'client TLS',
      now: words(clientTls?.mode ?? 'disable', clientTls?.certFile, clientTls?.caFile),
      effect: NEW_CLIENTS,
    },
    { name: 'server TLS', now: words(serverTls.mode, serverTls.caFile, serverTls.certFile), effect: RENEWED },
    { name: 'rules (hba)', now: hbaFile ?? 'none', effect: NEW_CLIENTS },
    { name: 'userlist', now: userlistFile, effect: `${NEW_CLIENTS}, but for those of users that are removed` },
  ];
}
