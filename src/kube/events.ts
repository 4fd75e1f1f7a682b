// Tells people what happened, as events.k8s.io/v1 Events; repetitions become one series; never in anybody's way.
import { createHash } from 'node:crypto';
import { backoffMs } from '../runtime/backoff.ts';
import type { Clock } from '../runtime/clock.ts';
import { toError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { KubeClient } from './client.ts';
import { isApiError } from './errors.ts';
import { microTime } from './micro-time.ts';
import { RESOURCES } from './resources.ts';

export type ObjectReference = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
};

export type EventFacts = {
  readonly regarding: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, from the closed table. */
  readonly reason: string;
  /** What was done or not done, CamelCase. */
  readonly action: string;
  readonly note: string;
};

export type EventRecorderOptions = {
  readonly client: Pick<KubeClient, 'create' | 'mergePatch'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Such as `poolsmith.dev/operator`. */
  readonly controller: string;
  /** Which process: the pod's name. */
  readonly instance: string;
};

export type EventRecorderMetrics = {
  readonly recorded: number;
  readonly created: number;
  readonly seriesWrites: number;
  /** The queue was full, or the server refused or could not be reached for long. */
  readonly dropped: number;
};

/** An equal event within this time of the last one belongs to its series. */
const SAME_SERIES_MS = 600_000;
/** A series is written no more often. */
const SERIES_WRITE_MS = 30_000;
const MAX_QUEUED = 500;
const MAX_SERIES = 2_000;
const ATTEMPTS = 4;
const RETRY = { baseMs: 1_000, maxMs: 30_000, factor: 3, jitter: 0.2 };
/** Bounds that the API server enforces. */
const MAX_NOTE_BYTES = 1024;
const MAX_NAME = 253;
const STOP_LIMIT_MS = 2_000;

