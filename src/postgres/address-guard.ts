// Which addresses the operator may connect to on a user's behalf: never its own machine, its node's services or nobody's.
import { BlockList, isIP, isIPv6 } from 'node:net';

/** Says whether a resolved address may be connected to. */
export type AddressGuard = (address: string) => boolean;

const FORBIDDEN_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
];

const forbidden = new BlockList();
for (const [network, prefix] of FORBIDDEN_IPV4) {
  forbidden.addSubnet(network, prefix, 'ipv4');
  // The same networks written as IPv4-mapped and as NAT64 addresses reach the same machines.
  forbidden.addSubnet(`::ffff:${network}`, 96 + prefix, 'ipv6');
  forbidden.addSubnet(`64:ff9b::${network}`, 96 + prefix, 'ipv6');
}
for (const [network, prefix] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8],
  // Metadata service of one large cloud.
  ['fd00:ec2::254', 128],
] as const) {
  forbidden.addSubnet(network, prefix, 'ipv6');
}

/** As `foreignAddressesOnly`, and never one of these: the API server's, which answers whoever reaches it from inside the cluster. */
export function foreignAddressesBut(addresses: readonly string[]): AddressGuard {
  const kept = new BlockList();
  for (const address of addresses) {
    if (isIP(address) === 0) continue;
    kept.addAddress(address, isIPv6(address) ? 'ipv6' : 'ipv4');
    if (isIPv6(address)) continue;
    for (const prefix of ['::ffff:', '64:ff9b::']) kept.addAddress(`${prefix}${address}`, 'ipv6');
  }
  return (address) => {
    const bare = address.split('%')[0] ?? '';
    return foreignAddressesOnly(address) && !kept.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4');
  };
}

/** Refuses loopback, link-local (cloud metadata lives there), unspecified, multicast and broadcast addresses, and anything that is no address. */
export const foreignAddressesOnly: AddressGuard = (address) => {
  const bare = address.split('%')[0] ?? '';
  return isIP(bare) !== 0 && !forbidden.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4');
};
