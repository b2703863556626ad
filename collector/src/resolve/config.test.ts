import { expect, test } from 'vitest'
import { z } from 'zod'
import { addressesConfig, dnsConfig } from './config.ts'

const plain = { weight: 1, standby: false }

test.for([
  ['a:1', [{ address: 'a:1', ...plain }]],
  [{ address: 'a:1', weight: 2 }, [{ address: 'a:1', weight: 2, standby: false }]],
  [
    ['a:1', { address: 'b:forward', standby: true }],
    [
      { address: 'a:1', ...plain },
      { address: 'b:forward', weight: 1, standby: true },
    ],
  ],
] as const)('%j is a list', ([value, entries]) => expect(addressesConfig.parse(value)).toEqual(entries))

test.for([
  [[], ''],
  ['a', 'write host:port'],
  ['a:99999', 'write host:port'],
  [['a:1', 'b:'], 'write host:port'],
  [{ address: 'a:1', weight: 0 }, 'weight'],
  [{ address: 'a:1', weight: -1 }, 'weight'],
  [{ address: 'a:1', rank: 1 }, 'rank'],
  [{ weight: 1 }, 'address'],
] as const)('%j is refused', ([value, message]) => {
  const { error } = addressesConfig.safeParse(value)
  expect(z.prettifyError(error!)).toContain(message)
})

test.for(['10.96.0.10', '127.0.0.1:5353', '[::1]:53', 'fd00::10'])('%s is a server', (server) => {
  expect(dnsConfig.parse({ servers: [server] }).servers).toEqual([server])
})

test.for(['dns.example', '10.0.0.1:0', '10.0.0.1:99999', '300.0.0.1', '[::1', ''])('%j is no server', (server) => {
  expect(dnsConfig.safeParse({ servers: [server] }).success).toBe(false)
})

test('names are not resolved more than once a second', () => {
  expect(dnsConfig.safeParse({ interval: '500ms' }).success).toBe(false)
  expect(dnsConfig.parse({}).interval).toBe(10_000)
})
