// What is worth telling once: the transitions from the status as it was to the status as it is now, and the steps of this plan.
import { EVENTS, type Condition } from '../api/conditions.ts';
import type { OutageStatus, PauseStatus, PoolConfigStatus } from '../api/poolconfig.gen.ts';
import { STANDS_ASIDE } from './children.ts';
import type { Action, PlannedEvent } from '../model/plan.ts';

/** Equal statuses and no action give no event, so an operator that starts anew repeats nothing. */
export function tellEvents(
  former: PoolConfigStatus | undefined,
  status: PoolConfigStatus,
  actions: readonly Action[],
  revoked: readonly string[] = [],
): readonly PlannedEvent[] {
  return [
    ...(status.conditions ?? []).flatMap((condition) => conditionEvents(former, condition)),
    ...sizeEvents(former, status),
    ...budgetEvents(former, status),
    ...podEvents(former, status),
    ...pauseEvents(former?.pause, status.pause),
    ...outageEvents(former?.outage, status.outage),
    ...revokedEvents(revoked),
    ...actions.flatMap(actionEvents),
  ];
}

function tell(reason: keyof typeof EVENTS, note: string): PlannedEvent {
  return { type: EVENTS[reason].type, reason, note };
}

/** A fault is told with the reason of its condition, by `Ready` alone where that one carries it too. */
function conditionEvents(former: PoolConfigStatus | undefined, condition: Condition): readonly PlannedEvent[] {
  const { type, status, reason, message } = condition;
  if (type === 'Reconciling' || type === 'Stalled') return [];
  const before = former?.conditions?.find((entry) => entry.type === type);
  if (before?.status === status && before.reason === reason) return [];
  const wasBad = before !== undefined && isBad(before);
  // A pause has events of its own.
  if (type === 'Paused' && reason !== 'PauseRefused') return [];
  if (isBad(condition)) return [{ type: 'Warning', reason: reason, note: `${type}: ${message}` }];
  if (type === 'Ready' && status === 'True') return [tell('ConfigProved', message)];
  return wasBad && status !== 'Unknown' ? [tell('Recovered', `${type}: ${message}`)] : [];
}

function isBad({ type, status, reason }: Pick<Condition, 'type' | 'status' | 'reason'>): boolean {
  return status === (type === 'PoolSaturated' ? 'True' : 'False') && reason !== 'Progressing';
}

function sizeEvents(former: PoolConfigStatus | undefined, status: PoolConfigStatus): readonly PlannedEvent[] {
  return (status.databases ?? []).flatMap((database): readonly PlannedEvent[] => {
    const before = former?.databases?.find((entry) => entry.name === database.name);
    if (before?.size === database.size) return [];
    const size = before === undefined ? `${database.size ?? 0}` : `${before.size ?? 0} → ${database.size ?? 0}`;
    return [tell('SizeChanged', `${database.name}: ${size} server connections. ${database.reason ?? ''}`)];
  });
}

function budgetEvents(former: PoolConfigStatus | undefined, { budget }: PoolConfigStatus): readonly PlannedEvent[] {
  const before = former?.budget?.budget;
  if (before === undefined || budget?.budget === undefined || before === budget.budget) return [];
  return [
    tell('BudgetChanged', `${before} → ${budget.budget} connections for the fleet (${budget.source ?? 'declared'})`),
  ];
}

function podEvents(former: PoolConfigStatus | undefined, status: PoolConfigStatus): readonly PlannedEvent[] {
  const isNew = (pod: { uid?: string; state?: string }): boolean =>
    former?.pods?.find((entry) => entry.uid === pod.uid)?.state !== pod.state;
  return (status.pods ?? []).filter(isNew).flatMap((pod): readonly PlannedEvent[] => {
    if (pod.state === 'Draining')
      return [tell('DrainStarted', `${pod.name} takes no new clients and waits for those it has to leave`)];
    if (pod.state !== 'Gone') return [];
    return [
      tell('OrphansCounted', `${pod.name} is gone; its connections stay set aside until PostgreSQL shows none of them`),
    ];
  });
}

function pauseEvents(former: PauseStatus | undefined, pause: PauseStatus | undefined): readonly PlannedEvent[] {
  if (pause === undefined || (former?.state === pause.state && former.until === pause.until)) return [];
  const { until, state, waitingClients = 0 } = pause;
  switch (state) {
    case 'Paused':
      return [tell('FleetPaused', `every pod was read back as paused until ${until}; ${waitingClients} clients wait`)];
    case 'Ended':
      return [tell('FleetResumed', `every pod was read back as resumed; it was paused until ${until}`)];
    case 'Pausing':
    case 'Resuming':
    case 'Refused':
      return [];
  }
}

function outageEvents(former: OutageStatus | undefined, outage: OutageStatus | undefined): readonly PlannedEvent[] {
  const [before, now] = [former?.pods.length ?? 0, outage?.pods.length ?? 0];
  if (before === 0 && now > 0)
    return [tell('ClientsHeld', `the server is gone: clients of ${now} pods wait for it instead of failing`)];
  if (before > 0 && now === 0)
    return [
      tell(
        'ClientsReleased',
        outage === undefined
          ? 'clients go on: the server is back'
          : 'the server has been away for too long: queries fail until it is back',
      ),
    ];
  return [];
}

function revokedEvents(users: readonly string[]): readonly PlannedEvent[] {
  if (users.length === 0) return [];
  const names = users.map((user) => JSON.stringify(user)).join(', ');
  return [tell('UsersRevoked', `${names}: let in by no pod, also by none that starts anew, and no connection is left`)];
}

function actionEvents(action: Action): readonly PlannedEvent[] {
  switch (action.kind) {
    case 'scaleReplicaSet':
      return [tell('Scaled', `ReplicaSet ${action.name}: ${action.from} → ${action.to} (${action.why})`)];
    case 'deleteReplicaSet':
      return [tell('RolloutFinished', action.why)];
    case 'deletePod':
      return [tell('PodReplaced', action.why)];
    case 'endDrain':
      return [tell('DrainEnded', action.why)];
    case 'applyChild':
      if (action.why.startsWith('rollout')) return [tell('RolloutStarted', action.why)];
      return action.why.includes(STANDS_ASIDE) ? [tell('BudgetStoodAside', action.why)] : [];
    case 'pausePools':
    case 'resumePools':
    case 'reconnectPools':
    case 'closeUsers':
    case 'createCredentials':
    case 'patchPod':
    case 'loadLive':
    case 'shrinkPools':
      return [];
  }
}
