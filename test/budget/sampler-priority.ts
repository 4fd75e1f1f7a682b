// Lets the sampler and its own PostgreSQL process run before everything else, so that a look at a busy machine is not late: on the project's own cluster only.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { attempt, processes } from '../cluster/processes.ts';

/** The root of the hierarchy that shares out processor time: beside the pods' shares, not among them. */
const CPU_ROOTS = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu,cpuacct'];

/** Of this process. Without the right to it, or without `chrt`, looks are later, which the figures tell. */
export async function hastenThisProcess(): Promise<void> {
  await makeRealTime(process.pid);
}

/** Of the server process behind a connection; nothing where it can't be seen from here. */
export async function hastenBackend(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ port: number | null }>('SELECT inet_client_port() AS port');
  const title = `(${rows[0]?.port ?? ''})`;
  const backend = processes().find(({ argv }) => argv[0]?.startsWith('postgres: ') === true && argv[0].includes(title));
  if (backend === undefined) return;
  const root = CPU_ROOTS.map((folder) => join(folder, 'cgroup.procs')).find((file) => existsSync(file));
  try {
    if (root !== undefined) writeFileSync(root, String(backend.pid));
  } catch {
    return; // Only root may.
  }
  await makeRealTime(backend.pid);
}

/** Both work for a millisecond or two, some twenty times a second. */
async function makeRealTime(pid: number): Promise<void> {
  await attempt('chrt', ['--fifo', '--pid', '1', String(pid)]);
}
