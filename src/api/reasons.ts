// The closed table of condition types, their reasons, and event reasons; docs/reference/conditions.md is made from it.

export type ConditionStatus = 'True' | 'False' | 'Unknown';

type ConditionEntry = {
  readonly meaning: string;
  /** Present only while true (kstatus), instead of always with a status. */
  readonly onlyWhileTrue?: true;
  /** Present only while its field is set, with any status. */
  readonly onlyWhileDeclared?: true;
};

export const CONDITIONS = {
  Ready: {
    meaning:
      'The summary. True: every serving pod was read back and runs the generation in observedGeneration. False or Unknown: it does not, or that is not known; the reason is the first one that stands in the way.',
  },
  Reconciling: { meaning: 'The operator is on its way to the declared state.', onlyWhileTrue: true },
  Stalled: {
    meaning: 'The declared state can not be reached until somebody changes something. The fleet stays as it was.',
    onlyWhileTrue: true,
  },
  BudgetSatisfied: {
    meaning: 'The declared budget is there, is enough for the floors, and is what the fleet is sized to.',
  },
  ConfigApplied: { meaning: 'The declared configuration can be rendered and is proved on the pods that serve.' },
  ServerReachable: { meaning: 'PostgreSQL answers the logins that the operator makes through the pods or itself.' },
  Paused: {
    meaning: 'What spec.pause asks for: every pod was read back as paused. Absent while nothing is declared.',
    onlyWhileDeclared: true,
  },
  CertificatesValid: {
    meaning:
      'How long the certificates last that the fleet runs with. Absent while it has none. Ready does not depend on it.',
    onlyWhileDeclared: true,
  },
  PoolSaturated: { meaning: 'Clients wait for server connections although the fleet spends all it may.' },
} as const satisfies Record<string, ConditionEntry>;

export type ConditionType = keyof typeof CONDITIONS;

type ReasonEntry = {
  /** The conditions that can carry it, and with which status. */
  readonly on: Readonly<Partial<Record<ConditionType, readonly ConditionStatus[]>>>;
  readonly meaning: string;
  /** What a person can do; undefined where nothing is wrong. */
  readonly remedy?: string;
};

const NO = ['False'] as const;
const YES = ['True'] as const;
const OPEN = ['Unknown'] as const;
/** A fault of the declared configuration: nothing goes on until it is corrected. */
const CONFIG_FAULT = { Ready: NO, ConfigApplied: NO, Stalled: YES } as const;
/** A fault on the way to PostgreSQL. Pods keep serving what they have. */
const SERVER_FAULT = { Ready: NO, ServerReachable: NO, Stalled: YES } as const;
const POD_FAULT = { Ready: NO, ConfigApplied: NO, Reconciling: YES, Stalled: YES } as const;

