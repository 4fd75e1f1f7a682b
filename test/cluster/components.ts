// The components of the cluster: one table with each one's command line.
import { join } from 'node:path';
import { certificateFile, keyFile, kubeconfigFile, publicKeyFile } from './certificates.ts';
import { API_PORT, type Layout } from './layout.ts';
import { configFile } from './node-config.ts';
import { programFile } from './programs.ts';

export const COMPONENTS = [
  'containerd',
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'coredns',
  'kubelet',
] as const;

export type ComponentName = (typeof COMPONENTS)[number];

/** A program and its arguments. */
export type Command = Readonly<{ program: string; args: readonly string[] }>;

export function isComponent(name: string): name is ComponentName {
  return (COMPONENTS as readonly string[]).includes(name);
}

const ETCD_URL = 'http://127.0.0.1:2379';
const ETCD_PEER_URL = 'http://127.0.0.1:2380';

export function commands(layout: Layout): Readonly<Record<ComponentName, Command>> {
  const controller = (name: 'kube-controller-manager' | 'kube-scheduler'): Record<string, string> => ({
    'bind-address': '127.0.0.1',
    kubeconfig: kubeconfigFile(layout, name),
    'leader-elect': 'false',
  });
  return {
    containerd: { program: 'containerd', args: ['--config', configFile(layout, 'containerd.toml')] },
    etcd: command('etcd', {
      name: layout.name,
      'data-dir': join(layout.folder, 'etcd'),
      'listen-client-urls': ETCD_URL,
      'advertise-client-urls': ETCD_URL,
      'listen-peer-urls': ETCD_PEER_URL,
      'initial-advertise-peer-urls': ETCD_PEER_URL,
      'initial-cluster': `${layout.name}=${ETCD_PEER_URL}`,
      // The state never outlives the cluster.
      'unsafe-no-fsync': 'true',
    }),
    'kube-apiserver': command('kube-apiserver', {
      'advertise-address': layout.nodeAddress,
      'bind-address': layout.nodeAddress,
      'secure-port': String(API_PORT),
      'allow-privileged': 'true',
      'audit-log-path': layout.auditLog,
      'audit-policy-file': configFile(layout, 'audit-policy.json'),
      'authorization-mode': 'Node,RBAC',
      'client-ca-file': certificateFile(layout, 'ca'),
      // The second one catches a missing permission on …/finalizers, which many real clusters demand.
      'enable-admission-plugins': 'NodeRestriction,OwnerReferencesPermissionEnforcement',
      'etcd-servers': ETCD_URL,
      'kubelet-client-certificate': certificateFile(layout, 'kubelet-client'),
      'kubelet-client-key': keyFile(layout, 'kubelet-client'),
      // By host name `kubectl logs` would ask a DNS that doesn't know the node.
      'kubelet-preferred-address-types': 'InternalIP',
      'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
      'service-account-key-file': publicKeyFile(layout),
      'service-account-signing-key-file': keyFile(layout, 'service-accounts'),
      'service-cluster-ip-range': layout.serviceRange,
      'tls-cert-file': certificateFile(layout, 'kube-apiserver'),
      'tls-private-key-file': keyFile(layout, 'kube-apiserver'),
    }),
    'kube-controller-manager': command('kube-controller-manager', {
      ...controller('kube-controller-manager'),
      'root-ca-file': certificateFile(layout, 'ca'),
      'service-account-private-key-file': keyFile(layout, 'service-accounts'),
      'use-service-account-credentials': 'true',
    }),
    'kube-scheduler': command('kube-scheduler', controller('kube-scheduler')),
    'kube-proxy': command('kube-proxy', { config: configFile(layout, 'kube-proxy.json') }),
    coredns: { program: programFile('coredns'), args: ['-conf', configFile(layout, 'Corefile')] },
    kubelet: command('kubelet', {
      'cert-dir': join(layout.folder, 'kubelet', 'certificates'),
      config: configFile(layout, 'kubelet.json'),
      'hostname-override': layout.nodeName,
      kubeconfig: kubeconfigFile(layout, 'kubelet'),
      'node-ip': layout.nodeAddress,
      'root-dir': join(layout.folder, 'kubelet'),
    }),
  };
}

function command(name: Exclude<ComponentName, 'containerd'>, flags: Readonly<Record<string, string>>): Command {
  return { program: programFile(name), args: Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`) };
}
