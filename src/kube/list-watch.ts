// Following a collection as an explicit state machine: one call of `step` makes one transition. After kube-rs's watcher.
import type { Clock } from '../runtime/clock.ts';
import { toError } from '../runtime/errors.ts';
import type { KubeClient, Selection } from './client.ts';
import { ApiError, isApiError } from './errors.ts';
import type { LiveObject, Resource } from './resources.ts';
import { isOlder } from './resource-version.ts';
import type { WatchFrame } from './watch-frames.ts';

export type OpenWatch = {
  readonly frames: AsyncIterator<WatchFrame, void, undefined>;
  readonly close: () => void;
  readonly openedMs: number;
  /** Silence for so long means that the connection is dead. */
  readonly idleMs: number;
  /** It has told something new, so it was worth opening. */
  readonly progressed: boolean;
};

/** What was known when the list had to start again; a list older than that is not believed at once. */
type Memory = { readonly newest?: string; readonly refusals: number };

export type ListWatchState<T extends LiveObject> =
  /** Nothing is known, or what is known can't be continued: list from the start. */
  | ({ readonly phase: 'empty' } & Memory)
  /** Some pages have been read. */
  | ({
      readonly phase: 'initPage';
      readonly items: readonly T[];
      readonly listed: string;
      readonly next: string;
    } & Memory)
  /** Everything up to the resourceVersion has been told; no watch is open. */
  | { readonly phase: 'initListed'; readonly resourceVersion: string }
  | { readonly phase: 'watching'; readonly resourceVersion: string; readonly watch: OpenWatch };

export type ListWatchEvent<T extends LiveObject> =
  /** `rewound`: the server's history went back (a restored etcd); what was known before is void. */
  | { readonly type: 'replaced'; readonly items: readonly T[]; readonly rewound: boolean }
  | { readonly type: 'upsert' | 'delete'; readonly object: T }
  /** Already told before, or of no interest. */
  | { readonly type: 'nothing' };

export type Transition<T extends LiveObject> = {
  readonly state: ListWatchState<T>;
  /** Present whenever the server answered. */
  readonly event?: ListWatchEvent<T>;
  readonly error?: ApiError;
};

