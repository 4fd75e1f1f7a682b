// A proved fleet under load that is given bad input: what must be told, what must stay as it is, and that correcting it is enough.
import assert from 'node:assert/strict';
import { RESOURCES, type Pod } from '../../../src/kube/resources.ts';
import type { ConditionStatus, ConditionType, Reason } from '../../../src/api/reasons.ts';
import { ANNOTATION } from '../../../src/model/names.ts';
import { until } from '../../cluster/processes.ts';
import { cluster } from '../../support/kubectl.ts';
import { operatorLog } from '../../support/install.ts';
import type { Load, LoadOptions } from '../../support/load.ts';
import { conditionOf, describeStatus, POOL_CONFIGS, readPool, waitForPool } from '../../support/pool.ts';
import type { LivePool, PoolConfigBuilder } from '../../support/pool.ts';
import { podIdentities, poolPods } from '../../support/pool-children.ts';
import { settingInForce } from '../../support/pooler-console.ts';
import { measured, seconds, type Stage } from '../../support/stage.ts';

export type Told = Readonly<{ type: ConditionType; status: ConditionStatus; reason: Reason }>;

export type BadInput = Readonly<{
  bad: () => Promise<unknown>;
  /** The condition that tells of it. */
  tells: Told;
  /** What its message must name: the field or object, the value, what to do. */
  naming: readonly (string | RegExp)[];
  /** Blocked: Ready=False and Stalled=True with the same reason. Served: Ready stays True. Halted: Ready=False, and it may pass by itself. */
  fleet: 'blocked' | 'served' | 'halted';
  /** Sizes may move, nothing else. */
  sizesMove?: boolean;
  /** Looked at while it is told. */
  meanwhile?: (live: LivePool) => Promise<void> | void;
  correct: () => Promise<unknown>;
  /** Errors that new connections may meet meanwhile; none when left out. No transaction is ever cut. */
  newConnectionsMayMeet?: RegExp;
}>;

/** A fleet on a stage; ends its load with itself. */
export class Fleet implements AsyncDisposable {
  readonly stage: Stage;
  readonly name: string;
  readonly load: Load;
  /** The pool as it was proved. */
  readonly pool: PoolConfigBuilder;
  readonly #since: Date;

  private constructor(stage: Stage, pool: PoolConfigBuilder, load: Load, since: Date) {
    this.stage = stage;
    this.pool = pool;
    this.name = pool.build().metadata.name;
    this.load = load;
    this.#since = since;
  }

  static async prove(stage: Stage, pool: PoolConfigBuilder, load: Partial<LoadOptions> = {}): Promise<Fleet> {
    const since = new Date();
    await stage.prove(pool);
    const running = await stage.load({ clients: 4, pauseMs: 40, ...load }, pool.build().metadata.name);
    return new Fleet(stage, pool, running, since);
  }

  /** Gives it the bad input, looks, corrects it, looks again. */
  async meets(input: BadInput): Promise<void> {
    const { namespace } = this.stage;
    await this.whole();
    const before = await this.state(input.sizesMove);
    const mark = this.load.mark();
    const startedMs = performance.now();
    await using undo = new AsyncDisposableStack();
    undo.defer(async () => {
      await input.correct();
    });
    await input.bad();
    const live = await tells(namespace, this.name, input.tells);
    measured(`told after ${seconds(performance.now() - startedMs)}: ${messageOf(live, input.tells.type)}`);
    assertNaming(live, input);
    // Sizes that move are proved anew, like everything that a pod is told.
    if (input.sizesMove === true && input.fleet === 'served') await this.#isReady();
    assertStanding(await readPool(namespace, this.name), input);
    await this.load.done(40);
    const later = await readPool(namespace, this.name);
    // A pod that is tried again goes through its troubles again; what is sure is that it is not called Ready.
    if (input.fleet === 'halted') assert.equal(conditionOf(later, 'Ready')?.status, 'False', describeStatus(later));
    else assertStanding(later, input);
    await input.meanwhile?.(live);
    assert.deepEqual(this.unharmed(await this.state(input.sizesMove), before), before, 'the running fleet was touched');
    const correctedMs = performance.now();
    await undo.disposeAsync();
    await this.whole();
    measured(`in order again ${seconds(performance.now() - correctedMs)} after the correction`);
    assert.deepEqual(await this.state(input.sizesMove), before, 'after the correction it is not what it was');
    const { failed, done, unknown } = this.load.since(mark);
    const errors = JSON.stringify(this.load.tally.errors);
    assert.equal(unknown, 0, `${unknown} of ${done} were cut: ${errors}`);
    if (input.newConnectionsMayMeet === undefined) assert.equal(failed, 0, `${failed} of ${done} failed: ${errors}`);
    else for (const error of Object.keys(this.load.tally.errors)) assert.match(error, input.newConnectionsMayMeet);
  }

