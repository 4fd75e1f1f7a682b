// An admin console to a simulated PgBouncer: the operator's calls, one at a time, each as late, lost or without an answer as its fate says.
import type { PoolerView } from '../../../src/model/pooler-view.ts';
import type { AdminConsoleOptions, ClientRow, PoolerConsole, ServerRow } from '../../../src/pgbouncer/console.ts';
import { AdminError } from '../../../src/pgbouncer/errors.ts';
import { LOGIN_HOLD, valuesBeforeHold } from '../../../src/pgbouncer/login-hold.ts';
import { setStatement } from '../../../src/pgbouncer/statements.ts';
import type { Fate, FateOf } from '../contracts.ts';
import type { DataPlane } from './data-plane.ts';
import type { PgbouncerModel } from './pgbouncer-model.ts';

const COMMAND_TIMEOUT_MS = 3_000;
const CONNECT_TIMEOUT_MS = 1_500;
const HOLD_POLL_MS = 3;
const PAUSE_POLL_MS = 5;

/** A promise for a caller that is dead. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

export type ConsoleWorld = {
  readonly plane: DataPlane;
  readonly fateOf: FateOf;
  /** Every console that has a session, so that a crash of the operator can end them all. */
  readonly open: Set<SimConsole>;
};

type Timing = { readonly timeoutMs?: number; readonly signal?: AbortSignal };
type Verb =
  | 'read'
  | 'pools'
  | 'databases'
  | 'clients'
  | 'clientsByUser'
  | 'servers'
  | 'loadFile'
  | 'reload'
  | 'set'
  | 'pause'
  | 'resume'
  | 'reconnect'
  | 'killClient';

