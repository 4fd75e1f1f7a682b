// The API as one operator process reaches it: every call is struck by its fate, and a dead process hears nothing more.
import { ApiError } from '../../../src/kube/errors.ts';
import type {
  CallOptions,
  DeleteOptions,
  KubeApi,
  ListOptions,
  WatchOptions,
  WriteOptions,
} from '../../../src/kube/client.ts';
import { resourceOf, type LiveObject, type Manifest, type Resource } from '../../../src/kube/resources.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import type { FateOf } from '../contracts.ts';
import type { ApiVerbs, Writing } from './api-verbs.ts';
import { fatedCall } from './fated-call.ts';
import { frozen } from './json.ts';
import type { WatchStream } from './watch-stream.ts';

/** What a connection needs of the cluster it leads to. */
export type Cluster = {
  readonly clock: Clock;
  readonly verbs: ApiVerbs;
  readonly list: (resource: Resource, options: ListOptions) => ListPage;
  readonly watch: (resource: Resource, options: WatchOptions, lagMs: () => number) => WatchStream;
};

export type ListPage = { readonly items: readonly LiveObject[]; readonly resourceVersion: string };

export type ConnectOptions = {
  /** Virtual time from a change to the frame that tells of it; asked for each event. */
  readonly watchLagMs: (kind: string) => number;
  /** Names the process in events; default `operator`. */
  readonly name?: string;
};

export type SimConnection = KubeApi & {
  /** The process is dead: what it asked may still arrive, but no promise of its settles and no watch tells it anything. */
  readonly kill: () => void;
};

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_FIELD_MANAGER = 'poolsmith';

type Verb = 'get' | 'list' | 'watch' | 'create' | 'apply' | 'patch' | 'update' | 'delete';

const READS: ReadonlySet<Verb> = new Set<Verb>(['get', 'list', 'watch']);

export function connection(cluster: Cluster, fateOf: FateOf, options: ConnectOptions): SimConnection {
  const { verbs, clock } = cluster;
  const { name: writer = 'operator', watchLagMs } = options;
  const streams = new Set<WatchStream>();
  let dead = false;

  function call<T>(
    verb: Verb,
    target: string,
    { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: CallOptions,
    act: () => T,
    unheard?: (result: T) => void,
  ): Promise<T> {
    if (dead) return new Promise<never>(() => undefined);
    const fate = fateOf({ to: 'api', verb, target, writes: !READS.has(verb) });
    const doing = `${verb} ${target}`;
    return fatedCall({
      clock,
      fate,
      signal,
      timeoutMs,
      doing,
      isDead: () => dead,
      act,
      ...(unheard === undefined ? {} : { unheard }),
    });
  }

  const writing = ({ fieldManager = DEFAULT_FIELD_MANAGER, subresource, dryRun }: WriteOptions): Writing => ({
    writer,
    fieldManager,
    subresource,
    dryRun,
  });

  function get(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    given: Parameters<KubeApi['get']>[3] = {},
  ): Promise<LiveObject> {
    return call('get', `${resource.kind}/${name}`, given, () =>
      verbs.get(resource, namespace, name, given.subresource),
    );
  }

  async function find(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    given: CallOptions = {},
  ): Promise<LiveObject | undefined> {
    try {
      return await get(resource, namespace, name, given);
    } catch (error) {
      if (error instanceof ApiError && error.kind === 'notFound') return undefined;
      throw error;
    }
  }

  function mergePatch(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    patch: Readonly<Record<string, unknown>>,
    given: WriteOptions & { readonly resourceVersion?: string } = {},
  ): Promise<LiveObject> {
    const { resourceVersion } = given;
    const precondition = resourceVersion === undefined ? {} : { resourceVersion };
    const body = frozen({ ...patch, metadata: { ...(patch['metadata'] as object | undefined), ...precondition } });
    return call('patch', `${resource.kind}/${name}`, given, () =>
      verbs.mergePatch(resource, namespace, name, body, writing(given)),
    );
  }

  async function openWatch(resource: Resource, given: WatchOptions = {}): Promise<WatchStream> {
    const { signal } = given;
    const open = (): WatchStream => {
      const stream = cluster.watch(resource, given, () => watchLagMs(resource.kind));
      streams.add(stream);
      stream.onClosed(() => streams.delete(stream));
      return stream;
    };
    const stream = await call('watch', resource.kind, given, open, (unheard) => {
      unheard.die();
    });
    const onAbort = (): void => {
      stream.abort(signal?.reason);
    };
    stream.onClosed(() => signal?.removeEventListener('abort', onAbort));
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    return stream;
  }

  const api = {
    get,
    find,
    mergePatch,
    openWatch,
    list: (resource: Resource, given: ListOptions = {}) =>
      call('list', resource.kind, given, () => cluster.list(resource, given)),
    create: (object: Manifest, given: WriteOptions = {}) => {
      const sent = frozen(object);
      return call('create', targetOf(sent), given, () => verbs.create(sent, writing(given)));
    },
    apply: (object: Manifest, given: WriteOptions & { readonly force?: boolean } = {}) => {
      const sent = frozen(object);
      const { force = false } = given;
      return call('apply', targetOf(sent), given, () => verbs.apply(sent, { ...writing(given), force }));
    },
    update: (object: Manifest, given: WriteOptions = {}) => {
      const sent = frozen(object);
      return call('update', targetOf(sent), given, () => verbs.update(sent, writing(given)));
    },
    delete: (resource: Resource, namespace: string | undefined, name: string, given: DeleteOptions = {}) =>
      call('delete', `${resource.kind}/${name}`, given, () => {
        verbs.delete(resource, namespace, name, given, writer);
      }),
    kill: () => {
      dead = true;
      for (const stream of [...streams]) stream.die();
    },
  };
  // Objects are what they are in JSON: which type a caller reads them as is its own affair, as with the real client.
  return api as unknown as SimConnection;
}

function targetOf(object: Manifest): string {
  return `${resourceOf(object).kind}/${object.metadata.name}`;
}
