// What a cluster would leave behind on the machine; after `down`, and before `up`, there must be nothing.
import { existsSync, readFileSync } from 'node:fs';
import { cgroupFolders, cgroupMembers } from './cgroups.ts';
import type { Layout } from './layout.ts';
import { isElsewhere, linkOwner } from './namespace.ts';
import { attempt, isAlive, processes, systemEnv } from './processes.ts';

/** One thing of a cluster that is still there. */
export type Leftover = Readonly<{
  kind: 'process' | 'mount' | 'link' | 'route' | 'iptables rule' | 'cgroup' | 'file';
  what: string;
}>;

/** Everything that is there of the cluster, whether it runs or not. */
export async function leftovers(layout: Layout): Promise<Leftover[]> {
  const owner = await linkOwner(layout);
  return [
    ...memberProcesses(layout).map(({ pid, command }) => leftover('process', `${pid} ${command}`)),
    ...mounts(layout).map((mount) => leftover('mount', mount)),
    ...(owner === '' || owner === layout.cgroup ? [leftover('link', layout.hostLink)] : []),
    ...(await linesNaming(layout, 'ip', ['route', 'show', 'table', 'all'])).map((line) => leftover('route', line)),
    ...(await linesNaming(layout, 'iptables-save', [])).map((line) => leftover('iptables rule', line)),
    ...cgroupFolders(layout).map((folder) => leftover('cgroup', folder)),
    ...(existsSync(layout.folder) ? [leftover('file', layout.folder)] : []),
  ];
}

/** The cluster's processes: those in its cgroups, and those in another pid namespace that name its state folder. */
export function memberProcesses(layout: Layout): Readonly<{ pid: number; command: string }>[] {
  const members = new Set(cgroupMembers(layout).filter(isAlive));
  return processes()
    .filter(
      ({ pid, argv }) => members.has(pid) || (argv.some((arg) => namesFolder(arg, layout.folder)) && isElsewhere(pid)),
    )
    .map(({ pid, argv }) => ({ pid, command: argv.join(' ').slice(0, 200) }));
}

/** The folder itself or something in it; that of cluster `demo` is also the beginning of that of cluster `demo2`. */
export function namesFolder(argument: string, folder: string): boolean {
  return argument
    .split(folder)
    .slice(1)
    .some((rest) => !/^[a-z0-9-]/.test(rest));
}

/** Mounts in the machine's own view, the deepest first. */
export function mounts(layout: Layout): string[] {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) =>
      (line.split(' ')[1] ?? '').replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    )
    .filter((folder) => folder === layout.folder || folder.startsWith(`${layout.folder}/`))
    .sort((a, b) => b.length - a.length);
}

/** Lines of a listing that name an address of the cluster; none where there is no such program. */
async function linesNaming(layout: Layout, program: string, args: readonly string[]): Promise<string[]> {
  const { stdout } = await attempt(program, args, { env: systemEnv() });
  const address = new RegExp(
    `(^|[ /])(${layout.addressPrefixes.map((prefix) => prefix.replaceAll('.', '\\.')).join('|')})`,
  );
  return stdout.split('\n').filter((line) => address.test(line));
}

function leftover(kind: Leftover['kind'], what: string): Leftover {
  return { kind, what };
}