/** Keeps the promises of AdminConsole: its order, its errors, and that a broken or aborted command takes the connection with it. */
export class SimConsole implements PoolerConsole {
  readonly #world: ConsoleWorld;
  readonly #options: AdminConsoleOptions;
  #session: PgbouncerModel | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(world: ConsoleWorld, options: AdminConsoleOptions) {
    this.#world = world;
    this.#options = options;
  }

  fork(): SimConsole {
    return new SimConsole(this.#world, this.#options);
  }

  async read(signal?: AbortSignal): Promise<PoolerView> {
    return this.#show('read', signal, (process) => process.read());
  }

  async pools(signal?: AbortSignal): Promise<PoolerView['pools']> {
    return this.#show('pools', signal, (process) => process.showPools());
  }

  async databases(signal?: AbortSignal): Promise<PoolerView['databases']> {
    return this.#show('databases', signal, (process) => process.showDatabases());
  }

  async clients(signal?: AbortSignal): Promise<readonly ClientRow[]> {
    return this.#show('clients', signal, (process) => process.showClients());
  }

  async clientsByUser(signal?: AbortSignal): Promise<ReadonlyMap<string, number>> {
    return this.#show('clientsByUser', signal, (process) => {
      const counts = new Map<string, number>();
      for (const { user } of process.showClients()) counts.set(user, (counts.get(user) ?? 0) + 1);
      return counts;
    });
  }

  async servers(signal?: AbortSignal): Promise<readonly ServerRow[]> {
    return this.#show('servers', signal, (process) => process.showServers());
  }

  async loadFile(
    conffile: string,
    { quietWithinMs = 0, signal }: { readonly quietWithinMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    setStatement('conffile', conffile);
    await this.#turn('loadFile', true, { ...(signal === undefined ? {} : { signal }) }, async (process, only) => {
      process.set('conffile', conffile);
      if (only(1)) return;
      const former = valuesBeforeHold(process.config);
      if (quietWithinMs > 0) {
        for (const [key, value] of Object.entries(LOGIN_HOLD)) process.set(key, value);
        await this.#withoutLogins(process, quietWithinMs, signal);
      }
      if (only(2)) return;
      if (await this.#reload(process, signal)) return;
      if (quietWithinMs > 0) for (const [key, value] of Object.entries(former)) process.set(key, value);
      throw refused('RELOAD', 'RELOAD failed');
    });
  }

  async reload(signal?: AbortSignal): Promise<void> {
    await this.#turn('reload', true, { ...(signal === undefined ? {} : { signal }) }, async (process) => {
      if (!(await this.#reload(process, signal))) throw refused('RELOAD', 'RELOAD failed');
    });
  }

  async set(key: string, value: string, signal?: AbortSignal): Promise<void> {
    setStatement(key, value);
    await this.#turn('set', true, { ...(signal === undefined ? {} : { signal }) }, (process) => {
      if (!process.set(key, value)) throw refused('SET', 'SET failed');
    });
  }

  async pause(database: string, timing: Timing = {}): Promise<void> {
    await this.#turn('pause', true, timing, async (process) => {
      const { plane } = this.#world;
      const atOnce = process.pause(database);
      if (atOnce === undefined) throw refused('PAUSE', `no such database: ${database}`);
      const deadlineMs = plane.clock.monotonicMs() + (timing.timeoutMs ?? COMMAND_TIMEOUT_MS);
      for (let over = atOnce; !over; over = process.pausesAreOver) {
        if (plane.clock.monotonicMs() >= deadlineMs) {
          this.#drop();
          throw new AdminError('timeout', 'while asking for PAUSE: no answer in time');
        }
        await plane.clock.sleep(PAUSE_POLL_MS, timing.signal);
        plane.advance();
      }
    });
  }

  async resume(database: string, signal?: AbortSignal): Promise<void> {
    await this.#turn('resume', true, { ...(signal === undefined ? {} : { signal }) }, (process) => {
      if (process.shuttingDown) throw refused('RESUME', 'pooler is shutting down');
      if (!process.resume(database)) throw refused('RESUME', `database ${database} is not there or not paused`);
    });
  }

  async reconnect(database: string, signal?: AbortSignal): Promise<void> {
    await this.#turn('reconnect', true, { ...(signal === undefined ? {} : { signal }) }, (process) => {
      if (!process.reconnect(database)) throw refused('RECONNECT', `no such database: ${database}`);
    });
  }

  async killClient(id: string, signal?: AbortSignal): Promise<boolean> {
    return this.#turn('killClient', true, { ...(signal === undefined ? {} : { signal }) }, (process) =>
      process.killClient(id),
    );
  }

  async disconnect(): Promise<void> {
    await this.#tail;
    this.#drop();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.disconnect();
  }

  /** The operator died: its connections end at once, and what it waited for never comes. */
  crash(): void {
    this.#closed = true;
    this.#drop();
  }

  async #reload(process: PgbouncerModel, signal: AbortSignal | undefined): Promise<boolean> {
    const { plane } = this.#world;
    const tookMs = plane.reloadMs(process.start.pod);
    if (tookMs > 0) await plane.clock.sleep(tookMs, signal);
    plane.advance();
    if (process.exited)
      throw new AdminError('unreachable', 'while asking for RELOAD: Connection terminated unexpectedly');
    return process.reload();
  }

  async #withoutLogins(process: PgbouncerModel, withinMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { plane } = this.#world;
    const deadlineMs = plane.clock.monotonicMs() + withinMs;
    while (!process.exited && process.pools.some(({ login }) => login !== undefined)) {
      if (plane.clock.monotonicMs() > deadlineMs) return;
      await plane.clock.sleep(HOLD_POLL_MS, signal);
      plane.advance();
    }
  }

  async #show<T>(verb: Verb, signal: AbortSignal | undefined, work: (process: PgbouncerModel) => T): Promise<T> {
    return this.#turn(verb, false, { ...(signal === undefined ? {} : { signal }) }, work);
  }

  /** `only(n)`: the connection broke after so many of the commands that the call consists of. */
  async #turn<T>(
    verb: Verb,
    writes: boolean,
    timing: Timing,
    work: (process: PgbouncerModel, only: (commands: number) => boolean) => T | Promise<T>,
  ): Promise<T> {
    const turn = this.#tail.then(async () => this.#call(verb, writes, timing, work));
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  async #call<T>(
    verb: Verb,
    writes: boolean,
    { signal, timeoutMs = COMMAND_TIMEOUT_MS }: Timing,
    work: (process: PgbouncerModel, only: (commands: number) => boolean) => T | Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const { plane, fateOf } = this.#world;
    const { clock } = plane;
    const fate = fateOf({ to: 'console', verb, target: plane.podAt(this.#options.address.host), writes });
    try {
      await clock.sleep(Math.min(fate.delayMs, timeoutMs), signal);
      if (fate.delayMs > timeoutMs) return await this.#tooLate(fate, timeoutMs, work);
      if (!fate.arrives) return await this.#broken(fate, signal);
      const process = await this.#connected(signal);
      const outcome = await settled(() => {
        if (writes && !process.isAdmin(this.#options.user)) throw refused(verb, 'admin access needed');
        return work(process, this.#breakingAfter(fate));
      });
      if (fate.answer === 'never') return await never();
      await clock.sleep(Math.min(fate.delayMs, timeoutMs - fate.delayMs), signal);
      if (fate.delayMs * 2 > timeoutMs) throw new AdminError('timeout', `while asking for ${verb}: no answer in time`);
      if (fate.answer === 'lost')
        throw new AdminError('unreachable', `while asking for ${verb}: Connection terminated unexpectedly`);
      plane.advance();
      if (process.exited && !('error' in outcome))
        throw new AdminError('unreachable', `while asking for ${verb}: Connection terminated unexpectedly`);
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    } catch (error) {
      if (!(error instanceof AdminError) || error.kind === 'unreachable' || error.kind === 'timeout') this.#drop();
      throw error;
    }
  }

  /** A call without an answer has arrived in part one time out of three: the connection broke between two of its commands. */
  #breakingAfter(fate: Fate): (commands: number) => boolean {
    if (fate.answer === 'given') return () => false;
    const { random } = this.#world.plane;
    const broke = random() < 1 / 3 ? 1 + Math.floor(random() * 2) : Infinity;
    return (commands) => commands === broke;
  }

  async #broken<T>(fate: Fate, signal: AbortSignal | undefined): Promise<T> {
    if (fate.answer === 'never') return never();
    await this.#world.plane.clock.sleep(fate.delayMs, signal);
    throw new AdminError('unreachable', 'while asking: Connection terminated unexpectedly');
  }

  /** The caller gives up first; the command arrives all the same. */
  async #tooLate<T>(
    fate: Fate,
    timeoutMs: number,
    work: (process: PgbouncerModel, only: (commands: number) => boolean) => T | Promise<T>,
  ): Promise<T> {
    const { plane } = this.#world;
    if (fate.arrives)
      plane.clock.setTimer(fate.delayMs - timeoutMs, () => {
        const process = plane.processAt(this.#options.address.host);
        if (process !== undefined && !process.exited && !process.shuttingDown)
          void settled(() => work(process, () => false));
      });
    if (fate.answer === 'never') return never();
    throw new AdminError('timeout', 'while asking: no answer in time');
  }

  async #connected(signal: AbortSignal | undefined): Promise<PgbouncerModel> {
    const { plane, open } = this.#world;
    const { address, user, password } = this.#options;
    const process = plane.processAt(address.host);
    if (this.#session !== undefined && !this.#session.exited) return this.#session;
    this.#session = undefined;
    if (this.#closed) throw new AdminError('unreachable', 'this console was closed');
    if (process === undefined) {
      await plane.clock.sleep(CONNECT_TIMEOUT_MS, signal);
      throw new AdminError('timeout', 'while logging in: no answer in time');
    }
    if (process.exited || process.shuttingDown)
      throw new AdminError('unreachable', 'while logging in: connect ECONNREFUSED');
    if (!process.letsIn(user, password.reveal()) || !process.mayShow(user))
      throw new AdminError('authentication', 'while logging in: SASL authentication failed');
    process.sessions += 1;
    this.#session = process;
    open.add(this);
    return process;
  }

  #drop(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#world.open.delete(this);
    if (session === undefined) return;
    this.#world.plane.advance();
    session.sessions = Math.max(0, session.sessions - 1);
  }
}

function refused(command: string, message: string): AdminError {
  return new AdminError('refused', `while asking for ${command}: ${message}`);
}

async function settled<T>(work: () => T | Promise<T>): Promise<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}
