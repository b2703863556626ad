import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { connectedRoute, routeOf } from './route.ts'

const sources = Array.from({ length: 2000 }, (_, i) => createHash('md5').update(String(i)).digest())
const addresses = ['a:1', 'b:1', 'c:1', 'd:1']

test('sources spread evenly and only those of a removed address move', () => {
  const before = sources.map((source) => addresses[routeOf(source, addresses)])
  for (const address of addresses) expect(before.filter((one) => one === address).length).toBeGreaterThan(400)
  const fewer = addresses.filter((address) => address !== 'b:1')
  const after = sources.map((source) => fewer[routeOf(source, fewer)])
  for (const [i, address] of before.entries()) if (address !== 'b:1') expect(after[i]).toBe(address)
})

test.for([
  { connected: 'yyy', preferred: 1, route: 1 },
  { connected: 'yny', preferred: 1, route: 2 },
  { connected: 'ynn', preferred: 1, route: 0 },
  { connected: 'nnn', preferred: 1, route: 1 },
  { connected: 'yyy', preferred: 7, route: 1 },
])('of $connected, $preferred preferred, $route takes what could go to any', ({ connected, preferred, route }) => {
  const senders = [...connected].map((one) => ({ connected: one === 'y' }))
  expect(connectedRoute(preferred, senders)).toBe(route)
})
