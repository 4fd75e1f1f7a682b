// The guard against being used to reach the operator's own machine and node.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { foreignAddressesBut, foreignAddressesOnly } from '../../src/postgres/address-guard.ts';

describe('address guard', () => {
  it('forbids loopback, link-local, unspecified, multicast and broadcast in every spelling', () => {
    const first = fc.constantFrom('127', '0', '224', '239', '255');
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(first, octet, octet, octet, (a, b, c, d) => {
        for (const address of [`${a}.${b}.${c}.${d}`, `169.254.${c}.${d}`]) {
          assert.equal(foreignAddressesOnly(address), false, address);
          assert.equal(foreignAddressesOnly(`::ffff:${address}`), false, address);
          assert.equal(foreignAddressesOnly(`64:ff9b::${address}`), false, address);
        }
      }),
    );
    for (const address of [
      '::',
      '::1',
      'fe80::1',
      'fe80::1%eth0',
      'febf::1',
      'ff02::1',
      'fd00:ec2::254',
      '::ffff:7f00:1',
      '0:0:0:0:0:0:0:1',
    ]) {
      assert.equal(foreignAddressesOnly(address), false, address);
    }
  });

  it('allows private and public networks, where databases are', () => {
    for (const address of [
      '10.0.0.1',
      '192.168.1.1',
      '172.16.0.9',
      '8.8.8.8',
      '100.64.0.1',
      'fd12::1',
      '2001:db8::5',
      '::ffff:10.0.0.1',
      '223.255.255.255',
    ]) {
      assert.equal(foreignAddressesOnly(address), true, address);
    }
  });

  it('forbids an address that is kept out, in every spelling, and no other', () => {
    const guard = foreignAddressesBut(['10.96.0.1', 'fd00:1::1', '']);
    for (const address of [
      '10.96.0.1',
      '::ffff:10.96.0.1',
      '64:ff9b::10.96.0.1',
      '::ffff:a60:1',
      'fd00:1::1',
      'fd00:1:0:0:0:0:0:1',
    ])
      assert.equal(guard(address), false, address);
    for (const address of ['10.96.0.2', '10.96.0.10', 'fd00:1::2', '::ffff:10.96.0.2'])
      assert.equal(guard(address), true, address);
    assert.equal(guard('127.0.0.1'), false);
  });

  it('forbids what is no address', () => {
    for (const address of ['', 'localhost', '127.1', '2130706433', '0x7f.0.0.1', '10.0.0.256', 'db.example']) {
      assert.equal(foreignAddressesOnly(address), false, address);
    }
  });
});
