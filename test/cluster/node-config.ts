// The configuration files of the components, rendered from the cluster's layout.
import { join } from 'node:path';
import { certificateFile, kubeconfigFile } from './certificates.ts';
import { CLUSTER_DOMAIN, type Layout } from './layout.ts';
import { PAUSE_IMAGE } from './programs.ts';

/** On a file system private to the cluster, so that two clusters never meet there. */
export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';

export function configFile(layout: Layout, name: string): string {
  return join(layout.folder, 'config', name);
}

/** What decides how containerd keeps images; `native` copies, for file systems that can't be overlaid. */
export type Snapshotter = 'overlayfs' | 'native';

export function containerdConfig(layout: Layout, cniFolder: string, snapshotter: Snapshotter): string {
  return `version = 2
root = "${layout.folder}/containerd"
state = "/run/containerd"
# opt makes a folder outside the state folder.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "${CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  # Lowering oom_score_adj needs CAP_SYS_RESOURCE, which a virtual machine or a container may lack.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniFolder}"
    conf_dir = "${layout.folder}/config/cni"
`;
}

/** ptp routes every packet between pods, so that Services work without the br_netfilter module. */
export function networkConfig(layout: Layout): string {
  return json({
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: '/run/cni-addresses',
          ranges: [[{ subnet: layout.podRange, gateway: layout.nodeAddress }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
}

/** Everything about timing stays as Kubernetes has it: measurements depend on it. */
export function kubeletConfig(layout: Layout): string {
  return json({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: layout.nodeAddress,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: certificateFile(layout, 'ca') },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${layout.cgroup}`,
    clusterDNS: [layout.nodeAddress],
    clusterDomain: CLUSTER_DOMAIN,
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    enforceNodeAllocatable: [],
    // The disk of a test machine may look full; nothing is ever evicted or collected.
    evictionHard: Object.fromEntries(
      ['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree'].map(
        (signal) => [signal, '0%'],
      ),
    ),
    imageGCHighThresholdPercent: 100,
    failCgroupV1: false,
    failSwapOn: false,
    maxPods: 200,
    podLogsDir: join(layout.folder, 'pod-logs'),
    resolvConf: '',
  });
}

export function kubeProxyConfig(layout: Layout): string {
  return json({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    bindAddress: layout.nodeAddress,
    clientConnection: { kubeconfig: kubeconfigFile(layout, 'kube-proxy') },
    clusterCIDR: layout.clusterRange,
    // These limits belong to the machine, not to a network namespace: 0 leaves them alone.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    healthzBindAddress: '127.0.0.1:10256',
    hostnameOverride: layout.nodeName,
    metricsBindAddress: '127.0.0.1:10249',
    mode: 'iptables',
  });
}

/** Only cluster names are answered: nothing is ever forwarded off the machine. */
export function corefile(layout: Layout): string {
  return `.:53 {
  bind ${layout.nodeAddress}
  errors
  ready 127.0.0.1:8181
  kubernetes ${CLUSTER_DOMAIN} {
    kubeconfig ${kubeconfigFile(layout, 'coredns')}
    pods insecure
  }
}
`;
}

export function auditPolicy(): string {
  return json({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'Metadata' }] });
}

/** CoreDNS reads Services and EndpointSlices under a name of its own. */
export function corednsPermissions(): readonly object[] {
  const name = 'system:coredns';
  const api = 'rbac.authorization.k8s.io';
  const verbs = ['list', 'watch'];
  return [
    {
      apiVersion: `${api}/v1`,
      kind: 'ClusterRole',
      metadata: { name },
      rules: [
        { apiGroups: [''], resources: ['services', 'namespaces', 'pods', 'endpoints'], verbs },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs },
      ],
    },
    {
      apiVersion: `${api}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: api, kind: 'ClusterRole', name },
      subjects: [{ apiGroup: api, kind: 'User', name }],
    },
  ];
}

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
