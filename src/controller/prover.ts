// Proofs by login, remembered for as long as what they prove can't have changed: per container and per part of its configuration.
import { createHash, X509Certificate } from 'node:crypto';
import type { OperatorCredentials, PodFacts, ServerProof } from '../model/observation.ts';
import { PLACE, POOLER_PORT } from '../model/names.ts';
import { PROOF_USER } from '../model/reserved-names.ts';
import type { PoolerConsole } from '../pgbouncer/console.ts';
import { AdminError } from '../pgbouncer/errors.ts';
import { markServers, proveLogin, proveServerLogin, type ServerMark } from '../pgbouncer/server-login.ts';
import { shownCertificate } from '../pgbouncer/shown-certificate.ts';
import { proofPassword, userlistHash } from '../render/userlist.ts';
import type { PoolUser } from '../plan/policies/users-are-readable.ts';

const LOGIN_TIMEOUT_MS = 1_500;
const SERVER_LOGIN_TIMEOUT_MS = 2_500;
/** A login that failed is tried again no sooner than PgBouncer would try its server again. */
const RETRY_MS = 1_000;
/** The kubelet tells of a restart within a second or two; a watch that broke is open again by then. */
const RESTART_TOLD_WITHIN_MS = 30_000;

type Attempt = { readonly key: string; readonly proof: ServerProof; readonly atMs: number };

/** The logins that proofs are made of. */
export type ProofLogins = {
  readonly proveLogin: typeof proveLogin;
  readonly markServers: typeof markServers;
  readonly proveServerLogin: typeof proveServerLogin;
  readonly shownCertificate: typeof shownCertificate;
};

export type ServerProofInput = {
  readonly pod: PodFacts;
  readonly live: string;
  readonly console: PoolerConsole;
  readonly users: readonly PoolUser[];
  readonly credentials: OperatorCredentials;
  readonly database: string;
  readonly nowMs: number;
  readonly signal: AbortSignal;
};

/**
 * A memory of proofs, never a source of decisions: an operator that starts anew proves everything again. A container start or a change of
 * what a login depends on gives a new key, so an old proof can't stand for a new configuration.
 */
export class Prover {
  readonly #userlists = new Map<string, string>();
  readonly #certificates = new Map<string, string>();
  readonly #servers = new Map<string, Attempt>();
  /** Pod → container in which its live.ini was last seen in force, and since when it runs boot.ini again. */
  readonly #liveIn = new Map<string, { readonly container: string; readonly leftAtMs?: number }>();
  /** Pods that have had a live.ini in force. */
  readonly #ranLive = new Set<string>();
  readonly #marks = new Map<string, ServerMark>();
  readonly #logins: ProofLogins;

  constructor(logins: ProofLogins = { proveLogin, markServers, proveServerLogin, shownCertificate }) {
    this.#logins = logins;
  }

  /** Takes down which server connections exist, just before a RELOAD that changes how servers are reached. True when it does. */
  async beforeLoad(pod: PodFacts, live: string, console: PoolerConsole, signal: AbortSignal): Promise<boolean> {
    const former = this.#servers.get(pod.uid);
    if (former === undefined || former.key === serverKey(pod, live)) return false;
    this.#marks.set(pod.uid, await this.#logins.markServers(console, signal));
    return true;
  }

