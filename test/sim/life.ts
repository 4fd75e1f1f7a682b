// One history lived through: the real controller over the simulated world, round after round, until everything is at rest again.
import { createHash } from 'node:crypto';
import type { PoolConfig, PoolConfigStatus } from '../../src/api/poolconfig.gen.ts';
import { ANNOTATION, API_VERSION, childNames, LABEL } from '../../src/model/names.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { Draw } from '../support/random.ts';
import { strike, type Coverage } from './coverage.ts';
import { finalFaults } from './final-state.ts';
import type { Fault, History, Operation, OperationKind, Round } from './history.ts';
import { GarbageCollector } from './kube/garbage-collector.ts';
import { Kubelet } from './kube/kubelet.ts';
import { usualTiming } from './kube/kubelet-timing.ts';
import { ReplicaSets } from './kube/replica-sets.ts';
import { SimApi, type ObjectEvent } from './kube/sim-api.ts';
import { budgetOf, DATABASE_NAMES, editedSpec, firstSpec, HOST, NAMESPACE, POOL } from './operations.ts';
import { DataPlane } from './pooler/data-plane.ts';
import { reachOf } from './pooler/sim-consoles.ts';
import { putSurroundings, PASSWORDS, FOREIGN_LABEL } from './surroundings.ts';
import { SimOperator } from './sim-operator.ts';
import { Story } from './story.ts';
import { Strikes } from './strikes.ts';
import { Violation, Watchman, type PoolerTruth } from './watchman.ts';

export type Outcome = {
  readonly violation: string | undefined;
  readonly story: readonly string[];
  readonly coverage: Coverage;
  readonly checks: number;
  readonly turns: number;
  readonly virtualMs: number;
  readonly peakShare: number;
};

/** After it a leader that was not heard of is followed by another. */
const LEASE_MS = 6_000;
/** A process that wakes up goes on for so long before it notices that its lease is lost. */
const WAKING_MS = 300;
const START_LIMIT_MS = 180_000;
/** Looking at everything costs more than a step. */
const LOOK_EVERY_MS = 1_000;
const REST_LIMIT_MS = 600_000;
/** By then a change that was under way has been proved or refused. */
const SETTLE_MS = 90_000;
/** Nothing is written for so long: at rest. */
const REST_MS = 30_000;
/** After it has settled it is looked at for so long again. */
const WATCH_REST_MS = 60_000;

export async function live(history: History): Promise<Outcome> {
  const life = new Life(history);
  return life.run();
}

