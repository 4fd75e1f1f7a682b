// The commands that write: pause a fleet for a time, and resume it before that. They only set spec.pause; the operator does the rest.
import { setTimeout as sleep } from 'node:timers/promises';
import type { PauseStatus } from './api/poolconfig.gen.ts';
import { parseDurationMs } from './api/poolconfig.ts';
import { place, POOLS } from './commands.ts';
import { KubeClient } from './kube/client.ts';
import { isoTime } from './model/iso-time.ts';
import { MAX_PAUSE_MS } from './plan/pause.ts';

const LOOK_MS = 200;

export class PauseUsageError extends Error {}

/** How long a pause is to last, in ms. @throws PauseUsageError for what is no duration, or too long a one. */
export function pauseMs(text: string | undefined): number {
  const ms = text === undefined ? undefined : parseDurationMs(text);
  if (ms !== undefined && ms > 0 && ms <= MAX_PAUSE_MS) return ms;
  throw new PauseUsageError(
    `--for is ${text === undefined ? 'missing' : `"${text}"`}; it must be a duration from 1s to ${MAX_PAUSE_MS / 60_000}m, such as 60s`,
  );
}

/** Sets spec.pause.until and waits until every pod was read back as paused. Returns the exit code: 1 when the fleet was not paused. */
export async function pause(name: string, namespace: string | undefined, forMs: number): Promise<number> {
  const client = KubeClient.fromKubeConfig();
  try {
    const [where, what = name] = place(name, namespace ?? client.namespace ?? 'default');
    // Up to the whole second that can be written.
    const until = isoTime(Math.ceil((Date.now() + forMs) / 1000) * 1000);
    await client.mergePatch(POOLS, where, what, { spec: { pause: { until } } });
    process.stdout.write(`${where}/${what} is to be paused until ${until}.\n`);
    return await follow(client, where, what, (status) => {
      if (status?.until !== until) return undefined;
      if (status.state === 'Pausing') return undefined;
      return status.state === 'Paused' ? 0 : 1;
    });
  } finally {
    await client.close();
  }
}

/** Takes spec.pause out and waits until every pod was read back as resumed. */
export async function resume(name: string, namespace: string | undefined): Promise<number> {
  const client = KubeClient.fromKubeConfig();
  try {
    const [where, what = name] = place(name, namespace ?? client.namespace ?? 'default');
    const pool = await client.find(POOLS, where, what);
    if (pool?.spec.pause === undefined && pool?.status?.pause === undefined) {
      process.stdout.write(`${where}/${what} ${pool === undefined ? 'does not exist' : 'is not paused'}.\n`);
      return pool === undefined ? 1 : 0;
    }
    await client.mergePatch(POOLS, where, what, { spec: { pause: null } });
    return await follow(client, where, what, (status) => (status === undefined ? 0 : undefined));
  } finally {
    await client.close();
  }
}

/** Prints each change of what status says until `decide` gives an exit code. */
async function follow(
  client: KubeClient,
  namespace: string,
  name: string,
  decide: (status: PauseStatus | undefined) => number | undefined,
): Promise<number> {
  let printed = '';
  for (;;) {
    const pool = await client.find(POOLS, namespace, name);
    if (pool === undefined) throw new Error(`PoolConfig ${namespace}/${name} does not exist`);
    const status = pool.status?.pause;
    const line = describe(status);
    if (line !== printed) process.stdout.write(`${line}\n`);
    printed = line;
    const code = decide(status);
    if (code !== undefined) return code;
    await sleep(LOOK_MS);
  }
}

function describe(status: PauseStatus | undefined): string {
  if (status === undefined) return 'Not paused.';
  const { state, message, pausedPods, waitingClients } = status;
  if (message !== undefined) return `${state}: ${message}`;
  return pausedPods === undefined
    ? `${state}.`
    : `${state}: ${pausedPods} pods are paused, ${waitingClients ?? 0} clients wait.`;
}
