// The verbs of the Kubernetes API on raw JSON: timestamps stay text, unknown fields survive.
import { systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import type { Log } from '../runtime/log.ts';
import type {
  AnswerFacts,
  CallOptions,
  DeleteOptions,
  ListOptions,
  Page,
  Selection,
  Verb,
  WatchOptions,
  WriteOptions,
} from './call-options.ts';
import { inClusterCredentials, kubeconfigCredentials } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import { ApiError, isApiError } from './errors.ts';
import { resourceOf, resourcePath } from './resources.ts';
import type { LiveObject, Manifest, Resource } from './resources.ts';
import { TokenBucket } from './token-bucket.ts';
import { Transport } from './transport.ts';
import type { HttpCall } from './transport.ts';
import { watchFrames } from './watch-frames.ts';
import type { WatchFrame } from './watch-frames.ts';

export type * from './call-options.ts';

export type KubeClientOptions = {
  readonly credentials: Credentials;
  readonly log?: Log;
  readonly clock?: Clock;
  readonly userAgent?: string;
  /** Calls per second, and how many at once; default 50 and 100. Watches count when they open. */
  readonly qps?: number;
  readonly burst?: number;
  /** Named as the writer of fields where a call names none; default `poolsmith`. */
  readonly fieldManager?: string;
  /** Told of every call when it has ended (a watch: when it has opened). */
  readonly onAnswer?: (facts: AnswerFacts) => void;
};

const METHODS = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  apply: 'PATCH',
  patch: 'PATCH',
  update: 'PUT',
  delete: 'DELETE',
} as const satisfies Record<Verb, HttpCall['method']>;

const DEFAULT_TIMEOUT_MS = 10_000;
const APPLY = 'application/apply-patch+yaml';
const MERGE_PATCH = 'application/merge-patch+json';

type Call = Pick<HttpCall, 'path' | 'body' | 'contentType'> & {
  readonly verb: Verb;
  readonly resource: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
};

/** Whatever the server or the network does is thrown as an ApiError. */
export class KubeClient {
  readonly server: string;
  /** The namespace we run in, or the kubeconfig's. */
  readonly namespace: string | undefined;
  readonly #transport: Transport;
  readonly #bucket: TokenBucket;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #fieldManager: string;
  readonly #onAnswer: ((facts: AnswerFacts) => void) | undefined;

  constructor(options: KubeClientOptions) {
    const { credentials, clock = systemClock, userAgent = 'poolsmith', qps = 50, burst = 100 } = options;
    this.server = credentials.server;
    this.namespace = credentials.namespace;
    this.#clock = clock;
    this.#log = options.log ?? silentLog;
    this.#fieldManager = options.fieldManager ?? 'poolsmith';
    this.#onAnswer = options.onAnswer;
    this.#transport = new Transport({ credentials, clock, userAgent });
    this.#bucket = new TokenBucket({ clock, perSecond: qps, burst });
  }

  /** KUBECONFIG if it is set, else the pod's service account, else the kubeconfig in the home folder. Throws if that one is unusable. */
  static fromKubeConfig(
    options: Omit<KubeClientOptions, 'credentials'> & { readonly context?: string } = {},
  ): KubeClient {
    const named = options.context !== undefined || (process.env['KUBECONFIG'] ?? '') !== '';
    const credentials = (named ? undefined : inClusterCredentials()) ?? kubeconfigCredentials(options.context);
    return new KubeClient({ ...options, credentials });
  }

