// From a PoolConfig and what it refers to: the configuration and the sizes the fleet should have, or why they can't be told.
import { databasesOf, poolerTls, serverPort, wantedReplicas } from '../api/poolconfig.ts';
import type { Finding } from '../model/finding.ts';
import type { Observation, OperatorCredentials } from '../model/observation.ts';
import type { DatabaseEntry, OwnLines, PoolerModel } from '../model/pooler-model.ts';
import type { SecretText } from '../model/secret-text.ts';
import { contentHash } from '../model/canonical.ts';
import { childNames, PLACE } from '../model/names.ts';
import { CONNECT_QUERY } from '../model/settings/own-queries.ts';
import { pooledSettings } from '../model/settings/defaults.ts';
import { renderIni } from '../render/ini.ts';
import { RenderError } from '../render/render-error.ts';
import { renderHba, type RenderedHba } from '../render/hba.ts';
import { renderUserlist, userlistHash, userlistNames, type RenderedUserlist } from '../render/userlist.ts';
import type { Budget } from '../sizing/budget.ts';
import type { WorkloadDemand } from '../sizing/demand.ts';
import type { DatabaseWish } from '../sizing/size-fleet.ts';
import { specIsUnderstood } from './policies/spec-is-understood.ts';
import { hbaFinding } from './policies/hba-rules-are-possible.ts';
import { monitorFinding } from './policies/monitor-is-readable.ts';
import type { OthersMark } from './others.ts';
import { readPoolerCertificate, readServerCertificate, type OwnCertificate } from './policies/own-certificates.ts';
import type { ProvedRecord } from './proved-record.ts';
import { readClientCa, readServerCa } from './policies/authorities.ts';
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
  /** What others hold of the server, where it matters. */
  readonly others?: OthersMark | undefined;
  readonly demand: readonly WorkloadDemand[];
};

/** The order of the checks is the order in which a user would want to hear of them. `inUse`: what pods were told last. */
export function desire(
  observation: Observation,
  inUse: Pick<ProvedRecord, 'proved' | 'model' | 'modelHash'> | undefined,
): Wish {
  const { pool, credentials } = observation;
  const understood = specIsUnderstood(pool);
  const { users, findings: userFindings } = readUsers(observation);
  const { ca, finding: caFinding } = readServerCa(observation);
  const { own: shownToServer, finding: shownToServerFinding } = readServerCertificate(
    observation,
    inUse?.model.serverTls.certFile,
  );
  const { own: shownToClients, finding: shownToClientsFinding } = readPoolerCertificate(
    observation,
    inUse?.model.clientTls?.certFile,
  );
  const { ca: authority, finding: authorityFinding } = readClientCa(observation);
  const hba = hbaFinding(observation, users);
  const monitor = monitorFinding(observation);
  const { demand, findings: demandFindings } = readDemand(observation);
  const { budget, others, findings: budgetFindings } = readBudget(observation);
  const findings = [
    ...(understood === undefined ? [] : [understood]),
    ...userFindings,
    ...[caFinding, shownToServerFinding, shownToClientsFinding, authorityFinding, hba, monitor].filter(
      (finding) => finding !== undefined,
    ),
    ...serverFindings(observation, inUse?.proved === true),
    ...budgetFindings,
    ...demandFindings,
  ];
  if (findings.some((finding) => finding.blocking) || budget === undefined || credentials === undefined) {
    return { desired: undefined, findings, budget, others, demand };
  }
  const rendered = tryToRender(() => renderLogins(observation, users, credentials));
  if ('finding' in rendered)
    return { desired: undefined, findings: [rendered.finding, ...findings], budget, others, demand };
  const { userlist, rules } = rendered;
  const files = new Map([[userlist.fileName, userlist.text]]);
  if (rules !== undefined) files.set(rules.fileName, rules.text);
  const addAuthority = (name: string, text: SecretText | undefined): { readonly caFile?: string } => {
    if (text === undefined) return {};
    const caFile = `${name}-${contentHash(text.reveal())}.crt`;
    files.set(caFile, text);
    return { caFile };
  };
  const addOwn = ({ certFile, keyFile, certificate, key }: OwnCertificate) => {
    files.set(certFile, certificate).set(keyFile, key);
    return { certFile, keyFile };
  };
  const clientMode = poolerTls(pool)?.mode;
  const clients = demand.reduce((sum, workload) => sum + workload.clients, 0);
  const model: PoolerModel = {
    databases: databaseEntries(observation),
    userlistFile: userlist.fileName,
    ...(rules === undefined ? {} : { hbaFile: rules.fileName }),
    serverTls: {
      mode: pool.spec.server.tls.mode,
      ...addAuthority('server-ca', ca),
      ...(shownToServer === undefined ? {} : addOwn(shownToServer)),
    },
    ...(clientMode === undefined || shownToClients === undefined
      ? {}
      : { clientTls: { mode: clientMode, ...addOwn(shownToClients), ...addAuthority('client-ca', authority) } }),
    settings: pooledSettings(pool.spec.pooler?.parameters ?? {}, clients),
  };
  const modelHash = contentHash(model);
  const refusal = (modelHash === inUse?.modelHash ? undefined : unwritable(model)) ?? tooLarge(model);
  if (refusal !== undefined) return { desired: undefined, findings: [refusal, ...findings], budget, others, demand };
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
      modelHash,
      files,
      basis: { budget: budget.budget, replicas: wantedReplicas(pool), databases: wishes, demand },
      users,
    },
    findings,
    budget,
    others,
    demand,
  };
}

