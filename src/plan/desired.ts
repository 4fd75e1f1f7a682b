// From a PoolConfig and what it refers to: the configuration and the sizes the fleet should have, or why they can't be told.
import { databasesOf, serverPort, wantedReplicas } from '../api/poolconfig.ts';
import type { Finding } from '../model/finding.ts';
import type { Observation } from '../model/observation.ts';
import type { DatabaseEntry, PoolerModel } from '../model/pooler-model.ts';
import type { SecretText } from '../model/secret-text.ts';
import { contentHash } from '../model/canonical.ts';
import { pooledSettings } from '../model/settings/defaults.ts';
import { RenderError } from '../render/render-error.ts';
import { renderUserlist } from '../render/userlist.ts';
import type { Budget } from '../sizing/budget.ts';
import type { WorkloadDemand } from '../sizing/demand.ts';
import type { DatabaseWish } from '../sizing/size-fleet.ts';
import { specIsUnderstood } from './policies/spec-is-understood.ts';
import { monitorFinding } from './policies/monitor-is-readable.ts';
import { readServerCa } from './policies/server-certificate.ts';
import { serverFindings } from './policies/server-answers.ts';
import { readUsers, type PoolUser } from './policies/users-are-readable.ts';
import { readBudget } from './policies/budget-is-possible.ts';
import { readDemand } from './policies/workloads-exist.ts';

/** All that sizing needs besides the pods themselves; kept with the proved configuration, so a blocked spec still has sizes. */
export type SizingBasis = {
  readonly budget: number;
  readonly replicas: number;
  readonly databases: readonly DatabaseWish[];
  readonly demand: readonly WorkloadDemand[];
};

/** A complete wish: what every pod should run and how much it may take. */
export type Desired = {
  readonly model: PoolerModel;
  readonly modelHash: string;
  /** Files of the mounted Secret that the model names. */
  readonly files: ReadonlyMap<string, SecretText>;
  readonly basis: SizingBasis;
  readonly users: readonly PoolUser[];
};

export type Wish = {
  /** Undefined while a finding blocks it. */
  readonly desired: Desired | undefined;
  readonly findings: readonly Finding[];
  readonly budget: Budget | undefined;
  readonly demand: readonly WorkloadDemand[];
};

/** The order of the checks is the order in which a user would want to hear of them. */
export function desire(observation: Observation, fleetRuns: boolean): Wish {
  const { pool, credentials } = observation;
  const understood = specIsUnderstood(pool);
  const { users, findings: userFindings } = readUsers(observation);
  const { ca, finding: caFinding } = readServerCa(observation);
  const monitor = monitorFinding(observation);
  const { demand, findings: demandFindings } = readDemand(observation);
  const { budget, findings: budgetFindings } = readBudget(observation);
  const findings = [
    ...(understood === undefined ? [] : [understood]),
    ...userFindings,
    ...(caFinding === undefined ? [] : [caFinding]),
    ...(monitor === undefined ? [] : [monitor]),
    ...serverFindings(observation, fleetRuns),
    ...budgetFindings,
    ...demandFindings,
  ];
  if (findings.some((finding) => finding.blocking) || budget === undefined || credentials === undefined) {
    return { desired: undefined, findings, budget, demand };
  }
  const files = new Map<string, SecretText>();
  const userlist = tryToRender(() => renderUserlist(users, credentials));
  if ('finding' in userlist) return { desired: undefined, findings: [userlist.finding, ...findings], budget, demand };
  files.set(userlist.fileName, userlist.text);
  const caFile = ca === undefined ? undefined : `server-ca-${contentHash(ca.reveal())}.crt`;
  if (ca !== undefined && caFile !== undefined) files.set(caFile, ca);
  const clients = demand.reduce((sum, workload) => sum + workload.clients, 0);
  const model: PoolerModel = {
    databases: databaseEntries(observation),
    userlistFile: userlist.fileName,
    serverTls: { mode: pool.spec.server.tls.mode, ...(caFile === undefined ? {} : { caFile }) },
    settings: pooledSettings(pool.spec.pooler?.parameters ?? {}, clients),
  };
  const wishes = databasesOf(pool).map((database): DatabaseWish => ({
    name: database.name,
    weight: database.weight,
    poolMode: database.poolMode,
    users: users.length,
    ...(database.poolSize === undefined ? {} : { fixed: database.poolSize }),
  }));
  return {
    desired: {
      model,
      modelHash: contentHash(model),
      files,
      basis: { budget: budget.budget, replicas: wantedReplicas(pool), databases: wishes, demand },
      users,
    },
    findings,
    budget,
    demand,
  };
}

/** What the file grammar of PgBouncer can't carry is a fault of the specification, not of the operator. */
function tryToRender<T extends object>(render: () => T): T | { readonly finding: Finding } {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof RenderError)) throw error;
    return {
      finding: { condition: 'ConfigApplied', reason: 'InvalidSpec', message: `${error.message}.`, blocking: true },
    };
  }
}

function databaseEntries(observation: Observation): readonly DatabaseEntry[] {
  const { pool } = observation;
  return databasesOf(pool)
    .map((database): DatabaseEntry => ({
      name: database.name,
      host: pool.spec.server.host,
      port: serverPort(pool),
      dbname: database.database,
      poolMode: database.poolMode,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
