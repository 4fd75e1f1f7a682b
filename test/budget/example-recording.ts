// A recording for tests: ten calm seconds around an operation at second five, on two pods and a budget of ten.
import type { Attempt, Recording, Sample } from './recording.ts';

export const START_MS = 1_000_000;
const OPERATION_MS = START_MS + 5_000;
const END_MS = START_MS + 10_000;
const EVERY_MS = 50;

/** Whole fields are replaced. Everything passes unless told otherwise. */
export function exampleRecording(changes: Partial<Recording> = {}): Recording {
  return {
    ...{ name: 'example', what: 'an example', planned: true, convergeLimitMs: undefined, clients: 20 },
    ...{ offered: 'all' as const, leastServed: undefined },
    window: { beforeMs: START_MS, operationMs: OPERATION_MS, doneMs: START_MS + 8_000, endMs: END_MS },
    budget: [{ fromMs: 0, connections: 10 }],
    pods: [pod('a', '10.0.0.1'), pod('b', '10.0.0.2')],
    samples: samplesOf(() => ({ '10.0.0.1': 5, '10.0.0.2': 4 })),
    attempts: attemptsEvery(100),
    ...{ errors: {}, marks: [{ atMs: OPERATION_MS, kind: 'operation', text: 'scaled to 2' }] },
    ...{ audit: { acknowledged: 100, lost: 0, double: 0, unknown: 0 }, error: undefined, operatorActions: [] },
    ...changes,
  };
}

/** One look every 50 ms; `at` in milliseconds since the start. */
export function samplesOf(
  byAddress: (at: number) => Readonly<Record<string, number>>,
  orphans: (at: number) => number = () => 0,
): readonly Sample[] {
  return Array.from({ length: (END_MS - START_MS) / EVERY_MS + 1 }, (_, index) => {
    const at = index * EVERY_MS;
    return { atMs: START_MS + at, byAddress: byAddress(at), orphans: orphans(at) };
  });
}

export function attempt(at: number, changes: Partial<Attempt> = {}): Attempt {
  return {
    ...{
      dueMs: START_MS + at - 10,
      insideMs: 900,
      endedMs: START_MS + at,
      addedMs: 10,
      library: 'node-postgres',
      recycles: true,
      outcome: 'done',
    },
    ...changes,
  };
}

function attemptsEvery(everyMs: number): readonly Attempt[] {
  return Array.from({ length: (END_MS - START_MS) / everyMs }, (_, index) => attempt(index * everyMs));
}

function pod(name: string, address: string): Recording['pods'][number] {
  return { name, address, seenMs: 0, readyMs: 0, leavingMs: undefined, goneMs: undefined };
}
