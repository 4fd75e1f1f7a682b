// HTTP to the API server: kept-alive connections, deadlines, fresh credentials, one kind of error.
import { isDeepStrictEqual } from 'node:util';
import { Agent, ProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Access, Credentials } from './credentials.ts';
import { ApiError, errorFromAnswer } from './errors.ts';

export type HttpCall = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly contentType?: string;
  /** Until the whole answer is here; for a stream, until its head is. */
  readonly timeoutMs: number;
  readonly urgent?: boolean;
  readonly signal?: AbortSignal | undefined;
};

type Answer = Dispatcher.ResponseData;

/**
 * - `calls` over a few HTTP/1.1 connections, where a broken one fails one call only; the rest waits its turn.
 * - `urgent` beside them, so that the Lease never waits behind calls that hang.
 * - `streams` over HTTP/2 where the server offers it: one connection carries a hundred watches, which cost 0.05 MB each
 *   instead of the 0.25 MB of a TLS connection of their own.
 */
type Lane = 'calls' | 'urgent' | 'streams';
type Lanes = Readonly<Record<Lane, Dispatcher>>;

/** Projected service account tokens are renewed by the kubelet well before they expire; client-go re-reads as often. */
const ACCESS_LIFE_MS = 60_000;
const CALL_CONNECTIONS = 16;
const CONNECT_TIMEOUT_MS = 5_000;
const TCP_KEEP_ALIVE_MS = 30_000;
/** Shorter than the idle time of common load balancers (60 s), so that we close first. */
const IDLE_CONNECTION_MS = 30_000;

export class Transport {
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  readonly #userAgent: string;
  readonly #basePath: string;
  readonly #origin: string;
  #access: { readonly value: Access; readonly readMs: number } | undefined;
  #lanes: Lanes | undefined;

  constructor(options: { readonly credentials: Credentials; readonly clock: Clock; readonly userAgent: string }) {
    this.#credentials = options.credentials;
    this.#clock = options.clock;
    this.#userAgent = options.userAgent;
    const url = new URL(options.credentials.server);
    this.#origin = url.origin;
    this.#basePath = url.pathname.replace(/\/$/, '');
  }

