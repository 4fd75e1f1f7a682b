// What an operator reaches the simulated data plane by: the consoles of all poolers, the proving logins, and PostgreSQL itself.
import type { ProofLogins } from '../../../src/controller/prover.ts';
import type { ServerSource } from '../../../src/controller/servers.ts';
import type { AdminConsoleOptions } from '../../../src/pgbouncer/console.ts';
import type { PoolerConsoles } from '../../../src/pgbouncer/consoles.ts';
import type { FateOf } from '../contracts.ts';
import type { DataPlane } from './data-plane.ts';
import { SimConsole, type ConsoleWorld } from './sim-console.ts';
import { simLogins } from './sim-logins.ts';
import { SimServers } from './sim-servers.ts';

/** Everything of one operator process; a second operator has its own. */
export type Reach = {
  readonly consoles: PoolerConsoles;
  readonly logins: ProofLogins;
  readonly serverSource: ServerSource;
  /** The operator's process died: its connections end, its calls are never answered. Give `never` as the fate of all that follow. */
  readonly crash: () => void;
};

/** `name` tells the operators' connections to PostgreSQL apart. */
export function reachOf(plane: DataPlane, fateOf: FateOf, name = 'operator'): Reach {
  const world: ConsoleWorld = { plane, fateOf, open: new Set() };
  const servers = new SimServers(plane, fateOf, name);
  return {
    consoles: new SimConsoles(world),
    logins: simLogins(plane, fateOf),
    serverSource: servers,
    crash: () => {
      plane.advance();
      for (const console of [...world.open]) console.crash();
      servers.crash();
    },
  };
}

class SimConsoles implements PoolerConsoles {
  readonly #world: ConsoleWorld;
  readonly #byKey = new Map<string, SimConsole>();

  constructor(world: ConsoleWorld) {
    this.#world = world;
  }

  get(key: string, options: AdminConsoleOptions): SimConsole {
    let console = this.#byKey.get(key);
    if (console === undefined) {
      console = new SimConsole(this.#world, options);
      this.#byKey.set(key, console);
    }
    return console;
  }

  async retain(keys: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#byKey].filter(([key]) => !keys.has(key));
    for (const [key] of gone) this.#byKey.delete(key);
    await Promise.all(gone.map(([, console]) => console.close()));
  }

  async closeAll(): Promise<void> {
    await this.retain(new Set());
  }
}
