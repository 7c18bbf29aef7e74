import { BlockList, isIP, isIPv4 } from 'node:net';

/**
 * What an IP address is for:
 * - `public`: reachable from anywhere.
 * - `own`: this machine, or a private network (RFC 1918, RFC 4193).
 * - `special`: no server that a caller may want: link-local addresses and others at which a cloud gives its machines their
 *   credentials, documentation, benchmarks, multicast, transition mechanisms that could hide another address.
 */
export type AddressKind = 'public' | 'own' | 'special';

const blockList = (...subnets: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', prefix] = subnet.split('/');
    list.addSubnet(network, Number(prefix), isIPv4(network) ? 'ipv4' : 'ipv6');
  }
  return list;
};

/** Loopback (RFC 1122) and private use (RFC 1918, RFC 4193). */
const OWN_V4 = blockList('127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16');
const OWN_V6 = blockList('::1/128', 'fc00::/7');

/**
 * The rest of the IANA IPv4 Special-Purpose Address Registry (https://www.iana.org/assignments/iana-ipv4-special-registry, RFC 6890) that
 * is not globally reachable, multicast (RFC 5771), and Azure's 168.63.129.16
 * (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16). Oracle's 192.0.0.192 and Alibaba's 100.100.100.200 are among them.
 */
const SPECIAL_V4 = blockList(
  '0.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24',
  '224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32',
);

/** Global unicast (RFC 4291, 2.4): nothing outside it is reachable from anywhere. */
const GLOBAL_V6 = blockList('2000::/3');
/**
 * What of these two ranges is special all the same: protocol assignments, Teredo among them (2001::/23), documentation
 * (2001:db8::/32, 3fff::/20), 6to4 (2002::/16, RFC 7526); and unique local addresses at which AWS, Google, Oracle and Scaleway have credentials.
 */
const SPECIAL_V6 = blockList(
  '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20',
  'fd00:ec2::/32', 'fd20:ce::254/128', 'fd00:c1::a9fe:a9fe/128', 'fd00:42::42/128',
);

/** These hold an IPv4 address in their last 32 bits, which they lead to: IPv4-mapped (RFC 4291, 2.5.5.2) and NAT64 (RFC 6052, 2.1). */
const EMBEDDING = blockList('::ffff:0:0/96', '64:ff9b::/96');

/**
 * Which kind `address` is, in any form that node:net takes; a zone (`%eth0`) does not count. What is no address is `special`.
 */
export function addressKind(address: string): AddressKind {
  const [bare = ''] = address.split('%');
  const version = isIP(bare);
  if (version === 4) return OWN_V4.check(bare, 'ipv4') ? 'own' : SPECIAL_V4.check(bare, 'ipv4') ? 'special' : 'public';
  if (version !== 6) return 'special';
  if (EMBEDDING.check(bare, 'ipv6')) return addressKind(lastFourBytes(bare));
  if (SPECIAL_V6.check(bare, 'ipv6')) return 'special';
  if (OWN_V6.check(bare, 'ipv6')) return 'own';
  return GLOBAL_V6.check(bare, 'ipv6') ? 'public' : 'special';
}

/** The end of an IPv6 address as an IPv4 one. URL writes every form of an address in groups of hexadecimal digits; an empty group is zero. */
function lastFourBytes(address: string): string {
  const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1).split(':');
  const [high, low] = groups.slice(-2).map((group) => Number.parseInt(group || '0', 16)) as [number, number];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