export type ListWatchConfig<T extends LiveObject> = Selection & {
  readonly resource: Resource;
  /** Keeps what is needed of a raw object; undefined leaves the object out. */
  readonly project: (raw: LiveObject) => T | undefined;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

export type ListWatchApi = Pick<KubeClient, 'list' | 'openWatch'>;

const PAGE_SIZE = 500;
const WATCH_SECONDS = { min: 300, max: 600 };
/** On top of the time after which the server itself ends the watch. */
const IDLE_MARGIN_MS = 30_000;
/** The server sends a bookmark about once a minute: one that has sent any and misses several is gone. */
const BOOKMARK_SILENCE_MS = 240_000;
/** A watch that ends sooner, without telling anything, counts as a failure: reopening at once would make a storm. */
const SHORT_WATCH_MS = 5_000;
/** After so many a list that seems too old is the truth: etcd was restored from a backup. */
const MAX_REFUSALS = 8;

export const INITIAL: ListWatchState<never> = { phase: 'empty', refusals: 0 };

/** Makes one transition; never throws. The caller waits after an error, and calls again. */
export async function step<T extends LiveObject>(
  api: ListWatchApi,
  config: ListWatchConfig<T>,
  state: ListWatchState<T>,
  signal: AbortSignal,
): Promise<Transition<T>> {
  switch (state.phase) {
    case 'empty':
    case 'initPage':
      return readPage(api, config, state, signal);
    case 'initListed':
      return openWatch(api, config, state.resourceVersion, signal);
    case 'watching':
      return nextFrame(config, state);
  }
}

async function readPage<T extends LiveObject>(
  api: ListWatchApi,
  config: ListWatchConfig<T>,
  state: ListWatchState<T> & { readonly phase: 'empty' | 'initPage' },
  signal: AbortSignal,
): Promise<Transition<T>> {
  const before: Memory = { refusals: state.refusals, ...(state.newest === undefined ? {} : { newest: state.newest }) };
  const partial = state.phase === 'initPage' ? state : undefined;
  let page;
  try {
    page = await api.list(config.resource, {
      ...selectionOf(config),
      limit: PAGE_SIZE,
      continue: partial?.next,
      signal,
    });
  } catch (thrown) {
    const error = asApiError(thrown);
    return { error, state: error.kind === 'gone' ? { phase: 'empty', ...before } : state };
  }
  const items = [...(partial?.items ?? []), ...page.items.flatMap((raw) => config.project(raw) ?? [])];
  // All pages belong to the version of the first.
  const listed = partial?.listed ?? page.resourceVersion;
  if (page.continue !== undefined) {
    return { state: { phase: 'initPage', items, listed, next: page.continue, ...before }, event: { type: 'nothing' } };
  }
  const rewound = before.newest !== undefined && isOlder(listed, before.newest);
  if (rewound && before.refusals < MAX_REFUSALS) {
    const message = `while listing ${config.resource.plural}: version ${listed} is older than ${before.newest ?? ''}, which was seen before`;
    return {
      state: { phase: 'empty', ...before, refusals: before.refusals + 1 },
      error: new ApiError({ kind: 'unavailable', reason: 'StaleList', status: 200, message }),
    };
  }
  return { state: { phase: 'initListed', resourceVersion: listed }, event: { type: 'replaced', items, rewound } };
}

async function openWatch<T extends LiveObject>(
  api: ListWatchApi,
  config: ListWatchConfig<T>,
  resourceVersion: string,
  signal: AbortSignal,
): Promise<Transition<T>> {
  const { clock, random, resource } = config;
  const timeoutSeconds = Math.round(WATCH_SECONDS.min + random() * (WATCH_SECONDS.max - WATCH_SECONDS.min));
  const lifetime = new AbortController();
  const close = (): void => {
    signal.removeEventListener('abort', close);
    lifetime.abort();
  };
  signal.addEventListener('abort', close);
  try {
    const frames = await api.openWatch(resource, {
      ...selectionOf(config),
      resourceVersion,
      allowWatchBookmarks: true,
      timeoutSeconds,
      signal: lifetime.signal,
    });
    const idleMs = timeoutSeconds * 1000 + IDLE_MARGIN_MS;
    const watch = { frames, close, openedMs: clock.monotonicMs(), idleMs, progressed: false };
    return { state: { phase: 'watching', resourceVersion, watch }, event: { type: 'nothing' } };
  } catch (thrown) {
    close();
    return afterWatchError(asApiError(thrown), resourceVersion);
  }
}

async function nextFrame<T extends LiveObject>(
  config: ListWatchConfig<T>,
  state: ListWatchState<T> & { readonly phase: 'watching' },
): Promise<Transition<T>> {
  const { resourceVersion, watch } = state;
  const silence = { tooLong: false };
  const watchdog = config.clock.setTimer(watch.idleMs, () => {
    silence.tooLong = true;
    watch.close();
  });
  let result;
  try {
    result = await watch.frames.next();
  } catch (thrown) {
    watch.close();
    const message = `while watching ${config.resource.plural}: silent for ${watch.idleMs} ms`;
    return afterWatchError(
      silence.tooLong ? new ApiError({ kind: 'timeout', message }) : asApiError(thrown),
      resourceVersion,
    );
  } finally {
    watchdog.cancel();
  }
  if (result.done === true) {
    watch.close();
    const short = !watch.progressed && config.clock.monotonicMs() - watch.openedMs < SHORT_WATCH_MS;
    const message = `while watching ${config.resource.plural}: the server ended the watch at once`;
    return {
      state: { phase: 'initListed', resourceVersion },
      ...(short ? { error: new ApiError({ kind: 'unavailable', reason: 'ShortWatch', message }) } : {}),
    };
  }
  return afterFrame(config, state, result.value);
}

function afterFrame<T extends LiveObject>(
  config: ListWatchConfig<T>,
  state: ListWatchState<T> & { readonly phase: 'watching' },
  frame: WatchFrame,
): Transition<T> {
  const { resourceVersion, watch } = state;
  const version = frame.object.metadata.resourceVersion;
  if (isOlder(version, resourceVersion)) {
    return { state, event: { type: 'nothing' } };
  }
  if (frame.type === 'BOOKMARK') {
    const lasting = config.clock.monotonicMs() - watch.openedMs >= SHORT_WATCH_MS;
    const progressed = watch.progressed || lasting || version !== resourceVersion;
    const next = { ...watch, idleMs: BOOKMARK_SILENCE_MS, progressed };
    return { state: { phase: 'watching', resourceVersion: version, watch: next }, event: { type: 'nothing' } };
  }
  const next = { phase: 'watching', resourceVersion: version, watch: { ...watch, progressed: true } } as const;
  const object = config.project(frame.object);
  if (object === undefined) {
    return { state: next, event: { type: 'nothing' } };
  }
  return { state: next, event: { type: frame.type === 'DELETED' ? 'delete' : 'upsert', object } };
}

function afterWatchError<T extends LiveObject>(error: ApiError, resourceVersion: string): Transition<T> {
  return {
    error,
    state:
      error.kind === 'gone'
        ? { phase: 'empty', newest: resourceVersion, refusals: 0 }
        : { phase: 'initListed', resourceVersion },
  };
}

function selectionOf({ namespace, labelSelector, fieldSelector }: Selection): Selection {
  return { namespace, labelSelector, fieldSelector };
}

function asApiError(thrown: unknown): ApiError {
  if (isApiError(thrown)) {
    return thrown;
  }
  const cause = toError(thrown);
  return new ApiError({ kind: 'unavailable', message: `while following a collection: ${cause.message}`, cause });
}
