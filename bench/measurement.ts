// What every measurement gets and gives, and the loop that repeats one round.
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stage } from '../test/support/stage.ts';
import type { PoolWatch } from './pool-watch.ts';

export type Setting = Readonly<{
  stage: Stage;
  watch: PoolWatch;
  /** How often a round is repeated. */
  rounds: number;
  restSeconds: number;
  report: (line: string) => void;
}>;

/** Figures by name; durations in milliseconds. */
export type Result = Readonly<Record<string, number | string>>;

export type Measurement = Readonly<{
  name: string;
  /** What the figures are the time of. */
  what: string;
  /** Rounds of a full run. */
  rounds: number;
  /** @throws when something did not come about that was to be timed. */
  run: (setting: Setting) => Promise<Result>;
}>;

const REPORT_EVERY_MS = 10_000;
/** Rounds must not fall in step with the kubelet, which looks at its pods about once a second. */
const PAUSE_MS = [1_500, 2_500] as const;

/** One round after the other with a pause at random between them; answers what each said. */
export async function repeat<T>(
  { rounds, report }: Setting,
  name: string,
  round: (index: number) => Promise<T>,
): Promise<readonly T[]> {
  const all: T[] = [];
  let reportedMs = performance.now();
  for (let index = 0; index < rounds; index += 1) {
    const [least, most] = PAUSE_MS;
    await sleep(least + Math.random() * (most - least));
    all.push(await round(index));
    if (performance.now() - reportedMs < REPORT_EVERY_MS) continue;
    reportedMs = performance.now();
    report(`${name}: ${index + 1} of ${rounds}`);
  }
  return all;
}

/** Processes that want a processor, averaged over a minute: what else the machine was doing. */
export function loadAverage(): number {
  return Math.round((loadavg()[0] ?? 0) * 10) / 10;
}
