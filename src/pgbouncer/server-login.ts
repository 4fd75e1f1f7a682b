// Proofs by logging in: to the console (which userlist is loaded) and through the pooler (whether it can reach and trust its server).
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { SecretText } from '../model/secret-text.ts';
import type { ServerFault } from '../model/server-view.ts';
import type { WireClient } from '../postgres/wire-client.ts';
import { CONSOLE_DATABASE } from './console.ts';
import type { PoolerConsole } from './console.ts';
import { poolerAnswerOf } from './pooler-fault.ts';
import { adminErrorOf, LOGGING_IN, openSession } from './session.ts';
import type { ConsoleAddress, PoolerLogin } from './session.ts';
import type { ServerRow } from './show.ts';

export type LoginProof = {
  readonly address: ConsoleAddress;
  readonly user: string;
  readonly password: SecretText;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
};

/** True when this user with this password is let in to the console, false when not. Rejects with AdminError on any other trouble. */
export async function proveLogin(proof: LoginProof): Promise<boolean> {
  const { address, user, password, timeoutMs, signal } = proof;
  let session: WireClient | undefined;
  try {
    session = await openSession({ address, user, password, database: CONSOLE_DATABASE }, timeoutMs, signal);
    await session.query('SHOW VERSION', timeoutMs, 'asking for the version', signal);
    return true;
  } catch (error) {
    signal?.throwIfAborted();
    const trouble = adminErrorOf(error, LOGGING_IN, password);
    if (trouble.kind === 'authentication') {
      return false;
    }
    throw trouble;
  } finally {
    await session?.close();
  }
}

export type ServerLogin = PoolerLogin & { readonly timeoutMs: number; readonly signal?: AbortSignal };

/** `fresh`: the fault is of an attempt made now; PgBouncer may repeat an older one from memory for server_login_retry. */
export type ServerLoginResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly fault: ServerFault | 'Timeout' | 'PoolerRefused'; readonly fresh: boolean };

/**
 * A client's login and `SELECT 1`. `ok` says that a server connection answered, perhaps one that existed before: see `proveServerLogin`.
 * Rejects with AdminError `unreachable` when the pooler itself can't be reached.
 */
export async function tryServerLogin(login: ServerLogin): Promise<ServerLoginResult> {
  const { timeoutMs, signal } = login;
  const deadline = performance.now() + timeoutMs;
  let session: WireClient | undefined;
  try {
    session = await openSession(login, timeoutMs, signal);
    await session.query('SELECT 1', Math.max(1, deadline - performance.now()), 'asking the server', signal);
    return { ok: true };
  } catch (error) {
    signal?.throwIfAborted();
    const answer = poolerAnswerOf(error);
    if (answer.from === 'network') {
      throw adminErrorOf(error, LOGGING_IN, login.password);
    }
    return { ok: false, fault: answer.fault, fresh: answer.from === 'pooler' || answer.fresh };
  } finally {
    await session?.close();
  }
}

/** The server connections that existed at one moment; take it just before a change. */
export type ServerMark = ReadonlySet<string>;

export async function markServers(console: PoolerConsole, signal?: AbortSignal): Promise<ServerMark> {
  return new Set((await console.servers(signal)).map(({ id }) => id));
}

export type ServerLoginProof = ServerLogin & {
  readonly console: PoolerConsole;
  readonly since: ServerMark;
  /**
   * `proof`: a user that exists in the userlist and not in PostgreSQL, so that PostgreSQL's refusal of its password proves the way to it and
   * the TLS. `application`: a real one, whose login must succeed.
   */
  readonly role: 'proof' | 'application';
};

/**
 * NewServer: PgBouncer logged a server connection in after the mark. ServerAnswered: PostgreSQL itself refused the proving user.
 * UnchangedServer: the login was answered, or a client's transaction runs, on a connection from before the mark that no RELOAD has marked for
 * closing, so nothing that leads to the server has changed (file names included; their contents PgBouncer does not compare).
 */
export type ServerLoginEvidence = 'NewServer' | 'ServerAnswered' | 'UnchangedServer';

export type ServerLoginProved =
  | { readonly proved: true; readonly by: ServerLoginEvidence; readonly tookMs: number }
  | { readonly proved: false; readonly fault: ServerFault | 'Timeout' | 'PoolerRefused' };

const POLL_MS = 25;
const RETRY_MS = 150;
/** What PostgreSQL can only say after the connection and its TLS were made, and a certificate was shown where it wants one. */
const ANSWERS_THAT_PROVE: ReadonlySet<string> = new Set(['PasswordRefused', 'LoginRefused', 'TooManyConnections']);

/**
 * Makes sure that a server login happened after the mark. Two ways at once, because each has its blind spot: a pool at its cap gives the
 * proving user no turn, but its own clients make PgBouncer log in anew (a RELOAD that changes the server marks all its connections); a pool
 * without traffic logs nobody in, but gives the proving user a connection. Nothing is closed or paused.
 */
