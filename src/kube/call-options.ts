// What a caller may say about a call to the API, and what is told about it afterwards.
import type { LiveObject } from './resources.ts';

export type CallOptions = {
  /** Default 10 s. After a `timeout` or `unavailable` error a write may or may not have happened. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Waits neither for the client's rate limit nor for a connection; for the Lease, which nothing may hold up. */
  readonly urgent?: boolean;
};

export type Selection = {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
};

export type WriteOptions = CallOptions & {
  readonly dryRun?: boolean;
  readonly fieldManager?: string;
  readonly subresource?: 'status' | 'scale';
};

export type Page<T extends LiveObject> = {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Token of the next page. */
  readonly continue?: string;
};

export type ListOptions = CallOptions & Selection & { readonly limit?: number; readonly continue?: string | undefined };

export type WatchOptions = CallOptions &
  Selection & {
    readonly resourceVersion?: string;
    readonly allowWatchBookmarks?: boolean;
    /** When the server is to end the watch. */
    readonly timeoutSeconds?: number;
  };

export type DeleteOptions = CallOptions & {
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  readonly gracePeriodSeconds?: number;
  readonly dryRun?: boolean;
};

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'apply' | 'patch' | 'update' | 'delete';

export type AnswerFacts = {
  readonly verb: Verb;
  /** Plural of the resource; `version` for the server's version. */
  readonly resource: string;
  readonly path: string;
  /** 200 for every success; 0 when there was no answer. */
  readonly status: number;
  readonly durationMs: number;
};