type Series = {
  readonly facts: EventFacts;
  name: string;
  count: number;
  lastSeenMs: number;
  written: boolean;
  queued: boolean;
  timer: { readonly cancel: () => void } | undefined;
};

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  readonly #queue: Series[] = [];
  readonly #stopping = new AbortController();
  readonly #counts = { recorded: 0, created: 0, seriesWrites: 0, dropped: 0 };
  #draining: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  metrics(): EventRecorderMetrics {
    return { ...this.#counts };
  }

  /** Returns at once and never throws; an event that can't be written is counted and forgotten. */
  record(facts: EventFacts): void {
    if (this.#stopping.signal.aborted) {
      return;
    }
    this.#counts.recorded += 1;
    const now = this.#options.clock.monotonicMs();
    const fingerprint = JSON.stringify(facts);
    const known = this.#series.get(fingerprint);
    if (known !== undefined && now - known.lastSeenMs < SAME_SERIES_MS) {
      known.count += 1;
      known.lastSeenMs = now;
      known.timer ??= this.#options.clock.setTimer(SERIES_WRITE_MS, () => {
        known.timer = undefined;
        this.#enqueue(known);
      });
      return;
    }
    known?.timer?.cancel();
    this.#makeRoom(now);
    const series: Series = {
      facts,
      name: this.#nameOf(facts, fingerprint),
      count: 1,
      lastSeenMs: now,
      written: false,
      queued: false,
      timer: undefined,
    };
    this.#series.set(fingerprint, series);
    this.#enqueue(series);
  }

  /** Writes what is waiting, for two seconds at most, and takes no more. */
  async stop(): Promise<void> {
    const { clock } = this.#options;
    for (const series of this.#series.values()) {
      if (series.timer !== undefined) {
        series.timer.cancel();
        series.timer = undefined;
        this.#enqueue(series);
      }
    }
    const limit = clock.setTimer(STOP_LIMIT_MS, () => {
      this.#stopping.abort(new Error('the event recorder was stopped'));
    });
    await this.#draining;
    limit.cancel();
    this.#stopping.abort(new Error('the event recorder was stopped'));
  }

  #makeRoom(now: number): void {
    if (this.#series.size < MAX_SERIES) {
      return;
    }
    for (const [fingerprint, series] of this.#series) {
      if (series.timer === undefined && now - series.lastSeenMs >= SAME_SERIES_MS) {
        this.#series.delete(fingerprint);
      }
    }
    // Still full: the oldest has to go, at worst its next repetition starts a new series.
    const [oldest] = this.#series;
    if (this.#series.size >= MAX_SERIES && oldest !== undefined) {
      oldest[1].timer?.cancel();
      this.#series.delete(oldest[0]);
    }
  }

  #nameOf({ regarding }: EventFacts, fingerprint: string): string {
    const unique = `${this.#options.instance} ${this.#options.clock.now()} ${this.#counts.recorded} ${fingerprint}`;
    const suffix = createHash('sha256').update(unique).digest('hex').slice(0, 16);
    return `${regarding.name.slice(0, MAX_NAME - suffix.length - 1)}.${suffix}`;
  }

  #enqueue(series: Series): void {
    if (series.queued) {
      return;
    }
    if (this.#queue.length >= MAX_QUEUED) {
      this.#counts.dropped += 1;
      return;
    }
    series.queued = true;
    this.#queue.push(series);
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    for (let series = this.#queue.shift(); series !== undefined; series = this.#queue.shift()) {
      series.queued = false;
      await this.#writeWithRetries(series);
    }
    this.#draining = undefined;
  }

  async #writeWithRetries(series: Series): Promise<void> {
    const { clock, random, log } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#write(series);
        return;
      } catch (thrown) {
        const passing = isApiError(thrown, 'unavailable', 'timeout', 'throttled');
        if (!passing || attempt === ATTEMPTS || signal.aborted) {
          this.#counts.dropped += 1;
          const { reason, regarding } = series.facts;
          log.warn('an event could not be written', { reason, regarding, error: toError(thrown).message });
          return;
        }
        const delayMs = Math.max(backoffMs(RETRY, attempt, random()), thrown.retryAfterMs ?? 0);
        await clock.sleep(delayMs, signal).catch(() => undefined);
      }
    }
  }

  async #write(series: Series): Promise<void> {
    const { client, clock } = this.#options;
    const namespace = series.facts.regarding.namespace ?? 'default';
    const { signal } = this.#stopping;
    const count = series.count;
    const progress = { count, lastObservedTime: microTime(clock.now()) };
    if (series.written) {
      try {
        await client.mergePatch(RESOURCES.Event, namespace, series.name, { series: progress }, { signal });
        this.#counts.seriesWrites += 1;
        return;
      } catch (error) {
        if (!isApiError(error, 'notFound')) {
          throw error;
        }
        // Events live for an hour: this one is gone, the series goes on in a new one.
      }
    }
    try {
      await client.create(this.#object(series, namespace, count > 1 ? progress : undefined), { signal });
      this.#counts.created += 1;
    } catch (error) {
      // An earlier attempt whose answer got lost.
      if (!isApiError(error, 'alreadyExists')) {
        throw error;
      }
    }
    series.written = true;
  }

  #object({ facts, name }: Series, namespace: string, series: { count: number; lastObservedTime: string } | undefined) {
    const { regarding, type, reason, action, note } = facts;
    const { controller, instance, clock } = this.#options;
    return {
      apiVersion: RESOURCES.Event.apiVersion,
      kind: RESOURCES.Event.kind,
      metadata: { name, namespace },
      eventTime: microTime(clock.now()),
      reportingController: controller,
      reportingInstance: instance.slice(0, 128),
      type,
      reason,
      action,
      note: shortened(note),
      regarding,
      ...(series === undefined ? {} : { series }),
    };
  }
}

function shortened(note: string): string {
  if (Buffer.byteLength(note) <= MAX_NOTE_BYTES) {
    return note;
  }
  const { read } = new TextEncoder().encodeInto(note, new Uint8Array(MAX_NOTE_BYTES - Buffer.byteLength('…')));
  return `${note.slice(0, read)}…`;
}