export async function proveServerLogin(proof: ServerLoginProof): Promise<ServerLoginProved> {
  const started = performance.now();
  const stop = new AbortController();
  const signal = proof.signal === undefined ? stop.signal : AbortSignal.any([proof.signal, stop.signal]);
  const timer = setTimeout(() => {
    stop.abort();
  }, proof.timeoutMs);
  const last: { fault: ServerFault | 'Timeout' | 'PoolerRefused' } = { fault: 'Timeout' };
  const applicationName = `poolsmith-${randomUUID().slice(0, 8)}`;
  const ways = [watchServers(proof, signal), logInUntilAnswered(proof, applicationName, signal, last)];
  // The way that loses is stopped and rejects with the abort.
  const settled = Promise.allSettled(ways);
  try {
    const by = await Promise.race(ways);
    return by === undefined
      ? { proved: false, fault: last.fault }
      : { proved: true, by, tookMs: Math.round(performance.now() - started) };
  } catch (error) {
    proof.signal?.throwIfAborted();
    if (stop.signal.aborted) {
      return { proved: false, fault: last.fault };
    }
    throw error;
  } finally {
    clearTimeout(timer);
    stop.abort();
    // What is left is one poll and one goodbye.
    await settled;
    await forget(proof.console, applicationName);
  }
}

async function watchServers(proof: ServerLoginProof, signal: AbortSignal): Promise<ServerLoginEvidence> {
  for (;;) {
    // Not the signal that a won race fires: an aborted command takes the kept connection with it.
    const servers = await proof.console.servers(proof.signal);
    const evidence = evidenceIn(servers, proof);
    // A saturated pool may not give the proving user a turn; a client whose transaction runs on a connection that stayed valid has had one.
    const inUse = servers.some(
      ({ database, state, closeNeeded }) => database === proof.database && state === 'active' && !closeNeeded,
    );
    if (evidence === 'NewServer' || (evidence === 'UnchangedServer' && inUse)) {
      return evidence;
    }
    await delay(POLL_MS, undefined, { signal });
  }
}

/** Resolves with undefined when the answer is final and no proof. */
async function logInUntilAnswered(
  proof: ServerLoginProof,
  applicationName: string,
  signal: AbortSignal,
  last: { fault: ServerFault | 'Timeout' | 'PoolerRefused' },
): Promise<ServerLoginEvidence | undefined> {
  await earlierAttemptsOver(proof, signal);
  for (;;) {
    const { address, database, user, password, timeoutMs } = proof;
    const result = await tryServerLogin({ address, database, user, password, applicationName, timeoutMs, signal });
    if (result.ok) {
      const evidence = evidenceIn(await proof.console.servers(proof.signal), proof);
      if (evidence !== undefined) {
        return evidence;
      }
    } else {
      last.fault = result.fault;
      if (result.fresh && proof.role === 'proof' && ANSWERS_THAT_PROVE.has(result.fault)) {
        return 'ServerAnswered';
      }
      if (result.fresh && result.fault !== 'Timeout' && result.fault !== 'TooManyConnections') {
        return undefined;
      }
    }
    // A connection that is marked may have answered; the next login finds it recycled.
    await delay(RETRY_MS, undefined, { signal });
  }
}

/** An attempt that was under way before the change would answer for the former server. */
async function earlierAttemptsOver(proof: ServerLoginProof, signal: AbortSignal): Promise<void> {
  const { console, database, user, since } = proof;
  const under = (server: ServerRow): boolean =>
    server.state === 'new' && server.database === database && server.user === user && since.has(server.id);
  while ((await console.servers(proof.signal)).some(under)) {
    await delay(POLL_MS, undefined, { signal });
  }
}

/** `new` is PgBouncer's word for a server connection that is still logging in. */
function evidenceIn(
  servers: readonly ServerRow[],
  proof: ServerLoginProof,
): 'NewServer' | 'UnchangedServer' | undefined {
  const valid = servers.filter(
    ({ database, state, closeNeeded }) => database === proof.database && state !== 'new' && !closeNeeded,
  );
  if (valid.length === 0) {
    return undefined;
  }
  return valid.every(({ id }) => proof.since.has(id)) ? 'UnchangedServer' : 'NewServer';
}

/**
 * PgBouncer does not read from a client that waits for a server, so it would not notice for client_login_timeout that ours has gone, and would
 * go on trying logins for it.
 */
async function forget(console: PoolerConsole, applicationName: string): Promise<void> {
  try {
    for (const client of await console.clients()) {
      if (client.applicationName === applicationName) {
        await console.killClient(client.id);
      }
    }
  } catch {
    // The result stands without it.
  }
}
