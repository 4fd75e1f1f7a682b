// The proving logins against simulated poolers: which userlist is loaded, and whether a server can be logged in to through the pooler.
import type { ProofLogins } from '../../../src/controller/prover.ts';
import { AdminError } from '../../../src/pgbouncer/errors.ts';
import { markServers } from '../../../src/pgbouncer/server-login.ts';
import type { LoginProof, ServerLoginProof, ServerLoginProved } from '../../../src/pgbouncer/server-login.ts';
import type { ServerFault } from '../../../src/model/server-view.ts';
import type { FateOf } from '../contracts.ts';
import type { DataPlane } from './data-plane.ts';
import type { PgbouncerModel } from './pgbouncer-model.ts';
import type { ModelClient } from './pool-model.ts';
import { never } from './sim-console.ts';

const POLL_MS = 25;
const RETRY_MS = 150;
const CONNECT_TIMEOUT_MS = 1_500;
const ANSWERS_THAT_PROVE: ReadonlySet<string> = new Set(['PasswordRefused', 'LoginRefused', 'TooManyConnections']);

export function simLogins(plane: DataPlane, fateOf: FateOf): ProofLogins {
  return {
    markServers,
    proveLogin: async (proof) =>
      call(plane, fateOf, 'userlist', proof, (process) => {
        if (!process.mayShow(proof.user)) return false;
        return process.letsIn(proof.user, proof.password.reveal());
      }),
    proveServerLogin: async (proof) =>
      call(plane, fateOf, 'serverLogin', proof, (process) => prove(plane, process, proof)),
    shownCertificate: () => Promise.reject(new Error('simulated poolers speak no TLS')),
  };
}

async function call<T>(
  plane: DataPlane,
  fateOf: FateOf,
  verb: string,
  { address, signal }: Pick<LoginProof, 'address' | 'signal'>,
  work: (process: PgbouncerModel) => T | Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const { clock } = plane;
  const fate = fateOf({ to: 'login', verb, target: plane.podAt(address.host), writes: false });
  await clock.sleep(fate.delayMs, signal);
  const process = plane.processAt(address.host);
  if (fate.arrives && process === undefined) await clock.sleep(CONNECT_TIMEOUT_MS, signal);
  const open = process !== undefined && !process.exited && !process.shuttingDown;
  const result = fate.arrives && open ? await work(process) : undefined;
  if (fate.answer === 'never') return never();
  await clock.sleep(fate.delayMs, signal);
  if (fate.answer === 'lost' || result === undefined)
    throw new AdminError('unreachable', 'while logging in: Connection terminated unexpectedly');
  return result;
}

type Outcome = { readonly served: true } | { readonly fault: ServerFault | 'Timeout' | 'PoolerRefused' };

async function prove(plane: DataPlane, process: PgbouncerModel, proof: ServerLoginProof): Promise<ServerLoginProved> {
  const { clock } = plane;
  const startedMs = clock.monotonicMs();
  const tookMs = (): number => Math.round(clock.monotonicMs() - startedMs);
  let attempt = newAttempt(process, proof);
  try {
    for (;;) {
      plane.advance();
      if (process.exited) throw new AdminError('unreachable', 'while logging in: Connection terminated unexpectedly');
      const evidence = evidenceIn(process, proof);
      const inUse = process
        .showServers()
        .some(({ database, state, closeNeeded }) => database === proof.database && state === 'active' && !closeNeeded);
      if (evidence === 'NewServer' || (evidence === 'UnchangedServer' && inUse))
        return { proved: true, by: evidence, tookMs: tookMs() };
      const { outcome } = attempt;
      if (outcome !== undefined && 'served' in outcome && evidence !== undefined)
        return { proved: true, by: evidence, tookMs: tookMs() };
      if (outcome !== undefined && 'fault' in outcome) {
        const { fault } = outcome;
        if (proof.role === 'proof' && ANSWERS_THAT_PROVE.has(fault))
          return { proved: true, by: 'ServerAnswered', tookMs: tookMs() };
        if (fault !== 'Timeout' && fault !== 'TooManyConnections') return { proved: false, fault };
      }
      if (tookMs() >= proof.timeoutMs)
        return { proved: false, fault: outcome !== undefined && 'fault' in outcome ? outcome.fault : 'Timeout' };
      await clock.sleep(outcome === undefined ? POLL_MS : RETRY_MS, proof.signal);
      if (outcome !== undefined) {
        attempt.end();
        attempt = newAttempt(process, proof);
      }
    }
  } finally {
    attempt.end();
  }
}

type Attempt = { outcome: Outcome | undefined; end: () => void };

/** One client with one short transaction. */
function newAttempt(process: PgbouncerModel, { database, user, password }: ServerLoginProof): Attempt {
  const attempt: Attempt = { outcome: undefined, end: () => undefined };
  const answer = process.accept({
    ...{ database, user, password: password.reveal(), kind: 'held' },
    events: {
      onLost: (_by, _inTransaction, _atMs, fault) => {
        attempt.outcome ??= { fault: fault ?? 'Timeout' };
      },
    },
  });
  if (typeof answer === 'string') {
    attempt.outcome = { fault: 'PoolerRefused' };
    return attempt;
  }
  const client: ModelClient = answer;
  process.begin(client, 1, () => {
    attempt.outcome ??= { served: true };
  });
  attempt.end = () => {
    if (process.exited) return;
    // Its one query takes no time worth counting, so nothing of it is left at PostgreSQL when the login is given up.
    process.finish(client);
    process.leave(client);
  };
  return attempt;
}

function evidenceIn(
  process: PgbouncerModel,
  { database, since }: ServerLoginProof,
): 'NewServer' | 'UnchangedServer' | undefined {
  const valid = process
    .showServers()
    .filter((server) => server.database === database && server.state !== 'new' && !server.closeNeeded);
  if (valid.length === 0) return undefined;
  return valid.every(({ id }) => since.has(id)) ? 'UnchangedServer' : 'NewServer';
}
