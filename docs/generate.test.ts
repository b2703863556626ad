import { readFileSync } from 'node:fs'
import { size } from '@tributary/protocol/units.ts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { configurationPage, keysOf } from './generate.ts'
import { lokiPage } from './loki-page.ts'
import { metricsPage } from './metrics-page.ts'

test('the configuration page is what the schemas say, and every key is described', () => {
  expect(readFileSync(new URL('configuration.md', import.meta.url), 'utf8')).toBe(configurationPage())
  expect(configurationPage()).not.toMatch(/\| +\|$/m)
})

test('the metrics page has every metric, with what it means', () => {
  expect(readFileSync(new URL('metrics.md', import.meta.url), 'utf8')).toBe(metricsPage())
  expect(metricsPage()).not.toMatch(/\| +\|$/m)
  expect(metricsPage()).toContain('`collector_lost_bytes_total` | counter | `reason` | ')
})

test('the page of differences from Loki is what the test lists', () => {
  expect(readFileSync(new URL('loki.md', import.meta.url), 'utf8')).toBe(lokiPage())
})

test('a key is listed by its path, with type, default and description', () => {
  const schema = z.strictObject({
    a: z.strictObject({ b: size.prefault('1KiB').describe('Room.') }).prefault({}),
    c: z.string().describe('Name.'),
  })
  expect(keysOf(schema)).toEqual([
    { path: 'a.b', type: 'string or number', default: '`1KiB`', description: 'Room.' },
    { path: 'c', type: 'string', default: '**required**', description: 'Name.' },
  ])
})
