// All pools of one simulated PgBouncer, in the order of (database, user) as it keeps them.
import { Pool, type ModelDatabase } from './pool-model.ts';
import { order } from './show-answers.ts';

export class Pools {
  #all: Pool[] = [];

  get all(): readonly Pool[] {
    return this.#all;
  }

  /** Made when it is asked for first. */
  of(database: ModelDatabase, user: string): Pool {
    const known = this.#all.find((pool) => pool.database === database && pool.user === user);
    if (known !== undefined) return known;
    const pool = new Pool(database, user);
    this.#all.push(pool);
    this.#all.sort((a, b) => order(a.database.name, b.database.name) || order(a.user, b.user));
    return pool;
  }

  ofDatabase(database: ModelDatabase): readonly Pool[] {
    return this.#all.filter((pool) => pool.database === database);
  }

  forget(database: ModelDatabase): void {
    this.#all = this.#all.filter((pool) => pool.database !== database);
  }
}