/** The userlist goes by another name with other rules: its proof then is theirs, too. */
function renderLogins(
  observation: Observation,
  users: readonly PoolUser[],
  credentials: OperatorCredentials,
): { readonly userlist: RenderedUserlist; readonly rules: RenderedHba | undefined } {
  const { hba } = observation.pool.spec.auth;
  const rules = hba === undefined ? undefined : renderHba(hba.map((rule) => ({ ...rule, type: rule.type ?? 'host' })));
  return { rules, userlist: renderUserlist(users, credentials, knownUsers(observation), rules?.fileName) };
}

/** Whoever a stored userlist speaks of: a user that is declared no more must be refused by name, also after further changes. */
function knownUsers(observation: Observation): readonly string[] {
  const stored = observation.children.get(`Secret/${childNames(observation.pool.metadata.name).files}`);
  const data = (stored?.['data'] as Record<string, string> | undefined) ?? {};
  return Object.entries(data)
    .filter(([file]) => userlistHash(file) !== undefined)
    .flatMap(([, text]) => userlistNames(Buffer.from(text, 'base64').toString('utf8')));
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

/** The API server refuses such a specification, but a stored one can be of another version of the CRD. */
function unwritable(model: PoolerModel): Finding | undefined {
  const ones = Object.fromEntries(model.databases.map(({ name }) => [name, 1]));
  const written = tryToRender(() => renderIni(model, ones, { secretsFolder: PLACE.secretsFolder }));
  return 'finding' in written ? written.finding : undefined;
}

/** A pod's annotations together may have 256 KiB; past that the API server would refuse the grant of a pod that is already running. */
const LIVE_INI_BYTES = 240_000;

/** So many database lines are never near the limit. */
const SURELY_FITTING_DATABASES = 100;

/** Twice as many fellows as a fleet may have pods, each with the longest address. */
const MOST_FELLOWS: OwnLines = {
  peering: {
    id: 65_535,
    peers: Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [65_000 + index, 'fd00:1111:2222:3333:4444:5555:6666:7777']),
    ),
  },
};

function tooLarge(model: PoolerModel): Finding | undefined {
  if (model.databases.length <= SURELY_FITTING_DATABASES) return undefined;
  const widest = Object.fromEntries(model.databases.map(({ name }) => [name, 99_999]));
  const { text } = renderIni(model, widest, { secretsFolder: PLACE.secretsFolder }, MOST_FELLOWS);
  const bytes = Buffer.byteLength(text, 'utf8');
  if (bytes <= LIVE_INI_BYTES) return undefined;
  return {
    condition: 'ConfigApplied',
    reason: 'ConfigTooLarge',
    message: `spec.databases: the configuration of a pod would have ${bytes} bytes; at most ${LIVE_INI_BYTES} fit. Divide the databases over several PoolConfigs.`,
    blocking: true,
  };
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
      connectQuery: CONNECT_QUERY,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
