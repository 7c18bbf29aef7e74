import fc from 'fast-check';
import { addressKind } from '@commons/backend/lib/http-client/special-address.js';

const byte = fc.integer({ min: 0, max: 255 });
const bytes = fc.tuple(byte, byte, byte, byte);
const group = (high: number, low: number) => ((high << 8) | low).toString(16);
const hex = ([a, b, c, d]: readonly number[]) => `${group(a!, b!)}:${group(c!, d!)}`;

/** The first and the last address of each range, and those beside it. */
const RANGES: readonly (readonly [string, 'own' | 'special', readonly string[], readonly string[]])[] = [
  ['this network', 'special', ['0.0.0.0', '0.255.255.255'], ['1.0.0.0']],
  ['private', 'own', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0']],
  ['shared address space', 'special', ['100.64.0.0', '100.100.100.200', '100.127.255.255'], ['100.63.255.255', '100.128.0.0']],
  ['loopback', 'own', ['127.0.0.0', '127.255.255.255'], ['126.255.255.255', '128.0.0.0']],
  ['link-local', 'special', ['169.254.0.0', '169.254.169.254', '169.254.170.2', '169.254.255.255'], ['169.253.255.255', '169.255.0.0']],
  ["Azure's own", 'special', ['168.63.129.16'], ['168.63.129.15', '168.63.129.17']],
  ['private', 'own', ['172.16.0.0', '172.31.255.255'], ['172.15.255.255', '172.32.0.0']],
  ['protocol assignments', 'special', ['192.0.0.0', '192.0.0.192', '192.0.0.255'], ['191.255.255.255', '192.0.1.0']],
  ['documentation', 'special', ['192.0.2.0', '192.0.2.255', '198.51.100.0', '198.51.100.255', '203.0.113.0', '203.0.113.255'], ['192.0.1.255', '192.0.3.0', '198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0']],
  ['6to4 relays', 'special', ['192.88.99.0', '192.88.99.255'], ['192.88.98.255', '192.88.100.0']],
  ['private', 'own', ['192.168.0.0', '192.168.255.255'], ['192.167.255.255', '192.169.0.0']],
  ['benchmarks', 'special', ['198.18.0.0', '198.19.255.255'], ['198.17.255.255', '198.20.0.0']],
  ['multicast', 'special', ['224.0.0.0', '239.255.255.255'], ['223.255.255.255']],
  ['reserved', 'special', ['240.0.0.0', '255.255.255.254', '255.255.255.255'], []],
  ['loopback', 'own', ['::1', '0:0:0:0:0:0:0:1'], []],
  ['unspecified', 'special', ['::'], []],
  ['IPv4-compatible', 'special', ['::a9fe:a9fe', '::169.254.169.254', '::8.8.8.8', '::2'], []],
  ['IPv4-translated', 'special', ['::ffff:0:a9fe:a9fe', '::ffff:0:8.8.8.8'], []],
  ['NAT64 of a network', 'special', ['64:ff9b:1::', '64:ff9b:1::a9fe:a9fe', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'], []],
  ['discard-only and dummy', 'special', ['100::1', '100:0:0:1::1'], []],
  ['protocol assignments, Teredo', 'special', ['2001::', '2001:0:a9fe:a9fe::1', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'], ['2001:200::', '2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff']],
  ['documentation', 'special', ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff'], ['2001:db7:ffff::', '2001:db9::', '3ffe:ffff::', '3fff:1000::']],
  ['6to4', 'special', ['2002::', '2002:a9fe:a9fe::1', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], ['2003::', '2001:ffff::']],
  ['segment routing', 'special', ['5f00::1'], []],
  ['unique local', 'own', ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fd00:ec1::1', 'fd00:ec3::1'], []],
  ["a cloud's credentials", 'special', ['fd00:ec2::254', 'fd00:ec2::23', 'FD00:0EC2:0::0254', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:42::42'], []],
  ['link-local', 'special', ['fe80::', 'fe80::a9fe:a9fe', 'fe80::1%eth0', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], []],
  ['site-local', 'special', ['fec0::1'], []],
  ['multicast', 'special', ['ff00::1', 'ff02::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], []],
];

it.each(RANGES)('%s is %s: %j, and not what is beside it: %j', (_, kind, inside, beside) => {
  for (const address of inside) expect([address, addressKind(address)]).toEqual([address, kind]);
  for (const address of beside) expect([address, addressKind(address)]).toEqual([address, 'public']);
});

it.each(['8.8.8.8', '1.1.1.1', '100.63.0.1', '2606:4700:4700::1111', '2a00:1450:4001::1', '64:ff9b::8.8.8.8', '::ffff:8.8.8.8', '::ffff:808:808'])('%s is public', (address) => {
  expect(addressKind(address)).toBe('public');
});

it.each(['', 'localhost', '169.254.169', '0xa9fea9fe', '169.254.169.254.', '1.2.3.4/8', '::g', '[::1]', '%eth0', ' 8.8.8.8'])('what is no address is special: %j', (text) => {
  expect(addressKind(text)).toBe('special');
});

it('an IPv4 address is of the same kind in whatever form IPv6 holds it, or special', () => {
  fc.assert(fc.property(fc.oneof(bytes, bytes.map(([, , c, d]) => [169, 254, c, d]), bytes.map(([, b, c, d]) => [10, b, c, d])), (four) => {
    const dotted = four.join('.');
    const kind = addressKind(dotted);
    for (const form of [`::ffff:${dotted}`, `::ffff:${hex(four)}`, `0:0:0:0:0:FFFF:${hex(four)}`, `64:ff9b::${dotted}`, `64:ff9b::${hex(four)}`, `0064:ff9b:0:0:0:0:${hex(four)}%1`]) expect([form, addressKind(form)]).toEqual([form, kind]);
    for (const form of [`::ffff:0:${dotted}`, `64:ff9b:1::${dotted}`, `2002:${hex(four)}::1`, `2001:0:${hex(four)}::1`]) expect([form, addressKind(form)]).toEqual([form, 'special']);
  }), { numRuns: 2_000 });
});