class Life {
  readonly #history: History;
  readonly #clock = new FakeClock();
  readonly #draw: Draw;
  readonly #story: Story;
  readonly #api: SimApi;
  readonly #kubelet: Kubelet;
  readonly #plane: DataPlane;
  readonly #watchman: Watchman;
  readonly #strikes: Strikes;
  readonly #coverage: Coverage = {};
  readonly #operators: SimOperator[] = [];
  /** Stopped, and no leader any more when they go on. */
  readonly #halted = new Set<SimOperator>();
  #epoch = 1;
  #secrets = 0;
  #turns = 0;
  #lastWriteMs = 0;
  #lastFaultMs = 0;
  #lastWrite: Pick<ObjectEvent, 'former' | 'object'> | undefined;
  #violation: Violation | undefined;
  /** Epoch → generation that its leader's last unblocked plan was made for. */
  readonly #seenBy = new Map<number, number>();
  readonly #reloads: { refuse: number; halfWay: number; slow: number; slowMs: number; operation: OperationKind } = {
    refuse: 0,
    halfWay: 0,
    slow: 0,
    slowMs: 0,
    operation: 'editParameter',
  };
  readonly #projection = { delayMs: 0, untilMs: 0, operation: 'editParameter' as OperationKind, struck: true };
  readonly #lag = { lagMs: 0, untilMs: 0, operation: 'editParameter' as OperationKind, struck: true };

  constructor(history: History) {
    this.#history = history;
    const { setup, seed } = history;
    // Not the numbers that the history itself was drawn by.
    this.#draw = new Draw(seed ^ 0x5eed);
    const random = this.#draw.next;
    const clock = this.#clock;
    this.#story = new Story(() => clock.monotonicMs());
    this.#plane = new DataPlane({
      clock,
      random,
      postgres: [
        {
          hosts: [HOST],
          port: 5432,
          maxConnections: setup.maxConnections,
          databases: [...DATABASE_NAMES, 'postgres'],
          users: PASSWORDS,
          monitors: ['monitor'],
          // The operator has PostgreSQL look after its clients every second; without a monitor role, where an older one may not, there is a quarantine.
          orphanMs: setup.monitor ? 1_000 : 4_000,
        },
      ],
      refuseReload: ({ pod, text }) => this.#refuse(pod, text),
    });
    this.#api = new SimApi({ clock, random });
    new ReplicaSets(this.#api);
    new GarbageCollector(this.#api);
    const timing = usualTiming(random);
    this.#kubelet = new Kubelet({
      api: this.#api,
      startPooler: this.#plane.start,
      timing: {
        projectionDelayMs: (sinceLastMs) => timing.projectionDelayMs(sinceLastMs) + this.#projectionDelayMs(),
      },
    });
    this.#watchman = new Watchman(
      {
        realBackends: () => this.#realBackends(),
        pooler: (uid) => this.#poolerOf(uid),
        unowned: () => this.#unowned(),
        bootSizes: () => this.#bootSizes(),
        replicas: () => this.#pool().spec.fleet?.replicas ?? 2,
        pods: () => this.#api.list('Pod').filter((pod) => pod.metadata.labels?.[LABEL.pool] === POOL),
      },
      budgetOf(firstSpec(setup), setup.maxConnections, setup.monitor),
    );
    this.#strikes = new Strikes({
      random,
      nowMs: () => clock.monotonicMs(),
      onStrike: (fault, operation, about) => {
        strike(this.#coverage, fault, operation);
        this.#story.tell('fault', `${fault} at ${about}`);
      },
      onCrash: (operator, awayMs) => {
        this.#crash(operator, awayMs);
      },
    });
    this.#api.subscribe((event) => {
      this.#note(event);
    });
  }

  async run(): Promise<Outcome> {
    try {
      await this.#begin();
      for (const round of this.#history.rounds) await this.#round(round);
      await this.#end();
    } catch (thrown) {
      if (!(thrown instanceof Violation)) throw thrown;
      this.#violation = thrown;
      this.#story.tell('history', `VIOLATION ${thrown.message}`);
      for (const line of this.#everyPod()) this.#story.tell('pod', line);
    } finally {
      for (const operator of this.#operators) operator.kill();
    }
    return {
      violation: this.#violation?.message,
      story: this.#story.lines,
      coverage: this.#coverage,
      checks: this.#watchman.checks,
      turns: this.#turns,
      virtualMs: this.#clock.monotonicMs(),
      peakShare: this.#watchman.peakShare,
    };
  }

  async #begin(): Promise<void> {
    const { setup } = this.#history;
    putSurroundings(this.#api, setup);
    this.#api.put({
      apiVersion: API_VERSION,
      kind: 'PoolConfig',
      metadata: { name: POOL, namespace: NAMESPACE },
      spec: firstSpec(setup),
    } as never);
    for (const [index, database] of DATABASE_NAMES.slice(0, setup.databases).entries()) {
      for (const [user, password] of Object.entries(PASSWORDS).slice(0, setup.users)) {
        const clients = Math.ceil(setup.clients / (setup.databases * setup.users));
        this.#plane.setDemand({ database, user, password, clients: index === 0 ? clients : Math.ceil(clients / 2) });
      }
    }
    this.#startOperator();
    const ready = (): boolean => this.#condition('Ready')?.status === 'True';
    await this.#until(ready, START_LIMIT_MS, 'the fleet was never Ready');
    this.#story.tell('history', 'the fleet is Ready');
  }

  async #round({ operation, faults, lastsMs }: Round): Promise<void> {
    this.#story.tell('operation', JSON.stringify(operation));
    for (const fault of faults) this.#arm(fault, operation.kind);
    this.#operate(operation);
    await this.#pass(lastsMs);
  }

  /** No more faults: everything must come to rest, as declared, and leave nothing behind. */
  async #end(): Promise<void> {
    this.#strikes.disarm();
    this.#projection.untilMs = 0;
    this.#lag.untilMs = 0;
    Object.assign(this.#reloads, { refuse: 0, halfWay: 0, slow: 0 });
    this.#story.tell('history', 'no more faults');
    if (this.#leading() === undefined) this.#startOperator();
    // A configuration that PgBouncer refused is not tried again: the user corrects it.
    await this.#pass(SETTLE_MS);
    if (this.#pool().status?.refused !== undefined) this.#operate({ kind: 'editParameter', seconds: 1_000 });
    let lookedMs = 0;
    const atRest = (): boolean => {
      const nowMs = this.#clock.monotonicMs();
      // What has just come right is about to be told.
      if (nowMs - lookedMs < LOOK_EVERY_MS) return false;
      lookedMs = nowMs;
      if (this.#faultsLeft() > 0) this.#lastFaultMs = nowMs;
      return nowMs - Math.max(this.#lastWriteMs, this.#lastFaultMs) > REST_MS;
    };
    await this.#until(atRest, REST_LIMIT_MS, () => `not at rest after ${REST_LIMIT_MS / 1000} s: ${this.#unrest()}`);
    const sinceMs = this.#lastWriteMs;
    await this.#pass(WATCH_REST_MS);
    if (this.#lastWriteMs !== sinceMs) throw new Violation(`something was written at rest: ${this.#lastWritten()}`);
  }

  #unrest(): string {
    const left = this.#finalFaults();
    const ago = ((this.#clock.monotonicMs() - this.#lastWriteMs) / 1000).toFixed(1);
    return `last write ${ago} s ago (${this.#lastWritten()}); ${left.length === 0 ? 'nothing is left to do' : left.join('; ')}`;
  }

  #lastWritten(): string {
    if (this.#lastWrite === undefined) return 'nothing';
    const { former, object } = this.#lastWrite;
    return `${object.kind} ${object.metadata.name}: ${changedFields(former, object)}`;
  }

  #faultsLeft(): number {
    return this.#finalFaults().length;
  }

  #finalFaults(): readonly string[] {
    return finalFaults({ api: this.#api, plane: this.#plane, budget: this.#watchman.allowed });
  }

  #arm(fault: Fault, operation: OperationKind): void {
    const nowMs = this.#clock.monotonicMs();
    switch (fault.kind) {
      case 'crashBeforeWrite':
      case 'crashAfterWrite':
      case 'crashBeforeCommand':
      case 'crashAfterCommand':
      case 'lostWriteReply':
      case 'lostCommandReply':
        this.#strikes.armCounted(fault, operation);
        return;
      case 'apiOutage':
        this.#strikes.armOutage(nowMs + fault.afterMs, nowMs + fault.afterMs + fault.forMs, operation);
        return;
      case 'serverOutage':
        this.#after(fault.afterMs, () => {
          const [server] = this.#plane.postgres;
          if (server === undefined) return;
          this.#told(fault, operation);
          this.#plane.restartPostgres(server, fault.forMs);
        });
        return;
      case 'watchBroken':
        this.#after(fault.afterMs, () => {
          this.#told(fault, operation);
          if (fault.historyLost) this.#api.expireHistory();
          this.#api.breakWatches();
        });
        return;
      case 'reloadRefused':
        Object.assign(this.#reloads, { refuse: fault.times, operation });
        return;
      case 'reloadHalfApplied':
        Object.assign(this.#reloads, { halfWay: fault.times, operation });
        return;
      case 'reloadSlow':
        Object.assign(this.#reloads, { slow: fault.times, slowMs: fault.delayMs, operation });
        return;
      case 'projectionDelay':
        Object.assign(this.#projection, {
          ...{ delayMs: fault.delayMs, untilMs: nowMs + fault.forMs },
          ...{ operation, struck: false },
        });
        return;
      case 'watchLag':
        Object.assign(this.#lag, { lagMs: fault.lagMs, untilMs: nowMs + fault.forMs, operation, struck: false });
    }
  }

  #told(fault: Fault, operation: OperationKind): void {
    strike(this.#coverage, fault.kind, operation);
    this.#story.tell('fault', JSON.stringify(fault));
  }

  #refuse(pod: string, text: string): { message: string; atLine?: number } | undefined {
    const reloads = this.#reloads;
    const message = 'RELOAD failed, see logs for additional details';
    if (reloads.refuse > 0) {
      reloads.refuse -= 1;
      strike(this.#coverage, 'reloadRefused', reloads.operation);
      this.#story.tell('fault', `${pod} refuses a RELOAD`);
      return { message };
    }
    if (reloads.halfWay > 0) {
      reloads.halfWay -= 1;
      strike(this.#coverage, 'reloadHalfApplied', reloads.operation);
      this.#story.tell('fault', `${pod} applies a part of its file and refuses the rest`);
      // Logins, encryption and limits stand above all that a user may set, so a line that is refused is one of the last.
      return { message, atLine: text.trimEnd().split('\n').length - this.#draw.integer(0, 3) };
    }
    return undefined;
  }

  #projectionDelayMs(): number {
    const { untilMs, delayMs, struck, operation } = this.#projection;
    if (this.#clock.monotonicMs() >= untilMs) return 0;
    if (!struck) {
      this.#projection.struck = true;
      strike(this.#coverage, 'projectionDelay', operation);
      this.#story.tell('fault', `files reach pods ${delayMs} ms late`);
    }
    return delayMs;
  }

  #watchLagMs(): number {
    const usualMs = 1 + 20 * this.#draw.next();
    const { untilMs, lagMs, struck, operation } = this.#lag;
    if (this.#clock.monotonicMs() >= untilMs) return usualMs;
    if (!struck) {
      this.#lag.struck = true;
      strike(this.#coverage, 'watchLag', operation);
      this.#story.tell('fault', `watches lag by ${lagMs} ms`);
    }
    return usualMs + lagMs;
  }

  #operate(operation: Operation): void {
    const spec = editedSpec(this.#pool().spec, operation);
    if (spec !== undefined) {
      const edited = this.#api.edit('PoolConfig', NAMESPACE, POOL, (pool) => ({ ...pool, spec }) as never);
      const { setup } = this.#history;
      const budget = budgetOf(spec, setup.maxConnections, setup.monitor);
      this.#watchman.declare(budget, (edited as unknown as PoolConfig).metadata.generation);
      return;
    }
    const running = this.#kubelet
      .running()
      .map(({ pod }) => pod)
      .filter((pod) => this.#api.find('Pod', NAMESPACE, pod) !== undefined);
    // What is set aside covers every wanted pod once; nobody takes more of them before those have gone.
    const bearable = Math.max(0, (this.#pool().spec.fleet?.replicas ?? 2) - this.#uninvited());
    const victim = running.length === 0 || bearable === 0 ? undefined : this.#draw.pick(running);
    switch (operation.kind) {
      case 'scaleWorkload':
        this.#api.edit('Deployment', NAMESPACE, 'web', {
          spec: { replicas: operation.replicas },
          status: { replicas: operation.replicas },
        });
        return;
      case 'secondLeader':
        this.#secondLeader(operation);
        return;
      case 'evictPod':
        if (victim !== undefined) this.#story.tell('node', `evict ${victim}: ${this.#kubelet.evict(victim)}`);
        return;
      case 'losePod':
        if (victim === undefined) return;
        this.#story.tell('node', `${victim} is lost`);
        this.#kubelet.loseNode([victim], { processEndsAfterMs: 0 });
        return;
      case 'loseNode': {
        const lost = running.slice(0, Math.min(bearable, Math.ceil(running.length / 2)));
        this.#story.tell('node', `${lost.join(', ')} are lost, and run on for ${operation.lingersMs} ms`);
        this.#kubelet.loseNode(lost, { processEndsAfterMs: operation.lingersMs });
        return;
      }
      case 'killContainer':
        if (victim === undefined) return;
        this.#story.tell('node', `SIGKILL to ${victim}`);
        this.#kubelet.killContainer(victim);
        return;
      default:
        throw new Error(`${operation.kind} is neither an edit nor something that happens to pods`);
    }
  }

  /** The leader is stopped in the middle of a write, another takes over, and the first goes on for a moment when it wakes. */
  #secondLeader({ heldMs, write }: Operation & { kind: 'secondLeader' }): void {
    const former = this.#leading();
    if (former === undefined) return;
    this.#strikes.armHold(former, write, heldMs, () => {
      this.#halted.add(former);
      this.#story.tell('history', `epoch ${former.epoch} is stopped in the middle of a write for ${heldMs} ms`);
      this.#after(Math.min(heldMs, LEASE_MS), () => {
        if (former.dead) return;
        this.#story.tell('history', `a second leader takes over from epoch ${former.epoch}`);
        this.#startOperator();
      });
      this.#after(heldMs + WAKING_MS, () => {
        former.kill();
        if (this.#leading() === undefined) this.#startOperator();
      });
    });
  }

  #crash(operator: SimOperator, awayMs: number): void {
    this.#story.tell('history', `the operator of epoch ${operator.epoch} dies, another comes in ${awayMs} ms`);
    operator.kill();
    this.#after(awayMs, () => {
      if (this.#leading() === undefined) this.#startOperator();
    });
  }

  #startOperator(): void {
    this.#epoch += 1;
    const epoch = this.#epoch;
    const { random } = this.#api;
    const operator: SimOperator = new SimOperator({
      epoch,
      clock: this.#clock,
      random,
      newSecret: (bytes) => this.#newSecret(bytes),
      connect: (fateOf) => {
        const name = `operator-${epoch}`;
        const client = this.#api.connect(fateOf, { name, watchLagMs: () => this.#watchLagMs() });
        const { consoles, logins, serverSource: servers, crash } = reachOf(this.#plane, fateOf, name);
        const die = (): void => {
          client.kill();
          crash();
        };
        return { client, consoles, logins, servers, die };
      },
      fateOf: (call, mine) => this.#slowed(call.verb, this.#strikes.fateOf(call, mine)),
      onPlanned: (plan) => {
        this.#turns += 1;
        const stalled = plan.status.conditions?.some(({ type, status }) => type === 'Stalled' && status === 'True');
        if (stalled !== true) this.#seenBy.set(epoch, plan.status.observedGeneration ?? 0);
        for (const action of plan.actions) this.#story.tell(`epoch ${epoch}`, `${action.kind}: ${action.why}`);
      },
    });
    this.#operators.push(operator);
    operator.start();
  }

  #slowed<T extends { readonly delayMs: number }>(verb: string, fate: T): T {
    if (verb !== 'loadFile' || this.#reloads.slow <= 0) return fate;
    this.#reloads.slow -= 1;
    strike(this.#coverage, 'reloadSlow', this.#reloads.operation);
    this.#story.tell('fault', `a RELOAD takes ${this.#reloads.slowMs} ms`);
    return { ...fate, delayMs: fate.delayMs + this.#reloads.slowMs / 2 };
  }

  #leading(): SimOperator | undefined {
    return this.#operators.findLast((operator) => !operator.dead && !this.#halted.has(operator));
  }

  /** Random to the program, the same for the same history. */
  #newSecret(bytes: number): string {
    this.#secrets += 1;
    const digest = createHash('sha512').update(`${this.#history.seed} ${this.#secrets}`).digest('base64url');
    return digest.slice(0, Math.ceil((bytes * 4) / 3));
  }

  #note({ object, former, writer, type }: ObjectEvent): void {
    if (object.kind === 'Event' || object.kind === 'Lease') return;
    const epoch = /^operator-(\d+)$/.exec(writer)?.[1];
    if (epoch === undefined) return;
    // Whether clients wait long comes and goes with their load, and is told at most once in a while.
    if (object.kind !== 'PoolConfig' || !onlySaturation(former, object)) this.#lastWriteMs = this.#clock.monotonicMs();
    this.#lastWrite = { former, object };
    try {
      if (former !== undefined && former.metadata.labels?.[FOREIGN_LABEL] !== undefined)
        throw new Violation(`${object.kind} ${object.metadata.name} belongs to somebody else and was ${type}`);
      if (object.kind === 'Pod' && type !== 'deleted')
        this.#watchman.checkGrant(former, object, Number(epoch), this.#seenBy.get(Number(epoch)));
    } catch (thrown) {
      // The store tells its listeners in the middle of a write; the step that led here ends the history.
      if (!(thrown instanceof Violation)) throw thrown;
      this.#violation ??= thrown;
    }
  }

  /** Who holds what at this moment. */
  #everyPod(): readonly string[] {
    const held = this.#plane.serversInForce().filter(({ user }) => user !== 'monitor');
    const pods = this.#api.list('Pod').filter((pod) => pod.metadata.labels?.[LABEL.pool] === POOL);
    const ips = new Map(pods.map((pod) => [(pod['status'] as { podIP?: string } | undefined)?.podIP, pod] as const));
    const addresses = new Set([
      ...held.map(({ address }) => address),
      ...[...ips.keys()].filter((ip) => ip !== undefined),
    ]);
    return [...addresses].map((address) => {
      const pod = ips.get(address);
      const backends = held
        .filter((group) => group.address === address)
        .map(({ database, user, count, orphans }) => `${database}/${user} ${count} (${orphans} orphans)`)
        .join(', ');
      const { annotations = {}, name } = pod?.metadata ?? {};
      const deletion = (pod?.metadata as { deletionTimestamp?: string } | undefined)?.deletionTimestamp;
      const inForce = pod === undefined ? undefined : this.#poolerOf(pod.metadata.uid)?.inForce;
      return `${address} ${name ?? 'without a pod'}${deletion === undefined ? '' : ' Terminating'}: PostgreSQL has ${backends || 'nothing'}; in force ${JSON.stringify(inForce)}; grant ${annotations[ANNOTATION.grant]}`;
    });
  }

  /** Pods that are on their way out though the operator did not ask for it, and what is left of those that are gone. */
  #uninvited(): number {
    const pods = this.#api.list('Pod');
    const leaving = pods.filter(
      ({ metadata }) =>
        (metadata as { deletionTimestamp?: string }).deletionTimestamp !== undefined &&
        metadata.annotations?.[ANNOTATION.drain] === undefined,
    );
    const owned = new Set(pods.map((pod) => (pod['status'] as { podIP?: string } | undefined)?.podIP));
    const uids = new Set(pods.map(({ metadata }) => metadata.uid));
    const ghosts = this.#kubelet.running().filter(({ uid }) => !uids.has(uid));
    const remains = new Set(
      this.#plane
        .serversInForce()
        .map(({ address }) => address)
        .filter((address) => !owned.has(address) && this.#plane.podAt(address) !== address),
    );
    return leaving.length + Math.max(ghosts.length, remains.size);
  }

  #realBackends(): number {
    return this.#plane
      .serversInForce()
      .filter(({ user }) => user !== 'monitor')
      .reduce((sum, { count }) => sum + count, 0);
  }

  #unowned(): number {
    const owned = new Set(this.#api.list('Pod').map((pod) => (pod['status'] as { podIP?: string } | undefined)?.podIP));
    return this.#plane
      .serversInForce()
      .filter(({ user, address }) => user !== 'monitor' && !owned.has(address))
      .reduce((sum, { count }) => sum + count, 0);
  }

  #bootSizes(): Sizes {
    const data = this.#api.find('ConfigMap', NAMESPACE, childNames(POOL).configMap)?.['data'];
    const record = (data as { 'proved.json'?: string } | undefined)?.['proved.json'];
    return record === undefined ? {} : (JSON.parse(record) as { floors: Sizes }).floors;
  }

  #poolerOf(uid: string): PoolerTruth | undefined {
    const pod = this.#api.list('Pod').find(({ metadata }) => metadata.uid === uid);
    const ip = (pod?.['status'] as { podIP?: string } | undefined)?.podIP;
    const process = ip === undefined ? undefined : this.#plane.processAt(ip);
    if (process === undefined || process.exited || process.start.uid !== uid) return undefined;
    // One that is being deleted gets no new client; without any left it opens nothing more, whatever its sizes are.
    const over =
      process.showClients().length === 0 &&
      (pod?.metadata as { deletionTimestamp?: string } | undefined)?.deletionTimestamp !== undefined;
    const rows = over ? [] : process.showDatabases().filter(({ name }) => name !== 'pgbouncer');
    const held: Record<string, number> = {};
    for (const { address, database, count } of this.#plane.serversInForce())
      if (address === ip) held[database] = (held[database] ?? 0) + count;
    return {
      inForce: Object.fromEntries(
        rows.map(({ name, poolSize, maxConnections }) => [name, Math.max(poolSize, maxConnections)]),
      ),
      loaded: process.config.get('syslog_ident'),
      held,
    };
  }

  #pool(): PoolConfig {
    return this.#api.find('PoolConfig', NAMESPACE, POOL) as unknown as PoolConfig;
  }

  #condition(type: string): NonNullable<PoolConfigStatus['conditions']>[number] | undefined {
    const { status, metadata } = this.#pool();
    const found = status?.conditions?.find((condition) => condition.type === type);
    return found?.observedGeneration === metadata.generation ? found : undefined;
  }

  #after(ms: number, act: () => void): void {
    this.#clock.setTimer(ms, act);
  }

  async #pass(ms: number): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + ms;
    while (this.#clock.monotonicMs() < untilMs) await this.#step(untilMs);
  }

  async #until(condition: () => boolean, limitMs: number, otherwise: string | (() => string)): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + limitMs;
    while (!condition()) {
      if (this.#clock.monotonicMs() >= untilMs)
        throw new Violation(typeof otherwise === 'string' ? otherwise : otherwise());
      await this.#step(untilMs);
    }
  }

  /** To the next timer, and what follows from it; then the promises are looked at. */
  async #step(untilMs: number): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    await this.#clock.advance(Math.min(this.#clock.nextTimerMs ?? Infinity, untilMs - nowMs));
    this.#plane.setEndpoints(this.#kubelet.endpoints(NAMESPACE, { [LABEL.pool]: POOL, [LABEL.serving]: 'true' }));
    this.#watchman.check(this.#seenBy.get(this.#epoch));
    if (this.#violation !== undefined) throw this.#violation;
    for (const operator of this.#operators) {
      const [error] = operator.errors;
      if (error !== undefined) this.#operatorFailed(operator, error);
    }
  }

  /** Errors that faults explain are logged by the program and tried again; anything else is a defect. */
  #operatorFailed(operator: SimOperator, error: string): void {
    operator.errors.length = 0;
    if (/ApiError|AdminError|following a collection/.test(error)) return;
    throw new Violation(`the operator of epoch ${operator.epoch} failed: ${error}`);
  }
}

function onlySaturation(former: unknown, now: unknown): boolean {
  const without = (object: unknown): string =>
    JSON.stringify(object, (key, value: unknown) => {
      if (key === 'resourceVersion' || key === 'managedFields') return undefined;
      return (value as { type?: unknown } | null)?.type === 'PoolSaturated' ? undefined : value;
    });
  return former !== undefined && without(former) === without(now);
}

/** Paths of what a write changed, with both values: for stories, so cut short. */
function changedFields(former: unknown, now: unknown, path = ''): string {
  if (JSON.stringify(former) === JSON.stringify(now)) return '';
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (!isObject(former) || !isObject(now)) {
    return `${path} ${JSON.stringify(former)?.slice(0, 80)} → ${JSON.stringify(now)?.slice(0, 80)}`;
  }
  return [...new Set([...Object.keys(former), ...Object.keys(now)])]
    .filter((key) => !['resourceVersion', 'managedFields'].includes(key))
    .map((key) => changedFields(former[key], now[key], `${path}.${key}`))
    .filter((text) => text !== '')
    .join(', ');
}
