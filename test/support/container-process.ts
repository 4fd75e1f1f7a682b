// The processes in the containers of a pod, as this machine sees them: arguments, environment, and the files that they can write. Own cluster only.
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../src/kube/resources.ts';
import { processes, type Process } from '../cluster/processes.ts';

export function processesOf({ status }: Pod): readonly Process[] {
  const ids = (status?.containerStatuses ?? []).flatMap(({ containerID = '' }) => containerID.split('//').slice(1));
  return processes().filter(({ pid }) => {
    const groups = textOf(`/proc/${pid}/cgroup`);
    return ids.some((id) => groups.includes(id));
  });
}

/** Command line and environment, as anybody on the node reads them. */
export function tellsOf({ pid }: Process): string {
  return [`process ${pid}`, textOf(`/proc/${pid}/cmdline`), textOf(`/proc/${pid}/environ`)]
    .join('\n')
    .replaceAll('\0', '\n');
}

type Mount = Readonly<{ path: string; writable: boolean; type: string }>;

/** Kinds of file systems in which the kernel answers, and nobody writes. */
const KERNEL = /^(proc|sysfs|cgroup2?|devpts|mqueue)$/;

/** What is mounted into a container, file systems of the kernel left out; the first one is its root. */
export function mountsOf({ pid }: Process): readonly Mount[] {
  const lines = textOf(`/proc/${pid}/mountinfo`).split('\n');
  return lines.flatMap((line) => {
    const [, path = '', options = '', type = ''] = /^(?:\S+ ){4}(\S+) (\S+) .*- (\S+)/.exec(line) ?? [];
    const isKernels = path === '' || KERNEL.test(type) || /^[/](proc|sys)[/]/.test(path);
    return isKernels ? [] : [{ path, writable: options.split(',').includes('rw'), type }];
  });
}

/** Names and contents of the regular files under this path of the container. */
export function filesIn(process: Process, path: string): string {
  const root = `/proc/${process.pid}/root`;
  const read = (place: string): readonly string[] => {
    const stat = lstatSync(join(root, place), { throwIfNoEntry: false });
    if (stat?.isFile() === true) return [place, textOf(join(root, place))];
    if (stat?.isDirectory() !== true) return [];
    return readdirSync(join(root, place)).flatMap((name) => read(join(place, name)));
  };
  return read(path).join('\n');
}

/** Empty for what is gone, or nobody may read. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
