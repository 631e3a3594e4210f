import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { addressIsPrivate, hostIsPrivate } from '../../service/policy/addresses.ts'

describe('private addresses', () => {
  for (const address of [
    ...['127.0.0.1', '127.9.9.9', '0.0.0.0', '10.1.2.3', '172.16.0.1', '192.168.0.1', '169.254.169.254'],
    ...['100.64.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', 'fe80::1', 'fc00::1', 'fd12::1', 'ff02::1'],
    ...['::ffff:127.0.0.1', '::ffff:a00:1', '64:ff9b::7f00:1', '2002:7f00:1::', '::7f00:1', 'fe80::1%eth0'],
  ]) {
    test(`${address} is`, () => assert.ok(addressIsPrivate(address)))
  }

  for (const address of [
    ...['203.0.113.7', '198.51.100.7', '192.0.2.7', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '2001:db8::1'],
    ...['::ffff:1.1.1.1', '64:ff9b::101:101'],
  ]) {
    test(`${address} is not`, () => assert.ok(!addressIsPrivate(address)))
  }

  test('an address of version 4 is judged the same inside one of version 6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        assert.equal(addressIsPrivate(`::ffff:${address}`), addressIsPrivate(address))
      }),
    )
  })

  test('names', () => {
    for (const name of ['localhost', 'a.localhost', 'localhost.', '[::1]']) assert.ok(hostIsPrivate(name), name)
    for (const name of ['example.org', 'localhost.example.org', '10.example.org']) assert.ok(!hostIsPrivate(name), name)
  })
})
