import { type Logger, pino } from 'pino'
import { expect, test } from 'vitest'
import { collectorConfig } from '../config.ts'
import { CollectorMetrics } from '../metrics.ts'
import { Reloader } from './reloader.ts'

const parse = (keys: Record<string, unknown> = {}) => collectorConfig.parse({ aggregator: { address: 'a:1' }, ...keys })

function setUp(prepare?: (wanted: object) => void) {
  const lines: { level: number; msg: string; keys?: string[]; reason?: string }[] = []
  const log: Logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const metrics = new CollectorMetrics()
  const applied: string[] = []
  const reloader = new Reloader({
    config: parse(),
    log,
    metrics,
    prepare: async (config) => {
      prepare?.(config)
      return () => void applied.push(config.log.level)
    },
  })
  const stale = async () => (await metrics.configStale.get()).values[0]!.value
  return { reloader, lines, applied, stale }
}

test('what may be taken is, and what waits for a restart is named', async () => {
  const { reloader, lines, applied, stale } = setUp()
  expect(await reloader.reload(() => parse({ log: { level: 'debug' } }))).toBe('applied')
  expect(reloader.config.log.level).toBe('debug')
  expect(await stale()).toBe(0)
  const both = () => parse({ log: { level: 'warn' }, http: { port: 1 } })
  expect(await reloader.reload(both)).toBe('partial')
  expect(reloader.config).toMatchObject({ log: { level: 'warn' }, http: { port: 2020 } })
  expect(reloader.stale).toBe('the configuration file has changes that wait for a restart: http.port')
  expect(await stale()).toBe(1)
  expect(lines.at(-1)).toMatchObject({ level: 40, keys: ['http.port'] })
  expect(await reloader.reload(() => parse({ log: { level: 'warn' } }))).toBe('unchanged')
  expect(reloader.stale).toBeUndefined()
  expect(applied).toEqual(['debug', 'warn', 'warn'])
})

test.for([
  {
    what: 'a file that is wrong',
    load: () => {
      throw new Error('collector.yaml: logs.paht: unknown key')
    },
    reason: 'collector.yaml: logs.paht: unknown key',
  },
  { what: 'a filter that does not compile', load: () => parse({ log: { level: 'error' } }), reason: 'filters.0: no' },
])('$what changes nothing, and is said', async ({ load, reason }) => {
  const { reloader, lines, applied, stale } = setUp(() => {
    throw new Error('filters.0: no')
  })
  const before = reloader.config
  expect(await reloader.reload(load)).toBe('refused')
  expect(reloader.config).toBe(before)
  expect(applied).toEqual([])
  expect(reloader.stale).toBe(`the configuration file is not used: ${reason}`)
  expect(await stale()).toBe(1)
  expect(lines.at(-1)).toMatchObject({ level: 50, reason })
})

test('of two at a time the later one holds', async () => {
  const { reloader, applied } = setUp()
  await Promise.all([
    reloader.reload(() => parse({ log: { level: 'debug' } })),
    reloader.reload(() => parse({ log: { level: 'error' } })),
  ])
  expect(applied).toEqual(['debug', 'error'])
  expect(reloader.config.log.level).toBe('error')
})
