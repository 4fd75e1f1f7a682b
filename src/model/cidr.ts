// A network in CIDR notation, checked strictly: what is off by a bit would fit nobody, or everybody.

export type Network = { readonly bytes: readonly number[]; readonly prefix: number };

/** The network, or what is wrong with the text, in words for the user. Bits beyond the prefix are wrong: PgBouncer would compare them, and nobody would fit. */
export function readNetwork(text: string): Network | string {
  const [address = '', length = '', ...more] = text.split('/');
  const bytes = address.includes(':') ? ipv6(address) : ipv4(address);
  const most = (bytes?.length ?? 0) * 8;
  if (bytes === undefined || more.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(length))
    return 'is no network in CIDR notation, such as 10.0.0.0/8 or fd00::/8';
  const prefix = Number(length);
  if (prefix > most) return `has a prefix of ${prefix}; 0 to ${most} is possible`;
  const beyond = bytes.some((byte, index) => (byte & ~maskOf(prefix, index) & 0xff) !== 0);
  if (!beyond) return { bytes, prefix };
  const network = bytes.map((byte, index) => byte & maskOf(prefix, index));
  return `has bits beyond its prefix; the network is ${textOf(network)}/${prefix}`;
}

function maskOf(prefix: number, index: number): number {
  const bits = Math.min(8, Math.max(0, prefix - index * 8));
  return (0xff << (8 - bits)) & 0xff;
}

function ipv4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.some((part) => !/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255))
    return undefined;
  return parts.map(Number);
}

/** RFC 4291, 2.2, without the form that ends in an IPv4 address. */
function ipv6(text: string): readonly number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<string>(missing).fill('0'), ...tail];
  if (groups.some((group) => !/^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]);
}

function textOf(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  const text = groups.map((group) => group.toString(16)).join(':');
  return text.replace(/(^|:)0(:0)+$/, '::');
}