  /** The parsed JSON of an answer with a status below 400; anything else throws an ApiError. */
  async json(call: HttpCall): Promise<unknown> {
    return this.#withDeadline(call, async (signal) => {
      const answer = await this.#open(call.urgent === true ? 'urgent' : 'calls', call, signal);
      const text = await answer.body.text();
      try {
        return JSON.parse(text) as unknown;
      } catch (error) {
        const message = `while ${describeCall(call)}: the answer is not JSON (${text.length} characters)`;
        throw new ApiError({ kind: 'unavailable', status: answer.statusCode, message, cause: error });
      }
    });
  }

  /** The body of an answer, to be read for as long as the caller likes; `call.signal` ends it. */
  async stream(call: HttpCall): Promise<AsyncIterable<Buffer>> {
    const lifetime = new AbortController();
    const abort = (): void => {
      lifetime.abort(call.signal?.reason);
    };
    call.signal?.addEventListener('abort', abort, { once: true });
    try {
      const answer = await this.#withDeadline(call, (opening) => {
        opening.addEventListener('abort', () => {
          lifetime.abort(opening.reason);
        });
        return this.#open('streams', call, lifetime.signal);
      });
      answer.body.once('close', () => call.signal?.removeEventListener('abort', abort));
      return answer.body;
    } catch (error) {
      call.signal?.removeEventListener('abort', abort);
      throw error;
    }
  }

  async close(): Promise<void> {
    const lanes = this.#lanes;
    this.#lanes = undefined;
    await Promise.all(Object.values(lanes ?? {}).map((dispatcher) => dispatcher.destroy()));
  }

  async #open(lane: Lane, call: HttpCall, signal: AbortSignal): Promise<Answer> {
    const answer = await this.#attempt(lane, call, signal);
    if (answer.statusCode < 400) {
      return answer;
    }
    if (answer.statusCode === 401 && this.#access !== undefined && this.#access.readMs < this.#clock.monotonicMs()) {
      // The token may have been replaced since we read it.
      this.#access = undefined;
      await answer.body.dump();
      const second = await this.#attempt(lane, call, signal);
      if (second.statusCode < 400) {
        return second;
      }
      throw await errorOf(call, second, this.#clock.now());
    }
    throw await errorOf(call, answer, this.#clock.now());
  }

  async #attempt(lane: Lane, call: HttpCall, signal: AbortSignal): Promise<Answer> {
    const { lanes, headers } = await this.#ready();
    return lanes[lane].request({
      origin: this.#origin,
      path: this.#basePath + call.path,
      query: call.query,
      method: call.method,
      headers: {
        accept: 'application/json',
        'user-agent': this.#userAgent,
        ...headers,
        ...(call.body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' }),
      },
      body: call.body ?? null,
      signal,
    });
  }

  async #ready(): Promise<{ readonly lanes: Lanes; readonly headers: Access['headers'] }> {
    const now = this.#clock.monotonicMs();
    if (this.#access === undefined || now - this.#access.readMs > ACCESS_LIFE_MS) {
      const value = await this.#credentials.read();
      if (this.#lanes !== undefined && !isDeepStrictEqual(value.tls, this.#access?.value.tls)) {
        // A rotated certificate: what is under way finishes on the old connections.
        for (const dispatcher of Object.values(this.#lanes)) {
          void dispatcher.close().catch(() => undefined);
        }
        this.#lanes = undefined;
      }
      this.#access = { value, readMs: now };
    }
    this.#lanes ??= {
      calls: createDispatcher(this.#access.value, { allowH2: false, connections: CALL_CONNECTIONS }),
      urgent: createDispatcher(this.#access.value, { allowH2: false }),
      streams: createDispatcher(this.#access.value, { allowH2: true }),
    };
    return { lanes: this.#lanes, headers: this.#access.value.headers };
  }

  async #withDeadline<T>(call: HttpCall, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    let timedOut = false;
    const onAbort = (): void => {
      controller.abort(call.signal?.reason);
    };
    if (call.signal?.aborted) {
      onAbort();
    }
    call.signal?.addEventListener('abort', onAbort, { once: true });
    const timer: Timer = this.#clock.setTimer(call.timeoutMs, () => {
      timedOut = true;
      controller.abort(new Error('deadline'));
    });
    try {
      return await run(controller.signal);
    } catch (error) {
      throw this.#classify(error, call, timedOut);
    } finally {
      timer.cancel();
      call.signal?.removeEventListener('abort', onAbort);
    }
  }

  #classify(error: unknown, call: HttpCall, timedOut: boolean): ApiError {
    if (error instanceof ApiError) {
      return error;
    }
    const doing = describeCall(call);
    if (timedOut) {
      return new ApiError({ kind: 'timeout', message: `while ${doing}: no answer within ${call.timeoutMs} ms` });
    }
    if (call.signal?.aborted === true) {
      return new ApiError({ kind: 'cancelled', message: `while ${doing}: cancelled`, cause: call.signal.reason });
    }
    return brokenConnection(doing, error);
  }
}

export function brokenConnection(doing: string, cause: unknown): ApiError {
  const { code, message } = (cause instanceof Error ? cause : new Error(String(cause))) as Error & { code?: unknown };
  const text = typeof code === 'string' ? `${code}: ${message}` : message;
  return new ApiError({ kind: 'unavailable', message: `while ${doing}: ${text}`, cause });
}

export function describeCall({ method, path }: Pick<HttpCall, 'method' | 'path'>): string {
  return `${method} ${path}`;
}

async function errorOf(call: HttpCall, answer: Answer, nowMs: number): Promise<ApiError> {
  const text = await answer.body.text();
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's own page: the text itself is the message.
  }
  const retryAfter = answer.headers['retry-after'];
  return errorFromAnswer(
    describeCall(call),
    answer.statusCode,
    body,
    typeof retryAfter === 'string' ? retryAfter : undefined,
    nowMs,
  );
}

type Shape = { readonly allowH2: boolean; readonly connections?: number };

function createDispatcher({ tls, proxyUrl }: Access, shape: Shape): Dispatcher {
  const connect = { ...tls, timeout: CONNECT_TIMEOUT_MS, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS };
  const options = {
    ...shape,
    // Deadlines are ours: a watch is allowed to be silent.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    keepAliveMaxTimeout: IDLE_CONNECTION_MS,
  };
  return proxyUrl === undefined
    ? new Agent({ ...options, connect })
    : new ProxyAgent({ ...options, uri: proxyUrl, requestTls: connect });
}