  async #isReady(): Promise<void> {
    const { namespace } = this.stage;
    await waitForPool(
      namespace,
      this.name,
      'Ready, and at rest',
      (live) => conditionOf(live, 'Ready')?.status === 'True' && conditionOf(live, 'Reconciling') === undefined,
    );
  }

  /** Pods that a halted rollout added are no harm; the former ones must all be there. */
  private unharmed(now: FleetState, before: FleetState): FleetState {
    const known = (
      part: Readonly<Record<string, string>>,
      of: Readonly<Record<string, string>>,
    ): Record<string, string> => Object.fromEntries(Object.entries(part).filter(([pod]) => pod in of));
    return {
      identities: known(now.identities, before.identities),
      live: known(now.live, before.live),
      inForce: known(now.inForce, before.inForce),
    };
  }

  /** Waits until all is well: Ready for the spec as it stands, nothing stalled, nothing under way, no pod on its way out. */
  async whole(timeoutMs = 60_000): Promise<LivePool> {
    const { namespace } = this.stage;
    const noneLeaves = async (): Promise<true | undefined> =>
      (await poolPods(namespace, this.name)).every((pod) => pod.metadata.deletionTimestamp === undefined) || undefined;
    await until(`no pod of ${this.name} to be Terminating`, noneLeaves, timeoutMs, 200);
    return await waitForPool(namespace, this.name, 'all being well', isWhole, timeoutMs);
  }

  /** What must not change: which pods and containers these are, and what they are told and run. */
  async state(sizesMove = false): Promise<FleetState> {
    const { namespace } = this.stage;
    const pods = (await poolPods(namespace, this.name)).filter((pod) => isRunning(pod));
    const names = new Set(pods.map(({ metadata }) => metadata.name));
    const identities = Object.entries(await podIdentities(namespace, this.name)).filter(([pod]) => names.has(pod));
    const live = pods.map(({ metadata }) => [metadata.name, metadata.annotations?.[ANNOTATION.live] ?? ''] as const);
    return {
      identities: Object.fromEntries(identities),
      live: Object.fromEntries(live.map(([pod, text]) => [pod, sizesMove ? withoutPlace(text) : text])),
      inForce: sizesMove ? {} : await settingInForce(namespace, this.name, 'syslog_ident'),
    };
  }

  /** Everything that was told about this namespace's pools: status, events, and the operator's log. */
  async everythingTold(): Promise<string> {
    const { namespace } = this.stage;
    const kube = await cluster();
    const pools = await kube.list(POOL_CONFIGS, { namespace });
    const events = await kube.list(RESOURCES.Event, { namespace });
    const log = await operatorLog(this.#since);
    assert.ok(events.items.length > 0 && log.length > 0, 'there is nothing to search in');
    return JSON.stringify([pools.items.map(({ status }) => status), events.items, log]);
  }

  /** The texts must not be in anything that was told. */
  async keptSecret(texts: readonly string[]): Promise<void> {
    const told = await this.everythingTold();
    for (const text of texts)
      assert.ok(!told.includes(JSON.stringify(text).slice(1, -1)), `somebody told ${JSON.stringify(text)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load.stop();
  }
}

export type FleetState = Readonly<{
  identities: Readonly<Record<string, string>>;
  live: Readonly<Record<string, string>>;
  /** Hash of the configuration that each PgBouncer says it runs. */
  inForce: Readonly<Record<string, string>>;
}>;

/** Waits until the condition of the spec as it stands says this. */
export async function tells(namespace: string, name: string, told: Told, timeoutMs = 60_000): Promise<LivePool> {
  const { type, status, reason } = told;
  return await waitForPool(
    namespace,
    name,
    `${type}=${status} (${reason})`,
    (live) => {
      const condition = conditionOf(live, type);
      return (
        condition?.status === status &&
        condition.reason === reason &&
        condition.observedGeneration === live.metadata.generation
      );
    },
    timeoutMs,
  );
}

export function messageOf(live: LivePool, type: ConditionType): string {
  return conditionOf(live, type)?.message ?? '';
}

export function assertNaming(live: LivePool, { tells: { type }, naming }: Pick<BadInput, 'tells' | 'naming'>): void {
  const message = messageOf(live, type);
  for (const part of naming) {
    const named = typeof part === 'string' ? message.includes(part) : part.test(message);
    assert.ok(named, `${type} says nothing of ${String(part)}: ${message}`);
  }
}

function assertStanding(live: LivePool, { tells: { type, status, reason }, fleet }: BadInput): void {
  const said = conditionOf(live, type);
  assert.deepEqual([said?.status, said?.reason], [status, reason], describeStatus(live));
  const ready = conditionOf(live, 'Ready');
  const stalled = conditionOf(live, 'Stalled');
  if (fleet === 'served') {
    assert.equal(ready?.status, 'True', describeStatus(live));
    assert.equal(stalled, undefined, describeStatus(live));
    return;
  }
  assert.deepEqual([ready?.status, ready?.reason], ['False', reason], describeStatus(live));
  if (fleet === 'blocked') {
    assert.deepEqual([stalled?.status, stalled?.reason], ['True', reason], describeStatus(live));
    assert.equal(conditionOf(live, 'Reconciling'), undefined, describeStatus(live));
  }
}

function isWhole(live: LivePool): boolean {
  const conditions = live.status?.conditions ?? [];
  const said = (type: ConditionType): string | undefined => conditionOf(live, type)?.status;
  return (
    conditions.every((condition) => condition.observedGeneration === live.metadata.generation) &&
    said('Ready') === 'True' &&
    said('ConfigApplied') === 'True' &&
    said('ServerReachable') === 'True' &&
    said('BudgetSatisfied') === 'True' &&
    said('Stalled') === undefined &&
    said('Reconciling') === undefined &&
    (live.status?.pods ?? []).every((pod) => pod.state === 'Serving')
  );
}

function isRunning({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined && status?.containerStatuses?.some((container) => container.ready) === true
  );
}

/** What a pod is told but for its place in the fleet: its part of the connections, and the fellows that there are. */
function withoutPlace(ini: string): string {
  return ini
    .replace(/^\[peers\]\n(?:.+\n)*/m, '')
    .replaceAll(/(pool_size|max_db_connections)='?\d+'?/g, '$1=*')
    .replace(/^syslog_ident = .*$/m, '');
}
