import { expect, test } from 'vitest'
import { compareGenerations, containerIdFromLink, parseGeneration, podFromPath } from './layout.ts'

test('the pod is read from the path under /var/log/pods', () => {
  expect(podFromPath('/var/log/pods/shop_cart-7d9f_8d2c-11/api/3.log')).toEqual({
    namespace: 'shop',
    pod: 'cart-7d9f',
    uid: '8d2c-11',
    container: 'api',
  })
  expect(podFromPath('/srv/app.log')).toBeUndefined()
  expect(containerIdFromLink(`cart-7d9f_shop_api-${'0af3'.repeat(16)}.log`)).toBe('0af3'.repeat(16))
})

test.for([
  [
    undefined,
    ['0.log', '0.log.20260101-100000', '0.log.20260101-090000.gz', '1.log', '1.log.20260102-000000'],
    ['0.log.20260101-090000.gz', '0.log.20260101-100000', '0.log', '1.log.20260102-000000', '1.log'],
  ],
  [
    'app.log',
    ['app.log.1', 'app.log', 'app.log.10.gz', 'app.log.2'],
    ['app.log.10.gz', 'app.log.2', 'app.log.1', 'app.log'],
  ],
  ['app.log', ['app.log', 'app.log-20260102', 'app.log-20260101'], ['app.log-20260101', 'app.log-20260102', 'app.log']],
] as const)('generations of %s are ordered from the oldest to the newest', ([base, names, expected]) => {
  const parsed = names.map((name) => ({ name, generation: parseGeneration(name, base)! }))
  parsed.sort((a, b) => compareGenerations(a.generation, b.generation))
  expect(parsed.map(({ name }) => name)).toEqual(expected)
})

test.for(['0.log.20260101-100000.gz.tmp', 'x.log', '0.log.gz', '0.log.swp', '0.logs', 'lost+found'])(
  '%s is no generation',
  (name) => {
    expect(parseGeneration(name, undefined)).toBeUndefined()
  },
)
