// The node's programs that come from Debian: installed when missing, without starting the services they bring.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { attempt, hasProgram, run, systemEnv } from './processes.ts';
import { step } from './steps.ts';

const PACKAGE_OF_PROGRAM: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  iptables: 'iptables',
  conntrack: 'conntrack',
  ip: 'iproute2',
  mount: 'mount',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  openssl: 'openssl',
};
const CNI_FOLDERS: readonly string[] = ['/usr/lib/cni', '/opt/cni/bin'];
const POLICY_FILE = '/usr/sbin/policy-rc.d';

/** Where the network plug-ins are: Debian's folder, or the usual one elsewhere. */
export function cniFolder(): string {
  const found = CNI_FOLDERS.find((folder) => existsSync(`${folder}/ptp`));
  if (found === undefined) throw new Error(`no network plug-ins in ${CNI_FOLDERS.join(' or ')}`);
  return found;
}

/** Installs what is missing with apt-get, quietly; throws with the list where there is no apt-get. */
export async function ensurePackages(): Promise<void> {
  const missing = new Set<string>();
  for (const [program, name] of Object.entries(PACKAGE_OF_PROGRAM)) {
    if (!(await hasProgram(program))) missing.add(name);
  }
  if (!CNI_FOLDERS.some((folder) => existsSync(`${folder}/ptp`))) missing.add('containernetworking-plugins');
  if (missing.size === 0) return;
  const names = [...missing].sort();
  if (!(await hasProgram('apt-get'))) throw new Error(`please install: ${names.join(', ')}`);
  await step(`installing ${names.join(', ')}`, () => install(names));
}

async function install(names: readonly string[]): Promise<void> {
  const env = { ...systemEnv(), DEBIAN_FRONTEND: 'noninteractive' };
  // Exit 101 forbids every start of a service while packages are installed (invoke-rc.d's policy layer).
  const hadPolicy = existsSync(POLICY_FILE);
  if (!hadPolicy) writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const command = ['install', '-y', '-qq', '--no-install-recommends', ...names];
    if ((await attempt('apt-get', command, { env })).code === 0) return;
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', command, { env });
  } finally {
    if (!hadPolicy) rmSync(POLICY_FILE, { force: true });
  }
}
