// Starting a cluster, looking at it and ending it.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { askApi, hasDefaultServiceAccount, isApiReady, isNodeReady } from './api.ts';
import { removeCgroups } from './cgroups.ts';
import { createCertificates } from './certificates.ts';
import { COMPONENTS, type ComponentName } from './components.ts';
import { componentStates, startComponent } from './control.ts';
import { importArchives, snapshotterFor, waitForContainerd } from './images.ts';
import { logFile, type Layout } from './layout.ts';
import { leftovers, memberProcesses, mounts } from './leftovers.ts';
import { connect, disconnect, enterNamespaces, firstProcess, linkOwner } from './namespace.ts';
import {
  auditPolicy,
  configFile,
  containerdConfig,
  corednsPermissions,
  corefile,
  kubeletConfig,
  kubeProxyConfig,
  networkConfig,
} from './node-config.ts';
import { cniFolder, ensurePackages } from './packages.ts';
import { attempt, Fatal, kill, systemEnv, until } from './processes.ts';
import { ensurePrograms, pauseArchive } from './programs.ts';
import { secondsSince, step } from './steps.ts';

const START_LIMIT_MS = 120_000;
const SECOND_LOOK_MS = 20_000;
const END_LIMIT_MS = 20_000;
const LOG_LINES = 20;

/** Makes the cluster run. What is left of an earlier one is taken down first; a healthy one is left alone. */
export async function up(layout: Layout): Promise<void> {
  const startedMs = performance.now();
  if (await isHealthyBySecondLook(layout)) {
    console.log(`cluster ${layout.name} is up already`);
    return;
  }
  await ensurePackages();
  await ensurePrograms();
  if ((await leftovers(layout)).length > 0) {
    console.log(`cluster ${layout.name} is there, but not healthy: taking it down first`);
    await down(layout);
  }
  const owner = await linkOwner(layout);
  if (owner !== undefined) {
    throw new Error(
      `${owner} has the address range ${layout.clusterRange}: take it down, or choose another cluster name`,
    );
  }
  await step('certificates and configuration', () => configure(layout));
  const first = await step('namespaces', async () => {
    const pid = await enterNamespaces(layout);
    await waitFor(layout, 'the supervisor', async () => (await componentStates(layout), true), 10_000);
    await connect(layout, pid);
    return pid;
  });
  await step('control plane', async () => {
    await start(layout, 'etcd', 'kube-apiserver', 'containerd');
    const images = waitForContainerd(first).then(() => importArchives(layout, first, [pauseArchive()]));
    await Promise.all([images, waitFor(layout, 'the API server', () => isApiReady(layout))]);
    for (const object of corednsPermissions()) await create(layout, object);
  });
  await step('node, network and DNS', async () => {
    await start(layout, 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'coredns', 'kubelet');
    await waitFor(layout, 'the node', () => isNodeReady(layout));
    await waitFor(layout, 'the default service account', () => hasDefaultServiceAccount(layout));
    await waitFor(layout, 'the DNS', () => answersDns(layout));
    await waitFor(layout, 'the service network', () => answersTcp(layout.apiServiceAddress, 443));
  });
  console.log(`cluster ${layout.name} is up after ${secondsSince(startedMs)}: KUBECONFIG=${layout.kubeconfig}`);
}

/** Ends the cluster, whatever state it is in, and removes everything of it. */
export async function down(layout: Layout): Promise<void> {
  const startedMs = performance.now();
  if ((await leftovers(layout)).length === 0) {
    console.log(`cluster ${layout.name} is down already`);
    return;
  }
  await step('ending all processes', async () => {
    const end = (): true | undefined => {
      const members = memberProcesses(layout);
      for (const { pid } of members) kill(pid, 'SIGKILL');
      return members.length === 0 ? true : undefined;
    };
    await until(`the processes of cluster ${layout.name} to end`, end, END_LIMIT_MS);
  });
  await step('removing links, cgroups and files', async () => {
    await disconnect(layout);
    for (const folder of mounts(layout)) await attempt('umount', ['--lazy', folder], { env: systemEnv() });
    await removeCgroups(layout, END_LIMIT_MS);
    rmSync(layout.folder, { recursive: true, force: true, maxRetries: 5 });
  });
  console.log(`cluster ${layout.name} is down after ${secondsSince(startedMs)}`);
}

/** Whether every component runs, the API server and the node are ready, and DNS answers. */
export async function isHealthy(layout: Layout): Promise<boolean> {
  if (!(await areComponentsRunning(layout))) return false;
  try {
    return (await isApiReady(layout)) && (await isNodeReady(layout)) && (await answersDns(layout));
  } catch {
    return false;
  }
}