export const REASONS = {
  Proved: {
    on: { Ready: YES, ConfigApplied: YES },
    meaning: 'Every serving pod was read back and runs this generation.',
  },
  Progressing: {
    on: { Ready: ['False', 'Unknown'], ConfigApplied: ['False', 'Unknown'], Reconciling: YES },
    meaning: 'Pods are being created or are taking up the configuration.',
  },
  Rollout: {
    on: { Ready: ['False', 'True'], ConfigApplied: NO, Reconciling: YES },
    meaning: 'Pods are being replaced one at a time, because the pod template changed or a restart was asked for.',
  },
  Scaling: { on: { Ready: ['False', 'True'], Reconciling: YES }, meaning: 'The number of pods is being changed.' },
  Draining: {
    on: { Ready: ['False', 'True'], Reconciling: YES },
    meaning: 'A pod that leaves waits for its clients to leave, up to spec.fleet.drain.timeout.',
  },
  Pausing: {
    on: { Paused: NO },
    meaning:
      'Pods are told to pause; one is paused when its last transaction has ended and its server connections are closed.',
  },
  UntilItsTime: {
    on: { Paused: YES },
    meaning: 'Every pod was read back as paused; clients wait until spec.pause.until.',
  },
  Resuming: { on: { Paused: NO }, meaning: 'The pause is over; pods are resumed and read back.' },
  PauseOver: { on: { Paused: NO }, meaning: 'spec.pause.until has passed, and every pod was read back as resumed.' },
  PauseRefused: {
    on: { Paused: NO },
    meaning:
      'spec.pause.until was in the past, or further ahead than a pause may last, when the operator first saw it.',
    remedy: 'Set a time at most 10 minutes ahead, or take spec.pause out.',
  },
  Rebalancing: {
    on: { Reconciling: YES },
    meaning: 'A pod is new: for the drain window pods with more clients than the mean take no new ones.',
  },
  Resizing: {
    on: { Ready: ['False', 'True'], Reconciling: YES },
    meaning: 'Server connections are moving between pods: shares shrink and are verified before others grow.',
  },
  NotObserved: {
    on: { Ready: OPEN, ConfigApplied: OPEN, ServerReachable: OPEN, BudgetSatisfied: OPEN, PoolSaturated: OPEN },
    meaning: 'Nothing was observed yet.',
  },
  SecretMissing: {
    on: CONFIG_FAULT,
    meaning: 'A Secret that the spec names does not exist in this namespace.',
    remedy: 'Create the Secret, or correct its name. The operator watches for it.',
  },
  SecretKeyMissing: {
    on: CONFIG_FAULT,
    meaning: 'A Secret exists but lacks the key that is read.',
    remedy: 'Add the key, or set usernameKey, passwordKey or caSecretRef.key to the key it has.',
  },
  SecretInvalid: {
    on: CONFIG_FAULT,
    meaning:
      'A Secret holds a user name or password that can not be used: empty, too long, reserved, given twice, not UTF-8, or with control characters.',
    remedy: 'Correct the value; a newline at the end is the usual cause (use printf or echo -n).',
  },
  CertificateInvalid: {
    on: CONFIG_FAULT,
    meaning:
      'A certificate or key in a Secret is no PEM text, has expired, is not valid yet, or the two do not belong together.',
    remedy: 'Put the certificate that the message asks for into the Secret. The operator watches for it.',
  },
  CertificatesLast: { on: { CertificatesValid: YES }, meaning: 'No certificate is near its end.' },
  CertificateExpiring: {
    on: { CertificatesValid: NO },
    meaning: 'A certificate ends in less than 14 days, or less than a fifth of its life, and was not renewed.',
    remedy: 'Renew it in its Secret, or see why whatever renews it has not. It is taken over without a restart.',
  },
  CertificateExpired: {
    on: { CertificatesValid: NO },
    meaning: 'A certificate that the fleet runs with has expired.',
    remedy: 'Put a new one into its Secret. It is taken over without a restart.',
  },
  UnknownField: {
    on: CONFIG_FAULT,
    meaning: 'The spec has a field that this version does not know; it would have no effect.',
    remedy:
      'Correct the spelling or the indentation, or remove the field; after an upgrade, apply the CRD of this version.',
  },
  InvalidSpec: {
    on: CONFIG_FAULT,
    meaning: 'The spec holds a value that this version refuses, though the API server stored it.',
    remedy: 'Correct the value that the message names, and apply the CRD of this version.',
  },
  ConfigTooLarge: {
    on: CONFIG_FAULT,
    meaning: 'The configuration of a pod is larger than the 240 kB that fit into its annotation.',
    remedy: 'Divide the databases over several PoolConfigs.',
  },
  ConfigRefused: {
    on: CONFIG_FAULT,
    meaning:
      'The first pod to get the new configuration, or the API server, refused it; it went back, and the fleet keeps the last proved one. status.refused tells the setting.',
    remedy: 'Correct the setting that the message names.',
  },
  ConflictingName: {
    on: CONFIG_FAULT,
    meaning: 'An object with the name of a child exists and belongs to somebody else. It is left alone.',
    remedy: 'Remove or rename that object, or give the PoolConfig another name.',
  },
  ServerUnreachable: {
    on: SERVER_FAULT,
    meaning: 'The server does not answer at spec.server.host and port.',
    remedy: 'Check host, port and network policies, and that PostgreSQL runs.',
  },
  PasswordRefused: {
    on: SERVER_FAULT,
    meaning: 'The server refuses a password.',
    remedy: 'Put the current password into the Secret that the message names.',
  },
  CertificateNotTrusted: {
    on: SERVER_FAULT,
    meaning: 'The certificate of the server is not signed by the CA, or with verify-full does not name the host.',
    remedy: 'Check spec.server.tls.caSecretRef, and that the certificate names spec.server.host.',
  },
  CertificateRefused: {
    on: SERVER_FAULT,
    meaning:
      'The server asks for a certificate of whoever connects, or refuses the one that it is shown: of another authority, or expired.',
    remedy:
      'Set spec.server.tls.certSecretRef, or put a certificate into its Secret that an authority of the server (ssl_ca_file) has signed.',
  },
  TlsNotOffered: {
    on: SERVER_FAULT,
    meaning: 'spec.server.tls asks for TLS and the server offers none.',
    remedy: 'Switch ssl on in PostgreSQL, or set spec.server.tls.mode to disable.',
  },
  DatabaseMissing: {
    on: SERVER_FAULT,
    meaning: 'The server has no database of that name.',
    remedy: 'Create it, or correct spec.databases[].database.',
  },
  LoginRefused: {
    on: SERVER_FAULT,
    meaning:
      'The server refuses the login: no such role, no LOGIN or CONNECT right, no line for it in pg_hba.conf, or with method cert no role for the certificate.',
    remedy:
      'Let the role log in to that database from the addresses of the pods; with method cert, map the certificate of spec.server.tls.certSecretRef to every role (pg_ident.conf).',
  },
  ServerVersionTooOld: {
    on: SERVER_FAULT,
    meaning: 'The server is older than PostgreSQL 13.',
    remedy: 'Upgrade PostgreSQL.',
  },
  Answering: { on: { ServerReachable: YES }, meaning: 'The last login at the server succeeded.' },
  Unmonitored: {
    on: { ServerReachable: OPEN, BudgetSatisfied: ['True', 'Unknown'], PoolSaturated: OPEN },
    meaning: 'There is no login by which it could be known.',
    remedy:
      'Set spec.server.monitorSecretRef to have max_connections and backends read. Without it the poolers keep to the budget by their own count, and the share of a lost pod stays out of use for 15 s.',
  },
  WithinBudget: {
    on: { BudgetSatisfied: YES },
    meaning: 'The budget is there and everything that may be open stays within it, as read from the server.',
  },
  Overcommitted: {
    on: { BudgetSatisfied: NO },
    meaning:
      'The pods still hold more than the budget, as after it was lowered; shares shrink as their transactions end.',
    remedy: 'None; if it stays, look for transactions that do not end.',
  },
  ServerAllowsLess: {
    on: { BudgetSatisfied: NO, ServerReachable: NO, Ready: NO, Stalled: YES },
    meaning:
      'PostgreSQL leaves fewer connections than the budget declares, or has none left; the fleet is sized to what there is.',
    remedy: 'Raise max_connections, lower spec.budget, or close other users of the server.',
  },
  ServerCrowded: {
    on: { BudgetSatisfied: NO },
    meaning:
      'The budget fits, but with what others have held in the last hours it leaves PostgreSQL fewer free connections than two, or two in a hundred.',
    remedy: 'Raise max_connections, or lower spec.budget.',
  },
  OrphanedBackends: {
    on: { BudgetSatisfied: NO },
    meaning:
      'PostgreSQL runs backends of pods whose poolers no longer have them: a client or a pooler died in the middle of a query. They come on top of the budget.',
    remedy:
      'They end with their queries; pg_terminate_backend ends them at once. Where it comes back, see that client_connection_check_interval is in force (PostgreSQL 14 or newer, on Linux).',
  },
  ServerShared: {
    on: { BudgetSatisfied: NO },
    meaning: 'Several PoolConfigs use the same server and together declare more than it has.',
    remedy: 'Lower their budgets until the sum fits.',
  },
  NothingDeclared: {
    on: { BudgetSatisfied: NO, Ready: NO, Stalled: YES },
    meaning: 'The budget names neither connections nor percent.',
    remedy: 'Set one of them.',
  },
  NothingLeft: {
    on: { BudgetSatisfied: NO, Ready: NO, Stalled: YES },
    meaning: 'After the reserve nothing is left to spend.',
    remedy: 'Lower spec.budget.reserve, or raise the budget.',
  },
  BudgetTooSmall: {
    on: { BudgetSatisfied: NO, Ready: NO, Stalled: YES },
    meaning:
      'The budget can not give every pod, with as many again for a rollout, at least one connection to every database.',
    remedy: 'Raise the budget, or use fewer replicas or databases.',
  },
  PercentNeedsMonitor: {
    on: { BudgetSatisfied: NO, Ready: NO, Stalled: YES },
    meaning: 'spec.budget.percent is a share of max_connections, which could not be read yet.',
    remedy: 'Set or repair spec.server.monitorSecretRef, or declare spec.budget.connections.',
  },
  MonitorLacksPrivilege: {
    on: { BudgetSatisfied: NO },
    meaning: 'The monitor role is not a member of pg_monitor, so the backends of others can not be counted.',
    remedy: 'Run GRANT pg_monitor TO that role.',
  },
  WorkloadMissing: {
    on: { BudgetSatisfied: NO },
    meaning: 'A workload that the spec names does not exist in this namespace; the fleet is sized without it.',
    remedy: 'Create it, or correct its kind and name.',
  },
  ImagePullFailed: {
    on: POD_FAULT,
    meaning: 'The PgBouncer image can not be pulled.',
    remedy: 'Check spec.pooler.image and spec.fleet.template.imagePullSecrets.',
  },
  PodNotReady: {
    on: POD_FAULT,
    meaning: 'A pod runs but is not ready, or its admin console does not answer.',
    remedy: 'Look at the events and the log of the pod that the message names.',
  },
  PodUnschedulable: {
    on: POD_FAULT,
    meaning: 'No node takes a pod.',
    remedy:
      'Check resources, nodeSelector, affinity and tolerations in spec.fleet.template, and the room on the nodes.',
  },
  PodCreationFailed: {
    on: POD_FAULT,
    meaning: 'The ReplicaSet can not create pods: a quota or an admission policy stands in the way.',
    remedy: 'Change the quota or the policy that the message names.',
  },
  CrashLooping: {
    on: POD_FAULT,
    meaning: 'The container of a pod died twice within ten minutes; the pod is replaced, as waiting would take longer.',
    remedy: 'Look at the log of the former container.',
  },
  ClientsWaiting: {
    on: { PoolSaturated: YES },
    meaning: 'Clients wait for a server connection, and the budget is spent.',
    remedy: 'Raise the budget, shorten transactions, or lower the concurrency of the workloads.',
  },
  NoneWaiting: { on: { PoolSaturated: NO }, meaning: 'No client waits for long.' },
} as const satisfies Record<string, ReasonEntry>;

