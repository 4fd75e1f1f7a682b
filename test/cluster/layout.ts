// Where everything of one cluster lives: its addresses, names and paths follow from its name alone.
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Everything about a cluster that is known before it runs. */
export type Layout = Readonly<{
  name: string;
  /** Tells the address ranges of clusters on one machine apart. */
  index: number;
  /** The state folder: all of it goes with the cluster. */
  folder: string;
  /** One tree in every cgroup hierarchy, for the components and the pods. */
  cgroup: string;
  nodeName: string;
  /** The machine's end of the veth pair. */
  hostLink: string;
  /** The machine's address as pods see it: a PostgreSQL of a test can listen there. */
  hostAddress: string;
  uplinkAddress: string;
  /** The node, the API server and the cluster's DNS. */
  nodeAddress: string;
  clusterRange: string;
  podRange: string;
  serviceRange: string;
  /** The address of Service default/kubernetes. */
  apiServiceAddress: string;
  /** The first two numbers of all addresses, by which traces of the cluster are found. */
  addressPrefixes: readonly string[];
  apiUrl: string;
  kubeconfig: string;
  auditLog: string;
  /** The supervisor's unix socket. */
  control: string;
}>;

export const CLUSTER_DOMAIN = 'cluster.local';
export const API_PORT = 6443;
export const LINK_PREFIX_BITS = 30;

const KNOWN_INDEXES: Readonly<Record<string, number>> = { dev: 0, ci: 1, selftest: 2, demo: 3, bench: 4 };
const LAST_INDEX = 9;
/** These folders are private to a cluster's processes, so its state can't live in them. */
export const PRIVATE_FOLDERS: readonly string[] = ['/run', '/var/run', '/var/lib', '/var/log'];
/** A unix socket's path must fit in sockaddr_un. */
const SOCKET_PATH_BYTES = 107;

export function clusterName(env: NodeJS.ProcessEnv = process.env): string {
  return env['POOLSMITH_CLUSTER'] ?? 'dev';
}

/** Caches survive every cluster; XDG base directory specification. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(xdgFolder(env['XDG_CACHE_HOME'], '.cache'), 'poolsmith');
}

/** The place of the cluster called `name`; throws when the name or the state folder can't work. */
export function layoutOf(name: string, env: NodeJS.ProcessEnv = process.env): Layout {
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(name)) {
    throw new Error(`cluster name ${JSON.stringify(name)}: want lower-case letters, digits and dashes, at most 31`);
  }
  const folder = join(xdgFolder(env['XDG_STATE_HOME'], '.local/state'), 'poolsmith', `cluster-${name}`);
  if (PRIVATE_FOLDERS.some((hidden) => folder === hidden || folder.startsWith(`${hidden}/`))) {
    throw new Error(`state folder ${folder}: a cluster has its own ${PRIVATE_FOLDERS.join(', ')}; set XDG_STATE_HOME`);
  }
  const control = join(folder, 'control.sock');
  if (Buffer.byteLength(control) > SOCKET_PATH_BYTES) {
    throw new Error(`state folder ${folder}: too long for a unix socket in it; set XDG_STATE_HOME`);
  }
  const index = indexOf(name);
  const pods = `10.${244 + index}`;
  const services = `10.${96 + index}`;
  return {
    name,
    index,
    folder,
    cgroup: `poolsmith-${name}`,
    nodeName: `poolsmith-${name}`,
    hostLink: `poolsmith${index}`,
    hostAddress: `${pods}.255.1`,
    uplinkAddress: `${pods}.255.2`,
    nodeAddress: `${pods}.0.1`,
    clusterRange: `${pods}.0.0/16`,
    podRange: `${pods}.0.0/20`,
    serviceRange: `${services}.0.0/16`,
    apiServiceAddress: `${services}.0.1`,
    addressPrefixes: [`${pods}.`, `${services}.`],
    apiUrl: `https://${pods}.0.1:${API_PORT}`,
    kubeconfig: join(folder, 'kubeconfig'),
    auditLog: join(folder, 'logs', 'audit.log'),
    control,
  };
}

export function logFile(layout: Layout, component: string): string {
  return join(layout.folder, 'logs', `${component}.log`);
}

/** Fixed for the names the project uses; any other name gets one by its hash, and `up` says so when two names collide. */
function indexOf(name: string): number {
  const known = KNOWN_INDEXES[name];
  if (known !== undefined) return known;
  const first = Object.keys(KNOWN_INDEXES).length;
  return first + (createHash('sha256').update(name).digest().readUInt32BE(0) % (LAST_INDEX - first + 1));
}

function xdgFolder(value: string | undefined, otherwise: string): string {
  return value !== undefined && isAbsolute(value) ? value : join(homedir(), otherwise);
}