/** A busy machine may answer late: a cluster whose components all run gets some time before it is called unhealthy. */
async function isHealthyBySecondLook(layout: Layout): Promise<boolean> {
  const look = async (): Promise<boolean | undefined> => {
    if (await isHealthy(layout)) return true;
    return (await areComponentsRunning(layout)) ? undefined : false;
  };
  return until('the cluster', look, SECOND_LOOK_MS, 500).catch(() => false);
}

async function areComponentsRunning(layout: Layout): Promise<boolean> {
  if (firstProcess(layout) === undefined) return false;
  const states = await componentStates(layout).catch(() => undefined);
  return states !== undefined && COMPONENTS.every((name) => states[name].state === 'running');
}

/** Waits for the whole cluster to work (again). */
export async function waitUntilHealthy(layout: Layout): Promise<void> {
  await waitFor(layout, 'the cluster', () => isHealthy(layout));
}

async function configure(layout: Layout): Promise<void> {
  for (const folder of ['', 'config/cni', 'logs', 'pod-logs']) {
    mkdirSync(join(layout.folder, folder), { recursive: true, mode: 0o700 });
  }
  await createCertificates(layout);
  const files = {
    'audit-policy.json': auditPolicy(),
    'cni/pods.conflist': networkConfig(layout),
    'containerd.toml': containerdConfig(layout, cniFolder(), await snapshotterFor(layout.folder)),
    Corefile: corefile(layout),
    'kube-proxy.json': kubeProxyConfig(layout),
    'kubelet.json': kubeletConfig(layout),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(configFile(layout, name), text);
}

async function start(layout: Layout, ...names: readonly ComponentName[]): Promise<void> {
  for (const name of names) await startComponent(layout, name);
}

async function create(layout: Layout, object: object): Promise<void> {
  const { kind } = object as { kind: string };
  const path = `/apis/rbac.authorization.k8s.io/v1/${kind.toLowerCase()}s`;
  const { status, text } = await askApi(layout, path, object);
  if (status !== 201 && status !== 409) throw new Error(`while creating ${kind}: status ${status}: ${text}`);
}

/** Waits for a condition; a component that ended meanwhile ends the waiting, with the end of its log. */
async function waitFor(
  layout: Layout,
  what: string,
  probe: () => Promise<boolean>,
  timeoutMs = START_LIMIT_MS,
): Promise<void> {
  const look = async (): Promise<true | undefined> => {
    const states = await componentStates(layout).catch(() => undefined);
    const [name, state] = Object.entries(states ?? {}).find(([, { state }]) => state === 'exited') ?? [];
    if (name !== undefined && state?.state === 'exited')
      throw new Fatal(`${name} ended: ${state.reason}\n${logEnd(layout, name)}`);
    return (await probe()) ? true : undefined;
  };
  await until(what, look, timeoutMs).catch((error: unknown) => {
    if (error instanceof Fatal || !(error instanceof Error)) throw error;
    throw new Error(
      `${error.message}\n${suspects(what)
        .map((name) => logEnd(layout, name))
        .join('\n')}`,
      { cause: error },
    );
  });
}

/** Whose log tells most about a condition that does not come true. */
function suspects(what: string): readonly string[] {
  const byCondition: Readonly<Record<string, readonly string[]>> = {
    'the supervisor': ['supervisor'],
    'the API server': ['etcd', 'kube-apiserver'],
    'the node': ['containerd', 'kubelet'],
    'the default service account': ['kube-controller-manager'],
    'the DNS': ['coredns'],
    'the service network': ['kube-proxy'],
  };
  return byCondition[what] ?? COMPONENTS;
}

export function logEnd(layout: Layout, component: string): string {
  const file = logFile(layout, component);
  let lines: readonly string[] = ['(no log)'];
  try {
    lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_LINES);
  } catch {
    // It never started.
  }
  return [`--- ${component}: last lines of ${file}`, ...lines].join('\n');
}

async function answersDns(layout: Layout): Promise<boolean> {
  const resolver = new Resolver({ timeout: 1000, tries: 1 });
  resolver.setServers([layout.nodeAddress]);
  return (await resolver.resolve4('kubernetes.default.svc.cluster.local')).includes(layout.apiServiceAddress);
}

function answersTcp(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, timeout: 1000 });
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('connect', end(true)).on('error', end(false)).on('timeout', end(false));
  });
}
