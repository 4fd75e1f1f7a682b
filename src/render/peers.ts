// Writes the [peers] section: where a cancel request goes whose key names another pod.
import { POOLER_PORT } from '../model/names.ts';
import type { PeerRow, Peering } from '../model/pooler-model.ts';
import { RenderError } from './render-error.ts';

/** PgBouncer's own default is default_pool_size, of which ours is 1: one cancel request at a time. */
export const CANCELS_AT_ONCE = 100;
const LARGEST_ID = 65_535;

/** What SHOW PEERS shows once the section is loaded, in its order. @throws RenderError for a number or an address that is none. */
export function peerRows(peering: Peering | undefined): readonly PeerRow[] {
  return Object.entries(peering?.peers ?? {})
    .map(([id, host]) => ({
      id: peerId(Number(id)),
      host: address(id, host),
      port: POOLER_PORT,
      poolSize: CANCELS_AT_ONCE,
    }))
    .sort((a, b) => a.id - b.id);
}

export function peerLine({ id, host, port, poolSize }: PeerRow): string {
  return `${id} = host=${host} port=${port} pool_size=${poolSize}`;
}

export function peerId(id: number): number {
  if (Number.isInteger(id) && id >= 1 && id <= LARGEST_ID) return id;
  throw new RenderError('peer_id', `it is ${id}; it must be an integer from 1 to ${LARGEST_ID}`);
}

/** The address of a pod, as the kubelet tells it: IPv4 or IPv6. */
function address(id: string, host: string): string {
  if (/^[0-9A-Fa-f.:]+$/.test(host)) return host;
  throw new RenderError(`peers[${id}]`, 'it must be an IP address');
}
