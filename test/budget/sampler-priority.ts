// Lets the sampler's own PostgreSQL process run before the load's, so that a look at a busy server is not late: on the project's own cluster only.
import { existsSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { processes } from '../cluster/processes.ts';

const NICE = -10;
/** The root of the hierarchy that shares out processor time: beside the pods' shares, not among them. */
const CPU_ROOTS = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu,cpuacct'];

/** Of this thread alone (Linux). Without the right to it looks are later, which the figures tell. */
export function hastenThisThread(): void {
  attempt(() => {
    setPriority(NICE);
  });
}

/** Of the server process behind a connection; nothing where it can't be seen from here. */
export async function hastenBackend(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ port: number | null }>('SELECT inet_client_port() AS port');
  const title = `(${rows[0]?.port ?? ''})`;
  const backend = processes().find(({ argv }) => argv[0]?.startsWith('postgres: ') === true && argv[0].includes(title));
  if (backend === undefined) return;
  attempt(() => {
    setPriority(backend.pid, NICE);
    const root = CPU_ROOTS.map((folder) => join(folder, 'cgroup.procs')).find((file) => existsSync(file));
    if (root !== undefined) writeFileSync(root, String(backend.pid));
  });
}

function attempt(change: () => void): void {
  try {
    change();
  } catch {
    // Only root may.
  }
}
