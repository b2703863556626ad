import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { toJSONSchema } from 'zod'
import { collectorConfig } from '../config.ts'
import { changeOf, liveKeys } from './config-change.ts'

const parse = (keys: Record<string, unknown> = {}) =>
  collectorConfig.parse({ aggregator: { address: 'a:1' }, node: 'n', ...keys })

test.for([
  { wanted: {}, taken: [], waiting: [] },
  { wanted: { logs: { scanInterval: '5s' } }, taken: ['logs.scanInterval'], waiting: [] },
  { wanted: { logs: { path: '/x', flushInterval: '1s' } }, taken: ['logs.flushInterval'], waiting: ['logs.path'] },
  { wanted: { aggregator: { address: ['a:1'] } }, taken: [], waiting: [] },
  { wanted: { aggregator: { address: ['a:1', 'b:1'] } }, taken: [], waiting: ['aggregator.address'] },
  { wanted: { aggregator: { address: 'a:1', sharedKey: 'x' } }, taken: [], waiting: ['aggregator.sharedKey'] },
  {
    wanted: { multiline: { languages: ['go'], patterns: { x: { start: '^a' } } } },
    taken: ['multiline.languages', 'multiline.patterns.x'],
    waiting: [],
  },
  {
    wanted: { limits: { openFiles: 100 }, log: { level: 'debug' } },
    taken: ['limits.openFiles', 'log.level'],
    waiting: [],
  },
])('$wanted: takes $taken, $waiting wait', ({ wanted, taken, waiting }) => {
  const [current, next] = [parse(), parse(wanted)]
  const change = changeOf(current, next)
  expect([[...change.taken].sort(), change.waiting]).toEqual([[...taken].sort(), waiting])
  // What waits is as it was, the rest as it is wanted: the change back and the change again are told right.
  expect(changeOf(change.config, next)).toMatchObject({ taken: [], waiting })
  expect(changeOf(current, change.config)).toMatchObject({ waiting: [] })
})

test('a key that is taken away goes back to its default', () => {
  const change = changeOf(
    parse({ logs: { path: '/x', scanInterval: '9s' }, aggregator: { address: 'a:1', sharedKey: 'x' } }),
    parse(),
  )
  expect(change.config).toMatchObject({ logs: { path: '/x', scanInterval: 1000 }, aggregator: { sharedKey: 'x' } })
})

test('each key that is taken live is one of the configuration', () => {
  const schema = toJSONSchema(collectorConfig, { io: 'input', unrepresentable: 'any' }) as unknown
  for (const key of liveKeys) {
    let at = schema as { properties?: Record<string, unknown> } | undefined
    for (const part of key.split('.')) at = at?.properties?.[part] as typeof at
    expect(at, key).toBeDefined()
  }
})

test('the operations page names these keys', () => {
  const page = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
  expect(page).toContain(`\n${liveKeys.map((key) => `\`${key}\``).join(', ')}\n`)
})