export type Reason = keyof typeof REASONS;

/** The reasons that a condition of type T can carry. */
export type ReasonOf<T extends ConditionType> = {
  [R in Reason]: T extends keyof (typeof REASONS)[R]['on'] ? R : never;
}[Reason];

type EventEntry = { readonly type: 'Normal' | 'Warning'; readonly meaning: string };

/** Events that tell of a step; a fault is told as an event with the reason of its condition. */
export const EVENTS = {
  BudgetStoodAside: {
    type: 'Normal',
    meaning: 'A disruption budget of somebody else chooses the pods, so that of the fleet chooses nobody.',
  },
  ClientsHeld: { type: 'Warning', meaning: 'The server is gone: pools were paused, and their clients wait.' },
  ClientsReleased: { type: 'Normal', meaning: 'Pools that were paused because the server was gone are resumed.' },
  FleetPaused: { type: 'Normal', meaning: 'Every pod was read back as paused.' },
  FleetResumed: { type: 'Normal', meaning: 'A pause is over, and every pod was read back as resumed.' },
  ConfigProved: { type: 'Normal', meaning: 'A configuration was read back from every serving pod.' },
  RolloutStarted: {
    type: 'Normal',
    meaning:
      'The pod template changed; the note says what of the PoolConfig. Pods are replaced one at a time, and none is drained yet.',
  },
  RolloutFinished: { type: 'Normal', meaning: 'All pods are of the new template.' },
  Scaled: { type: 'Normal', meaning: 'A ReplicaSet was made larger or smaller.' },
  DrainStarted: { type: 'Normal', meaning: 'A pod left the Service and waits for its clients to leave.' },
  DrainEnded: {
    type: 'Warning',
    meaning: 'The time for a drain is over; clients that were left are closed between two transactions.',
  },
  SizeChanged: {
    type: 'Normal',
    meaning: 'The size of a database was changed; the message says from what to what and why.',
  },
  BudgetChanged: { type: 'Normal', meaning: 'The budget that the fleet is sized to changed.' },
  PodReplaced: { type: 'Warning', meaning: 'A pod was deleted because its container kept dying.' },
  OrphansCounted: {
    type: 'Warning',
    meaning: 'PostgreSQL still keeps backends of a pod that is gone; its share stays set aside until they end.',
  },
  UsersRevoked: {
    type: 'Normal',
    meaning: 'Users that were removed are let in by no pod, also none that starts anew, and have no connection left.',
  },
  Recovered: { type: 'Normal', meaning: 'A condition that was not as it should be is as it should be again.' },
} as const satisfies Record<string, EventEntry>;

export type EventReason = keyof typeof EVENTS | Reason;

/** The statuses that a condition of this type may have with this reason; none if the reason is not one of its. */
export function statusesOf(type: ConditionType, reason: Reason): readonly ConditionStatus[] {
  const entry: ReasonEntry = REASONS[reason];
  return entry.on[type] ?? [];
}
