// Networks in CIDR notation, held against what the operating system's own reader makes of the address.
import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { readNetwork } from '../../src/model/cidr.ts';

describe('a network in CIDR notation', () => {
  for (const text of [
    '10.0.0.0/8',
    '0.0.0.0/0',
    '192.0.2.7/32',
    '::/0',
    'fd00::/8',
    '2001:db8:1::/48',
    '2001:db8::1/128',
  ])
    it(`takes ${text}`, () => {
      assert.equal(typeof readNetwork(text), 'object');
    });

  const refused: readonly (readonly [string, RegExp])[] = [
    ['10.0.0.0', /is no network/],
    ['10.0.0.0/8/8', /is no network/],
    ['10.0.0/8', /is no network/],
    ['010.0.0.0/8', /is no network/],
    ['256.0.0.0/8', /is no network/],
    ['10.0.0.0/08', /is no network/],
    ['10.0.0.0/', /is no network/],
    ['10.0.0.0/33', /prefix of 33; 0 to 32/],
    ['fd00::/129', /prefix of 129; 0 to 128/],
    ['fd00::1::/64', /is no network/],
    ['fd00/8', /is no network/],
    [':::/8', /is no network/],
    ['10.1.2.3/8', /the network is 10\.0\.0\.0\/8/],
    ['fd00:1:2::/16', /the network is fd00::\/16/],
    ['all', /is no network/],
    ['', /is no network/],
  ];
  for (const [text, words] of refused)
    it(`refuses ${JSON.stringify(text)}`, () => {
      const problem = readNetwork(text);
      assert.ok(typeof problem === 'string');
      assert.match(problem, words);
    });

  it('takes only addresses that the system reads too, and the same network (property)', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f:.]{1,20}$/));
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 130 }), (text, prefix) => {
        const read = readNetwork(`${text}/${prefix}`);
        const family = isIP(text);
        if (typeof read === 'string') {
          // IPv6 that ends in an IPv4 address is the only form that is left out.
          const possible = family !== 0 && prefix <= (family === 4 ? 32 : 128) && !(family === 6 && text.includes('.'));
          assert.ok(!possible || read.startsWith('has bits beyond'), `${text}/${prefix}: ${read}`);
          return;
        }
        const list = new BlockList();
        list.addSubnet(text, prefix, family === 4 ? 'ipv4' : 'ipv6');
        const inside = family === 4 ? read.bytes.join('.') : text;
        assert.ok(list.check(inside, family === 4 ? 'ipv4' : 'ipv6'));
      }),
      { numRuns: 2_000 },
    );
  });
});
