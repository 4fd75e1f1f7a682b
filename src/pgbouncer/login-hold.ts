// Keeps pools that have a server from logging another in: for moments in which a login under way would be dropped at the clients' cost.

/**
 * The cap stops launches while a user has a connection; the long lifetime keeps that connection, because a pool without one may launch all the
 * same. In force by SET, undone by RELOAD.
 */
export const LOGIN_HOLD: Readonly<Record<string, string>> = { max_user_connections: '1', server_lifetime: '86400' };

/** What to set to undo the hold without a RELOAD. */
export function valuesBeforeHold(config: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.keys(LOGIN_HOLD).map((key) => [key, config.get(key) ?? '0']));
}
