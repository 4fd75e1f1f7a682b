// The users that a simulated PgBouncer has loaded, and whom it lets in.
import { parseUserlist } from '../../support/pgbouncer-grammar.ts';

export class UsersInForce {
  #users = new Map<string, string>();
  /** Passwords that SCRAM keys were kept of: a user whose line is gone still gets in. */
  readonly #keys = new Map<string, string>();

  load(text: string): void {
    const users = new Map(parseUserlist(text));
    for (const [name, secret] of users) if (this.#users.get(name) !== secret) this.#keys.delete(name);
    this.#users = users;
  }

  has(user: string): boolean {
    return this.#users.has(user);
  }

  /** What a server login of this user is made with. */
  password(user: string): string | undefined {
    return this.#users.get(user);
  }

  /** Whether this user with this password is let in. */
  letsIn(user: string, password: string): boolean {
    const known = this.#users.get(user);
    const valid = known === undefined ? this.#keys.get(user) : known === '' ? undefined : known;
    if (valid !== password) return false;
    this.#keys.set(user, password);
    return true;
  }
}
