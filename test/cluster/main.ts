// The command line of the test cluster; `POOLSMITH_CLUSTER` names the cluster it is about.
import { spawn } from 'node:child_process';
import { down, isHealthy, logEnd, up, waitUntilHealthy } from './cluster.ts';
import { COMPONENTS, isComponent } from './components.ts';
import { componentStates, startComponent, stopComponent } from './control.ts';
import { importArchives } from './images.ts';
import { clusterName, layoutOf, type Layout } from './layout.ts';
import { leftovers } from './leftovers.ts';
import { withLock } from './lock.ts';
import { firstProcess, insideCommand } from './namespace.ts';
import { systemEnv } from './processes.ts';
import { programFile } from './programs.ts';
import { step } from './steps.ts';

const USAGE = `usage: node test/cluster/main.ts COMMAND
  up                     start the cluster, building what is missing; a healthy one is left alone
  down                   end it and remove everything of it
  status [--json]        how it is, and where its kubeconfig, kubectl and audit log are
  kubeconfig             print the path of the kubeconfig
  import FILE.tar...     load docker-archives
  exec -- CMD...         run a command inside the cluster's network, mounts and processes
  logs NAME              the end of a component's log
  start|stop|restart NAME  one component: ${COMPONENTS.join(', ')}
  leftovers              list what is there of the cluster; exit 1 if there is anything
POOLSMITH_CLUSTER (default dev) names the cluster; clusters of different names run side by side.`;

/** Building everything on a slow machine, while another command holds the lock. */
const LOCK_LIMIT_MS = 60 * 60_000;

async function main(command: string | undefined, args: readonly string[]): Promise<number> {
  const layout = layoutOf(clusterName());
  const locked = (work: () => Promise<void>): Promise<void> => withLock(`cluster-${layout.name}`, LOCK_LIMIT_MS, work);
  switch (command) {
    case 'up':
      requireRoot();
      await locked(() => up(layout));
      return 0;
    case 'down':
      requireRoot();
      await locked(() => down(layout));
      return 0;
    case 'status':
      return status(layout, args.includes('--json'));
    case 'kubeconfig':
      console.log(layout.kubeconfig);
      return 0;
    case 'import':
      if (args.length === 0) throw new Error('import: which files?');
      await step(`importing ${args.length} image${args.length === 1 ? '' : 's'}`, () =>
        importArchives(layout, running(layout), args),
      );
      return 0;
    case 'exec':
      return execInside(layout, args[0] === '--' ? args.slice(1) : args);
    case 'logs':
      console.log(logEnd(layout, args[0] ?? ''));
      return 0;
    case 'start':
    case 'stop':
    case 'restart':
      await change(layout, command, args[0] ?? '');
      return 0;
    case 'leftovers': {
      const found = await leftovers(layout);
      for (const { kind, what } of found) console.log(`${kind}: ${what}`);
      return found.length === 0 ? 0 : 1;
    }
    default:
      console.error(USAGE);
      return command === undefined || command === 'help' ? 0 : 2;
  }
}

async function status(layout: Layout, asJson: boolean): Promise<number> {
  const isUp = await isHealthy(layout);
  const report = {
    name: layout.name,
    healthy: isUp,
    kubeconfig: layout.kubeconfig,
    kubectl: programFile('kubectl'),
    auditLog: layout.auditLog,
    stateFolder: layout.folder,
    node: layout.nodeName,
    api: layout.apiUrl,
    dns: layout.nodeAddress,
    pods: layout.podRange,
    services: layout.serviceRange,
    hostAddress: layout.hostAddress,
    components: await componentStates(layout).catch(() => undefined),
  };
  if (asJson) {
    console.log(JSON.stringify(report, undefined, 2));
  } else {
    const { components, ...facts } = report;
    for (const [name, value] of Object.entries(facts)) console.log(`${name.padEnd(12)} ${String(value)}`);
    for (const [name, state] of Object.entries(components ?? {})) {
      const detail = state.state === 'exited' ? `exited: ${state.reason}` : state.state;
      console.log(`  ${name.padEnd(24)} ${detail}`);
    }
  }
  return isUp ? 0 : 1;
}

async function change(layout: Layout, action: 'start' | 'stop' | 'restart', name: string): Promise<void> {
  if (!isComponent(name)) throw new Error(`${action}: which of ${COMPONENTS.join(', ')}?`);
  running(layout);
  if (action !== 'start') await step(`stopping ${name}`, () => stopComponent(layout, name));
  if (action === 'stop') return;
  await step(`starting ${name}`, async () => {
    await startComponent(layout, name);
    const others = await componentStates(layout);
    // With something else stopped on purpose the cluster can't become healthy, and is not waited for.
    if (COMPONENTS.every((component) => others[component].state !== 'stopped')) await waitUntilHealthy(layout);
  });
}

function execInside(layout: Layout, command: readonly string[]): Promise<number> {
  if (command.length === 0) throw new Error('exec: which command?');
  const child = spawn('nsenter', insideCommand(running(layout), command), { env: systemEnv(), stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      resolve(code ?? 128);
    });
  });
}

function running(layout: Layout): number {
  const first = firstProcess(layout);
  if (first === undefined) throw new Error(`cluster ${layout.name} is not up`);
  return first;
}

function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new Error('a cluster needs root: namespaces, mounts, cgroups and a network link');
}

const [command, ...args] = process.argv.slice(2);
try {
  process.exitCode = await main(command, args);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