  /** The proving user's password belongs to one userlist: being let in shows that this very userlist is loaded. */
  async userlist(pod: PodFacts, live: string, credentials: OperatorCredentials, signal: AbortSignal): Promise<boolean> {
    const file = userlistFile(live);
    if (pod.ip === undefined || file === undefined) return false;
    const key = `${pod.container.id ?? ''} ${file}`;
    if (this.#userlists.get(pod.uid) === key) return true;
    const proved = await this.#logins.proveLogin({
      address: { host: pod.ip, port: POOLER_PORT },
      user: PROOF_USER,
      password: proofPassword(userlistHash(file) ?? '', credentials.proofKey),
      timeoutMs: LOGIN_TIMEOUT_MS,
      signal,
    });
    if (proved) this.#userlists.set(pod.uid, key);
    return proved;
  }

  /**
   * Whether clients are shown the certificate of the file that live.ini names; undefined where it names none. PgBouncer does not say which one it has
   * loaded: the handshake does.
   */
  async certificate(
    pod: PodFacts,
    live: string,
    files: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<boolean | undefined> {
    const file = /^client_tls_cert_file *= *.*\/([^/\n]+)$/m.exec(live)?.[1];
    if (file === undefined) return undefined;
    const text = files[file];
    if (pod.ip === undefined || text === undefined) return false;
    const key = `${pod.container.id ?? ''} ${file}`;
    if (this.#certificates.get(pod.uid) === key) return true;
    const shown = await this.#logins.shownCertificate({
      address: { host: pod.ip, port: POOLER_PORT },
      timeoutMs: LOGIN_TIMEOUT_MS,
      signal,
    });
    const named = new X509Certificate(Buffer.from(text, 'base64')).fingerprint256;
    if (shown === named) this.#certificates.set(pod.uid, key);
    return shown === named;
  }

  /** What is known of a pod that is paused: nobody gets a server of it, and the way there is the one that was proved, or one to be tried later. */
  provedBefore(pod: PodFacts, live: string): ServerProof {
    const former = this.#servers.get(pod.uid);
    return former?.proof === 'proved' && former.key === serverKey(pod, live) ? 'proved' : 'paused';
  }

  async server(input: ServerProofInput): Promise<ServerProof> {
    const { pod, live, nowMs } = input;
    const key = serverKey(pod, live);
    const former = this.#servers.get(pod.uid);
    if (former?.key === key && (former.proof === 'proved' || nowMs - former.atMs < RETRY_MS)) return former.proof;
    const proof = await this.#tryServer(input);
    this.#servers.set(pod.uid, { key, proof, atMs: nowMs });
    if (proof === 'proved') this.#marks.delete(pod.uid);
    return proof;
  }

  /**
   * Whether the container that the API names has been seen with its live.ini and is not there any more: the kubelet tells of a restart up to
   * a second after the new process answers. Where it tells of none for long there was none: a leader of before had the pod go back to boot.ini.
   */
  restartedUnseen(pod: PodFacts, conffile: string | undefined, nowMs: number): boolean {
    const container = pod.container.id ?? '';
    if (conffile === PLACE.liveFile) this.#liveIn.set(pod.uid, { container });
    const ran = this.#liveIn.get(pod.uid);
    if (conffile !== PLACE.bootFile || ran?.container !== container) return false;
    const { leftAtMs = nowMs } = ran;
    this.#liveIn.set(pod.uid, { container, leftAtMs });
    return nowMs - leftAtMs < RESTART_TOLD_WITHIN_MS;
  }

  /** Whether the pod was ever seen with a live.ini in force; `now`: it is. That it was told to read one says nothing of the kind. */
  ranLive(pod: PodFacts, now: boolean): boolean {
    if (now) this.#ranLive.add(pod.uid);
    return this.#ranLive.has(pod.uid);
  }

  forgetPod(uid: string): void {
    for (const memory of [this.#userlists, this.#certificates, this.#servers, this.#marks, this.#liveIn, this.#ranLive])
      memory.delete(uid);
  }

  async #tryServer({
    pod,
    live,
    console,
    users,
    credentials,
    database,
    signal,
  }: ServerProofInput): Promise<ServerProof> {
    if (pod.ip === undefined) return 'untried';
    const user = users.find((candidate) => candidate.plain);
    const file = userlistFile(live) ?? '';
    const login =
      user === undefined
        ? {
            role: 'proof' as const,
            user: PROOF_USER,
            password: proofPassword(userlistHash(file) ?? '', credentials.proofKey),
          }
        : { role: 'application' as const, user: user.name, password: user.secret };
    try {
      const result = await this.#logins.proveServerLogin({
        ...login,
        address: { host: pod.ip, port: POOLER_PORT },
        database,
        timeoutMs: SERVER_LOGIN_TIMEOUT_MS,
        signal,
        console,
        since: this.#marks.get(pod.uid) ?? new Set(),
      });
      if (result.proved) return 'proved';
      return result.fault === 'Timeout' ? 'ServerUnreachable' : result.fault;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AdminError) return 'untried';
      throw error;
    }
  }
}

/**
 * Everything in live.ini that the way to the server depends on: the database lines without sizes and lifetime, and server TLS. New passwords are
 * tried straight at the server before any pod is told of them.
 */
function serverKey(pod: PodFacts, live: string): string {
  const lines = live
    .split('\n')
    .filter((line) => line.includes('host=') || line.startsWith('server_tls_'))
    .map((line) => line.replace(/ (pool_size|max_db_connections|server_lifetime)='?\d+'?/g, ''));
  return createHash('sha256')
    .update([pod.container.id ?? '', ...lines].join('\n'))
    .digest('hex');
}

function userlistFile(live: string): string | undefined {
  return /^auth_file *= *.*\/(userlist-[0-9a-f]+\.txt)$/m.exec(live)?.[1];
}
