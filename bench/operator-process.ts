// What the operator's process costs, from /proc of this machine: memory resident, and processor time.
import { readFileSync } from 'node:fs';
import { processes } from '../test/cluster/processes.ts';
import { operatorPods } from '../test/support/install.ts';

/** Kernel ticks per second in /proc/PID/stat, the same on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

/** The operator's process by its id outside the container. @throws unless exactly one runs. */
export async function operatorProcess(): Promise<number> {
  const pods = await operatorPods();
  const ids = pods.flatMap(({ status }) => (status?.containerStatuses ?? []).map((one) => one.containerID ?? ''));
  const [id] = ids.map((one) => one.replace(/^.*\/\//, ''));
  if (ids.length !== 1 || id === undefined || id === '')
    throw new Error(`while looking for the operator: ${ids.length} containers of it run, not one`);
  const found = processes().filter(({ pid }) => cgroupsOf(pid).includes(id));
  const [process] = found;
  if (found.length !== 1 || process === undefined)
    throw new Error(`while looking for the operator: ${found.length} processes of container ${id} run, not one`);
  return process.pid;
}

export function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no VmRSS`);
  return Math.round(Number(kib) / 1024);
}

/** Processor time used since the start, in its own code and in the kernel. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name, in parentheses, may hold anything; the 12th and 13th fields after it are utime and stime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function cgroupsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return ''; // It ended while we looked.
  }
}
