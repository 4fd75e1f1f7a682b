// An admin console over a few numbers in memory, which takes down its commands: for tests of what is asked of PgBouncer, and in which order.
import type { ClientRow, PoolerConsole } from '../../src/pgbouncer/console.ts';

export type ScriptedPool = {
  servers: number;
  serversLogin: number;
  paused: boolean;
  clients: readonly string[];
};

export class ScriptedConsole {
  readonly commands: string[] = [];
  readonly pools: ReadonlyMap<string, ScriptedPool>;
  readonly settings = new Map([
    ['server_lifetime', '3600'],
    ['max_user_connections', '0'],
  ]);
  /** Called before each command is carried out; what it throws is the answer. */
  onCommand: (command: string) => void = () => undefined;
  /** A PAUSE that answers and changes nothing. */
  ignoresPause = false;

  constructor(pools: Readonly<Record<string, Partial<ScriptedPool>>>) {
    this.pools = new Map(
      Object.entries(pools).map(([name, pool]) => [
        name,
        { servers: 0, serversLogin: 0, paused: false, clients: [], ...pool },
      ]),
    );
  }

  get console(): PoolerConsole {
    const run = async <T>(command: string, effect: () => T): Promise<T> => {
      await Promise.resolve();
      this.commands.push(command);
      this.onCommand(command);
      return effect();
    };
    const rows = <T>(row: (name: string, pool: ScriptedPool) => T): T[] =>
      [...this.pools].map(([name, pool]) => row(name, pool));
    const console = {
      read: () => run('read', () => ({ config: new Map(this.settings) })),
      pools: () => run('pools', () => rows((database, pool) => ({ database, ...pool }))),
      databases: () => run('databases', () => rows((name, { paused }) => ({ name, paused }))),
      clients: () => run('clients', () => rows(clientsOf).flat()),
      set: (key: string, value: string) => run(`set ${key} = ${value}`, () => this.settings.set(key, value)),
      reload: () => run('reload', () => this.settings.set('server_lifetime', '3600')),
      pause: (name: string) =>
        run(`pause ${name}`, () => {
          if (!this.ignoresPause) this.#pool(name).paused = true;
        }),
      resume: (name: string) =>
        run(`resume ${name}`, () => {
          this.#pool(name).paused = false;
        }),
      killClient: (id: string) =>
        run(`kill ${id}`, () => {
          for (const pool of this.pools.values()) pool.clients = pool.clients.filter((client) => client !== id);
          return true;
        }),
      disconnect: () => run('disconnect', () => undefined),
      close: () => Promise.resolve(),
      fork: () => console,
    };
    return console as unknown as PoolerConsole;
  }

  /** What was asked, readings left out. */
  get changes(): readonly string[] {
    return this.commands.filter((command) => command.includes(' ') || command === 'reload');
  }

  #pool(name: string): ScriptedPool {
    const pool = this.pools.get(name);
    if (pool === undefined) throw new Error(`there is no pool ${name}`);
    return pool;
  }
}

function clientsOf(database: string, { clients }: ScriptedPool): readonly ClientRow[] {
  return clients.map((id) => ({
    id,
    user: 'app',
    database,
    state: 'active',
    address: '10.0.0.9',
    port: 5000,
    connectTime: '2026-11-01 00:00:00 UTC',
    applicationName: '',
  }));
}
