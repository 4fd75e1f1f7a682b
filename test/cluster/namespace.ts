// The cluster's own view of the machine: network, mounts, processes and host name, all ending with one process.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCgroups } from './cgroups.ts';
import { LINK_PREFIX_BITS, logFile, type Layout } from './layout.ts';
import { attempt, kill, namespaceOf, processes, run, systemEnv, until } from './processes.ts';

const UPLINK = 'uplink';

/**
 * What the kubelet would set for the whole machine. It sees these values instead of the real ones, and changes nothing.
 * Source: setupKernelTunables in k8s.io/kubernetes/pkg/kubelet/cm.
 */
const KERNEL_TUNABLES: Readonly<Record<string, string>> = {
  'kernel/keys/root_maxbytes': '25000000',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
};

/** The first process of the cluster's pid namespace, by its id outside. */
export function firstProcess(layout: Layout): number | undefined {
  return processes().find(
    ({ argv, namespacePids }) => namespacePids.length > 1 && namespacePids.at(-1) === 1 && argv.includes(layout.folder),
  )?.pid;
}

/** Starts the supervisor in new namespaces and a cgroup of their own; answers the first process. */
export async function enterNamespaces(layout: Layout): Promise<number> {
  const joinCgroups = createCgroups(layout).map((file) => `echo $$ > '${file}'`);
  const log = openSync(logFile(layout, 'supervisor'), 'a');
  const init = join(import.meta.dirname, 'init.ts');
  const own = ['--net', '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child', '--mount-proc'];
  // The shell stays the first process: unlike Node it reaps the orphans, of which every pod leaves one.
  const first = ['sh', '-c', '"$@"; exit $?', 'sh', process.execPath, init, layout.name, layout.folder];
  const child = spawn('sh', ['-c', `set -e; ${joinCgroups.join('; ')}; exec "$@"`, 'sh', 'unshare', ...own, ...first], {
    cwd: '/',
    detached: true,
    env: withoutProxies(systemEnv()),
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  let exit: string | undefined;
  child.on('error', (error) => (exit = error.message));
  child.on('exit', (code, signal) => (exit = signal ?? `exit ${code ?? 0}`));
  return until(
    'the namespaces',
    () => {
      if (exit === undefined) return firstProcess(layout);
      throw new Error(`while starting the supervisor: ${exit}; see ${logFile(layout, 'supervisor')}`);
    },
    10_000,
  ).catch((error: unknown) => {
    if (child.pid !== undefined) kill(child.pid, 'SIGKILL');
    throw error;
  });
}

/** Nothing in the cluster goes off the machine, and its programs would look for each other behind a proxy. */
function withoutProxies(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(https?|all)_proxy$/i.test(name)));
}

/** Runs in the new namespaces, before anything else. */
export async function furnish(layout: Layout): Promise<void> {
  await run('mount', ['--make-rshared', '/']);
  for (const folder of ['/run', '/var/log']) await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', folder]);
  // The kubelet keeps its device plug-ins in /var/lib/kubelet wherever its root folder is.
  const [upper, work] = ['/run/var-lib', '/run/var-lib-work'];
  for (const folder of [upper, work]) mkdirSync(folder);
  await run('mount', [
    '-t',
    'overlay',
    '-o',
    `lowerdir=/var/lib,upperdir=${upper},workdir=${work}`,
    'overlay',
    '/var/lib',
  ]);
  for (const [name, value] of Object.entries(KERNEL_TUNABLES)) {
    const file = join('/run', name.replaceAll('/', '.'));
    writeFileSync(file, `${value}\n`);
    await run('mount', ['--bind', file, `/proc/sys/${name}`]);
  }
  await run('hostname', [layout.nodeName]);
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  const ip = (text: string): Promise<string> => run('ip', text.split(' '));
  await ip('link set lo up');
  await ip(`address add ${layout.nodeAddress}/32 dev lo`);
  // A Service's address needs a route before iptables gets to rewrite it; an empty bridge leads nowhere.
  await ip('link add services type bridge');
  await ip('link set services up');
  await ip(`route add ${layout.serviceRange} dev services src ${layout.nodeAddress}`);
}

/** Joins the machine and the cluster by a veth pair, with routes for pods and Services on the machine's side. */
export async function connect(layout: Layout, first: number): Promise<void> {
  const { hostLink, hostAddress, uplinkAddress } = layout;
  const ip = (text: string): Promise<string> => run('ip', text.split(' '), { env: systemEnv() });
  const inside = (text: string): Promise<string> =>
    run('nsenter', ['--net', '--target', String(first), 'ip', ...text.split(' ')], { env: systemEnv() });
  await ip(`link add ${hostLink} type veth peer name ${UPLINK} netns ${first}`);
  await ip(`link set ${hostLink} alias ${layout.cgroup}`);
  await inside(`address add ${uplinkAddress}/${LINK_PREFIX_BITS} dev ${UPLINK}`);
  await inside(`link set ${UPLINK} up`);
  await ip(`address add ${hostAddress}/${LINK_PREFIX_BITS} dev ${hostLink}`);
  await ip(`link set ${hostLink} up`);
  for (const range of [layout.clusterRange, layout.serviceRange]) {
    await ip(`route add ${range} via ${uplinkAddress} dev ${hostLink} src ${hostAddress}`);
  }
}

/** Whose link it is: the owner's cgroup name, an empty string when it never got so far, undefined when there is none. */
export async function linkOwner(layout: Layout): Promise<string | undefined> {
  const { stdout, code } = await attempt('ip', ['-j', 'link', 'show', layout.hostLink], { env: systemEnv() });
  if (code !== 0) return undefined;
  const [link] = JSON.parse(stdout) as { ifalias?: string }[];
  return link?.ifalias ?? '';
}

export async function disconnect(layout: Layout): Promise<void> {
  const owner = await linkOwner(layout);
  if (owner === undefined || (owner !== '' && owner !== layout.cgroup)) return;
  // It may be going by itself at this moment, together with its other end.
  const { stderr, code } = await attempt('ip', ['link', 'delete', layout.hostLink], { env: systemEnv() });
  if (code !== 0 && (await linkOwner(layout)) !== undefined)
    throw new Error(`while deleting ${layout.hostLink}: ${stderr}`);
}

/** The command line that runs `command` inside the cluster's namespaces. */
export function insideCommand(first: number, command: readonly string[]): string[] {
  return ['--target', String(first), '--net', '--mount', '--pid', '--ipc', '--uts', '--wd=/', '--', ...command];
}

/** Whether a process lives in another pid namespace than this one. */
export function isElsewhere(pid: number): boolean {
  const there = namespaceOf(pid, 'pid');
  return there !== undefined && there !== namespaceOf('self', 'pid');
}