  async get<T extends LiveObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string,
    options: CallOptions & { readonly subresource?: 'status' | 'scale' } = {},
  ): Promise<T> {
    const path = resourcePath(resource, namespace, name, options.subresource);
    return (await this.#json({ verb: 'get', resource: resource.plural, path }, options)) as T;
  }

  /** `get`, with undefined for an object that does not exist. */
  async find<T extends LiveObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    try {
      return await this.get(resource, namespace, name, options);
    } catch (error) {
      if (isApiError(error, 'notFound')) {
        return undefined;
      }
      throw error;
    }
  }

  /** One page; items carry their kind and apiVersion, which the API leaves out in lists. */
  async list<T extends LiveObject>(resource: Resource<T>, options: ListOptions = {}): Promise<Page<T>> {
    const { limit, continue: token, ...selection } = options;
    const { path, query } = collectionOf(resource, selection);
    const call = {
      verb: 'list',
      resource: resource.plural,
      path,
      query: { ...query, limit, continue: token },
    } as const;
    const raw = await this.#json(call, options);
    const { items, metadata } = raw as {
      readonly items: readonly T[] | null;
      readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
    };
    const { apiVersion, kind } = resource;
    const next = metadata.continue ?? '';
    return {
      items: (items ?? []).map((item) => ({ ...item, apiVersion, kind })),
      resourceVersion: metadata.resourceVersion,
      ...(next === '' ? {} : { continue: next }),
    };
  }

  async create<T extends Manifest>(
    object: T,
    options: Omit<WriteOptions, 'subresource'> = {},
  ): Promise<T & LiveObject> {
    const resource = resourceOf(object);
    const path = resourcePath(resource, object.metadata.namespace);
    const call = { verb: 'create', resource: resource.plural, path, body: JSON.stringify(object) } as const;
    return (await this.#write(call, options)) as T & LiveObject;
  }

  /** Server-side apply. A field that another manager owns with another value is a `conflict`, unless forced. */
  async apply<T extends Manifest>(
    object: T,
    { force = false, ...options }: WriteOptions & { readonly force?: boolean } = {},
  ): Promise<T & LiveObject> {
    const { name, namespace } = object.metadata;
    const resource = resourceOf(object);
    const path = resourcePath(resource, namespace, name, options.subresource);
    const body = JSON.stringify(object);
    const call = {
      verb: 'apply',
      resource: resource.plural,
      path,
      body,
      contentType: APPLY,
      query: { force },
    } as const;
    return (await this.#write(call, options)) as T & LiveObject;
  }

  /** JSON merge patch. With `resourceVersion` the object must still be of that version, else it is a `conflict`. */
  async mergePatch<T extends LiveObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string,
    patch: Readonly<Record<string, unknown>>,
    options: WriteOptions & { readonly resourceVersion?: string } = {},
  ): Promise<T> {
    const { resourceVersion } = options;
    const precondition = resourceVersion === undefined ? {} : { resourceVersion };
    const body = { ...patch, metadata: { ...(patch['metadata'] as object | undefined), ...precondition } };
    const path = resourcePath(resource, namespace, name, options.subresource);
    const patching = { verb: 'patch', resource: resource.plural, contentType: MERGE_PATCH } as const;
    return (await this.#write({ ...patching, path, body: JSON.stringify(body) }, options)) as T;
  }

  /** Replaces the whole object; its resourceVersion, if it has one, is the precondition. */
  async update<T extends Manifest>(object: T, options: WriteOptions = {}): Promise<T & LiveObject> {
    const { name, namespace } = object.metadata;
    const resource = resourceOf(object);
    const path = resourcePath(resource, namespace, name, options.subresource);
    const call = { verb: 'update', resource: resource.plural, path, body: JSON.stringify(object) } as const;
    return (await this.#write(call, options)) as T & LiveObject;
  }

  /** Returns once deletion is accepted: finalizers and grace periods may keep the object for longer. */
  async delete(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { uid, resourceVersion, propagationPolicy, gracePeriodSeconds, dryRun } = options;
    const body = JSON.stringify({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid, resourceVersion },
      propagationPolicy,
      gracePeriodSeconds,
      dryRun: dryRun === true ? ['All'] : undefined,
    });
    const path = resourcePath(resource, namespace, name);
    await this.#json({ verb: 'delete', resource: resource.plural, path, body }, options);
  }

  /** Opens a watch. Its frames end when the server ends it, the signal aborts (`cancelled`) or the caller stops reading. */
  async openWatch<T extends LiveObject>(
    resource: Resource<T>,
    options: WatchOptions = {},
  ): Promise<AsyncGenerator<WatchFrame<T>, void, undefined>> {
    const { resourceVersion, allowWatchBookmarks, timeoutSeconds, ...selection } = options;
    const collection = collectionOf(resource, selection);
    const { path } = collection;
    const query = { ...collection.query, watch: true, resourceVersion, allowWatchBookmarks, timeoutSeconds };
    const call = { verb: 'watch', resource: resource.plural, path, query } as const;
    const stream = await this.#send(call, options, (http) => this.#transport.stream(http));
    return watchFrames<T>(`watching ${path}`, stream, options.signal);
  }

  /** `openWatch` for a `for await` loop. */
  async *watch<T extends LiveObject>(
    resource: Resource<T>,
    options: WatchOptions = {},
  ): AsyncGenerator<WatchFrame<T>, void, undefined> {
    yield* await this.openWatch(resource, options);
  }

  async serverVersion(options: CallOptions = {}): Promise<{ readonly gitVersion: string; readonly minor: number }> {
    const raw = (await this.#json({ verb: 'get', resource: 'version', path: '/version' }, options)) as Record<
      string,
      string
    >;
    // Some providers write `31+`.
    return { gitVersion: raw['gitVersion'] ?? '', minor: Number.parseInt(raw['minor'] ?? '', 10) };
  }

  /** Ends every connection; calls and watches under way fail. */
  async close(): Promise<void> {
    await this.#transport.close();
  }

  #write(call: Call, { dryRun, fieldManager = this.#fieldManager, ...options }: WriteOptions): Promise<unknown> {
    const query = { ...call.query, fieldManager, dryRun: dryRun === true ? 'All' : undefined };
    return this.#json({ ...call, query }, options);
  }

  #json(call: Call, options: CallOptions): Promise<unknown> {
    return this.#send(call, options, (http) => this.#transport.json(http));
  }

  async #send<T>(call: Call, options: CallOptions, send: (http: HttpCall) => Promise<T>): Promise<T> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, urgent = false } = options;
    const query = Object.fromEntries(
      Object.entries(call.query ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
    );
    if (!urgent) {
      await this.#bucket.take(signal).catch((cause: unknown) => {
        throw new ApiError({
          kind: 'cancelled',
          message: `while waiting to ${call.verb} ${call.path}: cancelled`,
          cause,
        });
      });
    }
    const { verb, resource, path } = call;
    const method = METHODS[verb];
    const startedMs = this.#clock.monotonicMs();
    let status = 200;
    try {
      const { body, contentType } = call;
      const content = body === undefined ? {} : { body, ...(contentType === undefined ? {} : { contentType }) };
      return await send({ method, path, query, ...content, timeoutMs, urgent, signal });
    } catch (error) {
      status = isApiError(error) ? error.status : 0;
      throw error;
    } finally {
      const facts = { verb, resource, path, status, durationMs: this.#clock.monotonicMs() - startedMs };
      this.#log.debug('Kubernetes API call', facts);
      this.#onAnswer?.(facts);
    }
  }
}

/** What the controller needs of the API; a simulated one stands in for it in tests of whole histories. */
export type KubeApi = Pick<
  KubeClient,
  'get' | 'find' | 'list' | 'create' | 'apply' | 'mergePatch' | 'update' | 'delete' | 'openWatch'
>;

function collectionOf(resource: Resource, { namespace, labelSelector, fieldSelector }: Selection) {
  return { path: resourcePath(resource, namespace), query: { labelSelector, fieldSelector } };
}
